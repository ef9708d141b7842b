"""What a run does, tells and leaves behind."""

from __future__ import annotations

import builtins
import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from robdsl.attacks import PGD
from robdsl.attacks.core.graphed import graphed_steps
from robdsl.data import ImageData, load_data
from robdsl.evaluation import evaluate, text_hash, weights_hash
from robdsl.training import (
    BatchDone,
    EpochDone,
    Event,
    Finished,
    MethodName,
    MissingExtraError,
    Started,
    TensorBoard,
    WeightAverage,
    recipe_for,
    tell,
    train,
)
from tests.attacks.recording import record_on_cpu
from tests.training.workers import Net, blobs, make_net, small_recipe, small_run


def test_a_run_leaves_weights_history_and_manifest(tmp_path: Path) -> None:
    model, train_data, val_data = make_net(), blobs(), blobs(24, seed=1)
    initial = weights_hash(model.state_dict())
    result = train(
        model,
        train_data,
        val_data,
        small_recipe(),
        tmp_path,
        architecture="net a {}",
        command="robdsl train a.rob",
    )
    last, best = load_file(result.last), load_file(result.best)
    assert weights_hash(last) == weights_hash(model.state_dict()) != initial
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == list(result.history) and [line["epoch"] for line in lines] == [0, 1, 2]
    assert [line["updates"] for line in lines] == [4, 8, 12]
    for line in lines:
        assert line["robust_gap"] == line["train_robust"] - line["val_robust"]
        assert line["train_images"] == line["val_images"] == 20
        assert line["seconds"] > 0 and line["images_per_second"] > 0
    manifest = json.loads(result.manifest.read_text())
    assert manifest["weights_hash"] == manifest["training"]["best"] == weights_hash(best)
    assert manifest["training"]["last"] == weights_hash(last) and manifest["training"]["initial"] == initial
    assert manifest["training"]["best_epoch"] == result.best_epoch
    assert manifest["settings"]["eps"] == "8/255" and manifest["seed"] == 0
    assert (
        manifest["architecture_hash"] == text_hash("net a {}") and manifest["command"] == "robdsl train a.rob"
    )
    assert [part["hash"] for part in manifest["data"]] == [train_data.split_hash, val_data.split_hash]


def test_the_record_is_what_an_evaluation_finds(tmp_path: Path) -> None:
    """In evaluation mode, under the validation attack, on the fixed sample; the best epoch is best there."""
    recipe = small_recipe(lr=0.3, epochs=6)
    result = small_run(tmp_path, recipe)
    scores = [(line["val_robust"], line["val_natural"]) for line in result.history]
    assert result.best_epoch == scores.index(max(scores))
    net = make_net()
    for file, record in ((result.best, result.history[result.best_epoch]), (result.last, result.history[-1])):
        net.load_state_dict(load_file(file))
        attack = PGD(steps=recipe.validation_steps)
        for name, data in (("train", blobs()), ("val", blobs(24, seed=1))):
            report = evaluate(net, data.take(20), [attack], batch=8)
            assert report.natural.share == record[f"{name}_natural"]
            # The draws differ, and so may a borderline example.
            assert abs(report.worst_case.share - float(str(record[f"{name}_robust"]))) <= 0.1


def test_the_average_is_what_is_judged_and_kept(tmp_path: Path) -> None:
    result = small_run(tmp_path / "with", small_recipe(average=0.8, method="natural"))
    plain = small_run(tmp_path / "without", small_recipe(method="natural"))
    averaged, live = load_file(result.last), load_file(plain.last)
    assert not torch.equal(averaged["head.weight"], live["head.weight"])
    model = make_net()
    average = WeightAverage(model, 0.8)
    assert average.state().keys() == averaged.keys()
    model.load_state_dict(averaged)
    report = evaluate(model, blobs(24, seed=1).take(20), [], batch=8)
    assert report.natural.share == result.history[-1]["val_natural"]


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    result = train(make_net(), blobs(), None, small_recipe(epochs=2), tmp_path)
    assert result.best_epoch == 1 and result.best.read_bytes() == result.last.read_bytes()
    assert "val_robust" not in result.history[0]


def test_events_tell_the_way(tmp_path: Path) -> None:
    events: list[Event] = []
    twice: list[Event] = []
    small_run(tmp_path, small_recipe(), events=tell(events.append, None, twice.append))
    assert events == twice
    assert isinstance(events[0], Started) and (events[0].epochs, events[0].batches) == (3, 4)
    assert isinstance(events[-1], Finished) and events[-1].best == tmp_path / "best.safetensors"
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [event.record["epoch"] for event in epochs] == [0, 1, 2]
    assert epochs[0].seconds_left > epochs[1].seconds_left > epochs[2].seconds_left == 0
    ends = [event for event in events if isinstance(event, BatchDone) and event.batch == 3]
    assert [event.epoch for event in ends] == [0, 1, 2]
    for event, record in zip(ends, epochs, strict=True):
        assert event.loss == record.record["loss"] and event.images_per_second > 0


def test_the_hook_sees_every_batch(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    small_run(tmp_path, small_recipe(epochs=2), before_batch=lambda epoch, batch: seen.append((epoch, batch)))
    assert seen == [(epoch, batch) for epoch in range(2) for batch in range(4)]


def test_seeds_decide_and_the_caller_s_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = make_net()
    state = torch.get_rng_state()
    train(model, blobs(), None, small_recipe(epochs=1), tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    train(again := make_net(), blobs(), None, small_recipe(epochs=1), tmp_path / "b")
    train(other := make_net(), blobs(), None, small_recipe(epochs=1, seed=1), tmp_path / "c")
    assert (
        weights_hash(model.state_dict())
        == weights_hash(again.state_dict())
        != weights_hash(other.state_dict())
    )


def test_dropout_draws_go_on_after_an_interruption(tmp_path: Path) -> None:
    def net() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(Net(), nn.Dropout(0.3))

    def stop(epoch: int, batch: int) -> None:
        torch.rand(7)  # whatever else draws must not matter
        if (epoch, batch) == (1, 2):
            raise KeyboardInterrupt

    whole, stopped = net(), net()
    recipe = small_recipe(method="natural", checkpoint_batches=1, epochs=2)
    train(whole, blobs(), None, recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, blobs(), None, recipe, tmp_path / "stopped", before_batch=stop)
    resumed = net()
    train(resumed, blobs(), None, recipe, tmp_path / "stopped")
    assert weights_hash(resumed.state_dict()) == weights_hash(whole.state_dict())


def test_clipping_limits_the_gradient(tmp_path: Path) -> None:
    """One update of one batch: the weights move by the rate times a gradient of norm ``clip``."""
    recipe = small_recipe(method="natural", epochs=1, batch=48, clip=1e-3, warmup_epochs=0, weight_decay=0.0)
    model, before = make_net(), make_net()
    train(model, blobs(), None, recipe, tmp_path)
    moved = [(a - b).flatten() for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(0.1 * 48 / 12 * 1e-3, rel=1e-3)


def test_bf16_trains(tmp_path: Path) -> None:
    result = small_run(tmp_path, small_recipe(bf16=True, epochs=6, lr=0.3))
    assert all(tensor.dtype != torch.bfloat16 for tensor in load_file(result.last).values())
    losses = [float(str(record["loss"])) for record in result.history]
    assert losses[-1] < losses[0]
    assert losses != [
        record["loss"] for record in small_run(tmp_path / "b", small_recipe(epochs=6, lr=0.3)).history
    ]


def test_channels_last_only_changes_the_memory_order(tmp_path: Path) -> None:
    net = make_net(dtype=torch.float64)
    recipe = small_recipe(channels_last=True)
    result = train(net, blobs(), None, recipe, tmp_path / "a")
    assert net.first.weight.is_contiguous(memory_format=torch.channels_last)
    plain = train(make_net(dtype=torch.float64), blobs(), None, small_recipe(), tmp_path / "b")
    for name, tensor in load_file(plain.last).items():
        torch.testing.assert_close(load_file(result.last)[name], tensor, rtol=1e-8, atol=1e-10)


def test_tensorboard_has_every_epoch_once(tmp_path: Path) -> None:
    """Stopped after the line of an epoch, whose scalars are then written again."""

    def stop(epoch: int, batch: int) -> None:
        if (epoch, batch) == (2, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", small_recipe(), events=TensorBoard(tmp_path / "board"), before_batch=stop)
    result = small_run(tmp_path / "run", small_recipe(), events=TensorBoard(tmp_path / "board"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensorboard's own reader
        reader = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
        board = reader.EventAccumulator(str(tmp_path / "board"))
        board.Reload()
        for name in ("loss", "val_robust", "robust_gap", "rate"):
            scalars = [(point.step, point.value) for point in board.Scalars(name)]
            assert scalars == [(n, pytest.approx(record[name])) for n, record in enumerate(result.history)]


def test_a_missing_tensorboard_gives_the_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith(("tensorboard", "torch.utils.tensorboard")):
            raise ImportError("No module named 'tensorboard'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'robdsl\[tensorboard\]'"):
        TensorBoard(tmp_path)


def test_methods_that_overfit_show_it(tmp_path: Path) -> None:
    """Labels that are noise can only be learned by heart: the gap between training and validation opens."""
    data = blobs()
    noise = torch.randint(0, 4, (48,), generator=torch.Generator().manual_seed(0))
    noisy = ImageData(data.facts, "train", data.classes, data.images, noise, data.source)
    recipe = small_recipe(
        epochs=25,
        lr=0.5,
        cutout=0,
        crop_padding=0,
        flip=False,
        validation_images=48,
        weight_decay=0.0,
        eps="1/255",
    )
    torch.manual_seed(0)
    result = train(Net(width=24), noisy, blobs(24, seed=1), recipe, tmp_path)
    first, last = result.history[0], result.history[-1]
    assert float(str(last["robust_gap"])) > float(str(first["robust_gap"])) + 0.2


class SmallResNet(nn.Module):
    """A residual net for 32 x 32 images, small enough for two busy cores."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 4, stride=4, bias=False), nn.BatchNorm2d(width))
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.head = nn.Linear(16 * width, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.stem(images))
        hidden = torch.relu(hidden + self.block(hidden))
        logits: Tensor = self.head(nn.functional.avg_pool2d(hidden, 2).flatten(1))
        return logits


def test_adversarial_training_gains_robustness_on_digits(tmp_path: Path) -> None:
    """On the real test digits, under an attack stronger than that of training."""
    robust = {}
    methods: tuple[MethodName, ...] = ("natural", "pgd")
    for method in methods:
        torch.manual_seed(0)
        net = SmallResNet()
        recipe = recipe_for(
            "digits",
            method,
            epochs=4,
            warmup_epochs=2,
            eps="16/255",
            step_size="4/255",
            validation_step_size="4/255",
        )
        result = train(net, load_data(), load_data(split="val"), recipe, tmp_path / method)
        net.load_state_dict(load_file(result.best))
        attack = PGD(eps=recipe.eps, step_size=recipe.step_size, steps=20)
        report = evaluate(net, load_data(split="test"), [attack])
        assert report.natural.share > 0.9
        robust[method] = report.worst_case
    assert robust["pgd"].interval[0] > robust["natural"].interval[1] + 0.4


@pytest.mark.parametrize("method", ["pgd", "trades"])
def test_steps_that_are_replayed_train_the_same_weights(
    method: MethodName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights move under a recorded step, and each replay sees where they are."""
    made = []
    for name in ("plain", "graphed"):
        model = make_net()
        if name == "plain":
            train(model, blobs(), blobs(24, seed=1), small_recipe(method=method), tmp_path / name)
        else:
            record_on_cpu(monkeypatch)
            with graphed_steps() as graphs:
                train(model, blobs(), blobs(24, seed=1), small_recipe(method=method), tmp_path / name)
            assert graphs.replays > graphs.plain > 0 and graphs.refused == 0
        made.append(weights_hash(model.state_dict()))
    assert made[0] == made[1]
