"""Parts of a benchmark that run in a process of their own: whatever one does, the others are measured and kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.supervised import Outcome, supervise, unfinished

#: Does what the name of a part says, through `report`.
PROGRAM = """
import os, sys, time
from benchmarks.supervised import report

def run(part):
    print("noise that is no outcome")
    if part == "raises":
        raise ValueError("no such shape\\n")
    if part == "breaks":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if part == "dies":
        sys.stderr.write("the last word\\n")
        sys.stderr.flush()
        os._exit(3)
    if part == "hangs":
        time.sleep(600)
    return [{"what": part}]

report(sys.argv[1:], run)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n{PROGRAM}")
    return [sys.executable, str(program)]


def test_each_part_costs_itself_alone(command: list[str]) -> None:
    kept: dict[str, Outcome] = {}
    parts = {"a": 60.0, "raises": 60.0, "breaks": 60.0, "b": 60.0, "dies": 60.0, "hangs": 0.2, "c": 60.0}
    left = supervise(command, parts, kept.__setitem__, 120)
    assert left == []
    assert list(kept) == list(parts)
    for name in "abc":
        assert kept[name]["rows"] == [{"what": name}]
    assert kept["raises"]["error"] == "ValueError: no such shape"
    assert "illegal memory access" in kept["breaks"]["error"]
    assert kept["dies"]["error"].startswith("the process ended with 3: ")
    assert kept["dies"]["error"].endswith(" | the last word")
    assert kept["hangs"]["error"].startswith("stopped after")
    assert all(each["seconds"] >= 0 for each in kept.values())


def test_what_runs_when_the_time_is_up_is_left(command: list[str]) -> None:
    kept: dict[str, Outcome] = {}
    assert supervise(command, {"hangs": 600.0, "a": 60.0}, kept.__setitem__, 0.5) == ["hangs", "a"]
    assert kept == {}
    assert supervise(command, {"a": 60.0}, kept.__setitem__, 0) == ["a"]


def test_a_process_that_does_not_start_ends_with_errors() -> None:
    kept: dict[str, Outcome] = {}
    left = supervise(
        [sys.executable, "-c", "import nothing_of_the_sort"], {"a": 9.0, "b": 9.0}, kept.__setitem__, 60
    )
    assert left == []
    assert all("nothing_of_the_sort" in each["error"] for each in kept.values())


def test_what_is_run_again() -> None:
    parts = {"step 1": 1.0, "step 2": 2.0, "train 1": 3.0}
    known: dict[str, Outcome] = {"step 1": {"rows": []}, "step 2": {"error": "stopped"}}
    assert unfinished(parts, known, []) == {"train 1": 3.0}
    assert unfinished(parts, known, ["step *"]) == {"step 2": 2.0}
    assert unfinished(parts, {}, ["train *"]) == {"train 1": 3.0}
