"""Kernels in Triton's interpreter give what the references give, within derived bounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache

import pytest

from robdsl.kernels import layout
from tests.house.tree import ROOT
from tests.kernels import problems


@lru_cache
def results(which: str) -> dict[str, dict[str, float]]:
    """What all problems got; one process for all of them, because it takes seconds to start."""
    command = [sys.executable, "-W", "error", "-m", "tests.kernels.interpreted", which]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(line) for line in done.stdout.splitlines())


def hold(which: str, label: str) -> None:
    parts = results(which)[label]
    assert parts
    outside = {part: share for part, share in parts.items() if not share <= 1}
    assert not outside


@pytest.mark.parametrize("label", [problem.label for problem in problems.few()])
def test_kernels_keep_within_their_bounds(label: str) -> None:
    hold("few", label)


@pytest.mark.slow
@pytest.mark.parametrize("label", [problem.label for problem in problems.many()])
def test_kernels_keep_within_their_bounds_everywhere(label: str) -> None:
    hold("many", label)


def test_nothing_else_is_interpreted() -> None:
    assert not layout.INTERPRETED
