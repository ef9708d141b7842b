"""Shell completion: installed as README says, and answered by the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def shell(home: Path, script: str) -> str:
    environment = {**os.environ, "HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bash_completes_after_installing(tmp_path: Path) -> None:
    assert "completion installed" in shell(tmp_path, "robdsl --install-completion; exit")
    typed = "COMP_WORDS=(robdsl do) COMP_CWORD=1; _robdsl_completion robdsl; echo ${COMPREPLY[@]}"
    assert shell(tmp_path, f"source ~/.bashrc; {typed}").split() == ["doctor"]
    options = typed.replace("robdsl do)", "robdsl check --js)").replace("CWORD=1", "CWORD=2")
    assert shell(tmp_path, f"source ~/.bashrc; {options}").split() == ["--json"]


def test_the_script_can_be_looked_at(tmp_path: Path) -> None:
    script = shell(tmp_path, "robdsl --show-completion; exit")
    assert "complete -o default -F _robdsl_completion robdsl" in script
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["zsh", "fish"])
def test_other_shells_ask_the_same_command(kind: str, tmp_path: Path) -> None:
    assert shutil.which("robdsl", path=str(BIN))
    asked = {
        "zsh": "_TYPER_COMPLETE_ARGS='robdsl do' _ROBDSL_COMPLETE=complete_zsh robdsl",
        "fish": "_TYPER_COMPLETE_ARGS='robdsl do' _TYPER_COMPLETE_FISH_ACTION=get-args _ROBDSL_COMPLETE=complete_fish robdsl",
    }
    assert "doctor" in shell(tmp_path, asked[kind])
