"""Compiles kernels ahead of time: a program of its own, because kernels may be decorated for the interpreter elsewhere.

`python -m tests.kernels.compiled few` prints, a line of JSON a launch, its label and its registers, spilled bytes and
shared memory, on sm_80 and sm_90. `many` takes all launches of a RobNet; names of kernels after it leave the others out.
"""

from __future__ import annotations

import json
import sys

import torch

from robdsl.kernels import ahead
from robdsl.kernels.cases import KERNELS, STAGES, Case, cases
from robdsl.kernels.configurations import Shape


def few() -> list[Case]:
    """Each kernel once, at a map of a RobNet where it is used."""
    shapes = dict.fromkeys(KERNELS, STAGES[0])
    shapes |= {"pair_forward": STAGES[2], "pair_input_gradient": STAGES[2], "pgd_step": Shape(32, 32, 3, 3)}
    return [Case(kernel, shape, 512) for kernel, shape in shapes.items()]


def main() -> None:
    which, *only = sys.argv[1:]
    for case in few() if which == "few" else cases():
        if only and case.kernel not in only:
            continue
        with ahead.recorded() as launches:
            case.prepare(torch.device("meta"))()
        for launch in launches:
            for capability in (80, 90):
                if not runs_there(case, capability):
                    continue
                found = ahead.assembled(launch, capability)
                key = f"{case.label} sm_{capability}"
                print(json.dumps([key, [found.registers, found.spills, found.shared]]), flush=True)


def runs_there(case: Case, capability: int) -> bool:
    """Whether the launch is made on that GPU: a pair that does not fit on its chip goes in two."""
    if case.kernel != "pair_forward":
        return True
    from robdsl.kernels.pair import fits

    return fits(case.shape, case.dtype, case.precision, modern=capability >= 90)


if __name__ == "__main__":
    main()
