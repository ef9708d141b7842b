"""Separable stages that read one map: E times pointwise(depthwise 3x3(relu(x))), as one operation.

The map is read once forward, and the gradient to it is summed up before it is written: where E edges of a cell read
a node, autograd alone would move 3 (E - 1) maps more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robdsl.kernels import separable_launch as launch
from robdsl.kernels import separable_reference as reference
from robdsl.kernels.configurations import Shape
from robdsl.kernels.layout import empty_nhwc, out_size, runs_kernel, wide_dtype
from robdsl.kernels.precision import DEFAULT_PRECISION, check_precision, tile_kind
from robdsl.kernels.separable import check_stages
from robdsl.kernels.weight_gradients import separable_weight_gradients


def separable_fan(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    precision: str = DEFAULT_PRECISION,
) -> list[Tensor]:
    """``bias_e + pointwise_e(depthwise_e(relu(x)))`` for each of E stages.

    Gradients flow to everything; results that nobody used cost nothing on the way back. For weights that need a
    gradient the map itself is kept, else one bit an element.

    Args:
        x: N x C x H x W, any memory format, channels_last without a copy.
        depthwise: (E, C, 3, 3), padding 1.
        pointwise: (E, O, C).
        bias: (E, O).
        stride: of the depthwise convolutions, 1 or 2.
        precision: of the products on a GPU; see `robdsl.kernels.precision`.

    Returns:
        E maps, N x O x H' x W' each, in channels_last, H' = ceil(H / stride), in the dtype of `x`.

    Raises:
        ValueError: shapes that do not fit, an unknown precision, another stride.
    """
    _check(x, depthwise, pointwise, bias, stride)
    keep = torch.is_grad_enabled() and x.requires_grad
    outs: list[Tensor] = torch.ops.robdsl.separable_fan(
        x, depthwise, pointwise, bias, stride, check_precision(precision), keep
    )[0]
    return outs


def _check(x: Tensor, depthwise: Tensor, pointwise: Tensor, bias: Tensor | None, stride: int) -> None:
    if not len(depthwise):
        raise ValueError("a fan needs at least one stage")
    check_stages(x, len(depthwise), depthwise, pointwise, stride)
    if bias is not None and bias.shape != pointwise.shape[:2]:
        raise ValueError(f"bias must be {tuple(pointwise.shape[:2])}, not {tuple(bias.shape)}")


@torch.library.custom_op(
    "robdsl::separable_fan",
    mutates_args=(),
    schema="(Tensor x, Tensor depthwise, Tensor pointwise, Tensor? bias, int stride, str precision, "
    "bool keep_mask) -> (Tensor[], Tensor)",
)
def _fan(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[list[Tensor], Tensor]:
    if runs_kernel(x, depthwise, pointwise, *([] if bias is None else [bias])):
        return launch.fan_forward(x, depthwise, pointwise, bias, stride, precision, keep_mask)
    outs = [
        out.to(x.dtype).contiguous(memory_format=torch.channels_last)
        for out in reference.fan_forward(x, depthwise, pointwise, bias, stride)
    ]
    return outs, reference.masks([x], keep_mask)


@_fan.register_fake
def _(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[list[Tensor], Tensor]:
    n, _, height, width = x.shape
    stages, outputs = pointwise.shape[:2]
    size = out_size(height, stride), out_size(width, stride)
    outs = [empty_nhwc(n, outputs, *size, x) for _ in range(stages)]
    return outs, x.new_empty(reference.mask_shape(x, 1, keep_mask), dtype=torch.uint8)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[list[Tensor], Tensor]) -> None:
    x, depthwise, pointwise, bias, ctx.stride, ctx.precision, keep_mask = inputs
    if not keep_mask and x.requires_grad:
        raise ValueError("separable_fan without its mask has no gradient: call robdsl.kernels.separable_fan")
    ctx.set_materialize_grads(False)  # results that nobody used are told by having no gradient
    ctx.learns = depthwise.requires_grad or pointwise.requires_grad
    ctx.bias, ctx.size = bias, tuple(x.shape[2:])
    ctx.save_for_backward(output[1], depthwise, pointwise, *([x] if ctx.learns else ()))


def _back(ctx: Any, gradients: Sequence[Tensor | None], _: Any) -> tuple[Any, ...]:
    masks, depthwise, pointwise, *xs = ctx.saved_tensors
    used = {stage: gradient for stage, gradient in enumerate(gradients) if gradient is not None}
    if not used:
        return (None,) * 7
    to_x = to_depthwise = to_pointwise = to_bias = None
    if ctx.needs_input_grad[0]:
        stages = list(used)
        weights = depthwise, pointwise
        if len(used) < len(gradients):
            weights = depthwise[stages], pointwise[stages]
        to_x = torch.ops.robdsl.separable_fan_input_gradient(
            list(used.values()), masks, *weights, *ctx.size, ctx.stride, ctx.precision
        )
    if ctx.learns:
        to_depthwise, to_pointwise = torch.zeros_like(depthwise), torch.zeros_like(pointwise)
        for stage, gradient in used.items():
            to_depthwise[stage], to_pointwise[stage] = separable_weight_gradients(
                xs[0], gradient, depthwise[stage], pointwise[stage], ctx.stride, ctx.precision
            )
    if ctx.bias is not None and ctx.bias.requires_grad:
        to_bias = torch.zeros_like(ctx.bias)
        for stage, gradient in used.items():
            to_bias[stage] = gradient.sum((0, 2, 3), dtype=wide_dtype(gradient.dtype))
    return to_x, to_depthwise, to_pointwise, to_bias, None, None, None


_fan.register_autograd(_back, setup_context=_remember)


@torch.library.custom_op(
    "robdsl::separable_fan_input_gradient",
    mutates_args=(),
    schema="(Tensor[] gradients, Tensor masks, Tensor depthwise, Tensor pointwise, int height, int width, "
    "int stride, str precision) -> Tensor",
)
def _input_gradient(
    gradients: list[Tensor],
    masks: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    height: int,
    width: int,
    stride: int,
    precision: str,
) -> Tensor:
    size = (height, width)
    if runs_kernel(*gradients, depthwise, pointwise):
        shape = Shape(*size, depthwise.shape[1], pointwise.shape[1], stride)
        kind = tile_kind(precision, gradients[0].dtype)
        tile, use = launch.gradient_tile("separable_fan_input_gradient", shape, kind, gradients[0].device)
        if tile is not None:
            return launch.fan_input_gradient(
                gradients, masks, depthwise, pointwise, size, stride, precision, tile, use
            )
    found = reference.fan_input_gradient(gradients, masks, depthwise, pointwise, size, stride)
    return found.to(gradients[0].dtype).contiguous(memory_format=torch.channels_last)


@_input_gradient.register_fake
def _(
    gradients: list[Tensor],
    masks: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    height: int,
    width: int,
    stride: int,
    precision: str,
) -> Tensor:
    return empty_nhwc(len(gradients[0]), depthwise.shape[1], height, width, gradients[0])
