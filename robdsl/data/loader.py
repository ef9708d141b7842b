"""The loader that suits a data set."""

from __future__ import annotations

import torch

from robdsl.data.augment import NO_AUGMENTATION, Augmentation
from robdsl.data.batch import Loader
from robdsl.data.dataset import Data, FolderData
from robdsl.data.device_loader import DeviceLoader
from robdsl.data.folder_loader import FolderLoader


def open_loader(
    data: Data,
    device: torch.device | str = "cpu",
    *,
    augmentation: Augmentation = NO_AUGMENTATION,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    workers: int = 4,
) -> Loader:
    """The loader that suits the data: from memory, or from a folder with ``workers`` reading processes."""
    if isinstance(data, FolderData):
        return FolderLoader(
            data,
            device,
            augmentation=augmentation,
            seed=seed,
            dtype=dtype,
            channels_last=channels_last,
            workers=workers,
        )
    return DeviceLoader(
        data, device, augmentation=augmentation, seed=seed, dtype=dtype, channels_last=channels_last
    )
