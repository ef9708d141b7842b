"""Counting choices of picks that rules tie together, pick by pick.

Of what was chosen so far a state keeps two things: measures of the whole net, which only add up, and the values that rules
or stages still to come will look at. A rule is checked as soon as its last pick is chosen, and what nothing later
looks at is forgotten there, so that only what is still open tells states apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from robdsl.graph.cell import Cell
from robdsl.graph.counting import (
    MAX_STATES,
    MAX_STEPS,
    Below,
    Constraint,
    PickTable,
    Sums,
    Uncountable,
    Vector,
    weighted,
)
from robdsl.graph.operations import Choice
from robdsl.graph.path_counting import PathTable, StageDepth, wiring
from robdsl.graph.rules import Term

#: What an open value is: a sum that a rule speaks of, a path (pick, cell, input), or how deep the output of a stage is.
_Slot = Term | tuple[int, int, int] | int
#: Measures of the whole net so far in one integer, ``depth`` last, so that adding them is one addition.
_Measures = int
#: What states keep of a choice: what it adds to measures, and its open values.
_View = tuple[_Measures, Vector]

#: The width of a measure there, in bits: far more than any can reach.
_WIDTH = 128


@dataclass(frozen=True, eq=False)
class TiedPick:
    """One pick of a group.

    Attributes:
        number: which pick of the space it is.
        sums: the sums over it that rules need, each once.
        cells: the cells that it closes, where paths through them matter; else empty.
    """

    number: int
    sums: Sums
    cells: tuple[Cell, ...] = ()

    @property
    def slots(self) -> list[_Slot | None]:
        """What the entries of vectors of its table are; None for what it adds to measures of the whole net."""
        costs = [None] * (self.sums.width - len(self.sums.terms))
        paths = [
            (self.number, number, place)
            for number, cell in enumerate(self.cells)
            for place in range(len(cell.inputs))
        ]
        return [*self.sums.terms, *costs, *paths]


@dataclass(frozen=True, eq=False)
class WholeNet:
    """The measures of the whole net that rules speak of.

    Attributes:
        names: those that are sums, ``params`` and ``macs``, in the order of costs.
        base: what these are when nothing is chosen.
        stages: all stages, where rules speak of ``depth``; else empty.
    """

    names: tuple[str, ...] = ()
    base: Vector = ()
    stages: tuple[StageDepth, ...] = ()


@dataclass(eq=False)
class _Step:
    """What happens at one pick.

    Attributes:
        own: constraints on this pick alone.
        slots: the open values: what was open before, then what this pick adds.
        kept: the entries of the pick's vectors that are open values; entries that are measures come between.
        stages: the stages whose depth is known now.
        closing: constraints that can be checked now.
        onward: the values that are open after it.
    """

    own: list[Constraint] = field(default_factory=list)
    slots: list[_Slot] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    closing: list[Constraint] = field(default_factory=list)
    onward: list[_Slot] = field(default_factory=list)


@dataclass(frozen=True, eq=False, slots=True)
class _Outcome:
    """Choices of one pick that lead from one set of open values to the same measures and open values.

    Attributes:
        views: what states keep of these choices.
        count: how many choices they are.
    """

    added: _Measures
    after: Vector
    views: tuple[_View, ...]
    count: int


class TiedPicks:
    """Choices of picks that rules tie together.

    Args:
        picks: in the order of the net.

    Attributes:
        total: how many choices of all these picks obey the constraints.

    Raises:
        Uncountable: a bound was hit.
    """

    def __init__(self, picks: Sequence[TiedPick], constraints: Sequence[Constraint], net: WholeNet) -> None:
        self._net = net
        self._whole = [each for each in constraints if each.whole]
        self._verdicts: dict[tuple[object, ...], bool] = {}
        self._steps, first, start = _plan(picks, constraints, net)
        tables: dict[tuple[object, ...], PickTable | PathTable] = {}
        self._picks = [
            self._viewed(each, step, tables) for each, step in zip(picks, self._steps, strict=True)
        ]
        self._outcomes: list[dict[Vector, list[_Outcome]]] = [{} for _ in picks]
        deeper, self._open = self._settled({}, first, start)
        self._start = _packed(net.base) + deeper
        self._ways = self._count()
        self.total = self._ways[0][self._open][self._start]

    def _viewed(
        self, tied: TiedPick, step: _Step, tables: dict[tuple[object, ...], PickTable | PathTable]
    ) -> _ViewedPick:
        """A pick's table, its vectors grouped by what states keep of them; those that break a rule left out."""
        key = (tied.sums.likeness, tuple(map(wiring, tied.cells)))
        if key not in tables:
            tables[key] = PathTable(tied.sums, tied.cells) if tied.cells else PickTable(tied.sums)
        views: dict[_View, dict[Vector, int]] = {}
        costs = slice(len(tied.sums.terms), tied.sums.width)
        for vector, count in tables[key].counts.items():
            values: dict[_Slot, int] = dict(zip(tied.sums.terms, vector, strict=False))
            if all(self._holds(each, values, {}) for each in step.own):
                view = (_packed(vector[costs]), tuple(vector[entry] for entry in step.kept))
                views.setdefault(view, {})[vector] = count
        return _ViewedPick(tables[key], views, {view: sum(made.values()) for view, made in views.items()})

    def _holds(self, constraint: Constraint, values: Mapping[_Slot, int], whole: Mapping[str, int]) -> bool:
        terms = tuple(values[term] for term in constraint.terms)
        key = (id(constraint), terms, *(whole[name] for name in sorted(constraint.whole)))
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts[key] = constraint.holds(terms, whole)
        return verdict

    def _settled(
        self, values: dict[_Slot, int], stages: Iterable[int], onward: Iterable[_Slot]
    ) -> tuple[_Measures, Vector]:
        """The open values after some stages, and how much deeper the net is now.

        Depths are open values relative to the least of them, so that stages look alike wherever they stand.
        """
        for number in stages:
            stage = self._net.stages[number]
            before = [values[each] if each >= 0 else 0 for each in stage.inputs]
            values[number] = stage.of(before, {slot: values[slot] for slot in stage.paths})
        deeper = min((values[slot] for slot in onward if isinstance(slot, int)), default=0)
        after = tuple(values[slot] - deeper if isinstance(slot, int) else values[slot] for slot in onward)
        return deeper << _WIDTH * len(self._net.names), after

    def _from(self, index: int, before: Vector) -> list[_Outcome]:
        """What a pick leads to from open values."""
        known = self._outcomes[index]
        if before not in known:
            step, pick = self._steps[index], self._picks[index]
            leading: dict[tuple[_Measures, Vector], list[_View]] = {}
            for view in pick.counts:
                added, after = view[0], (*before, *view[1])
                if step.closing or step.stages:
                    values: dict[_Slot, int] = dict(zip(step.slots, after, strict=True))
                    if not all(self._holds(each, values, {}) for each in step.closing):
                        continue
                    deeper, after = self._settled(values, step.stages, step.onward)
                    added += deeper
                leading.setdefault((added, after), []).append(view)
            known[before] = [
                _Outcome(*to, tuple(views), sum(map(pick.counts.__getitem__, views)))
                for to, views in leading.items()
            ]
        return known[before]

    def _accepted(self, after: Vector, measures: _Measures) -> bool:
        """Whether the rules hold that look at the whole net, when all is chosen."""
        if not self._whole:
            return True
        values: dict[_Slot, int] = dict(zip(self._steps[-1].onward, after, strict=True))
        names = (*self._net.names, "depth")
        whole = {name: measures >> _WIDTH * place & (1 << _WIDTH) - 1 for place, name in enumerate(names)}
        return all(self._holds(each, values, whole) for each in self._whole)

    def _count(self) -> list[dict[Vector, dict[_Measures, int]]]:
        """For each pick in turn, in how many ways it and those after it can be chosen from each state before it."""
        layers: list[dict[Vector, set[_Measures]]] = [{self._open: {self._start}}]
        states = work = 0
        for index in range(len(self._picks)):
            layer: dict[Vector, set[_Measures]] = {}
            for before, measures in layers[-1].items():
                outcomes = self._from(index, before)
                states += len(outcomes)
                work += len(outcomes) * len(measures)
                if work > MAX_STEPS:
                    raise self._too_many(f"counting them takes more than {MAX_STEPS:,} steps")
                for outcome in outcomes:
                    reached = layer.setdefault(outcome.after, set())
                    states -= len(reached)
                    reached.update(each + outcome.added for each in measures)
                    states += len(reached)
                    if states > MAX_STATES:
                        raise self._too_many(f"they look at more than {MAX_STATES:,} combinations of values")
            layers.append(layer)
        ways = [
            {
                after: {each: int(self._accepted(after, each)) for each in measures}
                for after, measures in layers[-1].items()
            }
        ]
        for index in range(len(self._picks) - 1, -1, -1):
            earlier: dict[Vector, dict[_Measures, int]] = {}
            for before, measures in layers[index].items():
                onward = [
                    (each.count, each.added, ways[-1][each.after]) for each in self._from(index, before)
                ]
                earlier[before] = {
                    each: sum(count * later[each + added] for count, added, later in onward)
                    for each in measures
                }
            ways.append(earlier)
        return ways[::-1]

    def _too_many(self, why: str) -> Uncountable:
        return Uncountable(f"the rules tie {len(self._picks)} picks together, and {why}")

    def draw(self, below: Below) -> tuple[Choice, ...]:
        """A choice for each pick, uniformly among all that obey the constraints."""
        before, measures, drawn = self._open, self._start, []
        for index, pick in enumerate(self._picks):
            outcomes, later = self._from(index, before), self._ways[index + 1]
            weights = (each.count * later[each.after][measures + each.added] for each in outcomes)
            outcome = outcomes[weighted(weights, self._ways[index][before][measures], below)]
            view = outcome.views[weighted(map(pick.counts.__getitem__, outcome.views), outcome.count, below)]
            made = pick.views[view]
            vector = list(made)[weighted(made.values(), pick.counts[view], below)]
            drawn.append(pick.table.draw(vector, below))
            before, measures = outcome.after, measures + outcome.added
        return tuple(drawn)


def _packed(measures: Iterable[int]) -> _Measures:
    return sum(value << _WIDTH * place for place, value in enumerate(measures))


@dataclass(frozen=True, eq=False)
class _ViewedPick:
    """A pick's table, with its vectors grouped by what states keep of them."""

    table: PickTable | PathTable
    views: Mapping[_View, Mapping[Vector, int]]
    counts: Mapping[_View, int]


def _plan(
    picks: Sequence[TiedPick], constraints: Sequence[Constraint], net: WholeNet
) -> tuple[list[_Step], list[int], list[_Slot]]:
    """What happens at each pick; the stages before all picks, and the values that are open there."""
    position = {tied.number: place for place, tied in enumerate(picks)}
    steps = [_Step() for _ in picks]
    end = _Step(closing=[each for each in constraints if each.whole])
    for constraint in constraints:
        if not constraint.whole:
            places = {position[pick] for pick in constraint.picks}
            step = steps[max(places)]
            (step.own if len(places) == 1 else step.closing).append(constraint)
    at = -1
    first: list[int] = []
    for number, stage in enumerate(net.stages):
        at = max([at, *(position[pick] for pick in stage.picks)])
        (first if at < 0 else steps[at].stages).append(number)
    needed = [_needed([*steps[place:], end], net) for place in range(len(steps) + 1)]
    start: list[_Slot] = [number for number in first if number in needed[0]]
    before = start
    for place, (tied, step) in enumerate(zip(picks, steps, strict=True)):
        step.slots = list(before)
        for entry, slot in enumerate(tied.slots):
            if slot is not None and slot in needed[place]:
                step.kept.append(entry)
                step.slots.append(slot)
        step.onward = [slot for slot in (*step.slots, *step.stages) if slot in needed[place + 1]]
        before = step.onward
    return steps, first, start


def _needed(steps: Iterable[_Step], net: WholeNet) -> set[_Slot]:
    """What constraints and stages that are due at some steps, or later, look at."""
    needed: set[_Slot] = {len(net.stages) - 1} if net.stages else set()
    for step in steps:
        needed.update(term for each in step.closing for term in each.terms)
        for number in step.stages:
            needed.update(net.stages[number].paths, (each for each in net.stages[number].inputs if each >= 0))
    return needed
