"""Every page can be followed from top to bottom, and every command on it is one that there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import follow, parse, planned, runs
from tests.house.tree import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))
SLOW = {"tutorial.md"}  # trains and searches for minutes
FOLLOWED = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else [])
    for page in PAGES
    if runs(page)
]
PLANS = [
    pytest.param(arguments, id=f"{page.name}: {' '.join(arguments)[:60]}")
    for page in [*PAGES, ROOT / "README.md"]
    for arguments in planned(page)
]


@pytest.mark.parametrize("page", FOLLOWED)
def test_the_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "docs" / "examples", tmp_path / "docs" / "examples"
    )  # pages are read in a checkout
    follow(page, tmp_path)


@pytest.mark.parametrize("arguments", PLANS)
def test_the_command_is_one_that_there_is(arguments: list[str]) -> None:
    parse(arguments)
