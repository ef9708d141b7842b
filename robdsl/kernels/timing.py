"""How long the GPU works on a launch, without what the processor takes to start it."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

#: Written before each timed launch: more than any cache holds, and work enough that the next launches queue up behind it.
_FLUSH_BYTES = 1 << 30


def milliseconds(launch: Callable[[], object], repeats: int, device: torch.device | None = None) -> float:
    """The median time of a launch on the GPU, in milliseconds, after three that are not counted.

    Caches are emptied before each. The processor runs ahead of the GPU, so that a kernel of microseconds is not
    timed by how long Python takes to launch it.
    """
    device = device or torch.device("cuda")
    for _ in range(3):
        launch()
    free, _ = torch.cuda.mem_get_info(device)
    flush = torch.empty(min(_FLUSH_BYTES, free // 4), dtype=torch.uint8, device=device)
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
    for start, end in events:
        flush.zero_()
        start.record()
        launch()
        end.record()
    torch.cuda.synchronize(device)
    times: list[float] = [start.elapsed_time(end) for start, end in events]
    return statistics.median(times)
