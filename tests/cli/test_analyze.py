"""``robdsl analyze``: a bank in, a page and data out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from robdsl.search import write_bank
from tests.analysis.synthetic import made
from tests.cli.conftest import Run
from tests.house.tree import succeed


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Enough for some figures."""
    path = tmp_path / "bank.jsonl"
    write_bank(made(count=40).frame.head(25), path)
    return path


def test_page_data_and_sentences(robdsl: Run, few: Path, tmp_path: Path) -> None:
    done = robdsl("analyze", few, "-o", "out/study.html", "--data", "csv")
    assert done.status == 0, done.err
    assert "Figure 5: Density and robust accuracy" in done.out
    assert "25 of the 60 that this takes; 35 missing" in done.out
    assert Path("out/study.html").stat().st_size > 4_000_000  # it carries what draws the plots
    assert Path("out/study_data/figure_5.csv").read_text().splitlines()[0] == "density,accuracy"
    assert not Path("out/study_data/figure_4a.csv").exists()
    assert "wrote out/study.html" in done.err


def test_json_for_programs(robdsl: Run, few: Path) -> None:
    nets = [{"name": "mine", "params": 20_000, "robust": 0.1}]
    Path("nets.json").write_text(json.dumps(nets), encoding="utf-8")
    done = robdsl("analyze", few, "--json", "--reference", "nets.json", "--accuracy", "robust_inherited")
    said = json.loads(done.out)
    assert said["accuracy"] == "robust_inherited" and said["files"]["page"] == "report.html"
    assert "reference net" in said["figures"]["figure_1"]["sentence"]
    again = json.loads(
        robdsl("analyze", few, "--json", "--reference", "nets.json", "--accuracy", "robust_inherited").out
    )
    assert again == said


def test_references_come_from_tables(robdsl: Run, few: Path) -> None:
    rows = [{"net": "resnet18", "params": 11_000, "white_box": {"natural": 90.0, "pgd20": 40.0}}]
    Path("tables.json").write_text(
        json.dumps({"data": "digits", "settings": {}, "rows": rows}), encoding="utf-8"
    )
    assert robdsl("analyze", few, "--reference", "tables.json", "--json").status == 0
    for wrong in (
        "[1]",
        "{}",
        "[",
        '[{"name": "x", "params": 1, "robust": 3}]',
        '[{"name": 1, "params": 1, "robust": 1}]',
    ):
        Path("tables.json").write_text(wrong, encoding="utf-8")
        done = robdsl("analyze", few, "--reference", "tables.json")
        assert done.status == 1 and "holds no nets to compare with" in done.err


def test_wrong_calls_and_wrong_input(robdsl: Run, few: Path) -> None:
    for arguments in (("--format", "html,gif"), ("--data", "xlsx"), ("--accuracy", "natural_finetuned")):
        assert robdsl("analyze", few, *arguments).status == 2
    Path("bad.jsonl").write_text("{}\n", encoding="utf-8")
    Path("empty").mkdir()
    for name in ("bad.jsonl", "empty", "missing.parquet", "missing"):
        done = robdsl("analyze", name)
        assert done.status == 1 and done.err.startswith("error"), name
        assert "Traceback" not in done.err and not Path("report.html").exists()


def test_a_space_of_ones_own(robdsl: Run, few: Path) -> None:
    frame = made(count=40).frame.head(25).assign(space="mine")
    write_bank(frame, "mine.parquet")
    refused = robdsl("analyze", "mine.parquet")
    assert refused.status == 1 and "--space FILE" in refused.err
    from robdsl import resources

    text = (Path(str(resources.folder("archs"))) / "spaces" / "cell_based.rob").read_text(encoding="utf-8")
    Path("mine.rob").write_text(text.replace("space cell_based", "space mine"), encoding="utf-8")
    done = robdsl("analyze", "mine.parquet", "--space", "mine.rob", "--json")
    assert done.status == 0 and json.loads(done.out)["space"] == "mine"


def test_a_table_is_analyzed_without_torch(few: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from robdsl.cli.main import main

sys.argv = ["robdsl", "analyze", {str(few)!r}, "-o", {str(tmp_path / "r.html")!r}, "--json"]
status = main()
print(status, "torch" in sys.modules)
"""
    assert succeed([sys.executable, "-c", program], tmp_path).splitlines()[-1] == "0 False"
