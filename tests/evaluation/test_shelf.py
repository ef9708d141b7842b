"""Reports in one folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from robdsl.data import load_data
from robdsl.evaluation import Report, evaluate, keep_report


@pytest.fixture(scope="module")
def report() -> Report:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)).eval()
    return evaluate(net, load_data("digits", split="test").take(4), [])


def test_a_report_takes_only_its_own_place(report: Report, tmp_path: Path) -> None:
    other = replace(report, manifest=replace(report.manifest, seed=1))
    again = replace(report, manifest=replace(report.manifest, command="another", versions={}))
    places = [keep_report(tmp_path, each, net="n").name for each in (report, other, report, again, other)]
    assert places == ["report.json", "report-2.json", "report.json", "report.json", "report-2.json"]
    plain = json.loads((tmp_path / "report-2.json").read_text(encoding="utf-8"))
    assert plain == json.loads(json.dumps({"net": "n", **other.to_json()}))


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"manifest": 3}', "[" * 100_000, '{"manifest": {"seed": 0}}']
)
def test_foreign_files_are_left_alone(text: str, report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    (tmp_path / "report-2.json").mkdir()
    assert keep_report(tmp_path, report).name == "report-3.json"
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == text
