"""Picks and what is chosen for them: alpha in bits, alpha spelled out, and back."""

from __future__ import annotations

from collections import deque
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
        """Whether ``choice`` closes every edge in a way that the edge allows (a supernet's need not)."""
        return len(choice) == len(self.opens) and all(
            edge.admits(chosen) for edge, chosen in zip(self.opens, choice, strict=True)
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
    wanted, got = len(pick.groups), len(written.groups)
    if wanted != got:
        help = f"one for each of {_listed(target for target, _ in pick.groups)}"
        at = written.groups[0].span.to(written.groups[-1].span)
        return [codes.GROUPS.at(at, pick=pick.name, wanted=_counted(wanted, "group"), got=got, help=help)]
    choice: list[tuple[int, ...]] = []
    wrong: list[Diagnostic] = []
    for (target, edges), group in zip(pick.groups, written.groups, strict=True):
        wanted, got = len(edges), len(group.codes)
        if wanted != got:
            help = f"from {_listed(edge.source for edge in edges)}"
            count = _counted(wanted, "open edge")
            wrong.append(codes.CODES.at(group.span, node=target, wanted=count, got=got, help=help))
            continue
        for edge, code in zip(edges, group.codes, strict=True):
            chosen = _decode(edge, code.text)
            if chosen is None:
                wrong.append(codes.BAD_CODE.at(code.span, code=code.text, edge=edge, help=_code_help(edge)))
            else:
                choice.append(chosen)
    return wrong or tuple(choice)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: Iterable[str]) -> str:
    """```a`, `b` and `c```"""
    shown = [f"`{name}`" for name in names]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _decode(edge: OpenEdge, code: str) -> tuple[int, ...] | None:
    if edge.kind == "one":
        return next(((index,) for index in range(len(edge.names)) if code == str(index)), None)
    if len(code) != len(edge.names) or set(code) - {"0", "1"}:
        return None
    return tuple(index for index, bit in enumerate(code) if bit == "1")


def _code_help(edge: OpenEdge) -> str:
    if edge.kind == "one":
        indexed = ", ".join(f"{index} for `{name}`" for index, name in enumerate(edge.names))
        return f"write one index: {indexed}"
    return f"write {_counted(len(edge.names), 'bit')}, for {_listed(edge.names)}"


def read_edges(pick: Pick, written: nodes.PickEdges) -> Choice | list[Diagnostic]:
    """The choice that a long form spells out, or what is wrong with it."""
    reader = _LongForm(pick)
    for edge in written.edges:
        for source in edge.sources:
            for target in edge.targets:
                reader.edge(source, target, edge)
    return reader.result(written.target.span)


class _LongForm:
    """Reads the lines of one choice."""

    def __init__(self, pick: Pick) -> None:
        self._pick = pick
        self._chosen: list[dict[int, Span]] = [{} for _ in pick.opens]
        self._wrong: list[Diagnostic] = []
        self._nodes = sorted({name for each in pick.opens for name in (each.source, each.target)})
        #: The open edges of each pair of nodes, and by name what they offer and is not yet taken.
        self._places: dict[tuple[str, str], list[int]] = {}
        self._offers: dict[tuple[str, str], dict[str, deque[tuple[int, int]]]] = {}
        #: The open edges about which something wrong was said.
        self._mistaken: set[int] = set()
        for place, each in enumerate(pick.opens):
            pair = each.source, each.target
            self._places.setdefault(pair, []).append(place)
            offers = self._offers.setdefault(pair, {})
            for index, name in enumerate(each.names):
                offers.setdefault(name, deque()).append((place, index))

    def edge(self, source: nodes.Ident, target: nodes.Ident, edge: nodes.Edge) -> None:
        """Takes in what one line says of one pair of nodes."""
        pair = source.name, target.name
        if pair in self._places:
            operation = edge.operation or nodes.Call(nodes.Ident("identity", span=edge.span), span=edge.span)
            self._operation(operation, pair)
            return
        unknown = next((each for each in (source, target) if each.name not in self._nodes), None)
        at = source.span.to(target.span) if unknown is None else unknown.span
        help = None if unknown is None else did_you_mean(unknown.name, self._nodes)
        if help is None:
            into = [each.source for each in self._pick.opens if each.target == target.name]
            help = f"open edges go to `{target}` from {_listed(dict.fromkeys(into))}" if into else None
        self._wrong.append(codes.NO_SUCH_EDGE.at(at, edge=f"`{source} -> {target}`", help=help))

    def _operation(self, operation: nodes.Op, pair: tuple[str, str]) -> None:
        """One alternative, or a sum of them."""
        text = show_operation(operation)
        if text in self._offers[pair]:
            self._take(text, operation, pair)
        elif isinstance(operation, nodes.Sum):
            for part in operation.parts:
                self._operation(part, pair)
        else:
            self._mistaken.update(self._places[pair])
            self._unknown(operation, text, self._places[pair])

    def _take(self, name: str, operation: nodes.Op, pair: tuple[str, str]) -> None:
        """Takes the first alternative of that name that can be taken."""
        offers = self._offers[pair][name]
        while offers:
            place, index = offers[0]
            taken = self._chosen[place]
            if self._pick.opens[place].kind == "any" or not taken:
                taken[index] = operation.span
                offers.popleft()
                return
            if len(offers) == 1:
                break
            offers.popleft()
        self._too_much(name, operation, pair)

    def _too_much(self, name: str, operation: nodes.Op, pair: tuple[str, str]) -> None:
        """Says that an alternative was taken before, or another one on an edge that takes one."""
        place = next(each for each in self._places[pair] if name in self._pick.opens[each].names)
        edge, taken = self._pick.opens[place], self._chosen[place]
        index = edge.names.index(name)
        related = [Label(taken.get(index, next(iter(taken.values()))), "chosen here")]
        if index in taken:
            wrong = codes.CHOSEN_TWICE.at(
                operation.span, "chosen again", name=name, edge=edge, related=related
            )
        else:
            wrong = codes.ONE_EDGE.at(
                operation.span, "a second choice", edge=edge, got="two", related=related
            )
        self._wrong.append(wrong)

    def _unknown(self, operation: nodes.Op, text: str, places: list[int]) -> None:
        offered = list(dict.fromkeys(name for place in places for name in self._pick.opens[place].names))
        help = f"this edge of `{self._pick.cell}` offers {_listed(offered)}"
        match operation:
            case nodes.Choice() | nodes.If():
                self._wrong.append(codes.PICK_PLUS.at(operation.span, help=help))
            case nodes.Call(callee=callee, arguments=arguments):
                if arguments and callee.name in offered:
                    help = f"here it goes by its name alone: `{callee}`"
                whole = callee.name in offered or any(each.startswith(f"{callee}(") for each in offered)
                at, name = (operation.span, text) if whole else (callee.span, callee.name)
                self._wrong.append(codes.UNKNOWN_OPERATION.at(at, name=name, help=help))
            case _:
                self._wrong.append(codes.UNKNOWN_OPERATION.at(operation.span, name=text, help=help))

    def result(self, span: Span) -> Choice | list[Diagnostic]:
        """The whole choice; edges that were not mentioned are empty."""
        choice: list[tuple[int, ...]] = []
        for place, (edge, chosen) in enumerate(zip(self._pick.opens, self._chosen, strict=True)):
            if chosen or edge.kind == "any":
                choice.append(tuple(sorted(chosen)))
            elif edge.empty is not None:
                choice.append((edge.empty,))
            elif place not in self._mistaken:
                help = f"choose one of {_listed(edge.names)}"
                self._wrong.append(codes.ONE_EDGE.at(span, edge=edge, got="none", help=help))
        return self._wrong or tuple(choice)


def spelled_out(pick: Pick, choice: Choice) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The chosen alternatives of each edge that has any, in alpha order: (source, target, names)."""
    for edge, chosen in zip(pick.opens, choice, strict=True):
        taken = edge.taken(chosen)
        if taken:
            yield edge.source, edge.target, tuple(edge.names[index] for index in taken)


def pick_name(written: nodes.PickBits | nodes.PickEdges) -> str:
    """The pick that a choice is for: ``07`` is pick 7."""
    name = written.target.name
    return str(int(name)) if name.isdecimal() and len(name) < 10 else name


def check_picks(
    picks: Iterable[Pick], written: Iterable[nodes.PickBits | nodes.PickEdges], net: nodes.NetDefinition
) -> tuple[tuple[Choice, ...], tuple[Diagnostic, ...]]:
    """The choice of every pick of a space as a net writes them, and what is wrong with them."""
    by_name = {pick.name: pick for pick in picks}
    chosen: dict[str, Choice] = {}
    first: dict[str, Span] = {}
    wrong: list[Diagnostic] = []
    for each in written:
        name, at = pick_name(each), each.target.span
        if name not in by_name:
            wrong.append(codes.UNKNOWN_PICK.at(at, name=name, help=_pick_help(name, by_name)))
            continue
        if name in first:
            related = [Label(first[name], "chosen here")]
            wrong.append(codes.PICK_TWICE.at(at, "chosen again", name=name, related=related))
            continue
        first[name] = at
        pick = by_name[name]
        read = read_bits(pick, each) if isinstance(each, nodes.PickBits) else read_edges(pick, each)
        if isinstance(read, list):
            wrong.extend(read)
        else:
            chosen[name] = read
    missing = [name for name in by_name if name not in first]
    if missing:
        notes = []
        if missing[1:]:
            shown = ", ".join([*missing[1:6], *(["..."] if missing[6:] else [])])
            notes = [f"and {len(missing) - 1} more: {shown}"]
        help = _form_of(by_name[missing[0]])
        wrong.append(
            codes.MISSING_PICK.at(net.name.span, net=net.name, name=missing[0], help=help, notes=notes)
        )
    return tuple(chosen.get(name, ()) for name in by_name), tuple(wrong)


def _form_of(pick: Pick) -> str:
    """How a pick is written, both ways."""
    code = alpha_text(pick, tuple(edge.options[-1] for edge in pick.opens))
    shown = code if len(code) <= 60 else f"{code[:60].rpartition(' ')[0]} ..."
    edge = pick.opens[0]
    line = f"{edge.source} -> {edge.target} : {edge.names[0]}"
    return f"write `pick {pick.name} = {shown}`, or edge by edge `pick {pick.name} {{ {line} }}`"


def _pick_help(name: str, known: dict[str, Pick]) -> str | None:
    numbered = [each for each in known if each.isdecimal()]
    if numbered and name.isdecimal():
        return f"they are numbered from 0 to {len(numbered) - 1}"
    if not known:
        return "the space picks nothing"
    return did_you_mean(name, known) or f"the picks are {_listed(list(known)[:8])}"
