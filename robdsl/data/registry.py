"""Data sets by name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from robdsl.data import digits, folders, torchvision_sets
from robdsl.data.dataset import SPLITS, Data, DataFacts, FolderData, ImageData, Split
from robdsl.data.errors import MissingDataError, UnknownDataError
from robdsl.data.splits import hold_out

DEFAULT_VAL_FRACTION = 0.1

FACTS: dict[str, DataFacts] = {
    facts.name: facts
    for facts in (
        digits.FACTS,
        torchvision_sets.CIFAR10,
        torchvision_sets.CIFAR100,
        torchvision_sets.SVHN,
        folders.TINY_IMAGENET,
        folders.IMAGENET,
    )
}
"""The data sets that :func:`load_data` knows, by name."""


def canonical_name(name: str) -> str:
    """The name of a data set as :data:`FACTS` spells it; case, "-" and "_" make no difference.

    Raises:
        UnknownDataError: there is no such data set.
    """
    plain = {known.replace("_", ""): known for known in FACTS}
    asked = name.lower().replace("-", "").replace("_", "")
    if asked in plain:
        return plain[asked]
    near = difflib.get_close_matches(asked, plain, n=1)
    hint = f"; did you mean {plain[near[0]]}?" if near else ""
    raise UnknownDataError(f"no data set is called {name!r}: there are {', '.join(FACTS)}{hint}")


def default_root() -> Path:
    """Where data lies unless told otherwise: the folder named by ``ROBDSL_DATA``, else ``data``."""
    return Path(os.environ.get("ROBDSL_DATA", "data"))


def load_data(
    name: str = "digits",
    root: str | Path | None = None,
    split: Split = "train",
    *,
    val_fraction: float = DEFAULT_VAL_FRACTION,
    download: bool = False,
) -> Data:
    """One split of a data set.

    ``val`` is a fixed part of the training images, chosen class by class by a hash of their indices, and
    ``train`` is the rest; ``test`` is the official test set (of Tiny-ImageNet and ImageNet, whose test
    labels are not published, the official validation set; of digits, a fixed fifth).

    Args:
        name: digits, cifar10, cifar100, svhn, tiny_imagenet or imagenet.
        root: the folder that holds the data; :func:`default_root` unless given. Not used for digits.
        split: train, val or test.
        val_fraction: how much of the training images is ``val``, in [0, 1).
        download: let torchvision fetch what is missing (CIFAR and SVHN only). Nothing is fetched otherwise.

    Returns:
        ImageData, in memory, for all but imagenet, which stays on disk as FolderData.

    Raises:
        UnknownDataError: no such data set or split.
        MissingDataError: files are missing or damaged; says what to fetch and where to put it.
        BrokenDataError: a file is not what it should be.
        MissingLibraryError: torchvision is needed and cannot be loaded.
    """
    name = canonical_name(name)
    if split not in SPLITS:
        raise UnknownDataError(f"no split is called {split!r}: there are {', '.join(SPLITS)}")
    folder = Path(root) if root is not None else default_root()
    if download and name in ("tiny_imagenet", "imagenet"):
        raise MissingDataError(f"{name} cannot be downloaded here: put it in {folder} and leave download out")
    train = split != "test"
    if name == "imagenet":
        return _imagenet(folder, split, val_fraction)
    if name == "digits":
        images, labels = digits.read()
        kept, tested = digits.parts(labels)
        source = kept if train else tested
        images, labels, classes = images[source], labels[source], digits.CLASSES
    else:
        images, labels, classes = _reader(name)(folder, train, download)
        source = torch.arange(len(labels))
    rows = _rows(labels, split, val_fraction)
    return ImageData(FACTS[name], split, classes, images[rows], labels[rows], source[rows])


def _reader(name: str) -> Callable[[Path, bool, bool], torchvision_sets.Source]:
    if name == "svhn":
        return torchvision_sets.read_svhn
    if name == "tiny_imagenet":
        return lambda root, train, _download: folders.read_tiny_imagenet(root, train, folders.TINY_COUNTS)
    return partial(torchvision_sets.read_cifar, name)


def _imagenet(folder: Path, split: Split, val_fraction: float) -> FolderData:
    listing = folders.list_imagenet(folder, split != "test")
    rows = _rows(listing.labels, split, val_fraction)
    return FolderData(
        facts=FACTS["imagenet"],
        split=split,
        classes=listing.classes,
        root=listing.root,
        paths=tuple(listing.paths[row] for row in rows.tolist()),
        labels=listing.labels[rows],
        resize=folders.IMAGENET_RESIZE,
    )


def _rows(labels: Tensor, split: Split, val_fraction: float) -> Tensor:
    if split == "test":
        return torch.arange(len(labels))
    kept, held = hold_out(labels, val_fraction)
    rows = kept if split == "train" else held
    if not len(rows):
        raise UnknownDataError(
            f"the split {split!r} is empty with val_fraction={val_fraction}: take a larger one"
        )
    return rows
