"""Rules of spaces: requirements that speak of what was chosen.

A rule knows how to verify itself against measures. Where the measures come from (one net's choices, or the running
sums of a count over all of them) is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Protocol

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, did_you_mean
from robdsl.graph.choices import Pick
from robdsl.graph.operations import Choice
from robdsl.graph.values import NET_MEASURES, Fault, Scope, Value, boolean, is_measure
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_operation


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
    """

    written: nodes.Require
    condition: nodes.Expr
    space: str
    values: Mapping[str, Value]
    picks: tuple[Pick, ...]
    _terms: dict[tuple[object, ...], Term] = field(default_factory=dict)

    @cached_property
    def bindings(self) -> tuple[Mapping[str, int], ...]:
        """What the cells that the rule names stand for: each of their picks in turn."""
        named = [pick.name for pick in self.picks]
        cells = [t for t in dict.fromkeys(each.target.name for each in self.measures) if t not in named]
        choices = [[i for i, pick in enumerate(self.picks) if pick.cell == cell] for cell in cells]
        return tuple(dict(zip(cells, indices, strict=True)) for indices in product(*choices))

    @cached_property
    def measures(self) -> tuple[nodes.Measure, ...]:
        return tuple(each for each in nodes.walk(self.condition) if isinstance(each, nodes.Measure))

    @cached_property
    def whole(self) -> frozenset[str]:
        """The measures of the whole net that it speaks of."""
        names = (each for each in nodes.walk(self.condition) if isinstance(each, nodes.Name))
        return frozenset(
            each.name for each in names if each.name in NET_MEASURES and is_measure(each, self.values)
        )

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
        for index, pick in enumerate(self.picks):
            if pick.name == name:
                return index
        if name in binding:
            return binding[name]
        known = [*(pick.name for pick in self.picks), *(pick.cell for pick in self.picks)]
        raise Fault(codes.UNKNOWN_PICK.at(target.span, name=name, help=did_you_mean(name, known)))

    def check(self) -> None:
        """Raises `Fault` when the rule speaks of something that the space does not have."""
        unknown = [
            m for m in self.measures if m.target.name not in {n for p in self.picks for n in (p.name, p.cell)}
        ]
        for measure in unknown:
            self._pick(measure.target, {})
        for binding in self.bindings:
            for _ in self.terms(binding):
                pass

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
        from robdsl.graph.cells import spoken_values

        for binding in self.bindings:
            if self.holds(measures, binding):
                continue
            scope = self.scope(measures, binding)
            label = spoken_values(self.condition, scope)
            indices = dict.fromkeys(self.term(each, binding).pick for each in self.measures)
            related = [place for index in indices if (place := at(index)) is not None]
            where = related[0].span if related else self.written.span
            others = [Label(self.written.span, "the rule"), *related[1:]] if related else []
            yield codes.RULE_BROKEN.at(where, label, net=net, space=self.space, related=others)


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
    )
