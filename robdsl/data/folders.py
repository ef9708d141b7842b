"""Tiny-ImageNet and ImageNet, read from the folders that they are published or commonly kept in.

Neither has labels for its official test images, so that the official validation folder is the ``test`` split
here, as in the papers; the ``val`` split comes out of the training images, as for every other data set.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robdsl.data.dataset import DataFacts
from robdsl.data.errors import BrokenDataError, MissingDataError
from robdsl.data.images import open_image
from robdsl.data.torchvision_sets import Source, torchvision

TINY_IMAGENET = DataFacts(
    "tiny_imagenet", (3, 64, 64), (0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821), 4, True
)
IMAGENET = DataFacts("imagenet", (3, 224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0, True)
IMAGENET_RESIZE = 256


@dataclass(frozen=True)
class TinyCounts:
    """How many files the whole of Tiny-ImageNet has, by which a cut-off unpacking is noticed."""

    classes: int = 200
    train_per_class: int = 500
    val: int = 10_000


TINY_COUNTS = TinyCounts()
TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


def read_tiny_imagenet(root: Path, train: bool, counts: TinyCounts = TINY_COUNTS) -> Source:
    """One part of Tiny-ImageNet, decoded into memory (1.2 GB for the training images)."""
    folder = root / "tiny-imagenet-200" if (root / "tiny-imagenet-200").is_dir() else root
    remedy = (
        f"fetch {TINY_URL} and unpack it in {root}, so that {root / 'tiny-imagenet-200' / 'train'} exists"
    )
    _require_folder("tiny_imagenet", folder / "train", remedy)
    classes = tuple(sorted(path.name for path in (folder / "train").iterdir() if path.is_dir()))
    _require_count("tiny_imagenet", folder / "train", "classes", len(classes), counts.classes, remedy)
    if train:
        files, labels = _tiny_train(folder, classes, counts, remedy)
    else:
        files, labels = _tiny_val(folder, classes, counts, remedy)
    images = torch.empty(len(files), *TINY_IMAGENET.shape, dtype=torch.uint8)
    for row, file in enumerate(files):
        images[row] = decode(file, TINY_IMAGENET.shape)
    return images, torch.tensor(labels, dtype=torch.int64), classes


def _tiny_train(
    folder: Path, classes: tuple[str, ...], counts: TinyCounts, remedy: str
) -> tuple[list[Path], list[int]]:
    files: list[Path] = []
    labels: list[int] = []
    for label, wnid in enumerate(classes):
        images = folder / "train" / wnid / "images"
        _require_folder("tiny_imagenet", images, remedy)
        found = sorted(images.glob("*.JPEG"))
        _require_count("tiny_imagenet", images, "images", len(found), counts.train_per_class, remedy)
        files.extend(found)
        labels.extend([label] * len(found))
    return files, labels


def _tiny_val(
    folder: Path, classes: tuple[str, ...], counts: TinyCounts, remedy: str
) -> tuple[list[Path], list[int]]:
    notes = folder / "val" / "val_annotations.txt"
    if not notes.is_file():
        raise MissingDataError(f"tiny_imagenet: {notes} is missing. To mend it, {remedy}")
    of_class = {wnid: label for label, wnid in enumerate(classes)}
    files: list[Path] = []
    labels: list[int] = []
    for number, line in enumerate(notes.read_text().splitlines(), start=1):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in of_class or Path(name).name != name:
            raise BrokenDataError(
                f"{notes}:{number}: expected an image's name, a tab and a class of train/, not {line!r}"
            )
        file = folder / "val" / "images" / name
        if not file.is_file():
            raise MissingDataError(f"tiny_imagenet: {file} is missing. To mend it, {remedy}")
        files.append(file)
        labels.append(of_class[wnid])
    _require_count("tiny_imagenet", notes, "images", len(files), counts.val, remedy)
    return files, labels


def decode(file: Path, shape: tuple[int, int, int]) -> Tensor:
    """One image file as uint8 of just this shape; grey images become three equal channels."""
    image = open_image(file)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    if tuple(pixels.shape) != shape:
        raise BrokenDataError(f"{file} is {image.width} x {image.height}, not {shape[2]} x {shape[1]}")
    return pixels


@dataclass(frozen=True)
class FolderListing:
    """The files of one part of an ImageNet-like folder: relative paths, labels (N,) int64 and class names."""

    root: Path
    paths: tuple[str, ...]
    labels: Tensor
    classes: tuple[str, ...]


def list_imagenet(root: Path, train: bool) -> FolderListing:
    """One part of ``train/<class>/*`` and ``val/<class>/*``, with as many classes as there are folders."""
    folder = root / "imagenet" if (root / "imagenet").is_dir() else root
    remedy = (
        "ImageNet must be asked for at image-net.org; unpack it so that every training image is "
        f"{folder}/train/CLASS/NAME.JPEG and every validation image {folder}/val/CLASS/NAME.JPEG"
    )
    names: dict[str, tuple[str, ...]] = {}
    for part in ("train", "val"):
        _require_folder("imagenet", folder / part, remedy)
        names[part] = tuple(sorted(path.name for path in (folder / part).iterdir() if path.is_dir()))
    if names["train"] != names["val"]:
        odd = sorted(set(names["train"]) ^ set(names["val"]))
        raise MissingDataError(
            f"imagenet: {folder}/train and {folder}/val have different classes, {odd[0]} for one. "
            f"To mend it, {remedy}"
        )
    part = "train" if train else "val"
    try:
        listing = torchvision("datasets").ImageFolder(str(folder / part))
    except FileNotFoundError as error:
        raise MissingDataError(f"imagenet: {folder / part}: {error} To mend it, {remedy}") from error
    paths = tuple(Path(path).relative_to(folder).as_posix() for path, _ in listing.samples)
    return FolderListing(
        folder, paths, torch.tensor(listing.targets, dtype=torch.int64), tuple(listing.classes)
    )


def _require_folder(name: str, folder: Path, remedy: str) -> None:
    if not folder.is_dir():
        raise MissingDataError(f"{name}: the folder {folder} is missing. To mend it, {remedy}")


def _require_count(name: str, where: Path, what: str, found: int, expected: int, remedy: str) -> None:
    if found != expected:
        raise MissingDataError(f"{name}: {where} holds {found} {what}, not {expected}. To mend it, {remedy}")
