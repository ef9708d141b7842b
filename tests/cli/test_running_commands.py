"""train, attack and tables on handwritten digits, as they are typed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from robdsl.cli.progress import Line

from robdsl import compile, load, save_weights
from robdsl.attacks import ATTACKS
from robdsl.training import BatchDone, Event, Started
from tests.cli.conftest import Run

NET = """net tiny(classes=10) {
    input 3 x 32 x 32
    avg_pool(4) | conv(3, 8) | batch_norm | relu
    conv(3, 16, stride=2) | batch_norm | relu
    global_avg_pool | flatten | linear(classes)
}
"""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def _train(robdsl: Run) -> Path:
    Path("tiny.rob").write_text(NET, encoding="utf-8")
    done = robdsl("train", "tiny.rob", "--epochs", 2, "--steps", 1, "--device", "cpu", "-o", "run")
    assert done.status == 0, done.err
    return Path("run")


def test_train_then_attack(robdsl: Run) -> None:
    folder = _train(robdsl)
    assert len((folder / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    again = robdsl("train", "tiny.rob", "--epochs", 2, "--steps", 1, "--device", "cpu", "-o", "run")
    assert again.status == 0  # the same command finds nothing left to do

    done = robdsl(
        "attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--attack", "fgsm,pgd3",
        "--limit", 64, "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert report["natural"]["total"] == 64
    assert [each["name"] for each in report["attacks"]] == ["fgsm", "pgd3"]
    assert report["worst_case"]["correct"] <= report["natural"]["correct"]
    assert report["manifest"]["architecture"] == (folder / "net.rob").read_text(encoding="utf-8")

    table = robdsl(
        "attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--attack", "fgsm", "--limit", 64,
        "--device", "cpu", "--per-class",
    )  # fmt: skip
    assert "natural" in table.out
    assert "95% interval" in table.out
    for label in ("0", "9"):
        assert re.search(rf"^{label} +[0-9.]+% +[0-9.]+%$", table.out, re.MULTILINE)

    # Three evaluations, three reports; the first one's again is its own.
    assert report["report"] == "runs/attack-tiny-digits/report.json"
    assert "report: runs/attack-tiny-digits/report-2.json" in table.out
    for seed, name in ((1, "report-3.json"), (0, "report-2.json")):
        more = robdsl(
            "attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--attack", "fgsm", "--limit", 64,
            "--device", "cpu", "--seed", seed,
        )  # fmt: skip
        assert f"report: runs/attack-tiny-digits/{name}" in more.out


def test_a_frozen_model_counts_what_the_compiled_one_counts(robdsl: Run) -> None:
    """In reports of their own, whose manifests say which is which."""
    folder = _train(robdsl)
    reports = []
    for option in ((), ("--not-frozen",), ("--frozen",)):
        done = robdsl(
            "attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--attack", "fgsm,pgd3",
            "--limit", 96, "--device", "cpu", "--json", *option,
        )  # fmt: skip
        assert done.status == 0, done.err
        reports.append(json.loads(done.out))
    usual, compiled, frozen = reports
    assert [each["manifest"]["settings"]["frozen"] for each in reports] == [True, False, True]
    assert usual["report"] == frozen["report"] != compiled["report"]
    assert compiled["natural"] == frozen["natural"] and 0 < compiled["natural"]["correct"] < 96
    for ours, theirs in zip(frozen["attacks"], compiled["attacks"], strict=True):
        assert ours["name"] == theirs["name"] and ours["robust"] == theirs["robust"]
    assert compiled["manifest"]["weights_hash"] == frozen["manifest"]["weights_hash"]


def test_every_attack_is_in_the_help_and_in_the_table(robdsl: Run) -> None:
    """None of their names cut off, whatever the terminal; a class without images is a dash."""
    said = re.sub(r"[^a-z0-9_]+", " ", robdsl("attack", "--help").out).split()
    assert ATTACKS.keys() <= set(said)
    folder = _train(robdsl)
    names = [*(ATTACKS.keys() - {"cw_l2", "square"}), "pgd2_l2"]
    done = robdsl(
        "attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--attack", ",".join(names),
        "--limit", 2, "--device", "cpu", "--per-class",
    )  # fmt: skip
    assert done.status == 0, done.err
    head = next(line for line in done.out.splitlines() if line.startswith("class"))
    kinds = {"pgd": "pgd20", "bim": "bim20", "cw": "cw20"}
    assert head.split() == ["class", "natural", *(kinds.get(name, name) for name in names), "worst", "case"]
    assert (
        len(re.findall(r"^\d(?: +-)+ *$", done.out, re.MULTILINE)) >= 8
    )  # two images have at most two classes
    assert "nan" not in done.out


def test_budgets_of_both_norms(robdsl: Run) -> None:
    """Without --eps each norm has its own; a budget above 1 makes sense in L2 alone."""
    folder = _train(robdsl)
    command = ("attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--device", "cpu")
    done = robdsl(*command, "--limit", 2, "--attack", "pgd2,pgd2_l2", "--restarts", 2, "--json")
    settings = json.loads(done.out)["manifest"]["settings"]["attacks"]
    assert [(each["eps"], each["step_size"]) for each in settings] == [
        ("8/255", "2/255"),
        ("128/255", "15/255"),
    ]
    assert [each["restarts"] for each in settings] == [2, 2]
    wide = robdsl(*command, "--limit", 2, "--attack", "pgd2_l2", "--eps", 3)
    assert wide.status == 0, wide.err
    for options, option in (
        (("--eps", 8), "--eps"),
        (("--eps", "16/8"), "--eps"),
        (("--eps", "-1/255"), "--eps"),
        (("--step-size", "two"), "--step-size"),
        (("--precision", "half"), "--precision"),
        (("--attack", "pgd2,pgd2"), "--attack"),
    ):
        done = robdsl(*command, *options)
        assert done.status == 2
        assert f"Invalid value for {option}" in done.err


def test_what_makes_figures_doubtful_is_said(robdsl: Run) -> None:
    """A net that gives every image one class is warned of, on the terminal and in the JSON."""
    Path("tiny.rob").write_text(NET, encoding="utf-8")
    model = compile(load("tiny.rob"), seed=0)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    save_weights(model, "zero.safetensors")
    done = robdsl(
        "attack", "tiny.rob", "--weights", "zero.safetensors", "--attack", "fgsm", "--limit", 64, "--json"
    )
    assert done.status == 0
    codes = [each["code"] for each in json.loads(done.out)["findings"]]
    assert "A109" in codes
    assert re.findall(r"^(?:warning|error)\[(A\d+)\]: ", done.err, re.MULTILINE) == codes
    assert done.err.count("= help: ") == len(codes)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--cutout", 3, "cutout must be an even number"),
        ("--seed", 1 << 63, "--seed"),
        ("--seed", -1, "--seed"),
        ("--eps", 8, "did you mean"),
        ("--workers", -1, "--workers"),
        ("--epochs", 0, "epochs must lie between"),
    ],
)
def test_train_refuses_what_makes_no_sense(option: str, value: object, words: str, robdsl: Run) -> None:
    """As a wrong call, before anything is written."""
    Path("tiny.rob").write_text(NET, encoding="utf-8")
    done = robdsl("train", "tiny.rob", option, value, "--device", "cpu", "-o", "run")
    assert done.status == 2
    assert words in done.err
    assert not Path("run").exists()


def test_a_run_that_is_under_way_can_be_attacked(robdsl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text is there from the start, beside whatever weights there are."""
    Path("tiny.rob").write_text(NET, encoding="utf-8")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("robdsl.training.run.Run._train_batch", stop)
    assert robdsl("train", "tiny.rob", "--epochs", 1, "--device", "cpu", "-o", "run").status != 0
    assert load("run/net.rob").hash == load("tiny.rob").hash


def test_attack_says_what_is_wrong(robdsl: Run) -> None:
    folder = _train(robdsl)
    weights = folder / "best.safetensors"
    assert robdsl("attack", "tiny.rob", "--weights", weights, "--attack", "pdg20").status == 2
    missing = robdsl("attack", "tiny.rob", "--weights", "nowhere.safetensors")
    assert missing.status == 1
    assert "nowhere.safetensors" in missing.err
    other = robdsl("attack", "robnet_small", "--weights", weights, "--set", "width=4", "--set", "layers=3")
    assert other.status == 1
    assert "Traceback" not in other.err


def test_graphs_are_for_gpus(robdsl: Run) -> None:
    """On a CPU the same counts come from steps taken one by one, and a line says so."""
    folder = _train(robdsl)
    command = (
        "attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--attack", "pgd3", "--limit", 64,
        "--device", "cpu", "--json",
    )  # fmt: skip
    plain, graphed = robdsl(*command, "-o", "plain"), robdsl(*command, "--cuda-graphs", "-o", "graphed")
    assert plain.status == graphed.status == 0, graphed.err
    assert "--cuda-graphs: there is no graph on cpu; steps were taken one by one" in graphed.err
    counts = [json.loads(done.out)["attacks"][0]["robust"] for done in (plain, graphed)]
    assert counts[0] == counts[1]
    again = robdsl(
        "train", "tiny.rob", "--epochs", 1, "--steps", 1, "--device", "cpu", "--cuda-graphs", "-o", "other"
    )
    assert again.status == 0, again.err
    assert "--cuda-graphs: there is no graph on cpu; steps were taken one by one" in again.err
    other = robdsl(*command, "--cuda-graphs", "--backend", "foolbox")
    assert other.status == 2
    assert "only robdsl's own attacks" in other.err


@pytest.mark.gpu
def test_graphs_on_a_gpu(robdsl: Run) -> None:
    folder = _train(robdsl)
    done = robdsl(
        "attack", folder / "net.rob", "--weights", folder / "best.safetensors", "--attack", "pgd3", "--limit", 64,
        "--batch", 16, "--device", "cuda", "--cuda-graphs",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "--cuda-graphs: 9 steps replayed, 3 taken one by one" in done.err
    trained = robdsl("train", "tiny.rob", "--epochs", 1, "--device", "cuda", "--cuda-graphs", "-o", "other")
    assert trained.status == 0, trained.err
    assert " replayed, " in trained.err and "could not" not in trained.err


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(robdsl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_in(epoch: int) -> Callable[..., None]:
        def interrupt(line: Line, event: Event) -> None:
            # Of the last batch of an epoch it is always told, of others as time passes.
            if isinstance(event, BatchDone) and event.epoch == epoch and event.batch + 1 == event.batches:
                raise KeyboardInterrupt

        return interrupt

    Path("tiny.rob").write_text(NET, encoding="utf-8")
    command = ("train", "tiny.rob", "--epochs", 3, "--method", "natural", "--device", "cpu", "-o", "run")
    go_on = "; go on with: robdsl " + " ".join(map(str, command))
    for epoch, options, said in (
        (0, (), "0 of 3 epochs are kept in run, the unfinished one is not (--checkpoint-batches N keeps parts of it)"),
        (1, (), "1 of 3 epochs are kept in run, the unfinished one is not (--checkpoint-batches N keeps parts of it)"),
        (2, ("--checkpoint-batches", 5), "2 of 3 epochs are kept in run, and the next one up to its last checkpoint, "
         "5 batches apart"),
    ):  # fmt: skip
        monkeypatch.setattr("robdsl.cli.train.show_training", stop_in(epoch))
        done = robdsl(*command, *options)
        assert done.status == 1
        assert done.err == f"stopped: {said}{go_on}{''.join(f' {each}' for each in options)}\n"
    begun: list[Started] = []

    def listen(line: Line, event: Event) -> None:
        if isinstance(event, Started):
            begun.append(event)

    monkeypatch.setattr("robdsl.cli.train.show_training", listen)
    assert robdsl(*command, *options).status == 0
    assert [event.epoch for event in begun] == [2] and begun[0].batch % 5 == 0 < begun[0].batch


def test_ctrl_c_while_attacking(robdsl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    folder = _train(robdsl)
    monkeypatch.setattr("robdsl.cli.attack.show_evaluation", interrupt)
    done = robdsl("attack", folder / "net.rob", "--weights", folder / "best.safetensors", "-o", "found")
    assert done.status == 1
    assert done.err.startswith(
        "stopped: what was found so far is kept in found; go on with: robdsl attack run/net.rob"
    )
    assert list(Path("found").glob("*.jsonl"))


def test_data_that_are_not_there(robdsl: Run) -> None:
    done = robdsl("train", "robnet_small", "--data", "cifar10", "--data-root", "nowhere")
    assert done.status == 1
    assert "cifar-10" in done.err
    assert robdsl("train", "robnet_small", "--data", "cifar11").status == 1


@pytest.mark.slow
def test_tables(robdsl: Run) -> None:
    done = robdsl("tables", "--only", "resnet18", "--epochs", 1, "--steps", 1, "--device", "cpu", "-o", "out")
    assert done.status == 0, done.err
    page = (Path("out") / "tables.md").read_text(encoding="utf-8")
    assert "digits version" in page
    assert "| resnet18(width=8) |" in page
