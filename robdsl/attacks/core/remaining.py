"""Which examples of a batch are still to be fooled, so that no work goes to the others."""

from __future__ import annotations

import torch
from torch import Tensor


class Remaining:
    """The examples not fooled so far, and what fooled the others.

    An attack keeps its state in rows, one for each example it still works on. After each step it tells
    `record` which rows fool the model now, and asks `keep` whether rows should be dropped. Rows are dropped
    in lots, when an eighth of them is done: each drop changes the batch size, which convolution tuners and
    compilers do not like.

    Both synchronize with the device once.

    Attributes:
        final: images for every example of the batch; of a fooled one, those that fooled the model first.
        index: the example that each row belongs to.
        done: whether each row's example is fooled already.
    """

    def __init__(self, images: Tensor) -> None:
        self.final = images.clone()
        self.index = torch.arange(len(images), device=images.device)
        self.done = torch.zeros(len(images), dtype=torch.bool, device=images.device)

    def record(self, fooled: Tensor, images: Tensor) -> None:
        """Note which rows, (rows,) bool, fool the model with `images`, (rows, ...)."""
        newly = (fooled & ~self.done).nonzero().squeeze(1)
        if len(newly):
            self.final[self.index[newly]] = images[newly]
            self.done[newly] = True

    def keep(self) -> Tensor | None:
        """The rows to go on with, dropping the others here; None if all are to stay. May be empty."""
        standing = (~self.done).nonzero().squeeze(1)
        rows = len(self.index)
        if rows == len(standing) or (len(standing) and 8 * len(standing) > 7 * rows):
            return None
        self.index = self.index[standing]
        self.done = self.done[standing]
        return standing

    def finish(self, images: Tensor) -> Tensor:
        """`final`, with the row's `images` for the examples that nothing fooled."""
        standing = (~self.done).nonzero().squeeze(1)
        self.final[self.index[standing]] = images[standing]
        return self.final
