"""What a loader yields, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """Some examples, on the device.

    Attributes:
        images: (n, C, H, W) floating point in [0, 1].
        labels: (n,) int64.
    """

    images: Tensor
    labels: Tensor


class Loader(Protocol):
    """Something that yields the batches it is asked for."""

    def batches(self, plan: Sequence[Tensor], epoch: int = 0) -> Iterator[Batch]:
        """The examples of each of the index tensors in ``plan``, augmented as belongs to ``epoch``."""
        ...
