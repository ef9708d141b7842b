"""The doctor sees what is there, what is not, and what does not load; and says how to mend it."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from robdsl.cli.main import main

from robdsl import doctor
from robdsl.data import FACTS, MissingDataError, load_data
from robdsl.data.places import places
from tests.house.tree import ROOT

FORGED = Callable[[str, str | None], None]


@pytest.fixture
def forged(monkeypatch: pytest.MonkeyPatch) -> FORGED:
    """Makes a library look as if another version of it were installed, or none; and leaves few extras to look for."""
    monkeypatch.setattr(doctor, "EXTRAS", {"lsp": "editors", "data": "data sets"})
    versions: dict[str, str | None] = {}

    def installed(name: str) -> str:
        found = versions.get(name, "")
        if found is None:
            raise PackageNotFoundError(name)
        return found or version(name)

    monkeypatch.setattr(doctor, "version", installed)
    return versions.__setitem__


def of(found: tuple[doctor.Finding, ...], name: str) -> doctor.Finding:
    return next(each for each in found if each.name == name)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["robdsl", "doctor", *arguments])
    return int(main())


def test_here_all_is_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(monkeypatch, "--json", "--data-root", str(tmp_path)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is True and found["root"] == str(tmp_path)
    needed = {each["name"]: each["detail"] for each in found["needed"]}
    assert needed.keys() >= {"python", "robdsl", "torch", "lark", "typer"}
    assert needed["torch"] == version("torch") and needed["robdsl"] == version("robdsl")
    assert [each["name"] for each in found["extras"]] == list(doctor.EXTRAS)
    assert {each["state"] for each in found["extras"]} == {"ok"}
    assert {each["name"]: each["state"] for each in found["data"]} == {
        name: "ok" if name == "digits" else "missing" for name in FACTS
    }
    assert {"cpu", "triton", "kernels"} <= {each["name"] for each in found["devices"]}


def test_every_extra_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"backends", "docs", "dev"}  # of other extras, and for those who work on robdsl
    assert doctor.EXTRAS.keys() == project["optional-dependencies"].keys() - groups


def test_a_missing_library_has_its_line(
    forged: FORGED, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forged("pygls", None)
    found = of(doctor.examine().extras, "lsp")
    assert (found.state, found.remedy) == ("missing", "pip install 'robdsl[lsp]'")
    assert command(monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "pygls: not installed (for editors)" in printed
    assert printed.endswith("to install: pip install 'robdsl[lsp]'\n")


def test_a_library_that_does_not_load_is_broken(forged: FORGED, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it now raises
    report = doctor.examine()
    found = of(report.extras, "data")
    assert found.state == "broken" and "does not load" in found.detail
    assert found.remedy == "pip install --force-reinstall 'robdsl[data]'"
    assert report.healthy


def test_a_broken_need_is_the_exit_status(
    forged: FORGED, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forged("lark", "0.1")
    assert command(monkeypatch) == 1
    printed = capsys.readouterr().out
    assert "0.1, and >=1.2 is needed" in printed
    assert "to install: pip install 'lark>=1.2'\n" in printed


def test_without_torch_the_rest_is_still_said(forged: FORGED, monkeypatch: pytest.MonkeyPatch) -> None:
    forged("torch", None)
    report = doctor.examine()
    assert not report.healthy
    assert of(report.needed, "torch").remedy == "pip install 'torch>=2.11'"
    assert of(report.needed, "lark").state == "ok" and of(report.extras, "lsp").state == "ok"
    assert (report.devices, report.data) == ((), ())


def test_programs(forged: FORGED, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/opt/{name}" if name == "dot" else None)
    forged("pygraphviz", None)
    found = doctor.examine().programs
    assert of(found, "graphviz").detail == "/opt/dot"
    assert of(found, "browser").state == "missing" and "chromium" in str(of(found, "browser").remedy)


@pytest.mark.parametrize("name", [name for name in FACTS if name != "digits"])
def test_data_are_looked_for_where_they_are_read(name: str, tmp_path: Path) -> None:
    """Without the files the reader says that something is missing there; with empty ones it complains of them."""
    wanted = places(name, tmp_path)
    with pytest.raises(MissingDataError, match=r"is missing|holds none of its"):
        load_data(name, tmp_path)
    for each in wanted:
        if each.suffix:
            each.write_bytes(b"")
        else:
            each.mkdir(parents=True)
    with pytest.raises(MissingDataError) as second:
        load_data(name, tmp_path)
    assert str(wanted[0]) in str(second.value)
    if not name.startswith("cifar"):  # whose files within the folder are still missing
        assert "is missing" not in str(second.value)
