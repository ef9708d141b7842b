"""Rules of spaces: requirements that speak of what was chosen.

A rule knows how to verify itself against measures. Where the measures come from (one net's choices, or the
running sums of a count over all of them) is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import Protocol

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, did_you_mean
from robdsl.graph.choices import Pick
from robdsl.graph.operations import Choice
from robdsl.graph.values import (
    Fault,
    Scope,
    Value,
    boolean,
    is_measure,
    spoken_values,
    subexpressions,
)
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_operation

#: How many cases a rule may mean, when it names several cells that are picked many times.
MAX_CASES = 20_000


@dataclass(frozen=True)
class Term:
    """A number that is summed over the open edges of one pick: ``count(c, OP)`` and its like.

    Attributes:
        pick: the number of the pick.
        weights: what each alternative of each open edge adds when it is chosen.
        scale: what the sum is divided by (the possible ones, for ``density``; else 1).
        once: whether an edge counts once however much it carries (``indegree``).
    """

    pick: int
    weights: tuple[tuple[int, ...], ...]
    scale: int = 1
    once: bool = False

    def on_edge(self, edge: int, chosen: tuple[int, ...]) -> int:
        """What one edge adds."""
        total = sum(self.weights[edge][index] for index in chosen)
        return min(total, 1) if self.once else total

    def of(self, choice: Choice) -> int:
        """The undivided sum for a choice."""
        return sum(self.on_edge(edge, chosen) for edge, chosen in enumerate(choice))


class Measures(Protocol):
    """Where the values of measures come from."""

    def term(self, term: Term) -> int: ...

    def whole(self, name: str) -> int: ...


@dataclass(frozen=True, eq=False)
class Rule:
    """A ``require`` that speaks of choices.

    Attributes:
        written: the statement.
        space: the name of the space that it stands in.
        values: parameters and lets.
        picks: every pick of the space.
        cells: the names of all cells that the space picks, also those that happen to have no pick.
    """

    written: nodes.Require
    condition: nodes.Expr
    space: str
    values: Mapping[str, Value]
    picks: tuple[Pick, ...]
    cells: frozenset[str] = frozenset()
    _terms: dict[tuple[object, ...], Term] = field(default_factory=dict)

    @cached_property
    def bindings(self) -> tuple[Mapping[str, int], ...]:
        """What the cells that the rule names stand for: each of their picks in turn.

        Raises:
            Fault: these are too many cases.
        """
        cells = {
            each.target.name: each.target for each in self.measures if each.target.name not in self._named
        }
        choices = [[i for i, pick in enumerate(self.picks) if pick.cell == cell] for cell in cells]
        if prod(map(len, choices)) > MAX_CASES:
            raise Fault(codes.TOO_MANY_CASES.at(self.written.span, bound=f"{MAX_CASES:,}"))
        return tuple(dict(zip(cells, indices, strict=True)) for indices in product(*choices))

    @cached_property
    def _named(self) -> Mapping[str, int]:
        return {pick.name: index for index, pick in enumerate(self.picks)}

    @cached_property
    def measures(self) -> tuple[nodes.Measure, ...]:
        """The measures of picks that it speaks of, in order."""
        return tuple(each for each in subexpressions(self.condition) if isinstance(each, nodes.Measure))

    @cached_property
    def whole(self) -> frozenset[str]:
        """The measures of the whole net that it speaks of."""
        names = (each for each in subexpressions(self.condition) if isinstance(each, nodes.Name))
        return frozenset(each.name for each in names if is_measure(each, self.values))

    def terms(self, binding: Mapping[str, int]) -> Iterator[Term]:
        """The sums over choices that the rule needs."""
        for measure in self.measures:
            yield self.term(measure, binding)

    def term(self, measure: nodes.Measure, binding: Mapping[str, int]) -> Term:
        """The sum that a measure is; raises `Fault` for a pick, node or alternative that is not there."""
        index = self._pick(measure.target, binding)
        key = (id(measure), index)
        if key not in self._terms:
            self._terms[key] = _term(measure, index, self.picks[index])
        return self._terms[key]

    def _pick(self, target: nodes.Ident, binding: Mapping[str, int]) -> int:
        name = target.name
        index = self._named.get(name, binding.get(name))
        if index is None:
            known = [*self._named, *self.cells]
            numbered = [each for each in self._named if each.isdecimal()]
            help = did_you_mean(name, known) or ("this net picks nothing" if not known else None)
            if name.isdecimal() and numbered:
                help = f"they are numbered from 0 to {len(numbered) - 1}"
            raise Fault(codes.UNKNOWN_PICK.at(target.span, name=name, help=help))
        return index

    def check(self) -> None:
        """Raises `Fault` when the rule speaks of what the space does not have, or is no condition."""
        for measure in self.measures:
            name = measure.target.name
            if name not in self.cells and all(pick.cell != name for pick in self.picks):
                self._pick(measure.target, {})
        for binding in self.bindings:
            for _ in self.terms(binding):
                pass
        try:
            for binding in self.bindings[:1]:
                self.holds(_Ones(), binding)
        except Fault as fault:
            if fault.diagnostic.code is codes.WRONG_TYPE:
                raise  # others, such as a division by zero, depend on what is chosen

    def holds(self, measures: Measures, binding: Mapping[str, int]) -> bool:
        """Whether the condition is true; raises `Fault` when it is no condition."""
        return boolean(self.condition, self.scope(measures, binding), "a requirement")

    def scope(self, measures: Measures, binding: Mapping[str, int]) -> Scope:
        """What names mean in the condition, for given measures."""

        def measure(node: nodes.Measure | nodes.Name) -> Value:
            if isinstance(node, nodes.Name):
                return measures.whole(node.name)
            term = self.term(node, binding)
            value = measures.term(term)
            return value / term.scale if node.function.name == "density" else value

        return Scope(self.values, measure=measure)

    def verify(self, net: str, measures: Measures, at: Callable[[int], Label | None]) -> Iterator[Diagnostic]:
        """What is wrong with a net under this rule; ``at`` says where a pick was chosen."""
        for binding in self.bindings:
            scope = self.scope(measures, binding)
            try:
                if self.holds(measures, binding):
                    continue
            except Fault as fault:  # a division by zero, for instance
                yield fault.diagnostic
                continue
            label = spoken_values(self.condition, scope)
            indices = dict.fromkeys(self.term(each, binding).pick for each in self.measures)
            related = [place for index in indices if (place := at(index)) is not None]
            where = related[0].span if related else self.written.span
            others = [Label(self.written.span, "the rule"), *related[1:]] if related else []
            if not self.picks:  # a closed net's own requirement
                yield codes.REQUIRE_BROKEN.at(where, label)
                continue
            meant = [
                f"`{cell}` means `pick {self.picks[index].name}` here" for cell, index in binding.items()
            ]
            yield codes.RULE_BROKEN.at(where, label, net=net, space=self.space, related=others, notes=meant)


class _Ones:
    """Measures that are all 1."""

    def term(self, term: Term) -> int:
        return 1

    def whole(self, name: str) -> int:
        return 1


def _term(measure: nodes.Measure, index: int, pick: Pick) -> Term:
    """The sum that a measure is on the open edges of a pick."""
    function = measure.function.name
    if function == "density":
        weights = tuple(tuple(int(i != edge.empty) for i in range(len(edge.names))) for edge in pick.opens)
        return Term(index, weights, scale=sum(edge.most for edge in pick.opens))
    if measure.node is not None:
        targets = {edge.target for edge in pick.opens}
        if measure.node.name not in targets:
            help = did_you_mean(measure.node.name, targets) or "rules look at open edges, and none goes there"
            raise Fault(codes.UNKNOWN_NODE.at(measure.node.span, name=measure.node, help=help))
        weights = tuple(
            tuple(int(edge.target == measure.node.name and i != edge.empty) for i in range(len(edge.names)))
            for edge in pick.opens
        )
        return Term(index, weights, once=True)
    assert measure.operation is not None
    wanted = show_operation(measure.operation)
    known = {name for edge in pick.opens for i, name in enumerate(edge.names) if i != edge.empty}
    if wanted not in known:
        help = (
            did_you_mean(wanted, known)
            or f"`{pick.cell}` offers {', '.join(f'`{name}`' for name in sorted(known))}"
        )
        raise Fault(codes.UNKNOWN_OPERATION.at(measure.operation.span, name=wanted, help=help))
    counted = {"count": (True, False), "direct": (True,), "skips": (False,)}[function]
    return Term(
        index,
        tuple(
            tuple(int(edge.direct in counted and name == wanted) for name in edge.names)
            for edge in pick.opens
        ),
        once=any(edge.names.count(wanted) > 1 for edge in pick.opens),
    )
