"""Which stage of one net is which of another.

Stages come in runs of the same kind (a cell at one resolution, say), and nets of one family have the same runs of
other lengths. Runs are aligned first, then stages within them in order; what finds no partner was added or removed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby

from robdsl.graph.layout import Stage
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation
from robdsl.graph.views import show

#: The numbers of a stage in the one net and in the other.
Pair = tuple[int | None, int | None]
_Run = tuple[Hashable, list[int]]


def pairs(one: Net, two: Net) -> list[Pair]:
    """Every stage of both nets once, in order."""
    first, second = _runs(one), _runs(two)
    matcher = SequenceMatcher(None, [kind for kind, _ in first], [kind for kind, _ in second], autojunk=False)
    found: list[Pair] = []
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        left, right = first[a0:a1], second[b0:b1]
        if tag == "equal":
            for (_, ours), (_, theirs) in zip(left, right, strict=True):
                found.extend(_beside(ours, theirs))
        else:
            found.extend(_replaced(left, right, one, two))
    return found


def _runs(net: Net) -> list[_Run]:
    numbers = range(len(net.stages))
    return [(kind, list(run)) for kind, run in groupby(numbers, key=lambda number: _kind(net.stages[number]))]


def _kind(stage: Stage) -> Hashable:
    if isinstance(stage.operation, CellOperation):
        return "cell", stage.operation.cell.name, stage.shape[1:]
    return "operation", show(stage.operation)


def _beside(ours: Sequence[int], theirs: Sequence[int]) -> Iterator[Pair]:
    for place in range(max(len(ours), len(theirs))):
        yield (
            ours[place] if place < len(ours) else None,
            theirs[place] if place < len(theirs) else None,
        )


def _replaced(left: Sequence[_Run], right: Sequence[_Run], one: Net, two: Net) -> Iterator[Pair]:
    """Runs of other kinds: cells of another definition at the same resolution are the same place in the net."""
    waiting = list(right)
    for _, ours in left:
        match = next((run for run in waiting if _alike(one.stages[ours[0]], two.stages[run[1][0]])), None)
        if match is None:
            yield from ((number, None) for number in ours)
            continue
        while waiting[0] is not match:
            yield from ((None, number) for number in waiting.pop(0)[1])
        yield from _beside(ours, waiting.pop(0)[1])
    for _, theirs in waiting:
        yield from ((None, number) for number in theirs)


def _alike(ours: Stage, theirs: Stage) -> bool:
    cells = isinstance(ours.operation, CellOperation), isinstance(theirs.operation, CellOperation)
    return cells[0] == cells[1] and ours.shape[1:] == theirs.shape[1:]
