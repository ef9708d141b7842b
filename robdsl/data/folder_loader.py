"""Batches of data sets that stay on disk: torchvision's transforms in the processes of a torch DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from robdsl.data.augment import NO_AUGMENTATION, Augmentation
from robdsl.data.batch import Batch
from robdsl.data.dataset import FolderData
from robdsl.data.errors import DataError
from robdsl.data.images import open_image
from robdsl.data.seeds import derive_seed, generator
from robdsl.data.torchvision_sets import torchvision


class FolderLoader:
    """Loads from files, ``workers`` processes reading ahead.

    Evaluation resizes the shorter side and crops the centre. Training takes a crop of random size and
    aspect (torchvision's ``RandomResizedCrop``) and mirrors it if the augmentation says so; its
    ``crop_padding`` has no meaning here. An image's draws depend on the seed, the epoch and its index
    alone.
    """

    def __init__(
        self,
        data: FolderData,
        device: torch.device | str = "cpu",
        *,
        augmentation: Augmentation = NO_AUGMENTATION,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
        workers: int = 4,
    ) -> None:
        """Read nothing yet.

        Raises:
            MissingLibraryError: torchvision cannot be loaded.
        """
        self._data = data
        self._device = torch.device(device)
        self._augmentation = augmentation
        self._seed = seed
        self._dtype = dtype
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._workers = workers
        self._size = (data.facts.shape[1], data.facts.shape[2])
        self._transform = self._build_transform()

    def _build_transform(self) -> Any:
        transforms = torchvision("transforms")
        if self._augmentation.is_identity:
            return transforms.Compose(
                [transforms.Resize(self._data.resize), transforms.CenterCrop(self._size), _to_bytes]
            )
        steps = [transforms.RandomResizedCrop(self._size)]
        if self._augmentation.flip:
            steps.append(transforms.RandomHorizontalFlip())
        return transforms.Compose([*steps, _to_bytes])

    def batches(self, plan: Sequence[Tensor], epoch: int = 0) -> Iterator[Batch]:
        """See :class:`robdsl.data.batch.Loader`.

        Raises:
            MissingDataError: a file has vanished.
            BrokenDataError: a file is no image.
        """
        files = _Files(self._data, self._transform, self._seed, epoch)
        loader: DataLoader[_Item] = DataLoader(
            files,
            batch_sampler=[indices.tolist() for indices in plan],
            num_workers=self._workers,
            collate_fn=_collate,
            pin_memory=self._device.type == "cuda",
            generator=generator(
                "cpu", self._seed, "workers", epoch
            ),  # else one draw of the caller's is used up
        )
        cutout = None
        if self._augmentation.cutout:
            only = Augmentation(crop_padding=0, flip=False, cutout=self._augmentation.cutout)
            cutout = only, only.draw(len(self._data), self._size, self._seed, epoch)
        for indices, (pixels, labels, failure) in zip(plan, loader, strict=True):
            if failure is not None:
                raise failure
            pixels = pixels.to(self._device, non_blocking=True)
            if cutout is not None:
                augmentation, table = cutout
                everything = torch.arange(len(pixels), device=self._device)
                pixels = augmentation.gather(pixels, everything, table[indices].to(self._device))
            images = pixels.to(self._dtype, memory_format=self._format).div_(255)
            yield Batch(images, labels.to(self._device, non_blocking=True))


_Item = tuple[Tensor, int] | DataError


class _Files(Dataset[_Item]):
    """What the reading processes do. A failure is an item, to be raised where its message stays readable."""

    def __init__(self, data: FolderData, transform: Any, seed: int, epoch: int) -> None:
        self._data = data
        self._labels = data.labels.tolist()
        self._transform = transform
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> _Item:
        try:
            image = open_image(self._data.root / self._data.paths[index])
        except DataError as error:
            return error
        # torchvision's transforms draw from torch's own generator, which may be the caller's.
        before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(derive_seed(self._seed, "augment", self._epoch, index))
        try:
            return self._transform(image), self._labels[index]
        finally:
            torch.default_generator.set_state(before)


def _to_bytes(image: Any) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _collate(items: list[_Item]) -> tuple[Tensor, Tensor, DataError | None]:
    examples: list[tuple[Tensor, int]] = []
    for item in items:
        if isinstance(item, DataError):
            return torch.empty(0), torch.empty(0), item
        examples.append(item)
    labels = torch.tensor([label for _, label in examples], dtype=torch.int64)
    return torch.stack([pixels for pixels, _ in examples]), labels, None
