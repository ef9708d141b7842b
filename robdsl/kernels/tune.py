"""Measures configurations on the GPU that is here. Only `robdsl tune` does this: nothing is tried out unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from robdsl.kernels.availability import available
from robdsl.kernels.cases import Case
from robdsl.kernels.configurations import (
    Configuration,
    TableError,
    committed,
    entry,
    kernels,
    using,
)
from robdsl.kernels.timing import milliseconds

#: Configurations of one case that are compiled and timed at most: each takes seconds to compile.
MOST_TRIED = 16
#: What counts as faster; less is noise.
_FASTER = 0.99


class NoGPUError(RuntimeError):
    """There is nothing to measure on; the message says why."""


@dataclass(frozen=True)
class Tuned:
    """What was found for one kernel at one shape.

    Attributes:
        case: the work that was measured.
        best: the fastest configuration.
        milliseconds: its median time.
        before: the median time of the committed configuration.
        tried: how many configurations ran; others did not fit on the GPU.
    """

    case: Case
    best: Configuration
    milliseconds: float
    before: float
    tried: int

    @property
    def key(self) -> str:
        """How tables name it."""
        return key_of(self.case)


def key_of(case: Case) -> str:
    """How tables name what is measured for a case; cases of several terms or results share a tile."""
    return entry(case.kernel, case.shape, case.kind)


def tunable(cases: Sequence[Case]) -> list[Case]:
    """Those of some cases that have a tile to choose, one for each entry of a table: of several terms the fewest."""
    fewest = sorted(
        (case for case in cases if case.kernel in kernels()), key=lambda case: (case.terms, case.fan)
    )
    chosen = {key_of(case): case for case in reversed(fewest)}
    return [case for case in cases if chosen.get(key_of(case)) is case]


def neighbours(configuration: Configuration) -> Iterator[list[Configuration]]:
    """For each part of a configuration the ways to change it, step by step: up, then down.

    Rows, warps and blocks (where there are several) are doubled or halved, stages counted up or down. How many channels
    a block holds stays: padding costs arithmetic.
    """
    several = ("blocks",) if configuration.blocks > 1 else ()
    for name in ("rows", "warps", *several, "stages"):
        for up in (True, False):
            steps: list[Configuration] = []
            value = getattr(configuration, name)
            while True:
                value = value + (1 if up else -1) if name == "stages" else value * 2 if up else value // 2
                try:
                    steps.append(replace(configuration, **{name: value}))
                except TableError:
                    break
            yield steps


def search(
    start: Configuration, measure: Callable[[Configuration], float | None], most: int = MOST_TRIED
) -> dict[Configuration, float]:
    """The times of configurations on the way from `start` to one with no faster neighbour.

    Args:
        start: must run.
        measure: its time, or None where a configuration does not run.
        most: how many may be measured.

    Returns:
        Milliseconds by configuration, `start` among them; those that do not run are left out.
    """
    asked: dict[Configuration, float | None] = {start: measure(start)}

    def time(each: Configuration) -> float:
        if each not in asked and len(asked) < most:
            asked[each] = measure(each)
        found = asked.get(each)
        return float("inf") if found is None else found

    best, moved = start, True
    while moved:
        moved = False
        for steps in neighbours(best):
            for step in steps:
                if time(step) > _FASTER * time(best):
                    break
                best, moved = step, True
            if moved:
                break  # the ways lead on from there
    return {each: found for each, found in asked.items() if found is not None}


def tune(cases: Sequence[Case], repeats: int = 20) -> Iterator[Tuned]:
    """The fastest configuration of each case, one after the other.

    Args:
        cases: of kernels that have configurations; others are left out.
        repeats: how often each configuration is timed.

    Raises:
        NoGPUError: there is no GPU that kernels run on.
    """
    found = available()
    if not found:
        raise NoGPUError(f"there is nothing to tune on: {found.reason}")
    return (tuned(case, repeats) for case in tunable(cases))


def tuned(
    case: Case, repeats: int, time: Callable[[Callable[[], object], int], float] = milliseconds
) -> Tuned:
    """The fastest configuration of a case, which computes what the committed one computes.

    Args:
        case: the work.
        repeats: how often each configuration is timed.
        time: the milliseconds of a launch.

    Raises:
        RuntimeError: the GPU failed, or the committed configuration did not run.
    """
    launch = case.prepare(torch.device("cuda"))
    start = committed(case.kernel, case.shape, case.kind)
    with using(case.kernel, start):
        expected = launch()

    def measure(configuration: Configuration) -> float | None:
        with using(case.kernel, configuration):
            try:
                if not agree(launch(), expected):
                    return None
                return time(launch, repeats)
            except Exception as error:  # Triton's errors of a tile too large have no common class
                if configuration == start or "CUDA error" in str(error):
                    raise
                return None

    times = search(start, measure)
    best = min(times, key=lambda each: times[each])
    return Tuned(case, best, times[best], times[start], len(times))


def agree(found: Any, expected: Any) -> bool:
    """Whether two results are the same up to rounding: tensors of floats, or tuples and lists with such.

    Tensors whose shapes differ are partial sums of other tiles, and bit masks differ where a value is nearly zero:
    neither is compared.
    """
    if isinstance(found, Tensor):
        if found.shape != expected.shape or not found.is_floating_point() or not found.numel():
            return True
        apart = (found.double() - expected.double()).abs().max()
        return bool(apart <= 0.02 * expected.double().abs().max())
    if isinstance(found, tuple | list):
        return all(agree(one, other) for one, other in zip(found, expected, strict=True))
    return True
