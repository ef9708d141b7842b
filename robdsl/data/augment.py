"""Random crop, flip and cutout for whole batches, on whatever device holds the images.

The draws of an epoch are one table with a row for every image of the data set, made on the CPU from the
seed and the epoch. An image's augmentation therefore depends on nothing else: not on the device, the batch,
the number of processes, or where a run was interrupted. The distribution is that of torchvision's
``RandomCrop(size, padding)`` followed by ``RandomHorizontalFlip()`` and of cutout as DeVries and Taylor
define it (arXiv:1708.04552): a square of zeros whose centre is uniform over the image, cut off at the
borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robdsl.data.seeds import generator


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image.

    Attributes:
        crop_padding: zero padding, in pixels on every side, before a random crop back to the image's size.
        flip: mirror left to right with probability 1/2.
        cutout: side length in pixels, even, of a square of zeros; 0 for none.
    """

    crop_padding: int = 4
    flip: bool = True
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.crop_padding < 0 or self.cutout < 0 or self.cutout % 2:
            raise ValueError("crop_padding must be 0 or more and cutout an even number, 0 or more")

    @property
    def is_identity(self) -> bool:
        """Whether images pass unchanged."""
        return not (self.crop_padding or self.flip or self.cutout)

    def draw(self, count: int, size: tuple[int, int], seed: int, epoch: int) -> Tensor:
        """The draws of one epoch for ``count`` images of ``size`` (height, width).

        Returns:
            (count, 5) int64: the crop's top and left in [0, 2 * crop_padding], flip in {0, 1}, and the row
            and column of the cutout's centre.
        """
        source = generator("cpu", seed, "augment", epoch)
        bounds = (2 * self.crop_padding + 1, 2 * self.crop_padding + 1, 2, *size)
        table = torch.stack([torch.randint(0, bound, (count,), generator=source) for bound in bounds], dim=1)
        if not self.flip:
            table[:, 2] = 0
        return table

    def gather(self, images: Tensor, rows: Tensor, draws: Tensor) -> Tensor:
        """Augmented copies of some images.

        Args:
            images: (N, C, H, W), any type; read only where ``rows`` point.
            rows: (n,) int64, which images.
            draws: (n, 5) int64, their rows of the table that :meth:`draw` makes.

        Returns:
            (n, C, H, W) of the type of ``images``.
        """
        height, width = images.shape[2:]
        top, left, flip, centre_row, centre_column = (column[:, None] for column in draws.unbind(1))
        row = torch.arange(height, device=images.device)[None, :]
        column = torch.arange(width, device=images.device)[None, :]
        # Where each pixel of the result comes from: un-mirror, then move by the crop's offset.
        source_row = row + top - self.crop_padding
        source_column = torch.where(flip.bool(), width - 1 - column, column) + left - self.crop_padding
        # Rows first, then columns: half the time of indexing both at once.
        shape = (len(rows), *images.shape[1:])
        pixels = images.index_select(0, rows)
        pixels = pixels.gather(2, source_row.clamp(0, height - 1)[:, None, :, None].expand(shape))
        pixels = pixels.gather(3, source_column.clamp(0, width - 1)[:, None, None, :].expand(shape))
        row_inside = (source_row >= 0) & (source_row < height)
        column_inside = (source_column >= 0) & (source_column < width)
        keep = row_inside[:, :, None] & column_inside[:, None, :]
        if self.cutout:
            half = self.cutout // 2
            row_cut = (row >= centre_row - half) & (row < centre_row + half)
            column_cut = (column >= centre_column - half) & (column < centre_column + half)
            keep &= ~(row_cut[:, :, None] & column_cut[:, None, :])
        return pixels.mul_(keep[:, None].to(pixels.dtype))


NO_AUGMENTATION = Augmentation(crop_padding=0, flip=False, cutout=0)
