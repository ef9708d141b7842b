"""Sums of separable stages: bias + addends + sum of pointwise(depthwise 3x3(relu(x))), as one operation.

One term is a stage, half of a separable convolution (with its batch norm folded in). Several terms are all last
stages that meet in a node, their pointwise convolutions merged into one. Instead of the rectified maps, one bit for
each element is kept for the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robdsl.kernels import separable_launch as launch
from robdsl.kernels import separable_reference as reference
from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import empty_nhwc, out_size, runs_kernel, wide_dtype
from robdsl.kernels.nodes import node_sum
from robdsl.kernels.precision import DEFAULT_PRECISION, check_precision, tile_kind
from robdsl.kernels.weight_gradients import separable_weight_gradients


def separable_sum(
    xs: Sequence[Tensor],
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None = None,
    addends: Sequence[Tensor] = (),
    stride: int = 1,
    precision: str = DEFAULT_PRECISION,
) -> Tensor:
    """``bias + sum(addends) + sum_e pointwise_e(depthwise_e(relu(xs[e])))``.

    Gradients flow to everything. For weights that need a gradient the maps themselves are kept, else bits only.

    Args:
        xs: k maps, N x C x H x W each, of one dtype; any memory format, channels_last without a copy.
        depthwise: (k, C, 3, 3), padding 1.
        pointwise: (k, O, C).
        bias: (O,).
        addends: maps like the result.
        stride: of the depthwise convolutions, 1 or 2.
        precision: of the products on a GPU; see `robdsl.kernels.precision`.

    Returns:
        N x O x H' x W' in channels_last, H' = ceil(H / stride), in the dtype of `xs`.

    Raises:
        ValueError: shapes that do not fit, an unknown precision, another stride.
    """
    _check(xs, depthwise, pointwise, stride)
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in xs)
    out: Tensor = torch.ops.robdsl.separable_sum(
        list(xs), depthwise, pointwise, bias, list(addends), stride, check_precision(precision), keep
    )[0]
    return out


def separable_stage(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None = None,
    addends: Sequence[Tensor] = (),
    stride: int = 1,
    precision: str = DEFAULT_PRECISION,
) -> Tensor:
    """`separable_sum` of one term: depthwise (C, 3, 3), pointwise (O, C)."""
    return separable_sum([x], depthwise[None], pointwise[None], bias, addends, stride, precision)


def separable_statistics(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int = 1, precision: str = DEFAULT_PRECISION
) -> tuple[Tensor, Tensor, Tensor]:
    """A stage before a batch norm in training: the maps and, in the same pass, what the norm needs of them.

    Returns:
        The maps, each channel's mean (O,), and its biased variance (O,), both at least float32. Gradients flow through
        all three.
    """
    _check([x], depthwise[None], pointwise[None], stride)
    out, _, mean, variance = torch.ops.robdsl.separable_statistics(
        x, depthwise, pointwise, stride, check_precision(precision)
    )
    return out, mean, variance


def _check(xs: Sequence[Tensor], depthwise: Tensor, pointwise: Tensor, stride: int) -> None:
    if not xs:
        raise ValueError("a sum of stages needs at least one input")
    if any(x.shape != xs[0].shape or x.dtype != xs[0].dtype for x in xs):
        raise ValueError("all inputs must have one shape and dtype")
    check_stages(xs[0], len(xs), depthwise, pointwise, stride)


def check_stages(x: Tensor, stages: int, depthwise: Tensor, pointwise: Tensor, stride: int) -> None:
    """Refuses weights that are not those of so many stages that read maps like `x`.

    Raises:
        ValueError: shapes that do not fit, another stride.
    """
    _, channels, height, width = x.shape
    if depthwise.shape != (stages, channels, 3, 3):
        expected = (stages, channels, 3, 3)
        raise ValueError(f"depthwise weights must be {expected}, not {tuple(depthwise.shape)}")
    if pointwise.ndim != 3 or pointwise.shape[0] != stages or pointwise.shape[2] != channels:
        expected_text = f"({stages}, O, {channels})"
        raise ValueError(f"pointwise weights must be {expected_text}, not {tuple(pointwise.shape)}")
    if stride not in (1, 2):
        raise ValueError(f"stride must be 1 or 2, not {stride}")
    if height < 1 or width < 1:
        raise ValueError("maps must have at least one position")


@torch.library.custom_op(
    "robdsl::separable_sum",
    mutates_args=(),
    schema="(Tensor[] xs, Tensor depthwise, Tensor pointwise, Tensor? bias, Tensor[] addends, int stride, "
    "str precision, bool keep_mask) -> (Tensor, Tensor)",
)
def _sum(
    xs: list[Tensor],
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    addends: list[Tensor],
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[Tensor, Tensor]:
    if runs_kernel(*xs, depthwise, pointwise, *addends, *([] if bias is None else [bias])):
        out, masks, _ = launch.forward(
            xs, depthwise, pointwise, bias, addends, stride, precision, keep_mask, False
        )
        return out, masks
    out = reference.forward(xs, depthwise, pointwise, bias, addends, stride).to(xs[0].dtype)
    return out.contiguous(memory_format=torch.channels_last), reference.masks(xs, keep_mask)


@_sum.register_fake
def _(
    xs: list[Tensor],
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    addends: list[Tensor],
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[Tensor, Tensor]:
    x = xs[0]
    n, _, height, width = x.shape
    out = empty_nhwc(n, pointwise.shape[1], out_size(height, stride), out_size(width, stride), x)
    return out, x.new_empty(reference.mask_shape(x, len(xs), keep_mask), dtype=torch.uint8)


def _remember_sum(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    xs, depthwise, pointwise, bias, addends, ctx.stride, ctx.precision, keep_mask = inputs
    if not keep_mask and any(x.requires_grad for x in xs):
        raise ValueError("separable_sum without its mask has no gradient: call robdsl.kernels.separable_sum")
    ctx.learns = depthwise.requires_grad or pointwise.requires_grad
    ctx.terms, ctx.addends, ctx.bias = len(xs), len(addends), bias
    ctx.size = tuple(xs[0].shape[2:])
    ctx.save_for_backward(output[1], depthwise, pointwise, *(xs if ctx.learns else ()))


def _back_through_sum(ctx: Any, gradient: Tensor, _: Any) -> tuple[Any, ...]:
    masks, depthwise, pointwise, *xs = ctx.saved_tensors
    to_xs: list[Tensor] | list[None] = [None] * ctx.terms
    if masks.numel() or not gradient.numel():
        to_xs = torch.ops.robdsl.separable_input_gradient(
            gradient, masks, depthwise, pointwise, *ctx.size, ctx.stride, ctx.precision
        )
    to_depthwise = to_pointwise = to_bias = None
    if ctx.learns:
        pairs = [
            separable_weight_gradients(x, gradient, d, p, ctx.stride, ctx.precision)
            for x, d, p in zip(xs, depthwise, pointwise, strict=True)
        ]
        to_depthwise = torch.stack([pair[0] for pair in pairs]).to(depthwise.dtype)
        to_pointwise = torch.stack([pair[1] for pair in pairs]).to(pointwise.dtype)
    if ctx.bias is not None and ctx.bias.requires_grad:
        to_bias = gradient.sum((0, 2, 3), dtype=wide_dtype(gradient.dtype)).to(ctx.bias.dtype)
    return to_xs, to_depthwise, to_pointwise, to_bias, [gradient] * ctx.addends, None, None, None


_sum.register_autograd(_back_through_sum, setup_context=_remember_sum)


@torch.library.custom_op(
    "robdsl::separable_input_gradient",
    mutates_args=(),
    schema="(Tensor gradient, Tensor masks, Tensor depthwise, Tensor pointwise, int height, int width, int stride, "
    "str precision) -> Tensor[]",
)
def _input_gradient(
    gradient: Tensor,
    masks: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    height: int,
    width: int,
    stride: int,
    precision: str,
) -> list[Tensor]:
    if runs_kernel(gradient, depthwise, pointwise):
        shape = Shape(height, width, depthwise.shape[1], pointwise.shape[1], stride)
        kind = tile_kind(precision, gradient.dtype)
        tile, use = launch.gradient_tile("separable_input_gradient", shape, kind, gradient.device)
        if tile is not None:
            return launch.input_gradients(
                gradient, masks, depthwise, pointwise, (height, width), stride, precision, tile, use
            )
    found = reference.input_gradients(gradient, masks, depthwise, pointwise, (height, width), stride)
    return [each.to(gradient.dtype).contiguous(memory_format=torch.channels_last) for each in found]


@_input_gradient.register_fake
def _(
    gradient: Tensor,
    masks: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    height: int,
    width: int,
    stride: int,
    precision: str,
) -> list[Tensor]:
    terms, channels = depthwise.shape[:2]
    return [empty_nhwc(len(gradient), channels, height, width, gradient) for _ in range(terms)]


@torch.library.custom_op(
    "robdsl::separable_statistics",
    mutates_args=(),
    schema="(Tensor x, Tensor depthwise, Tensor pointwise, int stride, str precision) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
)
def _statistics(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int, precision: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    terms = depthwise[None], pointwise[None]
    if runs_kernel(x, depthwise, pointwise):
        kind = tile_kind(precision, x.dtype)
        use = configure("separable_forward", launch.shape_of(x, pointwise, stride), kind, x.device)
        out, masks, sums = launch.forward([x], *terms, None, (), stride, precision, True, True, use)
        return out, masks, *launch.combine(sums, out.numel() // out.shape[1], use.rows)
    exact = reference.forward([x], *terms, None, (), stride)
    out = exact.to(x.dtype).contiguous(memory_format=torch.channels_last)
    return out, reference.masks([x], True), *reference.statistics(exact)


@_statistics.register_fake
def _(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int, precision: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, _, height, width = x.shape
    outputs = pointwise.shape[0]
    out = empty_nhwc(n, outputs, out_size(height, stride), out_size(width, stride), x)
    masks = x.new_empty(reference.mask_shape(x, 1, True), dtype=torch.uint8)
    numbers = x.new_empty(outputs, dtype=wide_dtype(x.dtype))
    return out, masks, numbers, torch.empty_like(numbers)


def _remember_statistics(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, depthwise, pointwise, ctx.stride, ctx.precision = inputs
    out, masks, mean, _ = output
    ctx.set_materialize_grads(False)
    ctx.learns = depthwise.requires_grad or pointwise.requires_grad
    ctx.size = tuple(x.shape[2:])
    ctx.save_for_backward(masks, depthwise, pointwise, out, mean, *([x] if ctx.learns else []))


def _back_through_statistics(
    ctx: Any, gradient: Tensor | None, _: Any, to_mean: Tensor | None, to_variance: Tensor | None
) -> tuple[Any, ...]:
    masks, depthwise, pointwise, out, mean, *xs = ctx.saved_tensors
    if gradient is None:
        gradient = torch.zeros_like(out)
    if to_mean is not None or to_variance is not None:
        count = max(1, out.numel() // max(1, out.shape[1]))
        # y enters the mean by 1 / count, and the variance by 2 (y - mean) / count: one pass over both maps.
        slope = torch.zeros_like(mean) if to_variance is None else to_variance * (2 / count)
        shift = -slope * mean if to_mean is None else to_mean / count - slope * mean
        gradient = node_sum([gradient, out], torch.stack([torch.ones_like(slope), slope]), shift)
    (to_x,) = torch.ops.robdsl.separable_input_gradient(
        gradient, masks, depthwise[None], pointwise[None], *ctx.size, ctx.stride, ctx.precision
    )
    to_depthwise = to_pointwise = None
    for x in xs:
        to_depthwise, to_pointwise = separable_weight_gradients(
            x, gradient, depthwise, pointwise, ctx.stride, ctx.precision
        )
        to_depthwise, to_pointwise = to_depthwise.to(depthwise.dtype), to_pointwise.to(pointwise.dtype)
    return to_x, to_depthwise, to_pointwise, None, None


_statistics.register_autograd(_back_through_statistics, setup_context=_remember_statistics)
