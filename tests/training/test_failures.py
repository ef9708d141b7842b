"""What goes wrong is named, and nothing of before is lost."""

from __future__ import annotations

import errno
import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from robdsl.data import MissingDataError, load_data
from robdsl.files import DiskFullError
from robdsl.training import (
    CheckpointError,
    CheckpointRefused,
    Event,
    NonFiniteError,
    Started,
    TrainingError,
    train,
)
from robdsl.training.checkpoint import _checksum
from tests.data import fake_sets
from tests.training.workers import blobs, make_net, small_recipe, small_run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def run_again(folder: Path, **changes: Any) -> tuple[list[CheckpointRefused], Started]:
    """Call the same again; what was refused, and where it went on."""
    events: list[Event] = []
    small_run(folder, small_recipe(**changes), events=events.append)
    (started,) = [event for event in events if isinstance(event, Started)]
    return [event for event in events if isinstance(event, CheckpointRefused)], started


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a description as somebody would who knows the format."""
    description = json.loads(path.read_text())
    description.pop("checksum")
    change(description)
    path.write_text(json.dumps({**description, "checksum": _checksum(description)}))


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    small_run(tmp_path / "run", small_recipe())
    assert names(tmp_path / "run") == [
        f"{epoch:06d}-00000000.{kind}" for epoch in (2, 3) for kind in ("json", "safetensors")
    ]
    return tmp_path / "run"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


def pickle_it(path: Path) -> None:
    path.write_bytes(fake_sets.dangerous_pickle(path.parent.parent / "harm"))


def replace_a_tensor(name: str, tensor: Tensor | None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        tensors = load_file(path)
        tensors.pop(name, None)
        if tensor is not None:
            tensors[name] = tensor
        save_file(tensors, path)

    return change


def write(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(text)

    return change


def set_field(name: str, value: Any) -> Callable[[Path], None]:
    return lambda path: rewrite(path, lambda description: description.update({name: value}))


PROGRESS = {
    "epoch": 3,
    "batch": 0,
    "updates": 12,
    "seconds": 0.0,
    "best_epoch": 0,
    "best_score": [1, 2],
    "history": [],
}
SPOILED: list[tuple[str, Callable[[Path], None], str]] = [
    ("safetensors", cut, "torn or no safetensors file"),
    ("safetensors", flip_a_byte, "not what was written"),
    ("safetensors", remove, "is missing"),
    ("safetensors", pickle_it, "torn or no safetensors file"),
    ("safetensors", replace_a_tensor("model/head.bias", torch.zeros(5)), "head.bias has another shape"),
    ("safetensors", replace_a_tensor("model/head.bias", torch.zeros(4).double()), "shape or type"),
    ("safetensors", replace_a_tensor("model/other", torch.zeros(4)), "model/other, which this run has not"),
    ("safetensors", replace_a_tensor("model/head.bias", None), "lacks model/head.bias"),
    ("json", cut, "torn or not JSON"),
    ("json", flip_a_byte, "checksum differs"),
    ("json", pickle_it, "torn or not JSON"),
    ("json", write("[" * 100_000), "torn or not JSON"),
    ("json", write("[]"), "no description"),
    ("json", write("x" * ((1 << 26) + 1)), "too large"),
    ("json", set_field("format", 2), "its format is 2"),
    ("json", set_field("epoch", 1), "not that of its epoch"),
    ("json", set_field("identity", {"recipe": {"lr": 9}}), "lr is 9 there and 0.1 here"),
    ("json", set_field("facts", "none"), "no description"),
    ("json", set_field("facts", {"epoch": 3, "speed": 1}), "what it says of the run"),
    ("json", set_field("facts", {**PROGRESS, "history": "none"}), "what it says of the run"),
    ("json", set_field("facts", {**PROGRESS, "epoch": 2}), "what it says of the run"),
]


@pytest.mark.parametrize(
    ("kind", "spoil", "reason"), SPOILED, ids=[f"{kind}-{why}" for kind, _, why in SPOILED]
)
def test_a_spoiled_checkpoint_is_named_and_the_one_before_is_used(
    finished: Path, kind: str, spoil: Callable[[Path], None], reason: str
) -> None:
    last = load_file(finished / "last.safetensors")
    spoil(finished / "checkpoints" / f"000003-00000000.{kind}")
    refused, started = run_again(finished)
    assert [event.path.name for event in refused] == ["000003-00000000.json"]
    assert reason in refused[0].reason
    assert (
        started.epoch == 2 and started.resumed is not None and started.resumed.name == "000002-00000000.json"
    )
    for name, tensor in load_file(finished / "last.safetensors").items():
        assert torch.equal(tensor, last[name])
    assert not (finished / "harm").exists()
    assert run_again(finished)[0] == []
    assert len((finished / "history.jsonl").read_text().splitlines()) == 3


def test_where_all_are_spoiled_nothing_is_begun_anew(finished: Path) -> None:
    for file in (finished / "checkpoints").glob("*.safetensors"):
        cut(file)
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"000003-0+\.json: .*torn.*000002-0+\.json: .*remove this one"):
        small_run(finished, small_recipe())
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"recipe": small_recipe(eps="4/255", lr=0.2)},
            "eps is 8/255 there and 4/255 here, lr is 0.1 there and 0.2",
        ),
        ({"architecture": "net other {}"}, "architecture is None there and"),
        ({"model": make_net(1)}, "initial weights is"),
        ({"train_data": blobs().take(40)}, "training data is"),
        ({"val_data": None}, "validation data is"),
    ],
)
def test_another_run_s_folder_is_refused(finished: Path, options: dict[str, Any], reason: str) -> None:
    settings: dict[str, Any] = {
        "model": make_net(),
        "train_data": blobs(),
        "val_data": blobs(24, seed=1),
        "recipe": small_recipe(),
        **options,
    }
    with pytest.raises(CheckpointError, match=f"another run .*{reason}"):
        train(**settings, folder=finished)


def test_an_unfinished_checkpoint_is_passed_over(finished: Path) -> None:
    """Killed after the tensors were written and before their description."""
    (finished / "checkpoints" / "000003-00000000.json").unlink()
    refused, started = run_again(finished)
    assert refused == [] and started.epoch == 2
    assert len(names(finished)) == 4


def test_what_was_lost_beside_the_checkpoints_is_put_right(finished: Path) -> None:
    files = ("best.safetensors", "last.safetensors", "history.jsonl", "manifest.json")
    before = {name: (finished / name).read_bytes() for name in files}
    (finished / "history.jsonl").write_text("torn")
    for name in files[:2]:
        (finished / name).write_bytes(b"")
    (finished / "manifest.json").unlink()
    run_again(finished)
    assert {name: (finished / name).read_bytes() for name in files} == before


@pytest.mark.parametrize("failing_call", range(1, 13))
def test_a_full_disk_is_named_and_loses_nothing(
    failing_call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full from the n-th write on; later there is room again."""
    import os

    whole = small_run(tmp_path / "whole", small_recipe(epochs=2))
    calls, real = 0, os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= failing_call:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("robdsl.files.os.fsync", full)
        with pytest.raises(DiskFullError, match="make room and run the same command again"):
            small_run(tmp_path / "run", small_recipe(epochs=2))
    assert not list(tmp_path.rglob("*.tmp"))
    resumed = small_run(tmp_path / "run", small_recipe(epochs=2))
    assert resumed.best_epoch == whole.best_epoch
    for name in ("best.safetensors", "last.safetensors", "manifest.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


class Exploding(nn.Module):
    """A net whose answers are no numbers once it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_net()
        self.factor = 1.0

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images) * self.factor
        return logits


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    model = Exploding()

    def explode(epoch: int, batch: int) -> None:
        if (epoch, batch) == (1, 1):
            model.factor = float("nan")

    message = r"loss is not finite in epoch 1, after batch 2 of 4; .*lower learning rate \(lr=0.1 .*clip"
    with pytest.raises(NonFiniteError, match=message):
        train(model, blobs(), blobs(24, seed=1), small_recipe(), tmp_path, before_batch=explode)
    assert names(tmp_path) == ["000001-00000000.json", "000001-00000000.safetensors"]
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "last.safetensors").values())
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 1


def test_weights_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    """The last update of an epoch spoils the weights after the loss was still in order."""
    model = make_net()
    updates = 0

    def spoil(gradient: Tensor) -> Tensor:
        nonlocal updates
        updates += 1
        return gradient * (float("inf") if updates == 8 else 1.0)

    model.head.bias.register_hook(spoil)
    with pytest.raises(NonFiniteError, match="weights are not finite in epoch 1, after batch 4"):
        train(model, blobs(), blobs(24, seed=1), small_recipe(method="natural"), tmp_path)
    assert names(tmp_path) == ["000001-00000000.json", "000001-00000000.safetensors"]


def test_a_vanished_data_folder_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    fake_sets.write_imagenet(tmp_path / "imagenet", ("n1", "n2"), each=6)

    def data_and_model() -> tuple[Any, nn.Module]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(147, 2))
        return load_data("imagenet", tmp_path, val_fraction=0), net

    def vanish(epoch: int, batch: int) -> None:
        if (epoch, batch) == (1, 1):
            (tmp_path / "imagenet").rename(tmp_path / "elsewhere")

    recipe = small_recipe(method="natural", epochs=2, batch=3)
    data, model = data_and_model()
    train(model, data, None, recipe, tmp_path / "whole", workers=0, command="")
    data, model = data_and_model()
    with pytest.raises(MissingDataError, match="imagenet has vanished: put the data back and run the same"):
        train(model, data, None, recipe, tmp_path / "run", workers=0, command="", before_batch=vanish)
    (tmp_path / "elsewhere").rename(tmp_path / "imagenet")
    data, model = data_and_model()
    events: list[Event] = []
    train(model, data, None, recipe, tmp_path / "run", workers=0, command="", events=events.append)
    assert isinstance(events[0], Started) and (events[0].epoch, events[0].batch) == (1, 2)
    for name in ("last.safetensors", "manifest.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="another process trains in"):
            small_run(tmp_path, small_recipe())
    small_run(tmp_path, small_recipe(epochs=1))
