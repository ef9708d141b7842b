"""Kernels on a GPU, held to the same bounds as in the interpreter."""

from __future__ import annotations

import pytest
import torch

from robdsl import kernels
from tests.kernels import problems
from tests.kernels.problem import Problem


@pytest.mark.gpu
@pytest.mark.parametrize("problem", [*problems.few(), *problems.many()], ids=lambda problem: problem.label)
def test_kernels_keep_within_their_bounds(problem: Problem) -> None:
    assert kernels.available()
    parts = problems.run(problem, "cuda")
    torch.cuda.synchronize()
    assert parts
    assert not {part: share for part, share in parts.items() if not share <= 1}
