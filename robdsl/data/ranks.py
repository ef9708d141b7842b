"""The processes that share a piece of work, as torchrun starts them; one process is the plain case.

Between the processes only numbers travel, as tensors: nothing is pickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """One process's place among ``world``.

    Attributes:
        rank: in [0, world); 0 is the one that writes files.
        world: the number of processes.
    """

    rank: int = 0
    world: int = 1

    @staticmethod
    def current() -> Ranks:
        """The place of this process in the default group, or the only one where there is none."""
        if dist.is_available() and dist.is_initialized():
            return Ranks(dist.get_rank(), dist.get_world_size())
        return Ranks()

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place; returns its argument."""
        if self.world > 1:
            plain = tensor.contiguous()  # the exchange takes no other memory order
            dist.all_reduce(plain)
            if plain is not tensor:
                tensor.copy_(plain)
        return tensor

    def broadcast(self, tensor: Tensor) -> Tensor:
        """The first process's values, in place; returns its argument."""
        if self.world > 1:
            plain = tensor.contiguous()
            dist.broadcast(plain, 0)
            if plain is not tensor:
                tensor.copy_(plain)
        return tensor

    def broadcast_json(self, value: Any, device: torch.device) -> Any:
        """The first process's value, which must be JSON data; the argument of the others is ignored."""
        if self.world == 1:
            return value
        data = json.dumps(value).encode() if self.is_first else b""
        size = self.broadcast(torch.tensor([len(data)], device=device))
        text = torch.zeros(int(size.item()), dtype=torch.uint8, device=device)
        if self.is_first:
            text.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        return json.loads(bytes(self.broadcast(text).tolist()))

    def gather_rows(self, own: Tensor, total: int, start: int) -> Tensor:
        """All (total, ...) rows of a tensor of which each process has some, on every process.

        Args:
            own: (n, ...) the rows of this process.
            total: how many rows there are over all processes.
            start: where the own rows lie among them.
        """
        if self.world == 1:
            return own
        rows = own.new_zeros(total, *own.shape[1:])
        rows[start : start + len(own)] = own
        return self.sum(rows)

    def wait(self) -> None:
        """Return once every process has called this."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device | str) -> Iterator[Ranks]:
    """Join the other processes that torchrun has started, if it has, for the length of a ``with`` block.

    NCCL where ``device`` is a GPU, which must then say which one (``cuda:1``), else gloo. A group that is already
    there is used and left as it is.
    """
    shared = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not shared or dist.is_initialized():
        yield Ranks.current()
        return
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks.current()
    finally:
        dist.destroy_process_group()
