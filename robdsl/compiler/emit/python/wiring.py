"""The stages of a net as a person would group them: alone, under a dotted name, or in a loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from robdsl.compiler.emit.python.specs import Spec
from robdsl.compiler.names import module_name

#: How many stages one turn of a loop may have.
LONGEST_TURN = 8


@dataclass(frozen=True, eq=False)
class Built:
    """A stage.

    Attributes:
        path: the parts of its name.
        number: its place in the net.
        arity: how many of the latest outputs it takes.
        spec: what it is; None when it only hands on what it is given and has no module.
    """

    path: tuple[str, ...]
    number: int
    arity: int
    spec: Spec | None

    @property
    def form(self) -> tuple[str, ...]:
        """The path without the numbers at the ends of its parts."""
        return tuple(re.sub(r"\d+$", "#", part) for part in self.path)


def path_of(name: str) -> tuple[str, ...]:
    """The path of the module of a stage."""
    return tuple(map(module_name, name.split(".")))


# --- dotted names


@dataclass(frozen=True, eq=False)
class Branch:
    """A part of dotted names, and the stages below it by the next part."""

    name: str
    below: tuple[Branch | Built, ...]
    depth: int

    @property
    def stages(self) -> tuple[Built, ...]:
        return tuple(
            stage for each in self.below for stage in ((each,) if isinstance(each, Built) else each.stages)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What is below, by name."""
        return tuple(
            each.name if isinstance(each, Branch) else each.path[self.depth + 1] for each in self.below
        )

    @property
    def sequential(self) -> bool:
        """Whether one stage follows the other here, each fed by the one before."""
        stages = self.stages
        numbers = [stage.number for stage in stages]
        first = stages[0].number
        return numbers == list(range(first, first + len(numbers))) and all(
            stage.arity == 1 for stage in stages
        )


def branches(stages: Sequence[Built], depth: int = 0) -> tuple[Branch | Built, ...]:
    """The stages by the parts of their names, in the order in which each is first met."""
    below: dict[str, list[Built]] = {}
    for stage in stages:
        below.setdefault(stage.path[depth], []).append(stage)
    return tuple(
        each[0] if len(each[0].path) == depth + 1 else Branch(name, branches(each, depth + 1), depth)
        for name, each in below.items()
    )


# --- loops


@dataclass(frozen=True, eq=False)
class Run:
    """Consecutive stages that are ``turns`` times the same ones; a stage that stands alone is one turn of itself."""

    stages: tuple[Built, ...]
    turns: int = 1

    @property
    def columns(self) -> tuple[tuple[Built, ...], ...]:
        """Each stage of a turn, in all turns."""
        period = len(self.stages) // self.turns
        return tuple(self.stages[place::period] for place in range(period))


def runs(stages: Sequence[Built], skeleton: Callable[[Built], Hashable]) -> list[Run]:
    """The stages cut into runs, from the first one on, each the longest that there is."""
    keys = [(each.form, each.arity, skeleton(each)) for each in stages]
    found: list[Run] = []
    place = 0
    while place < len(stages):
        best = Run((stages[place],))
        for period in range(1, LONGEST_TURN + 1):
            turns = _turns(keys, place, period)
            run = Run(tuple(stages[place : place + turns * period]), turns)
            if turns > 1 and len(run.stages) > max(2, len(best.stages)) and all(map(counts, run.columns)):
                best = run
        found.append(best)
        place += len(best.stages)
    return found


def _turns(keys: Sequence[Hashable], place: int, period: int) -> int:
    """How often the keys from ``place`` on repeat with a period."""
    turns = 1
    while all(
        keys[place + offset] == keys[after]
        for offset, after in enumerate(range(place + turns * period, place + (turns + 1) * period))
        if after < len(keys)
    ):
        if place + (turns + 1) * period > len(keys):
            break
        turns += 1
    return turns


@dataclass(frozen=True)
class Count:
    """How the names of a column go on: the part at ``place`` is ``stem`` and a number from ``start`` in steps."""

    path: tuple[str, ...]
    place: int
    stem: str
    start: int
    step: int

    def name(self, number: str) -> str:
        """The inside of an f-string that gives the whole name."""
        return ".".join((*self.path[: self.place], f"{self.stem}{{{number}}}", *self.path[self.place + 1 :]))


def counts(column: Sequence[Built]) -> Count | None:
    """How the names of a column go on, or None when they do not count up."""
    if any(stage.form != column[0].form for stage in column):
        return None
    parts = [{stage.path[place] for stage in column} for place in range(len(column[0].path))]
    varying = [place for place, names in enumerate(parts) if len(names) > 1]
    if len(varying) != 1:
        return None
    place = varying[0]
    stem = column[0].form[place].removesuffix("#")
    digits = [stage.path[place].removeprefix(stem) for stage in column]
    numbers = [int(each) for each in digits]
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) != 1 or [str(number) for number in numbers] != digits:
        return None
    return Count(column[0].path, place, stem, numbers[0], steps.pop())
