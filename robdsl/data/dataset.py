"""What a data set is: images, labels, and the facts that a figure's manifest needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from robdsl.data.splits import digest, sample

Split = Literal["train", "val", "test"]
HASH_BLOCK = 4096  # images at a time, so that a gigabyte is not copied at once; part of what a hash means
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class DataFacts:
    """What is true of a data set whichever of its splits is at hand.

    Attributes:
        name: as :func:`robdsl.data.load_data` knows it.
        shape: (channels, height, width) of one image as a net sees it.
        mean: of each channel over the training images, in [0, 1], for a normalization stage or wrapper.
        std: the standard deviation that goes with it.
        crop_padding: zero padding of the usual random crop, in pixels on every side.
        flip: whether a mirrored image keeps its label (a mirrored digit does not).
    """

    name: str
    shape: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_padding: int
    flip: bool


@dataclass(frozen=True, eq=False)
class ImageData:
    """A split that fits in memory.

    Attributes:
        facts: see :class:`DataFacts`.
        split: train, val or test.
        classes: the names, in the order of the labels.
        images: (N, C, H, W) uint8, 0 to 255.
        labels: (N,) int64.
        source: (N,) int64, each image's place in the files that it came from.
    """

    facts: DataFacts
    split: Split
    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor
    source: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or tuple(self.images.shape[1:]) != self.facts.shape:
            raise ValueError(
                f"images must be uint8 of shape (N, {', '.join(map(str, self.facts.shape))}), "
                f"not {self.images.dtype} of shape {tuple(self.images.shape)}"
            )
        if not len(self.images) == len(self.labels) == len(self.source):
            raise ValueError("images, labels and source must be equally many")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def split_hash(self) -> str:
        """sha256 over the names, indices, labels and pixels: equal hashes, equal data."""

        def parts() -> Iterator[bytes]:
            yield repr((self.facts.name, self.split, self.classes, self.facts.shape)).encode()
            yield self.source.numpy().astype("<i8").tobytes()
            yield self.labels.numpy().astype("<i8").tobytes()
            for start in range(0, len(self), HASH_BLOCK):
                yield self.images[start : start + HASH_BLOCK].contiguous().numpy().tobytes()

        return digest(parts())

    def tensors(self) -> tuple[Tensor, Tensor]:
        """All images as float32 in [0, 1] and all labels."""
        return self.images.float().div_(255), self.labels

    def take(self, wanted: int) -> ImageData:
        """A fixed pseudo-random sample of ``wanted`` images, or all where there are no more."""
        if wanted >= len(self):
            return self
        rows = sample(len(self), wanted)
        return dataclasses.replace(
            self, images=self.images[rows], labels=self.labels[rows], source=self.source[rows]
        )


@dataclass(frozen=True, eq=False)
class FolderData:
    """A split that stays on disk, one file an image.

    Attributes:
        facts: see :class:`DataFacts`.
        split: train, val or test.
        classes: the names, in the order of the labels.
        root: the folder that the paths start from.
        paths: of each image, relative to ``root``, with "/" between folders.
        labels: (N,) int64.
        resize: length in pixels of an image's shorter side before the central crop of an evaluation.
    """

    facts: DataFacts
    split: Split
    classes: tuple[str, ...]
    root: Path
    paths: tuple[str, ...]
    labels: Tensor
    resize: int

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def split_hash(self) -> str:
        """sha256 over the names, labels, relative paths and file sizes.

        The pixels of a million files are not read for it: an altered file of the same size is not noticed.
        """

        def parts() -> Iterator[bytes]:
            yield repr((self.facts.name, self.split, self.classes, self.facts.shape)).encode()
            for path, label in zip(self.paths, self.labels.tolist(), strict=True):
                yield f"{path}:{label}:{(self.root / path).stat().st_size}".encode()

        return digest(parts())

    def take(self, wanted: int) -> FolderData:
        """A fixed pseudo-random sample of ``wanted`` images, or all where there are no more."""
        if wanted >= len(self):
            return self
        rows = sample(len(self), wanted)
        paths = tuple(self.paths[row] for row in rows.tolist())
        return dataclasses.replace(self, paths=paths, labels=self.labels[rows])


Data = ImageData | FolderData
