"""Each data set is read from files in its true format, and its absence is explained."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from robdsl.data import (
    Augmentation,
    BrokenDataError,
    FolderData,
    ImageData,
    MissingDataError,
    MissingLibraryError,
    Split,
    UnknownDataError,
    evaluation_batches,
    load_data,
    open_loader,
)
from robdsl.data.folders import TinyCounts
from tests.data import fake_sets

WNIDS = ("n01443537", "n02056570", "n03444034")


def in_memory(name: str, root: Path, split: str, val_fraction: float = 0.1) -> ImageData:
    data = load_data(name, root, cast(Split, split), val_fraction=val_fraction)
    assert isinstance(data, ImageData)
    return data


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = fake_sets.write_cifar(tmp_path, monkeypatch, name, each=20 if name == "cifar10" else 500)
    test_file = "test_batch" if name == "cifar10" else "test"
    train_files = [file for file in files if file != test_file]
    test = in_memory(name, tmp_path, "test")
    assert np.array_equal(test.images.numpy(), files[test_file][0])
    assert test.labels.tolist() == files[test_file][1]
    assert len(test.classes) == (10 if name == "cifar10" else 100) and test.classes[3] == "class 3"

    train, val = (in_memory(name, tmp_path, split, val_fraction=0.2) for split in ("train", "val"))
    everything = np.concatenate([files[file][0] for file in train_files])
    labels = [label for file in train_files for label in files[file][1]]
    assert sorted([*train.source.tolist(), *val.source.tolist()]) == list(range(len(everything)))
    for part in (train, val):
        assert np.array_equal(part.images.numpy(), everything[part.source.numpy()])
        assert part.labels.tolist() == [labels[index] for index in part.source.tolist()]
    if name == "cifar10":
        assert torch.bincount(val.labels).tolist() == [2] * 10


def test_cifar_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        MissingDataError,
        match=r"cifar-10-batches-py holds none of its 7 files.*cifar-10-python\.tar\.gz and unpack it in",
    ):
        load_data("cifar10", tmp_path)
    fake_sets.write_cifar(tmp_path, monkeypatch, "cifar10")
    folder = tmp_path / "cifar-10-batches-py"
    (folder / "data_batch_3").unlink()
    whole = (folder / "data_batch_5").read_bytes()
    (folder / "data_batch_5").write_bytes(whole[:-1])
    with pytest.raises(MissingDataError) as caught:
        load_data("cifar10", tmp_path)
    assert "data_batch_3 is missing" in str(caught.value)
    assert "data_batch_5 is damaged or cut off" in str(caught.value)
    assert "data_batch_1" not in str(caught.value).split("To mend it")[0]


@pytest.mark.parametrize("file", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_stranger_s_pickle_is_never_opened(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_sets.write_cifar(tmp_path / "data", monkeypatch, "cifar10")
    trace = tmp_path / "harm"
    (tmp_path / "data" / "cifar-10-batches-py" / file).write_bytes(fake_sets.dangerous_pickle(trace))
    with pytest.raises(MissingDataError, match=f"{file} is damaged"):
        load_data("cifar10", tmp_path / "data")
    assert not trace.exists()


def test_svhn_turns_ten_into_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = fake_sets.write_svhn(tmp_path, monkeypatch)
    test = in_memory("svhn", tmp_path, "test")
    images, labels = files["test"]
    assert np.array_equal(test.images.numpy(), images.transpose(3, 2, 0, 1))
    assert test.labels.tolist() == [label % 10 for label in labels.flatten().tolist()]
    assert 0 in test.labels.tolist() and 10 not in test.labels.tolist()
    assert not test.facts.flip
    (tmp_path / "train_32x32.mat").unlink()
    with pytest.raises(MissingDataError, match=r"train_32x32\.mat is missing.*fetch http.*put it at"):
        load_data("svhn", tmp_path, "val")


def test_tiny_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_sets.write_tiny_imagenet(tmp_path, WNIDS, each=4, val=6)
    with pytest.raises(MissingDataError, match="holds 3 classes, not 200"):
        load_data("tiny-imagenet", tmp_path)
    monkeypatch.setattr("robdsl.data.folders.TINY_COUNTS", TinyCounts(classes=3, train_per_class=4, val=6))
    for root in (tmp_path, tmp_path / "tiny-imagenet-200"):
        test = in_memory("tiny_imagenet", root, "test")
        assert test.labels.tolist() == [0, 1, 2, 0, 1, 2]
        assert test.images[:, 0, 5, 5].tolist() == [40 * (n % 3) + n for n in range(6)]
    assert test.classes == tuple(sorted(WNIDS)) and test.images.shape == (6, 3, 64, 64)
    train, val = (
        in_memory("tiny_imagenet", tmp_path, split, val_fraction=0.25) for split in ("train", "val")
    )
    assert torch.bincount(val.labels).tolist() == [1, 1, 1] and len(train) == 9
    levels = sorted([*train.images[:, 2, 0, 0].tolist(), *val.images[:, 2, 0, 0].tolist()])
    assert levels == sorted(40 * label + number for label in range(3) for number in range(4))


def test_tiny_imagenet_names_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDataError, match=r"fetch http.*tiny-imagenet-200\.zip and unpack it in"):
        load_data("tiny_imagenet", tmp_path)
    fake_sets.write_tiny_imagenet(tmp_path, WNIDS, each=4, val=6)
    monkeypatch.setattr("robdsl.data.folders.TINY_COUNTS", TinyCounts(classes=3, train_per_class=4, val=6))
    folder = tmp_path / "tiny-imagenet-200"
    notes = folder / "val" / "val_annotations.txt"
    text = notes.read_text()
    notes.write_text(text.replace("val_1.JPEG", "../val_1.JPEG"))
    with pytest.raises(BrokenDataError, match=r"val_annotations\.txt:2: expected"):
        load_data("tiny_imagenet", tmp_path, "test")
    notes.write_text("".join(text.splitlines(keepends=True)[:-1]))
    with pytest.raises(MissingDataError, match="holds 5 images, not 6"):
        load_data("tiny_imagenet", tmp_path, "test")
    file = folder / "train" / WNIDS[0] / "images" / f"{WNIDS[0]}_2.JPEG"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    with pytest.raises(BrokenDataError, match=rf"{file.name} is no readable image"):
        load_data("tiny_imagenet", tmp_path)
    fake_sets.write_image(file, fake_sets.flat(0, 32, 64, 3))
    with pytest.raises(BrokenDataError, match="is 64 x 32, not 64 x 64"):
        load_data("tiny_imagenet", tmp_path)
    file.unlink()
    with pytest.raises(MissingDataError, match="holds 3 images, not 4"):
        load_data("tiny_imagenet", tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_imagenet_folders(workers: int, tmp_path: Path) -> None:
    fake_sets.write_imagenet(tmp_path / "imagenet", WNIDS, each=4)
    test = load_data("imagenet", tmp_path, "test")
    assert isinstance(test, FolderData) and len(test) == 12
    plan = evaluation_batches(len(test), 5)
    batches = list(open_loader(test, workers=workers).batches(plan))
    assert [tuple(batch.images.shape) for batch in batches] == [(5, 3, 224, 224)] * 2 + [(2, 3, 224, 224)]
    labels = torch.cat([batch.labels for batch in batches])
    levels = (torch.cat([batch.images for batch in batches])[:, 0, 100, 100] * 255).round().int()
    assert labels.tolist() == test.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert levels.tolist() == [60 * label + number for label in range(3) for number in range(4)]
    train, val = (load_data("imagenet", tmp_path, split, val_fraction=0.25) for split in ("train", "val"))
    assert isinstance(train, FolderData) and isinstance(val, FolderData)
    assert sorted([*train.paths, *val.paths]) == sorted(path.replace("val/", "train/") for path in test.paths)


def test_imagenet_s_training_crops_depend_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    for number in range(3):
        for part in ("train", "val"):
            fake_sets.write_image(
                tmp_path / part / "n1" / f"{number}.JPEG", fake_sets.noise(240, 240, 3, seed=number)
            )
    data = load_data("imagenet", tmp_path, val_fraction=0)
    augmentation = Augmentation(crop_padding=0, flip=True, cutout=16)

    def images(plan: list[list[int]], seed: int = 1, epoch: int = 0, workers: int = 0) -> torch.Tensor:
        loader = open_loader(data, augmentation=augmentation, seed=seed, workers=workers)
        return torch.cat([b.images for b in loader.batches([torch.tensor(rows) for rows in plan], epoch)])

    torch.manual_seed(5)
    state = torch.get_rng_state()
    whole = images([[0, 1, 2]])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images([[2], [1, 0]], workers=1), whole[[2, 1, 0]])
    assert not torch.equal(images([[0, 1, 2]], seed=2), whole)
    assert not torch.equal(images([[0, 1, 2]], epoch=1), whole)
    assert ((whole == 0).all(dim=1).sum(dim=(1, 2)) >= 64).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_vanished_folder_is_named(workers: int, tmp_path: Path) -> None:
    fake_sets.write_imagenet(tmp_path / "imagenet", WNIDS[:1], each=3)
    data = load_data("imagenet", tmp_path, "test")
    batches = open_loader(data, workers=workers).batches(evaluation_batches(3, 1))
    (tmp_path / "imagenet").rename(tmp_path / "elsewhere")
    with pytest.raises(MissingDataError, match=r"^\S*imagenet has vanished: put the data back"):
        list(batches)


def test_imagenet_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"train is missing.*image-net\.org"):
        load_data("imagenet", tmp_path)
    fake_sets.write_imagenet(tmp_path, WNIDS[:2], each=1)
    (tmp_path / "val" / "n09999999").mkdir()
    with pytest.raises(MissingDataError, match="different classes, n09999999"):
        load_data("imagenet", tmp_path)
    (tmp_path / "train" / "n09999999").mkdir()
    with pytest.raises(MissingDataError, match="n09999999"):
        load_data("imagenet", tmp_path)


def test_without_torchvision_only_digits_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def broken(name: str, package: str | None = None) -> object:
        if name.startswith("torchvision"):
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, package)

    monkeypatch.setattr("robdsl.data.torchvision_sets.importlib.import_module", broken)
    for name in ("cifar10", "svhn"):
        with pytest.raises(
            MissingLibraryError, match=r"nms does not exist.*torchvision release that matches torch"
        ):
            load_data(name, tmp_path)
    assert len(load_data("digits")) > 1000


def test_unknown_names_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UnknownDataError, match="did you mean cifar10"):
        load_data("cifar1", tmp_path)
    with pytest.raises(UnknownDataError, match="train, val, test"):
        load_data("digits", tmp_path, "validation")  # type: ignore[arg-type] # the mistake under test
    with pytest.raises(UnknownDataError, match="empty with val_fraction=0"):
        load_data("digits", split="val", val_fraction=0)
    with pytest.raises(MissingDataError, match="cannot be downloaded here"):
        load_data("imagenet", tmp_path, download=True)


def test_the_root_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_sets.write_svhn(tmp_path, monkeypatch)
    monkeypatch.setenv("ROBDSL_DATA", str(tmp_path))
    assert len(load_data("SVHN", split="test")) == 40
