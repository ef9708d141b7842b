"""Real processes for tests: several that talk over gloo, and one that is killed.

They come from a fork server that has torch loaded already, so that each starts in milliseconds. What a test
runs in them is a function of an importable module, and what comes back is a file.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
# torch loads torch._dynamo when the first optimizer is made, which takes longer than the runs do.
_CONTEXT.set_forkserver_preload(["torch._dynamo", "torch.distributed", "robdsl.training", "sklearn.datasets"])


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start one process, with one thread."""
    process = _CONTEXT.Process(target=_alone, args=(function, arguments), daemon=True)
    process.start()
    return process


def run_together(world: int, function: Callable[..., None], *arguments: Any) -> None:
    """Run ``function`` in ``world`` processes with torchrun's environment, and wait for all of them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    for rank in range(world):
        process = _CONTEXT.Process(target=_one_of, args=(rank, world, port, function, arguments), daemon=True)
        process.start()
        processes.append(process)
    for process in processes:
        process.join(120)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * world, f"the processes ended with {codes}"


def _alone(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    import torch

    warnings.simplefilter(
        "error"
    )  # as here: what a library is going to drop must not reach a user's terminal
    torch.set_num_threads(1)
    function(*arguments)


def _one_of(
    rank: int, world: int, port: int, function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    from robdsl.data import joined

    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    with joined("cpu"):
        _alone(function, arguments)
