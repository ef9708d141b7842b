"""Evaluation: counts against a plain loop, resumption, and sharing between processes."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_model, save_file
from scipy.stats import binomtest
from torch import nn

from robdsl.attacks import FGSM, PGD, parse_attack
from robdsl.data import ImageData, generator, load_data
from robdsl.evaluation import (
    Accuracy,
    EvaluationProgress,
    Report,
    evaluate,
    make_manifest,
    text_hash,
    weights_hash,
    wilson_interval,
)
from robdsl.evaluation.journal import Entry, Journal
from robdsl.files import DiskFullError
from tests.training.processes import run_together, start

ATTACKS = ("fgsm", "pgd3", "deepfool")


@cache
def digits(count: int = 70) -> ImageData:
    data = load_data("digits", split="test")
    assert isinstance(data, ImageData)
    return data.take(count)


def make_model(seed: int = 0) -> nn.Module:
    model = blank_model()
    model.load_state_dict(fitted_weights(seed))
    return model


def blank_model() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 10))


@cache
def fitted_weights(seed: int) -> dict[str, torch.Tensor]:
    """A linear net fitted to part of the digits: good enough that attacks have something to break."""
    train = load_data("digits")
    assert isinstance(train, ImageData)
    images, labels = train.take(400).tensors()
    torch.manual_seed(seed)
    model = blank_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.state_dict()


def comparable(report: Report) -> dict[str, Any]:
    """The report without what may differ between equal runs: times and the machine."""
    data: dict[str, Any] = json.loads(json.dumps(report.to_json()))
    data["manifest"].pop("device")
    data["manifest"].pop("command")
    for attack in data["attacks"]:
        attack.pop("seconds")
    return data


def test_counts_equal_a_plain_loop() -> None:
    model, data = make_model(), digits()
    report = evaluate(model, data, ATTACKS, batch=32, seed=3)
    images, labels = data.tensors()
    clean = model(images).argmax(1) == labels
    assert report.natural == Accuracy(int(clean.sum()), 70)
    assert 0.5 < report.natural.share < 1
    worst = clean.clone()
    for name in ATTACKS:
        attack, right = parse_attack(name), []
        for number, first in enumerate(range(0, 70, 32)):
            draws = generator("cpu", 3, "evaluate", attack.name, number)
            batch = slice(first, first + 32)
            adversarial = attack(model, images[batch], labels[batch], generator=draws).images
            right.append(model(adversarial).argmax(1) == labels[batch])
        under = torch.cat(right)
        found = report.attack(attack.name)
        assert found.adversarial == Accuracy(int(under.sum()), 70)
        assert found.robust == Accuracy(int((under & clean).sum()), 70)
        for label, part in enumerate(found.per_class):
            members = labels == label
            assert part == Accuracy(int((under & clean)[members].sum()), int(members.sum()))
        worst &= under
    assert report.worst_case == Accuracy(int(worst.sum()), 70)
    assert report.worst_case.correct == sum(part.correct for part in report.worst_case_per_class)
    assert report.natural.correct == sum(part.correct for part in report.natural_per_class)
    assert report.worst_case.correct < report.natural.correct
    assert report.attack("pgd3").forward == 3 * 4 and report.attack("pgd3").backward == 3 * 3
    with pytest.raises(KeyError):
        report.attack("pgd20")


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    )
    model.train()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, digits(10), ["fgsm"])
    assert model.training and not model[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_transfer_judges_the_target_on_the_source_s_images() -> None:
    model, source, data, attack = (
        make_model(0),
        make_model(1),
        digits(),
        PGD(steps=5, eps="24/255", step_size="8/255"),
    )
    report = evaluate(model, data, [attack], source=source, batch=70, seed=1)
    images, labels = data.tensors()
    adversarial = attack(source, images, labels, generator=generator("cpu", 1, "evaluate", "pgd5", 0)).images
    assert report.attack("pgd5").adversarial.correct == int((model(adversarial).argmax(1) == labels).sum())
    white = evaluate(model, data, [attack], batch=70, seed=1)
    assert white.attack("pgd5").robust.correct < report.attack("pgd5").robust.correct


def test_progress_is_told_for_every_batch() -> None:
    seen: list[EvaluationProgress] = []
    report = evaluate(make_model(), digits(), ["fgsm", "pgd3"], batch=32, events=seen.append)
    assert [(event.batch, event.attack) for event in seen] == [
        (batch, attack) for batch in range(3) for attack in ("natural", "fgsm", "pgd3")
    ]
    assert [event.done for event in seen] == list(range(1, 10)) and {event.total for event in seen} == {9}
    assert all(event.seconds_left is not None for event in seen) and seen[-1].seconds_left == 0
    assert [event.at_most for event in seen] == [True, True] + 7 * [False]  # until each attack has been timed
    assert seen[-3].accuracy == report.natural and seen[-1].accuracy == report.attack("pgd3").adversarial


def test_an_interrupted_evaluation_goes_on(tmp_path: Path) -> None:
    model, data = make_model(), digits()
    whole = comparable(evaluate(model, data, ATTACKS, batch=16))

    class StopHere(Exception):
        pass

    seen = 0

    def stop(event: EvaluationProgress) -> None:
        nonlocal seen
        seen += 1
        if seen % 7 == 0:
            raise StopHere

    for _ in range(2):
        with pytest.raises(StopHere):
            evaluate(model, data, ATTACKS, batch=16, folder=tmp_path, events=stop)
    assert seen == 14
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("a") as lines:
        lines.write('{"batch": 4, "attack": "fgsm", "cou')
    events: list[EvaluationProgress] = []
    resumed = evaluate(model, data, ATTACKS, batch=16, folder=tmp_path, events=events.append)
    assert comparable(resumed) == whole
    assert len(events) == 20 - 14 and events[0].done == 15
    again: list[EvaluationProgress] = []
    assert comparable(evaluate(model, data, ATTACKS, batch=16, folder=tmp_path, events=again.append)) == whole
    assert not again


def test_altered_lines_are_computed_again(tmp_path: Path) -> None:
    model, data = make_model(), digits()
    whole = comparable(evaluate(model, data, ["fgsm"], batch=35, folder=tmp_path))
    (file,) = tmp_path.glob("*.jsonl")
    lines = file.read_text().splitlines()
    assert len(lines) == 4
    lines[1] = lines[1].replace('"forward": 2', '"forward": 3')
    lines[2] = "[1, 2]\t00"
    file.write_text("\n".join(lines) + "\n")
    events: list[EvaluationProgress] = []
    assert (
        comparable(evaluate(model, data, ["fgsm"], batch=35, folder=tmp_path, events=events.append)) == whole
    )
    assert len(events) == 2


def test_another_evaluation_does_not_use_the_findings(tmp_path: Path) -> None:
    model, data = make_model(), digits(20)
    settings: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"batch": 10},
        {"attacks": [FGSM(eps="4/255")]},
        {"model": make_model(1)},
        {"data": digits(21)},
        {"source": make_model(1)},
        {"model": make_model().double()},
    ]
    for setting in settings:
        events: list[EvaluationProgress] = []
        asked: dict[str, Any] = {"model": model, "data": data, "attacks": ["fgsm"], "batch": 20, **setting}
        evaluate(**asked, folder=tmp_path, events=events.append)
        assert any(event.done == 1 for event in events), setting
    assert len(list(tmp_path.iterdir())) == len(settings)


def evaluate_to_file(folder: Path, out: Path, seconds: float = 0.0) -> None:
    """What the processes of the tests below do."""
    import time

    def wait(_event: EvaluationProgress) -> None:
        time.sleep(seconds)

    model = blank_model()
    load_model(model, folder.parent / "weights.safetensors")
    report = evaluate(model, digits(), ATTACKS, batch=8, folder=folder, events=wait)
    out.write_text(json.dumps(comparable(report)))


def share(folder: Path, out: Path) -> None:
    from robdsl.data import Ranks

    evaluate_to_file(folder, out / f"{Ranks.current().rank}.json")


def test_two_processes_count_what_one_counts(tmp_path: Path) -> None:
    """70 examples in batches of 8: nine batches, the last one of six, for two processes."""
    save_file(fitted_weights(0), tmp_path / "weights.safetensors")
    whole = comparable(evaluate(make_model(), digits(), ATTACKS, batch=8))
    run_together(2, share, tmp_path / "journal", tmp_path)
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)] == [whole, whole]
    events: list[EvaluationProgress] = []
    alone = evaluate(
        make_model(), digits(), ATTACKS, batch=8, folder=tmp_path / "journal", events=events.append
    )
    assert comparable(alone) == whole and not events


def test_a_killed_evaluation_goes_on(tmp_path: Path) -> None:
    folder, out = tmp_path / "journal", tmp_path / "report.json"
    save_file(fitted_weights(0), tmp_path / "weights.safetensors")
    process = start(evaluate_to_file, folder, out, 0.05)
    while not any(file.stat().st_size > 1500 for file in folder.glob("*.jsonl")):
        assert process.is_alive()
        process.join(0.005)
    process.kill()
    process.join()
    assert not out.exists()
    lines = sum(len(file.read_text().splitlines()) for file in folder.glob("*.jsonl"))
    assert 0 < lines < 36
    process = start(evaluate_to_file, folder, out)
    process.join(60)
    assert json.loads(out.read_text()) == comparable(evaluate(make_model(), digits(), ATTACKS, batch=8))


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = make_model(), digits(20)
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("robdsl.files.os.fsync", full)
        with pytest.raises(DiskFullError, match="make room and run the same command again"):
            evaluate(model, data, ["fgsm"], batch=10, folder=tmp_path)
    events: list[EvaluationProgress] = []
    resumed = evaluate(model, data, ["fgsm"], batch=10, folder=tmp_path, events=events.append)
    assert len(events) == 2
    assert comparable(resumed) == comparable(evaluate(model, data, ["fgsm"], batch=10))


def test_the_checks_are_part_of_the_report() -> None:
    model, data = make_model(), digits()
    assert [finding.code for finding in evaluate(model.eval(), data, ["fgsm"]).findings] == []
    training = evaluate(model.train(), data, ["fgsm"])
    assert [finding.code for finding in training.findings] == ["A103"]
    spoiled = nn.Sequential(model.eval(), nn.Softmax(dim=1)).eval()
    report = evaluate(spoiled, data, ["fgsm"])
    assert [finding.code for finding in report.findings] == ["A101"]
    assert json.loads(json.dumps(report.to_json()))["findings"][0]["level"] == "error"
    transfer = evaluate(model, data, ["fgsm"], source=spoiled)
    assert [(finding.code, finding.detail[:10]) for finding in transfer.findings] == [("A101", "the source")]


class Masked(nn.Module):
    """Logits so steep that the cross-entropy and its gradient round to zero."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(images) * 1e6
        return logits


def test_masked_gradients_show_in_the_findings() -> None:
    attacks = [FGSM(eps="32/255"), parse_attack("square200", eps="32/255")]
    report = evaluate(Masked(make_model()).eval(), digits(), attacks)
    assert [finding.code for finding in report.findings] == ["A107", "A111"]
    assert report.attack("square").robust.correct < report.attack("fgsm").robust.correct


def test_two_attacks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="a name of its own"):
        evaluate(make_model(), digits(5), [FGSM(), FGSM(eps="1/255")])


def test_the_paper_s_row() -> None:
    model = make_model()
    row = evaluate(model, digits(), ["mi_fgsm", "fgsm"]).paper_row(sum(p.numel() for p in model.parameters()))
    assert list(row) == ["params_M", "natural", "fgsm", "pgd20", "pgd100", "deepfool", "mi_fgsm"]
    assert row["pgd20"] is None and row["params_M"] == 0.0
    report = evaluate(model, digits(), ["fgsm"])
    assert row["fgsm"] == round(100 * report.attack("fgsm").adversarial.correct / 70, 2)


def test_the_manifest_tells_what_the_figure_came_from() -> None:
    model, data = make_model(), digits(10)
    report = evaluate(
        model, data, [FGSM(eps="8/255")], seed=7, architecture="net a {}", command="robdsl attack a.rob"
    )
    manifest = json.loads(json.dumps(report.manifest.to_json()))
    assert manifest["seed"] == 7 and manifest["settings"]["attacks"][0]["eps"] == "8/255"
    assert manifest["architecture"] == "net a {}" and manifest["architecture_hash"] == text_hash("net a {}")
    assert manifest["weights_hash"] == weights_hash(model.state_dict())
    assert manifest["data"] == [{"name": "digits", "split": "test", "hash": data.split_hash, "images": 10}]
    assert manifest["versions"]["torch"] == torch.__version__.split("+")[0] or manifest["versions"]["torch"]
    assert manifest["device"]["type"] == "cpu" and manifest["device"]["processes"] == 1
    assert manifest["command"] == "robdsl attack a.rob"


def test_the_weights_hash_sees_values_names_and_types_but_not_memory_order() -> None:
    state = {"a": torch.rand(2, 3, 4, 5), "b": torch.tensor(3)}
    same = {"b": state["b"], "a": state["a"].to(memory_format=torch.channels_last)}
    assert weights_hash(state) == weights_hash(same)
    changed = state["a"].clone()
    changed[1, 2, 3, 4] += 1
    others = [
        {"a": changed, "b": state["b"]},
        {"c": state["a"], "b": state["b"]},
        {"a": state["a"].double(), "b": state["b"]},
        {"a": state["a"].reshape(3, 2, 4, 5), "b": state["b"]},
        {"a": state["a"]},
    ]
    assert len({weights_hash(other) for other in others} | {weights_hash(state)}) == 6


@given(total=st.integers(0, 500), share=st.floats(0, 1))
def test_wilson_equals_scipy(total: int, share: float) -> None:
    correct = round(share * total)
    low, high = wilson_interval(correct, total)
    if total:
        expected = binomtest(correct, total).proportion_ci(0.95, method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
        assert 0 <= low <= correct / total <= high <= 1
    else:
        assert (low, high) == (0, 1)


def test_counts_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no count"):
        wilson_interval(3, 2)
    assert Accuracy(0, 0).to_json()["accuracy"] is None


@given(mask=st.lists(st.booleans(), max_size=40))
def test_entries_keep_their_masks(mask: list[bool]) -> None:
    entry = Entry.of(0, "fgsm", torch.tensor(mask, dtype=torch.bool), 1, 1, 0.5)
    assert entry.mask().tolist() == mask and entry.count == len(mask)


def read_line(line: bytes) -> Entry | None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"evaluation-{'0' * 16}-0.jsonl").write_bytes(line)
        return Journal(Path(folder), "0" * 64).get(0, "fgsm", 1)


@given(line=st.binary(max_size=80))
def test_foreign_lines_never_raise(line: bytes) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    "change",
    [
        {"count": 10**12},
        {"count": -1},
        {"count": True, "correct": "2"},
        {"correct": "2"},
        {"correct": "g"},
        {"correct": 1},
        {"batch": "0"},
        {"seconds": "1"},
        {"forward": 1.5},
        {"more": 1},
    ],
)
def test_lines_that_make_no_sense_are_passed_over(change: dict[str, Any]) -> None:
    """With a checksum that fits, as a stranger could make it."""

    def line(changes: dict[str, Any]) -> bytes:
        entry = Entry.of(0, "fgsm", torch.tensor([True]), 1, 1, 0.5)
        body = json.dumps({**dataclasses.asdict(entry), **changes})
        return f"{body}\t{hashlib.blake2b(body.encode(), digest_size=8).hexdigest()}\n".encode()

    assert read_line(line({})) is not None
    assert read_line(line(change)) is None
    assert read_line(line({})[:-1]) is not None and read_line(line({})[:-2]) is None


def test_the_manifest_of_a_net_without_text() -> None:
    from robdsl.data import Ranks

    manifest = make_manifest(
        "training",
        seed=1,
        settings={},
        model=nn.Flatten(),
        data=[digits(5)],
        architecture=None,
        command=None,
        ranks=Ranks(),
    )
    assert manifest.architecture_hash is None and manifest.command
    assert dataclasses.asdict(manifest) == manifest.to_json()
