"""Compiles kernels ahead of time: a program of its own, because kernels may be decorated for the interpreter elsewhere.

`python -m tests.kernels.compiled few` prints, a line of JSON a launch, its label and its registers, spilled bytes and
shared memory, on sm_80 and sm_90. `many` takes all launches of a RobNet in every kind of product, in two processes; names of
kernels after it leave the others out.
"""

from __future__ import annotations

import json
import sys
from multiprocessing import get_context

import torch

from robdsl.kernels import ahead, pair
from robdsl.kernels.cases import KERNELS, STAGES, Case, cases_of_all_kinds
from robdsl.kernels.configurations import Shape
from robdsl.kernels.layout import out_size
from robdsl.kernels.precision import product_kind


def few() -> list[Case]:
    """Each kernel at a map of a RobNet where it is used: as it comes, and in one of the other kinds of product."""
    shapes = dict.fromkeys(KERNELS, STAGES[0])
    shapes |= {"pair_forward": STAGES[2], "pair_input_gradient": STAGES[2], "pgd_step": Shape(32, 32, 3, 3)}
    found = []
    for place, (kernel, shape) in enumerate(shapes.items()):
        usual = Case(kernel, shape, 512)
        there = [each for each in cases_of_all_kinds() if (each.kernel, each.shape) == (kernel, shape)]
        kinds = sorted({each.kind for each in there} - {usual.kind})
        others = [each for each in there if kinds and each.kind == kinds[place % len(kinds)]]
        found += [usual, *others[:1]]
    return found


def main() -> None:
    which, *only = sys.argv[1:]
    chosen = [
        case
        for case in (few() if which == "few" else cases_of_all_kinds())
        if not only or case.kernel in only
    ]
    if which == "few":
        for case in chosen:
            show(compiled(case))
        return
    with get_context("spawn").Pool(2) as pool:
        for lines in pool.imap(compiled, chosen):
            show(lines)


def show(lines: list[tuple[str, list[int]]]) -> None:
    for line in lines:
        print(json.dumps(line), flush=True)


def compiled(case: Case) -> list[tuple[str, list[int]]]:
    """What its launch takes on each capability that it is made on, by its label there."""
    with ahead.recorded() as launches:
        case.prepare(torch.device("meta"))()
    lines = []
    for launch in launches:
        for capability in (80, 90):
            if runs_there(case, capability):
                found = ahead.assembled(launch, capability)
                key = f"{case.label} sm_{capability}"
                lines.append((key, [found.registers, found.spills, found.shared]))
    return lines


def runs_there(case: Case, capability: int) -> bool:
    """Whether the launch is made on that GPU: a pair that does not fit on its chip goes in two."""
    if case.kernel == "pair_forward":
        return pair.fits(case.shape, case.dtype, case.precision, modern=capability >= 90)
    if case.kernel == "pair_input_gradient":
        positions = out_size(case.shape.height, case.shape.stride) * out_size(
            case.shape.width, case.shape.stride
        )
        return pair.gradient_fits(positions, product_kind(case.precision, case.dtype))
    return True


if __name__ == "__main__":
    main()
