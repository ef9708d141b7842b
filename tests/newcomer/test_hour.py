"""A newcomer's hour: the wheel in a clean environment outside the checkout, then README and the tutorial, top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import follow
from tests.house.tree import ROOT, succeed

README = ROOT / "README.md"


@pytest.mark.slow
def test_what_readme_says_of_use(environment: Path, tmp_path: Path) -> None:
    follow(README, tmp_path, "Use", environment)
    commands = set(re.findall(r"`robdsl ([a-z]+)", README.read_text(encoding="utf-8")))
    assert {"check", "train", "attack", "search", "doctor"} <= commands
    for command in sorted(commands):
        assert "Example" in succeed([environment / "robdsl", command, "--help"], tmp_path)


@pytest.mark.slow
def test_the_tutorial(environment: Path, tmp_path: Path) -> None:
    printed = follow(ROOT / "docs" / "tutorial.md", tmp_path, bin_=environment)
    assert printed
    where = succeed([environment / "python", "-c", "import robdsl; print(robdsl.__file__)"], tmp_path).strip()
    assert not Path(where).is_relative_to(ROOT)
