"""Runs a step of training of a small net through kernels in Triton's interpreter: a program of its own, as `interpreted`.

Prints, as JSON, by operation the largest error of each call as a share of its bound, forward and back. Errors of a whole
deep net are no measure: where a value is near zero, ReLUs fall on either side of it. So each operation is compared
given the same inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch

import robdsl
from robdsl.compiler.passes import KERNEL_TRAIN_PIPELINE
from robdsl.kernels.layout import INTERPRETED
from robdsl.kernels.precision import product_kind
from tests.kernels import bounds
from tests.kernels.comparing import Compare


def _statistics(args: Sequence[Any], found: Any) -> bounds.Shares:
    x, d, w, stride, precision = args
    return bounds.of_statistics(x, d, w, stride, product_kind(precision, x.dtype), found)


def _input_gradient(args: Sequence[Any], found: Any) -> bounds.Shares:
    gradient, masks, d, w, height, width, stride, precision = args
    kind = product_kind(precision, gradient.dtype)
    return bounds.of_input_gradients(gradient, masks, d, w, (height, width), stride, kind, found)


def _weight_gradients(args: Sequence[Any], found: Any) -> bounds.Shares:
    *given, precision = args
    x, gradient, d, w, stride = given
    return bounds.of_weight_gradients(x, gradient, d, w, stride, product_kind(precision, x.dtype), found)


def _norm_sum(args: Sequence[Any], found: Any) -> bounds.Shares:
    ys, addends, means, variances, weights, biases, eps, _ = args
    return bounds.of_norm_sum(ys, addends, means, variances, weights, biases, eps, found)


def _norm_sum_gradient(args: Sequence[Any], found: Any) -> bounds.Shares:
    gradient, ys, means, variances, weights, eps = args
    return bounds.of_norm_sum_gradient(gradient, ys, means, variances, weights, eps, found)


COMPARED: dict[str, Callable[[Sequence[Any], Any], bounds.Shares]] = {
    "separable_statistics": _statistics,
    "separable_input_gradient": _input_gradient,
    "separable_weight_gradients": _weight_gradients,
    "norm_sum": _norm_sum,
    "norm_sum_gradient": _norm_sum_gradient,
}


def _share(name: str, func: Any, args: tuple[Any, ...], found: Any) -> float | None:
    return max(share for _, share in COMPARED[name](args, found)) if name in COMPARED else None


def main() -> None:
    assert INTERPRETED, "run me with TRITON_INTERPRET=1"
    torch.set_num_threads(1)
    space = robdsl.load_space("cell_free", width=4, layers=3)
    model = robdsl.compile(space.sample(3), seed=0, passes=KERNEL_TRAIN_PIPELINE)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with Compare(_share) as compare:
        model(x).square().sum().backward()
    print(json.dumps(compare.shares))


if __name__ == "__main__":
    main()
