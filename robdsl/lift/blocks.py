"""The parts of a model that one value alone leads into and out of, and which of them are built alike.

Such parts lie in a row, the spine: single primitives, and regions that branch. Regions of one structure are one
block; so is a run of primitives that comes again and again (``conv | batch_norm | relu``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from robdsl.lift.values import Applied, Traced

WORTH = 4
"""How many words of text a run must save to become a block."""

LONGEST = 12
"""Longest run that is looked for."""


@dataclass(frozen=True)
class Part:
    """A part of the spine: the values after ``start`` up to ``end``, which alone it reads and gives.

    Attributes:
        start: the place of the value that enters.
        end: the place of the value that leaves.
        shape_key: equal for parts of one structure, whatever their sizes.
        block: whether it is written as a block of its own (else as a word in a chain).
    """

    start: int
    end: int
    shape_key: Hashable
    block: bool = False

    @property
    def places(self) -> range:
        return range(self.start + 1, self.end + 1)


def spine(traced: Traced) -> list[Part]:
    """The parts of a model in their order, from the image to the result."""
    parts = _absorbed(traced, _cut(traced))
    return _with_runs(traced, parts)


def _cut(traced: Traced) -> list[Part]:
    """Between each two values through which everything goes."""
    last = traced.last_uses()
    parts: list[Part] = []
    start, reach = 0, last[0]
    for place in range(1, len(traced.values)):
        if reach <= place:
            parts.append(_part(traced, start, place))
            start = place
        reach = max(reach, last[place])
    return parts


def _part(traced: Traced, start: int, end: int) -> Part:
    return Part(start, end, _structure(traced, start, end), _branches(traced, start, end))


def _branches(traced: Traced, start: int, end: int) -> bool:
    return any(len(traced.values[place].inputs) > 1 for place in range(start + 1, end + 1))


def _structure(traced: Traced, start: int, end: int) -> Hashable:
    values = traced.values[start + 1 : end + 1]
    return tuple(
        (value.kind, tuple(each - start for each in value.inputs), word(value.applied)) for value in values
    )


def word(applied: Applied | None) -> Hashable:
    """What two applications have in common when they differ in sizes alone."""
    if applied is None:
        return None
    facts = {key: value for key, value in applied.arguments if key in ("kernel", "bias", "affine", "p")}
    return applied.name, tuple(facts.items())


def _absorbed(traced: Traced, parts: Sequence[Part]) -> list[Part]:
    """A ReLU right after a region's sum belongs to the region, as in a residual block."""
    made: list[Part] = []
    for part in parts:
        before = made[-1] if made else None
        applied = traced.values[part.end].applied
        follows = before is not None and before.block and traced.values[before.end].kind == "sum"
        if (
            before is not None
            and follows
            and applied is not None
            and applied.name == "relu"
            and not part.block
        ):
            made[-1] = _part(traced, before.start, part.end)
        else:
            made.append(part)
    return made


def _with_runs(traced: Traced, parts: list[Part]) -> list[Part]:
    """The spine with runs that come again and again made blocks, the most worthwhile first."""
    fresh = {id(part) for part in parts}
    while True:
        found = _best_run(parts, fresh)
        if found is None:
            return parts
        run, length = found
        made: list[Part] = []
        place = 0
        while place < len(parts):
            window = parts[place : place + length]
            if tuple(part.shape_key for part in window) == run and all(id(part) in fresh for part in window):
                start, end = window[0].start, window[-1].end
                made.append(Part(start, end, _structure(traced, start, end), block=True))
                place += length
            else:
                made.append(parts[place])
                place += 1
        parts = made


def _best_run(parts: Sequence[Part], fresh: set[int]) -> tuple[tuple[Hashable, ...], int] | None:
    """The run of keys that saves the most words, if that is worth it."""
    keys = [part.shape_key for part in parts]
    regions = [part.shape_key for part in parts if part.block]
    best: tuple[int, tuple[Hashable, ...], int] | None = None
    for length in range(2, LONGEST + 1):
        starts: dict[tuple[Hashable, ...], list[int]] = defaultdict(list)
        for start in range(len(parts) - length + 1):
            window = parts[start : start + length]
            if all(id(part) in fresh for part in window) and sum(part.block for part in window) <= 1:
                run = tuple(keys[start : start + length])
                if not starts[run] or starts[run][-1] + length <= start:
                    starts[run].append(start)
        for run, places in starts.items():
            inside = [part.shape_key for part in parts[places[0] : places[0] + length] if part.block]
            wanted = not inside or regions.count(inside[0]) == len(
                places
            )  # a region goes whole or not at all
            saved = (len(places) - 1) * (length - 1)
            if wanted and saved >= WORTH and not _is_repetition(run) and (best is None or saved > best[0]):
                best = saved, run, length
    return None if best is None else best[1:]


def _is_repetition(run: tuple[Hashable, ...]) -> bool:
    return any(
        len(run) % period == 0 and run == run[:period] * (len(run) // period) for period in range(1, len(run))
    )
