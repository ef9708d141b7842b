"""The checkout as the tests of the house see it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sources(*folders: str) -> Iterator[Path]:
    """The Python files below the named folders of the checkout."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in ``cwd``, without what the caller's environment would add to Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def succeed(command: list[str | Path], cwd: Path) -> str:
    """The standard output of a command that must succeed."""
    done = run(command, cwd)
    assert done.returncode == 0, f"{command} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def robdsl(*arguments: str | Path, cwd: Path) -> str:
    """The output of ``robdsl ARGUMENTS``, which must succeed."""
    return succeed([Path(sys.executable).with_name("robdsl"), *arguments], cwd)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language on a Markdown page."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
