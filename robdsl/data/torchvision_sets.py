"""CIFAR-10, CIFAR-100 and SVHN, read by torchvision.

CIFAR's files are Python pickles, which could run code when they are opened. torchvision compares every file
with the published MD5 sum before it opens any; this module makes the same comparison first, to name the
file that fails it. So only the published bytes are ever unpickled: a stranger's file is refused unread.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robdsl.data.dataset import DataFacts
from robdsl.data.errors import MissingDataError, MissingLibraryError

# Means and deviations over the 50,000 (CIFAR) and 73,257 (SVHN) training images, as commonly published.
CIFAR10 = DataFacts("cifar10", (3, 32, 32), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), 4, True)
CIFAR100 = DataFacts("cifar100", (3, 32, 32), (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), 4, True)
SVHN = DataFacts("svhn", (3, 32, 32), (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970), 4, False)

Source = tuple[Tensor, Tensor, tuple[str, ...]]
"""Images (N, 3, H, W) uint8, labels (N,) int64 and class names."""


def torchvision(part: str) -> ModuleType:
    """A module of torchvision, or a clear error: a torch without a matching torchvision is common."""
    try:
        return importlib.import_module(f"torchvision.{part}")
    # A torchvision built for another torch fails with a RuntimeError while it registers its operators.
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingLibraryError(
            f"torchvision cannot be loaded ({error}): pip install 'robdsl[data]', or the torchvision release "
            f"that matches torch {torch.__version__}. The data set 'digits' works without it"
        ) from error


def read_cifar(name: str, root: Path, train: bool, download: bool) -> Source:
    """One part of ``cifar10`` or ``cifar100`` from the python version's folder under ``root``."""
    datasets = torchvision("datasets")
    reader = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    if download:
        _download(reader, name, root, train=train)
    folder = root / reader.base_folder
    needed = [*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])]
    _require(
        name,
        [(folder / file, md5) for file, md5 in needed],
        f"fetch {reader.url} and unpack it in {root}, so that {folder / needed[0][0]} exists",
    )
    with warnings.catch_warnings():
        # The published pickles describe their dtype in Python 2's way, of which numpy 2.4.0 to 2.4.4 warn.
        warnings.filterwarnings(
            "ignore", r"dtype\(\): align should be passed", np.exceptions.VisibleDeprecationWarning
        )
        source = reader(str(root), train=train)
    return _tensors(source.data.transpose(0, 3, 1, 2), source.targets, tuple(source.classes))


def read_svhn(root: Path, train: bool, download: bool) -> Source:
    """One part of SVHN's cropped digits (the label 10 of the file means 0)."""
    reader = torchvision("datasets").SVHN
    part = "train" if train else "test"
    if download:
        _download(reader, "svhn", root, split=part)
    url, file, md5 = reader.split_list[part]
    _require("svhn", [(root / file, md5)], f"fetch {url} and put it at {root / file}")
    source = reader(str(root), split=part)
    return _tensors(source.data, source.labels, tuple("0123456789"))


def _tensors(images: NDArray[np.uint8], labels: Any, classes: tuple[str, ...]) -> Source:
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    return pixels, torch.from_numpy(np.asarray(labels, dtype=np.int64)), classes


def _download(reader: Any, name: str, root: Path, **part: Any) -> None:
    root.mkdir(parents=True, exist_ok=True)
    try:
        reader(str(root), download=True, **part)
    except (OSError, RuntimeError) as error:
        raise MissingDataError(f"{name}: the download failed: {error}") from error


def _require(name: str, files: list[tuple[Path, str]], remedy: str) -> None:
    check = torchvision("datasets.utils").check_integrity
    missing = [path for path, _ in files if not path.is_file()]
    faults = [f"{path} is missing" for path in missing]
    if len(missing) == len(files) > 1:
        faults = [f"{files[0][0].parent} holds none of its {len(files)} files"]
    for path, md5 in files:
        if path not in missing and not check(str(path), md5):
            faults.append(f"{path} is damaged or cut off (its MD5 is not {md5})")
    if faults:
        fetch = f"from Python, robdsl.data.load_data({name!r}, download=True)"
        raise MissingDataError(f"{name}: {'; '.join(faults)}. To mend it, {remedy}; or, {fetch}")
