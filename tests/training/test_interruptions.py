"""A run that is interrupted anywhere ends as one that never was."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from robdsl.training import BatchDone, EpochDone, Event, Finished, Started
from robdsl.training.history import TIMES
from tests.training.processes import run_together, start
from tests.training.workers import (
    in_float64,
    in_one_process,
    resuming_together,
    small_recipe,
    small_run,
    stopping_together,
)

METHODS: dict[str, dict[str, Any]] = {
    "natural": {"method": "natural", "clip": 1.0},
    "pgd": {"method": "pgd", "average": 0.9},
    "trades": {"method": "trades"},
    "free": {"method": "free"},
    "fast": {"method": "fast", "channels_last": True},
}


class Stop(Exception):
    """Thrown by a test in the middle of a run."""


def outcome(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], list[dict[str, Any]]]:
    """The best weights, the last weights, and the history without times."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for line in lines:
        for name in TIMES:
            del line[name]
    return load_file(folder / "best.safetensors"), load_file(folder / "last.safetensors"), lines


def assert_same(one: Path, other: Path) -> None:
    """Bit for bit."""
    for mine, theirs in zip(outcome(one), outcome(other), strict=True):
        if isinstance(mine, dict):
            assert isinstance(theirs, dict) and mine.keys() == theirs.keys()
            for name, tensor in mine.items():
                assert torch.equal(tensor, theirs[name]), name
        else:
            assert mine == theirs
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (one, other)]
    assert manifests[0] == manifests[1]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    """Stopped again and again, at batches on either side of checkpoints and epochs."""
    recipe = small_recipe(**METHODS[name], checkpoint_batches=3)
    small_run(tmp_path / "whole", recipe)
    assert recipe.epochs == 3
    for stop_after in (2, 1, 4, 3, 2):
        done = 0

        def stop(_epoch: int, _batch: int, limit: int = stop_after) -> None:
            nonlocal done
            if done == limit:
                raise Stop
            done += 1

        with pytest.raises(Stop):
            small_run(tmp_path / "stopped", recipe, before_batch=stop)
    starts: list[Event] = []
    result = small_run(tmp_path / "stopped", recipe, events=starts.append)
    assert isinstance(starts[0], Started) and starts[0].resumed is not None
    assert (starts[0].epoch, starts[0].batch) > (0, 0)
    assert_same(tmp_path / "whole", tmp_path / "stopped")
    assert len(result.history) == 3 and isinstance(starts[-1], Finished)
    again: list[Event] = []
    small_run(tmp_path / "stopped", recipe, events=again.append)
    assert not any(isinstance(event, BatchDone | EpochDone) for event in again)
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """kill -9: every third time soon after the start, else a random while after a checkpoint."""
    changes = {"method": "pgd", "average": 0.9, "checkpoint_batches": 1, "epochs": 8}
    start(in_one_process, tmp_path / "whole", changes, 0.0).join(60)
    moments, folder = random.Random(0), tmp_path / "killed"
    for number in range(9):
        before = newest(folder)
        process = start(in_one_process, folder, changes, 0.05)
        while number % 3 and process.is_alive() and newest(folder) == before:
            time.sleep(0.002)
        process.join(moments.uniform(0, 0.12))
        assert process.is_alive(), "the run must be longer than what the kills leave of it"
        process.kill()
        process.join()
    start(in_one_process, folder, changes, 0.0).join(60)
    assert_same(tmp_path / "whole", folder)
    assert not list(folder.rglob("*.tmp"))


def newest(folder: Path) -> str:
    """The name of the newest checkpoint."""
    return max((path.stem for path in folder.glob("checkpoints/*.json")), default="")


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_train_as_one(name: str, tmp_path: Path) -> None:
    """An odd batch, shared unequally; norms, attacks, augmentation and validation over both processes."""
    changes = {**METHODS[name], "batch": 13, "clip": 1.0, "average": 0.8}
    in_float64(tmp_path / "one", changes)
    run_together(2, in_float64, tmp_path / "two", changes)
    ones, twos = outcome(tmp_path / "one"), outcome(tmp_path / "two")
    for mine, theirs in ((ones[0], twos[0]), (ones[1], twos[1])):
        for key, tensor in mine.items():
            torch.testing.assert_close(theirs[key], tensor, rtol=1e-9, atol=1e-11)
    for mine_line, theirs_line in zip(ones[2], twos[2], strict=True):
        assert mine_line == pytest.approx(theirs_line, rel=1e-9)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    """Begun by two, stopped in the middle of an epoch, finished by one; what is carried goes along."""
    changes = {"method": "free", "checkpoint_batches": 1, "average": 0.8}
    in_float64(tmp_path / "one", changes)
    run_together(2, stopping_together, tmp_path / "both", changes, 6)
    run_together(2, resuming_together, tmp_path / "both", changes, tmp_path / "start")
    assert (tmp_path / "start").read_text() == "1 2"
    run_together(2, stopping_together, tmp_path / "then", changes, 6)
    resuming_together(tmp_path / "then", changes, tmp_path / "start")
    assert (tmp_path / "start").read_text() == "1 2"
    for folder in ("both", "then"):
        for mine, theirs in zip(outcome(tmp_path / "one")[:2], outcome(tmp_path / folder)[:2], strict=True):
            for key, tensor in mine.items():
                torch.testing.assert_close(theirs[key], tensor, rtol=1e-9, atol=1e-11)
