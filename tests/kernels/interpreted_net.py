"""Runs a step of PGD of a small frozen net through kernels in Triton's interpreter: a program of its own, as `interpreted`.

Prints, as JSON, by operation the error of each call as a share of its bound, forward and back. Errors of a whole deep net are
no measure: where a value is near zero, ReLUs fall on either side of it. So each operation is compared given the same inputs,
with itself in float64, which its reference computes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

import robdsl
from robdsl.compiler.passes import KERNEL_PIPELINE
from robdsl.kernels.layout import INTERPRETED
from robdsl.kernels.precision import relative_bound
from tests.kernels.bounds import ratio
from tests.kernels.comparing import Compare

#: Of each operation the places of its pointwise weights, (E, O, C), and of what is rectified first; None for nothing.
COMPARED: dict[str, tuple[int | None, int | None]] = {
    "separable_sum": (2, 0),
    "separable_fan": (2, 0),
    "pointwise_fan": (1, 0),
    "separable_input_gradient": (3, None),
    "separable_fan_input_gradient": (3, None),
    "pointwise_fan_input_gradients": (2, None),
    "node_sum": (None, None),
}


def _share(name: str, func: Any, args: tuple[Any, ...], found: Any) -> float:
    weights, rectified = COMPARED[name]
    exact = func(*_mapped(args, Tensor.double))
    wide = list(_mapped(args, lambda each: each.double().abs()))
    if rectified is not None:
        wide[rectified] = _mapped(args[rectified], lambda each: each.double().relu())
    terms = (
        max(args[weights].shape[0] * each for each in args[weights].shape[1:]) if weights is not None else 8
    )
    limit = relative_bound("tf32x3", 16 + terms)
    shares = []
    for ours, theirs, size in zip(*map(tree_leaves, (found, exact, func(*wide))), strict=True):
        if ours.is_floating_point():
            shares.append(ratio(ours, theirs, limit * size))
        else:  # masks
            shares.append(0.0 if torch.equal(ours, theirs) else float("inf"))
    return max(shares)


def _mapped(given: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same with every tensor of floats changed."""
    return tree_map(
        lambda each: change(each) if isinstance(each, Tensor) and each.is_floating_point() else each, given
    )


def main() -> None:
    assert INTERPRETED, "run me with TRITON_INTERPRET=1"
    torch.set_num_threads(1)
    space = robdsl.load_space("cell_free", width=4, layers=3)
    frozen = robdsl.freeze(robdsl.compile(space.sample(3), seed=0).eval(), KERNEL_PIPELINE)
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with Compare(_share) as compare:
        frozen(images).square().sum().backward()
    print(json.dumps(compare.shares))


if __name__ == "__main__":
    main()
