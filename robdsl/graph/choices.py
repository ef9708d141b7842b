"""Picks and what is chosen for them: alpha in bits, alpha spelled out, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, did_you_mean
from robdsl.diagnostics.source import Span
from robdsl.graph.cell import OpenEdge
from robdsl.graph.operations import Choice
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_operation


@dataclass(frozen=True)
class Pick:
    """One choice of a space.

    Attributes:
        name: its name, or its number as text.
        cell: the name of the cell that it closes.
        opens: the open edges of that cell, in the order of alpha.
    """

    name: str
    cell: str
    opens: tuple[OpenEdge, ...]

    @cached_property
    def groups(self) -> tuple[tuple[str, tuple[OpenEdge, ...]], ...]:
        """The open edges by the node that they go to."""
        return tuple(
            (target, tuple(edges)) for target, edges in groupby(self.opens, key=lambda each: each.target)
        )

    @cached_property
    def everything(self) -> Choice:
        """Every alternative of every edge: the supernet."""
        return tuple(tuple(range(len(edge.names))) for edge in self.opens)

    def admits(self, choice: Choice) -> bool:
        """Whether ``choice`` closes every edge in a way that the edge allows (a supernet's choice of everything need not)."""
        return len(choice) == len(self.opens) and all(
            chosen in edge.options for edge, chosen in zip(self.opens, choice, strict=True)
        )


def alpha_text(pick: Pick, choice: Choice) -> str:
    """``11 10 | 11 11 10``: one code an open edge, one group a node."""
    coded = iter([_code(edge, chosen) for edge, chosen in zip(pick.opens, choice, strict=True)])
    return " | ".join(" ".join(next(coded) for _ in edges) for _, edges in pick.groups)


def _code(edge: OpenEdge, chosen: tuple[int, ...]) -> str:
    if edge.kind == "one":
        return str(chosen[0])
    return "".join("1" if index in chosen else "0" for index in range(len(edge.names)))


def read_bits(pick: Pick, written: nodes.PickBits) -> Choice | list[Diagnostic]:
    """The choice that bits stand for, or what is wrong with them."""
    if len(written.groups) != len(pick.groups):
        expected = ", ".join(f"`{target}`" for target, _ in pick.groups)
        return [
            codes.GROUPS.at(
                written.span,
                pick=pick.name,
                wanted=len(pick.groups),
                got=len(written.groups),
                help=f"one for each of {expected}",
            )
        ]
    choice: list[tuple[int, ...]] = []
    wrong: list[Diagnostic] = []
    for (target, edges), group in zip(pick.groups, written.groups, strict=True):
        if len(group.codes) != len(edges):
            sources = ", ".join(f"`{edge.source}`" for edge in edges)
            wrong.append(
                codes.CODES.at(
                    group.span, node=target, wanted=len(edges), got=len(group.codes), help=f"from {sources}"
                )
            )
            continue
        for edge, code in zip(edges, group.codes, strict=True):
            chosen = _decode(edge, code.text)
            if chosen is None:
                wrong.append(codes.BAD_CODE.at(code.span, code=code.text, edge=edge, help=_code_help(edge)))
            else:
                choice.append(chosen)
    return wrong or tuple(choice)


def _decode(edge: OpenEdge, code: str) -> tuple[int, ...] | None:
    if edge.kind == "one":
        return (int(code),) if code.isdecimal() and len(code) < 4 and int(code) < len(edge.names) else None
    if len(code) != len(edge.names) or set(code) - {"0", "1"}:
        return None
    return tuple(index for index, bit in enumerate(code) if bit == "1")


def _code_help(edge: OpenEdge) -> str:
    names = ", ".join(f"`{name}`" for name in edge.names)
    if edge.kind == "one":
        return f"write the index, from 0 to {len(edge.names) - 1}, of one of {names}"
    return f"write {len(edge.names)} bits, one each for {names}"


def read_edges(pick: Pick, written: nodes.PickEdges) -> Choice | list[Diagnostic]:
    """The choice that a long form spells out, or what is wrong with it."""
    reader = _LongForm(pick)
    for edge in written.edges:
        for source in edge.sources:
            for target in edge.targets:
                reader.edge(source, target, edge)
    return reader.result(written.span)


class _LongForm:
    def __init__(self, pick: Pick) -> None:
        self._pick = pick
        self._chosen: list[dict[int, Span]] = [{} for _ in pick.opens]
        self._wrong: list[Diagnostic] = []
        self._nodes = sorted({name for each in pick.opens for name in (each.source, each.target)})

    def edge(self, source: nodes.Ident, target: nodes.Ident, edge: nodes.Edge) -> None:
        """Takes in what one line says of one pair of nodes."""
        places = [
            i
            for i, each in enumerate(self._pick.opens)
            if (each.source, each.target) == (source.name, target.name)
        ]
        if not places:
            unknown = next((each for each in (source, target) if each.name not in self._nodes), None)
            help = did_you_mean(unknown.name, self._nodes) if unknown else f"the cell is `{self._pick.cell}`"
            self._wrong.append(codes.NO_SUCH_EDGE.at(source.span.to(target.span) if unknown is None else unknown.span,
                                                     edge=f"`{source} -> {target}`", help=help))  # fmt: skip
            return
        if edge.operation is None:
            self._unknown(edge.span, "identity", places)
            return
        self._operation(edge.operation, places)

    def _operation(self, operation: nodes.Op, places: list[int]) -> None:
        """One alternative, or a sum of them."""
        found = self._match(operation, places)
        if found:
            self._take(found, operation)
        elif isinstance(operation, nodes.Sum):
            for part in operation.parts:
                self._operation(part, places)
        elif isinstance(operation, nodes.Choice | nodes.If):
            self._wrong.append(codes.PICK_PLUS.at(operation.span, help=self._offer(places)))
        elif isinstance(operation, nodes.Call):
            self._unknown(operation.callee.span, operation.callee.name, places)
        else:
            self._unknown(operation.span, show_operation(operation), places)

    def _match(self, operation: nodes.Op, places: list[int]) -> list[tuple[int, int]]:
        """The (edge, alternative) pairs that an operation can mean."""
        text = show_operation(operation)
        return [
            (place, index)
            for place in places
            for index, name in enumerate(self._pick.opens[place].names)
            if name == text
        ]

    def _take(self, found: list[tuple[int, int]], operation: nodes.Op) -> None:
        for place, index in found:
            if index not in self._chosen[place] and (
                self._pick.opens[place].kind == "any" or not self._chosen[place]
            ):
                self._chosen[place][index] = operation.span
                return
        place, index = found[0]
        taken = self._chosen[place]
        before = taken.get(index, next(iter(taken.values())))
        edge = self._pick.opens[place]
        if edge.kind == "one" and index not in taken:
            self._wrong.append(
                codes.ONE_EDGE_OPEN.at(
                    operation.span, "a second choice", edge=edge, related=[Label(before, "the first")]
                )
            )
            return
        self._wrong.append(
            codes.CHOSEN_TWICE.at(
                operation.span, name=edge.names[index], edge=edge, related=[Label(before, "chosen here")]
            )
        )

    def _unknown(self, span: Span, name: str, places: list[int]) -> None:
        self._wrong.append(codes.UNKNOWN_OPERATION.at(span, name=name, help=self._offer(places)))

    def _offer(self, places: list[int]) -> str:
        offered = list(dict.fromkeys(each for place in places for each in self._pick.opens[place].names))
        listed = " and ".join(
            filter(None, [", ".join(f"`{each}`" for each in offered[:-1]), f"`{offered[-1]}`"])
        )
        return f"this edge of `{self._pick.cell}` offers {listed}"

    def result(self, span: Span) -> Choice | list[Diagnostic]:
        """The whole choice; edges that were not mentioned are empty."""
        choice: list[tuple[int, ...]] = []
        for edge, chosen in zip(self._pick.opens, self._chosen, strict=True):
            if chosen or edge.kind == "any":
                choice.append(tuple(sorted(chosen)))
            elif edge.empty is not None:
                choice.append((edge.empty,))
            elif not self._wrong:
                self._wrong.append(
                    codes.ONE_EDGE_OPEN.at(
                        span, edge=edge, help="choose one of " + ", ".join(f"`{n}`" for n in edge.names)
                    )
                )
        return self._wrong or tuple(choice)


def spelled_out(pick: Pick, choice: Choice) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The chosen alternatives of each edge that has any: (source, target, names); the long form in alpha order."""
    for edge, chosen in zip(pick.opens, choice, strict=True):
        taken = edge.taken(chosen) if edge.kind == "any" else chosen
        if taken:
            yield edge.source, edge.target, tuple(edge.names[index] for index in taken)


def can_be_spelled_out(pick: Pick) -> bool:
    """Whether the long form can tell all edges apart: no two open edges of one pair share an alternative's name."""
    seen: set[tuple[str, str, str]] = set()
    for edge in pick.opens:
        for name in edge.names:
            key = (edge.source, edge.target, name)
            if key in seen:
                return False
            seen.add(key)
    return True


def check_picks(
    picks: Iterable[Pick], written: Iterable[nodes.PickBits | nodes.PickEdges], net: nodes.NetDefinition
) -> tuple[tuple[Choice, ...], tuple[Diagnostic, ...]]:
    """The choice of every pick of a space as a net writes them, and what is wrong with them."""
    by_name = {pick.name: pick for pick in picks}
    chosen: dict[str, Choice] = {}
    first: dict[str, Span] = {}
    wrong: list[Diagnostic] = []
    for each in written:
        name = each.target.name
        name = str(int(name)) if name.isdecimal() and len(name) < 10 else name
        if name not in by_name:
            wrong.append(codes.UNKNOWN_PICK.at(each.target.span, name=name, help=_pick_help(name, by_name)))
            continue
        if name in first:
            wrong.append(
                codes.PICK_TWICE.at(each.target.span, name=name, related=[Label(first[name], "chosen here")])
            )
            continue
        first[name] = each.target.span
        read = (
            read_bits(by_name[name], each)
            if isinstance(each, nodes.PickBits)
            else read_edges(by_name[name], each)
        )
        if isinstance(read, list):
            wrong.extend(read)
        else:
            chosen[name] = read
    missing = [name for name in by_name if name not in first]
    if missing:
        more = (
            f"and {len(missing) - 1} more: {', '.join(missing[1:6])}{', ...' if len(missing) > 6 else ''}"
            if missing[1:]
            else None
        )
        wrong.append(codes.MISSING_PICK.at(net.name.span, net=net.name, name=missing[0], help=more))
    return tuple(chosen.get(name, ()) for name in by_name), tuple(wrong)


def _pick_help(name: str, known: dict[str, Pick]) -> str | None:
    numbered = [each for each in known if each.isdecimal()]
    if numbered and name.isdecimal():
        return f"they are numbered from 0 to {len(numbered) - 1}"
    return did_you_mean(name, known) or f"the picks are {', '.join(f'`{each}`' for each in list(known)[:8])}"
