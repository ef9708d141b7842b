"""How many nets a space has, and nets drawn from it: exactly uniform over all that obey the rules.

Picks that no rule ties together are independent, so a space is counted as a product over groups of picks; groups that
look alike (the twenty picks of a cell-free space) share one count.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.counting import Below, Constraint, Costs, FreePick, Sums, Uncountable, Vector
from robdsl.graph.layout import Layout
from robdsl.graph.net import Net, NetMeasures
from robdsl.graph.operations import Choice, picked
from robdsl.graph.path_counting import PathCells
from robdsl.graph.rules import Term
from robdsl.graph.tied_picks import TiedPick, TiedPicks, WholeNet
from robdsl.graph.values import Fault

if TYPE_CHECKING:
    import numpy as np

RandomSource: TypeAlias = "random.Random | np.random.Generator"


class Counter:
    """The choices of a space that obey its rules: how many they are, and uniform draws from them.

    The first use counts; draws are quick after it.

    Attributes:
        total: the exact number of choices.

    Raises:
        Uncountable: the rules tie too much together to count it with bounded work.
        RobError: a rule is no condition for some choice (it divides by zero, say).
    """

    def __init__(self, layout: Layout) -> None:
        try:
            self._groups = _solved(layout)
        except Fault as fault:
            raise RobError([fault.diagnostic]) from None
        self._picks = len(layout.picks)
        self._name = layout.spaces[-1].name if layout.spaces else layout.bound.name
        self.total = 1
        for group in self._groups:
            self.total *= group.counted.total

    def draw(self, rng: RandomSource | int | None = None) -> tuple[Choice, ...]:
        """One choice for each pick, uniform over all choices that obey the rules.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`; a seed; None for a fresh one.

        Raises:
            ValueError: no choice obeys the rules.
        """
        if not self.total:
            raise ValueError(f"no net of the space `{self._name}` obeys its rules")
        below = uniform_below(rng)
        drawn: list[Choice] = [()] * self._picks
        for group in self._groups:
            for pick, choice in zip(group.picks, group.counted.draw(below), strict=True):
                drawn[pick] = choice
        return tuple(drawn)


def uniform_below(rng: RandomSource | int | None) -> Below:
    """A function that gives exactly uniform integers from 0 to n - 1, for n of any size.

    Args:
        rng: where the randomness comes from; a seed; None for a fresh one.
    """
    if rng is None or isinstance(rng, int):
        rng = random.Random(rng)
    if isinstance(rng, random.Random):
        return rng.randrange
    generator = rng

    def below(n: int) -> int:
        bits = (n - 1).bit_length()
        size = -(-bits // 8)
        while True:  # each turn succeeds with a chance of more than a half
            drawn = int.from_bytes(generator.bytes(size), "little") >> (8 * size - bits)
            if drawn < n:
                return drawn

    return below


class _Counted(Protocol):
    """A count of the choices of some picks."""

    @property
    def total(self) -> int: ...

    def draw(self, below: Below) -> tuple[Choice, ...]: ...


@dataclass(frozen=True)
class _Group:
    """Picks that rules tie together, in the order of the net."""

    picks: tuple[int, ...]
    counted: _Counted


def _solved(layout: Layout) -> list[_Group]:
    """The groups of picks, each counted."""
    constraints = [
        Constraint(rule, binding, tuple(rule.terms(binding)))
        for rule in layout.rules
        for binding in rule.bindings
    ]
    known: dict[tuple[object, ...], _Counted] = {}
    groups = []
    for picks, tied in _tied_together(len(layout.picks), constraints):
        key = _likeness(layout, picks, tied)
        if key not in known:
            known[key] = _count(layout, picks, tied)
        groups.append(_Group(picks, known[key]))
    return groups


def _tied_together(
    picks: int, constraints: Sequence[Constraint]
) -> Iterator[tuple[tuple[int, ...], list[Constraint]]]:
    """The smallest groups of picks such that no constraint looks at two groups, each with its constraints."""
    if any(each.rule.whole for each in constraints):
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
    groups: dict[int, tuple[list[int], list[Constraint]]] = {}
    for pick in range(picks):
        groups.setdefault(find(pick), ([], []))[0].append(pick)
    for constraint in constraints:
        groups[find(constraint.terms[0].pick)][1].append(constraint)
    for members, tied in groups.values():
        yield tuple(members), tied


def _likeness(
    layout: Layout, picks: tuple[int, ...], constraints: Sequence[Constraint]
) -> tuple[object, ...]:
    """Equal for groups that are counted alike: the same rules of the same sums over the same open edges."""
    place = {pick: index for index, pick in enumerate(picks)}

    def shown(term: Term) -> tuple[object, ...]:
        return (place[term.pick], term.weights, term.scale, term.once)

    tied = tuple((id(each.rule), tuple(shown(term) for term in each.terms)) for each in constraints)
    return tuple(layout.picks[pick].opens for pick in picks), tied


def _count(layout: Layout, picks: tuple[int, ...], constraints: Sequence[Constraint]) -> _Counted:
    whole = frozenset(name for each in constraints for name in each.rule.whole)
    if not picks:
        measures = NetMeasures(Net("", layout))
        return _Settled(all(each.rule.holds(measures, each.binding) for each in constraints))
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


__all__ = ["Counter", "RandomSource", "Uncountable", "uniform_below"]
