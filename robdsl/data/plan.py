"""Which examples make up which batch, and which process computes what.

Two ways to share work over ``world`` processes. In training every process takes its part of each batch, so
that a step sees the same examples however many processes there are. In evaluation whole batches go round
the processes, so that a batch's result is the same whoever computes it. No example is left out, padded or
doubled by either.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robdsl.data.seeds import generator


@dataclass(frozen=True)
class TrainingPlan:
    """The batches of a training run.

    Attributes:
        count: the number of examples.
        batch: examples in a batch, over all processes; :attr:`size` is what is used.
        seed: decides each epoch's order.
    """

    count: int
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.batch < 1:
            raise ValueError("a plan needs at least one example and a batch of at least one")

    @property
    def size(self) -> int:
        """Examples in every batch: ``batch``, or all there are where that is less."""
        return min(self.batch, self.count)

    @property
    def steps(self) -> int:
        """Batches in an epoch. The rest that would not fill one is left to other epochs' orders."""
        return self.count // self.size

    def epoch(self, number: int, rank: int = 0, world: int = 1) -> list[Tensor]:
        """The part of one process in each batch of an epoch: int64 indices into the data set."""
        order = torch.randperm(self.count, generator=generator("cpu", self.seed, "order", number))
        own = slice(*self.share(rank, world))
        return [order[step * self.size :][: self.size][own] for step in range(self.steps)]

    def share(self, rank: int, world: int) -> tuple[int, int]:
        """Which places of a batch, from and to, belong to one process: equally many, to within one."""
        if world > self.size:
            raise ValueError(
                f"a batch of {self.size} cannot be shared by {world} processes: take fewer or a larger batch"
            )
        return self.size * rank // world, self.size * (rank + 1) // world


def evaluation_batches(count: int, batch: int) -> list[Tensor]:
    """All examples, in order, in batches of ``batch``, the last one perhaps smaller: int64 indices."""
    return [torch.arange(start, min(start + batch, count)) for start in range(0, count, batch)]


def own_batches(batches: int, rank: int, world: int) -> range:
    """The numbers of the batches that one of ``world`` processes evaluates."""
    return range(rank, batches, world)
