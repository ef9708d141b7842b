"""Measures configurations on the GPU that is here. Only `robdsl tune` does this: nothing is tried out unasked."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from robdsl.kernels.availability import available
from robdsl.kernels.cases import Case
from robdsl.kernels.configurations import Configuration, TableError, committed, kernels, using


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
        """How tables name kernel and shape."""
        return f"{self.case.kernel} {self.case.shape.key}"


def candidates(case: Case) -> list[Configuration]:
    """The committed configuration, then its neighbours: half and twice the rows, warps, blocks; more stages."""
    start = committed(case.kernel, case.shape)
    found = [start]
    for rows in (start.rows // 2, start.rows, start.rows * 2):
        for warps in (start.warps // 2, start.warps, start.warps * 2):
            for blocks in {start.blocks, max(1, start.blocks // 2)}:
                for stages in (1, 2, 3):
                    try:
                        found.append(replace(start, rows=rows, warps=warps, blocks=blocks, stages=stages))
                    except TableError:
                        continue
    return list(dict.fromkeys(found))


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
    return (_tuned(case, repeats) for case in cases if case.kernel in kernels())


def _tuned(case: Case, repeats: int) -> Tuned:
    launch = case.prepare(torch.device("cuda"))
    times: dict[Configuration, float] = {}
    for configuration in candidates(case):
        with using(case.kernel, configuration):
            try:
                times[configuration] = milliseconds(launch, repeats)
            except Exception as error:  # Triton's errors of a tile too large have no common class
                if not times:  # the committed one must run: that is no tile too large
                    raise
                del error
    best = min(times, key=lambda each: times[each])
    return Tuned(case, best, times[best], times[committed(case.kernel, case.shape)], len(times))


def milliseconds(launch: Callable[[], object], repeats: int) -> float:
    """The median time of a launch on the GPU, in milliseconds, after three that are not counted."""
    for _ in range(3):
        launch()
    times: list[float] = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        launch()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)
