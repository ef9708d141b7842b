"""Small files in the true format of each data set, with known contents."""

from __future__ import annotations

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


def noise(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def python2_pickle(entry: dict[str, object]) -> bytes:
    """What Python 2's cPickle wrote with protocol 2, as in the published CIFAR files: byte strings, and
    arrays whose dtype is described with plain numbers.
    """
    return b"\x80\x02" + _python2(entry) + b"."


def _python2(value: object) -> bytes:
    if isinstance(value, str):
        data = value.encode("latin1")
        return b"T" + struct.pack("<i", len(data)) + data
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_python2, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(key) + _python2(item) for key, item in value.items()) + b"u"
    assert isinstance(value, np.ndarray) and value.dtype == np.uint8
    kind = b"cnumpy\ndtype\n" + _python2("u1") + _python2(0) + _python2(1) + b"\x87R"
    kind += b"(" + _python2(3) + _python2("|") + b"NNN" + _python2(-1) + _python2(-1) + _python2(0) + b"tb"
    empty = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + _python2(0)
        + b"\x85"
        + _python2("b")
        + b"\x87R"
    )
    shape = b"(" + b"".join(_python2(int(length)) for length in value.shape) + b"t"
    return (
        empty
        + b"("
        + _python2(1)
        + shape
        + kind
        + b"\x89"
        + _python2(value.tobytes().decode("latin1"))
        + b"tb"
    )


def write_cifar(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, each: int = 20
) -> dict[str, tuple[Bytes, list[int]]]:
    """The python version's folder with ``each`` images a file; torchvision is told these files' MD5 sums."""
    from torchvision import datasets

    reader = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    classes = 10 if name == "cifar10" else 100
    key = "labels" if name == "cifar10" else "fine_labels"
    folder = root / reader.base_folder
    folder.mkdir(parents=True)
    written: dict[str, tuple[Bytes, list[int]]] = {}

    def put(file: str, data: bytes) -> list[str]:
        (folder / file).write_bytes(data)
        return [file, hashlib.md5(data).hexdigest()]

    tables: dict[str, list[list[str]]] = {"train_list": [], "test_list": []}
    number = 0
    for table, sums in tables.items():
        for file, _ in getattr(reader, table):
            images = noise(each, 3, 32, 32, seed=number)
            labels = [(index + number) % classes for index in range(each)]
            entry = {
                "batch_label": file,
                key: labels,
                "data": images.reshape(each, 3072),
                "filenames": ["a.png"] * each,
            }
            sums.append(put(file, python2_pickle(entry)))
            written[file] = images, labels
            number += 1
    names = [f"class {index}" for index in range(classes)]
    meta = put(reader.meta["filename"], python2_pickle({reader.meta["key"]: names, "num_vis": 3072}))
    for table, sums in tables.items():
        monkeypatch.setattr(reader, table, sums)
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": meta[1]})
    return written


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch, each: int = 40) -> dict[str, tuple[Bytes, Bytes]]:
    """MATLAB files of the cropped digits: X is (32, 32, 3, N), y is (N, 1) with 10 for the digit 0."""
    from torchvision.datasets import SVHN

    root.mkdir(parents=True, exist_ok=True)
    written = {}
    table = {key: list(entry) for key, entry in SVHN.split_list.items()}
    for number, part in enumerate(("train", "test")):
        images = noise(32, 32, 3, each, seed=number)
        labels = (np.arange(each, dtype=np.uint8) % 10 + 1)[:, None]
        file = root / SVHN.split_list[part][1]
        scipy.io.savemat(file, {"X": images, "y": labels})
        table[part][2] = hashlib.md5(file.read_bytes()).hexdigest()
        written[part] = images, labels
    monkeypatch.setattr(SVHN, "split_list", table)
    return written


def write_image(file: Path, pixels: Bytes) -> None:
    """A JPEG of near-lossless quality; (H, W, 3) is colour and (H, W) is grey."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0)


def flat(level: int, *shape: int) -> Bytes:
    """One grey level everywhere, which a JPEG keeps exactly."""
    return np.full(shape, level, dtype=np.uint8)


def write_tiny_imagenet(root: Path, wnids: tuple[str, ...], each: int, val: int) -> None:
    """The published layout. The grey level of an image tells its class and number: 40 * class + number."""
    folder = root / "tiny-imagenet-200"
    for label, wnid in enumerate(sorted(wnids)):
        for number in range(each):
            shape = (64, 64) if number == 1 else (64, 64, 3)
            write_image(
                folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG",
                flat(40 * label + number, *shape),
            )
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("")
    lines = []
    for number in range(val):
        label = number % len(wnids)
        write_image(folder / "val" / "images" / f"val_{number}.JPEG", flat(40 * label + number, 64, 64, 3))
        lines.append(f"val_{number}.JPEG\t{sorted(wnids)[label]}\t0\t0\t62\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))


def write_imagenet(root: Path, wnids: tuple[str, ...], each: int) -> None:
    """train/<wnid> and val/<wnid> with images of varied sizes; the grey level is 60 * class + number."""
    for part in ("train", "val"):
        for label, wnid in enumerate(sorted(wnids)):
            for number in range(each):
                size = (300 + 10 * number, 260)
                pixels = flat(60 * label + number, *size, 3)
                write_image(root / part / wnid / f"{wnid}_{number}.JPEG", pixels)


class Danger:
    """Unpickling this would create a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.file), "w")


def dangerous_pickle(file: Path) -> bytes:
    return pickle.dumps(Danger(file))
