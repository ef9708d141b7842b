"""A run that is told to use a GPU or a browser fails where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

TESTS = """
import pytest

@pytest.mark.gpu
def test_on_the_gpu(): pass

@pytest.mark.browser
def test_in_a_browser(): pass

def test_anywhere(): pass
"""


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], pytest.ExitCode.OK, "1 passed, 2 deselected"),
        (["--gpu"], pytest.ExitCode.USAGE_ERROR, "torch sees no CUDA device here"),
        (["--browser"], pytest.ExitCode.USAGE_ERROR, "there is no chromium on the path here"),
    ],
)
def test_without_a_device_or_browser(tmp_path: Path, options: list[str], status: int, said: str) -> None:
    (tmp_path / "test_all.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), str(tmp_path), *options]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
