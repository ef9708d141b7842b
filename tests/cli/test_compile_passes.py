"""What ``robdsl compile`` tells of the passes, as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run

NET = """cell c() {
    in x
    x -> a : relu | conv(3) | batch_norm
    x -> b : relu | conv(1) | batch_norm
    a, b -> out
}
net tiny {
    input 3 x 8 x 8
    conv(3, 4)
    repeat 2 { c() }
    global_avg_pool | flatten | linear(3)
}
"""
TRAIN = ["zeros", "identities", "common", "channels-last", "concatenate", "dead", "early", "in-place"]
FOLDING = ["fold-norms", "zeros", "fold-constants", "identities", "share-relus", "common"]


@pytest.fixture(autouse=True)
def _file(robdsl: Run) -> None:
    """A file in the folder that commands run in, which only its text may be left in."""
    Path("tiny.rob").write_text(NET, encoding="utf-8")


def _wrote_nothing() -> bool:
    return [each.name for each in Path.cwd().iterdir()] == ["tiny.rob"]


def test_explain(robdsl: Run) -> None:
    done = robdsl("compile", "tiny.rob", "--explain")
    assert done.status == 0, done.err
    first = [line.split("  ")[0] for line in done.out.splitlines()]
    assert [line[9:] for line in first if line.startswith("compile: ")] == ["plain", *TRAIN]
    frozen = [line[8:] for line in first if line.startswith("freeze: ")]
    assert frozen[:7] == ["plain", *FOLDING] and frozen[-1] == "in-place" and "channels-last" in frozen
    assert "cpu" in done.out and "merging: " in done.out and "the floor" in done.out
    assert "pass took" not in done.out and _wrote_nothing()


def test_explain_as_json(robdsl: Run) -> None:
    """Its numbers are those of the table, and of the net itself: two convolutions in each cell, once each way."""
    found = json.loads(robdsl("compile", "tiny.rob", "--explain", "--json").out)
    assert (found["net"], found["target"]) == ("tiny", "cpu") and found["merging"]
    rows = {(row["pipeline"], row["after"]): row for row in found["passes"]}
    assert [after for way, after in rows if way == "compile"] == ["plain", *TRAIN]
    plain, common = rows["compile", "plain"], rows["compile", "common"]
    macs = 64 * (27 * 4 + 2 * (36 * 4 + 4 * 4)) + 4 * 3
    assert plain["macs"] == 2 * macs
    assert common["calls"] < plain["calls"] and common["bytes"] < plain["bytes"]
    assert 0 < found["floor_seconds"] <= rows["freeze", "in-place"]["seconds"] < plain["seconds"]
    table = robdsl("compile", "tiny.rob", "--explain").out
    for (way, after), row in rows.items():
        assert re.search(rf"^{way}: {after} .* {row['calls']} ", table, re.MULTILINE)


@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
def test_target(robdsl: Run, target: str) -> None:
    """A faster machine has a lower floor, and runs kernels instead of a CPU's layout."""
    ours, cpu = (
        json.loads(robdsl("compile", "tiny.rob", "--explain", "--json", "--target", each).out)
        for each in (target, "cpu")
    )
    assert ours["target"] == target
    assert ours["floor_seconds"] / ours["batch"] < cpu["floor_seconds"] / cpu["batch"]
    frozen = {row["after"] for row in ours["passes"] if row["pipeline"] == "freeze"}
    assert "channels-last" not in frozen and "fuse-stages" in frozen


def test_passes(robdsl: Run) -> None:
    given = "fold-norms, merge-pointwise{least=2}, dead"
    found = json.loads(robdsl("compile", "tiny.rob", "--explain", "--json", "--passes", given).out)
    frozen = [row["after"] for row in found["passes"] if row["pipeline"] == "freeze"]
    assert frozen == ["plain", "fold-norms", "merge-pointwise", "dead"] and found["merging"] is None
    plain = json.loads(robdsl("compile", "tiny.rob", "--explain", "--json", "--passes", "").out)
    assert [row["after"] for row in plain["passes"] if row["pipeline"] == "freeze"] == ["plain"]


def test_print_after(robdsl: Run) -> None:
    """The code of each distinct cell once, in both pipelines that the pass is in."""
    done = robdsl("compile", "tiny.rob", "--print-after", "common")
    assert done.status == 0, done.err
    compiled, frozen = done.out.split("# freeze, after common\n")
    assert compiled.startswith("# compile, after common\n")
    assert compiled.count("relu_0(") == 1  # of the two ReLUs of the text, in the one cell that is repeated
    assert "batch_norm" in compiled and "tiny.rob" in compiled
    assert "batch_norm" not in frozen
    assert _wrote_nothing()
    once = robdsl("compile", "tiny.rob", "--print-after", "fold-norms", "--passes", "fold-norms")
    assert once.out.count("# freeze, after fold-norms\n") == 1 and "# compile" not in once.out


def test_time_passes(robdsl: Run) -> None:
    done = robdsl("compile", "tiny.rob", "--time-passes", "--passes", "fold-norms, dead")
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[:2] for line in lines] == [["compile", each] for each in TRAIN] + [
        ["freeze", "fold-norms"], ["freeze", "dead"],
    ]  # fmt: skip
    assert all(float(took) >= 0 and unit == "ms" for _, _, took, unit in lines)
    both = robdsl("compile", "tiny.rob", "--time-passes", "--explain")
    assert "pass took" in both.out and _wrote_nothing()


def test_time_passes_as_json(robdsl: Run) -> None:
    done = robdsl("compile", "tiny.rob", "--time-passes", "--json", "--passes", "dead")
    assert done.status == 0, done.err
    rows = json.loads(done.out)["passes"]
    assert [(row["pipeline"], row["after"]) for row in rows] == [("compile", each) for each in TRAIN] + [
        ("freeze", "dead")
    ]
    assert all(row["took"] >= 0 for row in rows)


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (("--explain", "--target", "gpu"), 2, "cpu, sm_80, sm_90"),
        (("--explain", "--passes", "ded"), 2, "there is no pass `ded`"),
        (("--explain", "--passes", "dead,"), 2, "comma"),
        (("--print-after", "ded"), 2, "there is no pass `ded`"),
        (("--print-after", "fuse-stages"), 1, "--passes"),
        (("--passes", "dead"), 2, "--explain"),
        (("--target", "sm_90"), 2, "--explain"),
        (("--explain", "-o", "x.py"), 2, "writes nothing"),
        (("--time-passes", "--emit", "onnx"), 2, "writes nothing"),
        (("--print-after", "dead", "--json"), 2, "--print-after"),
    ],
)
def test_what_is_wrong(robdsl: Run, given: tuple[str, ...], status: int, said: str) -> None:
    done = robdsl("compile", "tiny.rob", *given)
    assert done.status == status
    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", done.err).split())
    assert said in shown and "Traceback" not in shown
    assert done.out == "" and _wrote_nothing()


def test_help_says_how(robdsl: Run) -> None:
    shown = " ".join(robdsl("compile", "--help").out.replace("│", " ").split())
    assert "[default: (what pays on the target)]" in shown and "[default: (NET.SUFFIX)]" in shown
    for option in ("--explain", "--target", "--passes", "--print-after", "--time-passes", "--json"):
        assert option in shown


def test_code_after_a_pass_for_a_gpu(robdsl: Run) -> None:
    """The pipeline is the target's own; what it has not is said with the way to it."""
    command = "compile", "tiny.rob", "--print-after", "move-heads"
    done = robdsl(*command, "--target", "sm_90")
    assert done.status == 0 and "# freeze, after move-heads" in done.out, done.err
    refused = robdsl(*command)
    assert refused.status == 1 and "for cpu: name another --target" in refused.err
    timed = robdsl("compile", "tiny.rob", "--time-passes", "--target", "sm_80")
    assert "fuse-stages" in timed.out and "channels-last" not in timed.out and _wrote_nothing()
    explained = robdsl("compile", "tiny.rob", "--explain", "--target", "sm_90")
    assert "gather" in explained.out and "channels-last" not in explained.out
