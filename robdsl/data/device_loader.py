"""Batches of data sets that fit on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from robdsl.data.augment import NO_AUGMENTATION, Augmentation
from robdsl.data.batch import Batch
from robdsl.data.dataset import ImageData


class DeviceLoader:
    """Loads from memory: the whole data set lies on the device as bytes, and batches are made there.

    Nothing is copied between host and device but the indices and, once an epoch, the table of random draws.
    """

    def __init__(
        self,
        data: ImageData,
        device: torch.device | str = "cpu",
        *,
        augmentation: Augmentation = NO_AUGMENTATION,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
    ) -> None:
        """Move the data to ``device``.

        Args:
            data: what to load.
            device: where images and labels shall be.
            augmentation: none by default.
            seed: of the augmentation.
            dtype: of the images, floating point.
            channels_last: the memory order of the images.
        """
        self._images = data.images.to(device)
        self._labels = data.labels.to(device)
        self._size = (data.facts.shape[1], data.facts.shape[2])
        self._augmentation = augmentation
        self._seed = seed
        self._dtype = dtype
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def batches(self, plan: Sequence[Tensor], epoch: int = 0) -> Iterator[Batch]:
        """See :class:`Loader`."""
        device = self._images.device
        draws = None
        if not self._augmentation.is_identity:
            table = self._augmentation.draw(len(self._labels), self._size, self._seed, epoch)
            draws = table.to(device)
        for indices in plan:
            rows = indices.to(device)
            if draws is None:
                pixels = self._images.index_select(0, rows)
            else:
                pixels = self._augmentation.gather(self._images, rows, draws.index_select(0, rows))
            images = pixels.to(self._dtype, memory_format=self._format).div_(255)
            yield Batch(images, self._labels.index_select(0, rows))
