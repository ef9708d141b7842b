"""Pointwise convolutions of the same rectified maps: E times pointwise(relu(concatenation of K maps)), as one operation.

The concatenation is never written, the maps are read once whatever E is, and the gradients to them are summed up before they
are written. Instead of the rectified maps, one bit for each element is kept for the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robdsl.kernels import pointwise_launch as launch
from robdsl.kernels import pointwise_reference as reference
from robdsl.kernels.layout import empty_nhwc, runs_kernel, wide
from robdsl.kernels.precision import DEFAULT_PRECISION, check_precision
from robdsl.kernels.separable_reference import mask_shape, masks


def pointwise_fan(
    xs: Sequence[Tensor],
    pointwise: Tensor,
    bias: Tensor | None = None,
    precision: str = DEFAULT_PRECISION,
) -> list[Tensor]:
    """``bias_e + sum_k pointwise_e[:, k-th C channels](relu(xs[k]))`` for each of E convolutions.

    Gradients flow to everything; results that nobody used cost nothing on the way back. For weights that need a
    gradient the maps themselves are kept, else bits only.

    Args:
        xs: K maps, N x C x H x W each, of one dtype; any memory format, channels_last without a copy.
        pointwise: (E, O, K * C), as of convolutions that read the maps concatenated in order.
        bias: (E, O).
        precision: of the products on a GPU; see `robdsl.kernels.precision`.

    Returns:
        E maps, N x O x H x W each, in channels_last, in the dtype of `xs`.

    Raises:
        ValueError: shapes that do not fit, an unknown precision.
    """
    _check(xs, pointwise, bias)
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in xs)
    outs: list[Tensor] = torch.ops.robdsl.pointwise_fan(
        list(xs), pointwise, bias, check_precision(precision), keep
    )[0]
    return outs


def _check(xs: Sequence[Tensor], pointwise: Tensor, bias: Tensor | None) -> None:
    if not xs or any(x.shape != xs[0].shape or x.dtype != xs[0].dtype for x in xs):
        raise ValueError("pointwise convolutions read at least one map, and all of one shape and dtype")
    channels = len(xs) * xs[0].shape[1]
    if pointwise.ndim != 3 or not len(pointwise) or pointwise.shape[2] != channels:
        raise ValueError(f"pointwise weights must be (E, O, {channels}), not {tuple(pointwise.shape)}")
    if bias is not None and bias.shape != pointwise.shape[:2]:
        raise ValueError(f"bias must be {tuple(pointwise.shape[:2])}, not {tuple(bias.shape)}")


@torch.library.custom_op(
    "robdsl::pointwise_fan",
    mutates_args=(),
    schema="(Tensor[] xs, Tensor pointwise, Tensor? bias, str precision, bool keep_mask) -> (Tensor[], Tensor)",
)
def _fan(
    xs: list[Tensor], pointwise: Tensor, bias: Tensor | None, precision: str, keep_mask: bool
) -> tuple[list[Tensor], Tensor]:
    if runs_kernel(*xs, pointwise, *([] if bias is None else [bias])):
        return launch.forward(xs, pointwise, bias, precision, keep_mask)
    outs = [
        out.to(xs[0].dtype).contiguous(memory_format=torch.channels_last)
        for out in reference.forward(xs, pointwise, bias)
    ]
    return outs, masks(xs, keep_mask)


@_fan.register_fake
def _(
    xs: list[Tensor], pointwise: Tensor, bias: Tensor | None, precision: str, keep_mask: bool
) -> tuple[list[Tensor], Tensor]:
    n, _, height, width = xs[0].shape
    outs = [empty_nhwc(n, pointwise.shape[1], height, width, xs[0]) for _ in range(len(pointwise))]
    return outs, xs[0].new_empty(mask_shape(xs[0], len(xs), keep_mask), dtype=torch.uint8)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[list[Tensor], Tensor]) -> None:
    xs, pointwise, bias, ctx.precision, keep_mask = inputs
    if not keep_mask and any(x.requires_grad for x in xs):
        raise ValueError("pointwise_fan without its masks has no gradient: call robdsl.kernels.pointwise_fan")
    ctx.set_materialize_grads(False)  # results that nobody used are told by having no gradient
    ctx.learns, ctx.bias, ctx.terms = pointwise.requires_grad, bias, len(xs)
    ctx.save_for_backward(output[1], pointwise, *(xs if ctx.learns else ()))


def _back(ctx: Any, gradients: Sequence[Tensor | None], _: Any) -> tuple[Any, ...]:
    packed, pointwise, *xs = ctx.saved_tensors
    used = {fan: gradient for fan, gradient in enumerate(gradients) if gradient is not None}
    to_xs: list[Tensor] | list[None] = [None] * ctx.terms
    to_pointwise = to_bias = None
    if not used:
        return to_xs, None, None, None, None
    if any(ctx.needs_input_grad[0]):
        weights = pointwise if len(used) == len(gradients) else pointwise[list(used)]
        to_xs = torch.ops.robdsl.pointwise_fan_input_gradients(
            list(used.values()), packed, weights, ctx.terms, ctx.precision
        )
    if ctx.learns:
        whole = torch.cat([wide(x).relu() for x in xs], 1)
        to_pointwise = torch.zeros_like(pointwise)
        for fan, gradient in used.items():
            to_pointwise[fan] = torch.einsum("nohw,nchw->oc", wide(gradient), whole)
    if ctx.bias is not None and ctx.bias.requires_grad:
        to_bias = torch.zeros_like(ctx.bias)
        for fan, gradient in used.items():
            to_bias[fan] = wide(gradient).sum((0, 2, 3))
    return to_xs, to_pointwise, to_bias, None, None


_fan.register_autograd(_back, setup_context=_remember)


@torch.library.custom_op(
    "robdsl::pointwise_fan_input_gradients",
    mutates_args=(),
    schema="(Tensor[] gradients, Tensor masks, Tensor pointwise, int terms, str precision) -> Tensor[]",
)
def _input_gradients(
    gradients: list[Tensor], masks: Tensor, pointwise: Tensor, terms: int, precision: str
) -> list[Tensor]:
    if runs_kernel(*gradients, pointwise):
        return launch.input_gradients(gradients, masks, pointwise, terms, precision)
    return [
        found.to(gradients[0].dtype).contiguous(memory_format=torch.channels_last)
        for found in reference.input_gradients(gradients, masks, pointwise)
    ]


@_input_gradients.register_fake
def _(gradients: list[Tensor], masks: Tensor, pointwise: Tensor, terms: int, precision: str) -> list[Tensor]:
    n, _, height, width = gradients[0].shape
    channels = pointwise.shape[2] // terms
    return [empty_nhwc(n, channels, height, width, gradients[0]) for _ in range(terms)]
