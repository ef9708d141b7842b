"""Runs kernels in Triton's interpreter: a program of its own, so that nothing else runs under TRITON_INTERPRET.

`python -m tests.kernels.interpreted few` prints, a line of JSON a problem, its label and what its parts got. What kernels
write into is filled with not-a-numbers first: an element that is not written shows.
"""

from __future__ import annotations

import json
import sys

import torch

from robdsl.kernels.layout import INTERPRETED
from tests.kernels import problems


def main() -> None:
    assert INTERPRETED, "run me with TRITON_INTERPRET=1"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    for problem in problems.few() if sys.argv[1] == "few" else problems.many():
        print(json.dumps([problem.label, problems.run(problem, "cpu")]), flush=True)


if __name__ == "__main__":
    main()
