"""Groups of picks that rules tie together, each counted by itself.

Picks that no rule ties together are independent; groups that look alike (the twenty picks of a cell-free space) share
one count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from robdsl.graph.counting import Below, Constraint, Costs, FreePick, RuleConstraint, Sums, Vector
from robdsl.graph.layout import Layout
from robdsl.graph.net import Net, NetMeasures
from robdsl.graph.operations import Choice, picked
from robdsl.graph.path_counting import PathCells
from robdsl.graph.rules import Term
from robdsl.graph.tied_picks import TiedPick, TiedPicks, WholeNet


class Counted(Protocol):
    """A count of the choices of some picks."""

    @property
    def total(self) -> int: ...

    def draw(self, below: Below) -> tuple[Choice, ...]: ...


def tied_groups(layout: Layout) -> Iterator[tuple[tuple[int, ...], list[RuleConstraint]]]:
    """The smallest groups of picks such that no rule looks at two groups, each with its rules.

    Raises:
        Fault: a rule means too many cases.
    """
    constraints = [
        RuleConstraint(rule, binding, tuple(rule.terms(binding)))
        for rule in layout.rules
        for binding in rule.bindings
    ]
    yield from _tied_together(len(layout.picks), constraints)


def _tied_together(
    picks: int, constraints: Sequence[RuleConstraint]
) -> Iterator[tuple[tuple[int, ...], list[RuleConstraint]]]:
    if any(each.whole for each in constraints):
        yield tuple(range(picks)), list(constraints)
        return
    leader = list(range(picks))

    def find(pick: int) -> int:
        while leader[pick] != pick:
            leader[pick] = leader[leader[pick]]
            pick = leader[pick]
        return pick

    for constraint in constraints:
        first, *others = constraint.picks
        for other in others:
            leader[find(other)] = find(first)
    groups: dict[int, tuple[list[int], list[RuleConstraint]]] = {}
    for pick in range(picks):
        groups.setdefault(find(pick), ([], []))[0].append(pick)
    for constraint in constraints:
        groups[find(constraint.terms[0].pick)][1].append(constraint)
    for members, tied in groups.values():
        yield tuple(members), tied


def likeness(
    layout: Layout, picks: tuple[int, ...], constraints: Sequence[RuleConstraint]
) -> tuple[object, ...]:
    """Equal for groups that are counted alike: the same rules of the same sums over the same open edges."""
    place = {pick: index for index, pick in enumerate(picks)}

    def shown(term: Term) -> tuple[object, ...]:
        return (place[term.pick], term.weights, term.scale, term.once)

    tied = tuple((id(each.rule), tuple(shown(term) for term in each.terms)) for each in constraints)
    return tuple(layout.picks[pick].opens for pick in picks), tied


def count_group(layout: Layout, picks: tuple[int, ...], constraints: Sequence[Constraint]) -> Counted:
    """The choices of a group that obey its constraints.

    Raises:
        Uncountable: a bound was hit.
        Fault: a rule is no condition for some choice.
    """
    whole = frozenset(name for each in constraints for name in each.whole)
    if not picks:
        measures = NetMeasures(Net("", layout))
        return _Settled(
            all(each.holds((), {name: measures.whole(name) for name in each.whole}) for each in constraints)
        )
    if not constraints:
        return FreePick(layout.picks[picks[0]])
    terms: dict[int, dict[Term, None]] = {pick: {} for pick in picks}
    for constraint in constraints:
        for term in constraint.terms:
            terms[term.pick][term] = None
    names = tuple(sorted(whole - {"depth"}))
    costs, base = _costs(layout, names)
    paths = PathCells(layout.stages if "depth" in whole else ())
    tied = [
        TiedPick(
            pick,
            Sums(layout.picks[pick], tuple(terms[pick]), costs[pick], len(terms[pick]) + len(names)),
            paths.of(pick),
        )
        for pick in picks
    ]
    return TiedPicks(tied, constraints, WholeNet(names, base, paths.stages))


@dataclass(frozen=True)
class _Settled:
    """A net with nothing to choose, which obeys its rules or does not."""

    total: int

    def draw(self, below: Below) -> tuple[Choice, ...]:
        return ()


def _costs(layout: Layout, whole: Sequence[str]) -> tuple[list[Costs], Vector]:
    """What each alternative of each pick's open edges adds to measures of the whole net; these when nothing is chosen."""
    if not whole:
        return [()] * len(layout.picks), ()
    sums = [[[[0] * len(whole) for _ in edge.names] for edge in pick.opens] for pick in layout.picks]
    for stage in layout.stages:
        for used in picked(stage.operation):
            assert used.pick is not None
            for edge in used.cell.edges:
                for index, operation in enumerate(edge.alternatives):
                    if edge.opens is not None and operation is not None:
                        entry = sums[used.pick][edge.opens][index]
                        for place, name in enumerate(whole):
                            entry[place] += getattr(operation.cost, name)
    some = tuple(tuple(() if edge.kind == "any" else (0,) for edge in pick.opens) for pick in layout.picks)
    cost = Net("", layout, some).cost
    base = tuple(
        getattr(cost, name)
        - sum(
            sums[pick][edge][index][place]
            for pick, choice in enumerate(some)
            for edge, chosen in enumerate(choice)
            for index in chosen
        )
        for place, name in enumerate(whole)
    )
    costs = [tuple(tuple(tuple(entry) for entry in edge) for edge in pick) for pick in sums]
    return costs, base
