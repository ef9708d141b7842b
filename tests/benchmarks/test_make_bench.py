"""`make bench` runs every program without arguments, one after the other: none may refuse that."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from benchmarks import bench_demo_search, bench_passes
from tests.house.tree import ROOT

PROGRAMS = sorted(path.stem for path in (ROOT / "benchmarks").glob("bench_*.py"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_asks_for_an_argument(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name])
    if hasattr(program, "_options"):
        program._options()
    else:
        assert name in ("bench_demo_search", "bench_search_workers"), "which take none that they need"


def test_parts_of_the_passes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["nothing"], "there is no part nothing"),
        (["--write", "x"], "name it"),
        (["attack", "nets", "--write", "x"], "name it"),
    ):
        monkeypatch.setattr(sys, "argv", ["bench_passes", *arguments])
        with pytest.raises(SystemExit):
            bench_passes._options()
        assert said in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["bench_passes", "nets", "--write", "x"])
    assert bench_passes._options().parts == ["nets"]


def test_a_search_that_has_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_demo_search, "STUDIES", tmp_path)
    assert bench_demo_search.main() == 0
    assert "make demo-search" in capsys.readouterr().out
