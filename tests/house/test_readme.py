"""What README promises is there: its targets, its commands, its programs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT, blocks, robdsl, succeed

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`robdsl ([a-z]+)", TEXT)))


def test_the_make_targets_exist() -> None:
    listed = set(re.findall(r"^  make ([a-z-]+)", succeed(["make"], ROOT), re.MULTILINE))
    pages = TEXT + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", pages, re.MULTILINE))
    assert {"demo", "test"} <= named <= listed


def test_ci_runs_the_commands_of_the_start() -> None:
    assert succeed([ROOT / ".ci" / "run", "--list"], ROOT) == blocks(README, "sh")[0]
    assert "make test" in blocks(README, "sh")[0].splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_exist_and_show_an_example(command: str, tmp_path: Path) -> None:
    _, usage, rest = robdsl(command, "--help", cwd=tmp_path).partition("Usage:")
    assert usage
    assert f"robdsl {command} " in rest.partition("\n")[2]


def test_the_nets_are_whole(tmp_path: Path) -> None:
    nets = blocks(README, "rob")
    assert nets
    for number, net in enumerate(nets):
        (tmp_path / f"net{number}.rob").write_text(net, encoding="utf-8")
        robdsl("check", f"net{number}.rob", cwd=tmp_path)


def test_the_python_runs(tmp_path: Path) -> None:
    for program in blocks(README, "python"):
        succeed([sys.executable, "-W", "error", "-c", program], tmp_path)
