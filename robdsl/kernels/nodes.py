"""What meets in a node, added up in one pass: each map scaled, a bias, a ReLU with its bit mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robdsl.kernels.channel_sums import channel_gradients
from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import (
    empty_nhwc,
    mask_bytes,
    nhwc,
    pack_bits,
    runs_kernel,
    unpack_bits,
    wide,
)
from robdsl.kernels.precision import DEFAULT_PRECISION, tile_kind
from robdsl.kernels.tiles import over


def node_sum(
    xs: Sequence[Tensor], scales: Tensor | None = None, bias: Tensor | None = None, rectify: bool = False
) -> Tensor:
    """``sum_e scales[e] * xs[e] + bias``, rectified if asked. Gradients flow to everything.

    With scales ``1 / sqrt(var + eps)`` and bias ``-sum mean / sqrt(var + eps)`` it is the sum of batch norms without
    affine parameters, in one pass over the maps.

    Args:
        xs: k maps, N x C x H x W each.
        scales: (k, C), or None for ones.
        bias: (C,), or None for zeros.
        rectify: whether to take max(0, ...) of the sum. For the gradient one bit an element is kept.

    Returns:
        N x C x H x W in channels_last, in the dtype of the first map.

    Raises:
        ValueError: shapes that do not fit.
    """
    if not xs or any(x.shape != xs[0].shape for x in xs):
        raise ValueError("a node sums at least one map, and all of one shape")
    channels = xs[0].shape[1]
    if scales is not None and scales.shape != (len(xs), channels):
        raise ValueError(f"scales must be {(len(xs), channels)}, not {tuple(scales.shape)}")
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"bias must be {(channels,)}, not {tuple(bias.shape)}")
    out: Tensor = torch.ops.robdsl.node_sum(list(xs), scales, bias, rectify)[0]
    return out


@torch.library.custom_op(
    "robdsl::node_sum",
    mutates_args=(),
    schema="(Tensor[] xs, Tensor? scales, Tensor? bias, bool rectify) -> (Tensor, Tensor)",
)
def _node_sum(
    xs: list[Tensor], scales: Tensor | None, bias: Tensor | None, rectify: bool
) -> tuple[Tensor, Tensor]:
    given = [each for each in (scales, bias) if each is not None]
    if runs_kernel(*xs, *given):
        return launch(xs, scales, bias, rectify)
    parts = [wide(x) for x in xs]
    if scales is not None:
        parts = [x * s[:, None, None] for x, s in zip(parts, wide(scales), strict=True)]
    total = sum(parts[1:], parts[0].clone(memory_format=torch.channels_last))
    if bias is not None:
        total = total + wide(bias)[:, None, None]
    mask = pack_bits(~(total <= 0)) if rectify else xs[0].new_empty(0, dtype=torch.uint8)
    out = (total.relu() if rectify else total).to(xs[0].dtype)
    return out.contiguous(memory_format=torch.channels_last), mask


@_node_sum.register_fake
def _(xs: list[Tensor], scales: Tensor | None, bias: Tensor | None, rectify: bool) -> tuple[Tensor, Tensor]:
    return _results(xs[0], rectify)


def _results(x: Tensor, rectify: bool) -> tuple[Tensor, Tensor]:
    n, channels, height, width = x.shape
    mask = (n, height, width, mask_bytes(channels)) if rectify else (0,)
    return empty_nhwc(n, channels, height, width, x), x.new_empty(mask, dtype=torch.uint8)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    xs, scales, bias, ctx.rectify = inputs
    ctx.terms, ctx.scaled = len(xs), scales is not None
    ctx.dtypes = [x.dtype for x in xs]
    ctx.to_scales = None if scales is None or not scales.requires_grad else scales.dtype
    ctx.bias = None if bias is None or not bias.requires_grad else bias.dtype
    ctx.save_for_backward(
        output[1], *([scales] if ctx.scaled else []), *([] if ctx.to_scales is None else xs)
    )


def _back(ctx: Any, gradient: Tensor, _: Any) -> tuple[Any, ...]:
    mask, *saved = ctx.saved_tensors
    scales = saved.pop(0) if ctx.scaled else None
    to_xs = torch.ops.robdsl.node_sum_gradient(
        gradient, mask, scales, ctx.terms if ctx.scaled else 1, ctx.rectify
    )
    if not ctx.scaled:
        to_xs = to_xs * ctx.terms
    to_scales = to_bias = None
    if ctx.to_scales is not None or ctx.bias is not None:
        sums = channel_gradients(gradient, saved, mask=mask if ctx.rectify else None)
        to_scales = None if ctx.to_scales is None else sums[:-1].to(ctx.to_scales)
        to_bias = None if ctx.bias is None else sums[-1].to(ctx.bias)
    return [g.to(dtype) for g, dtype in zip(to_xs, ctx.dtypes, strict=True)], to_scales, to_bias, None


_node_sum.register_autograd(_back, setup_context=_remember)


@torch.library.custom_op(
    "robdsl::node_sum_gradient",
    mutates_args=(),
    schema="(Tensor gradient, Tensor mask, Tensor? scales, int terms, bool rectify) -> Tensor[]",
)
def _node_sum_gradient(
    gradient: Tensor, mask: Tensor, scales: Tensor | None, terms: int, rectify: bool
) -> list[Tensor]:
    if runs_kernel(gradient, *([] if scales is None else [scales])):
        return launch_gradient(gradient, mask, scales, terms, rectify)
    value = wide(gradient)
    if rectify:
        value = torch.where(unpack_bits(mask, gradient.shape[1]), value, 0)
    parts = [
        value.clone() if scales is None else value * wide(scales[e])[:, None, None] for e in range(terms)
    ]
    return [part.to(gradient.dtype).contiguous(memory_format=torch.channels_last) for part in parts]


@_node_sum_gradient.register_fake
def _(gradient: Tensor, mask: Tensor, scales: Tensor | None, terms: int, rectify: bool) -> list[Tensor]:
    n, channels, height, width = gradient.shape
    return [empty_nhwc(n, channels, height, width, gradient) for _ in range(terms)]


def launch(
    xs: Sequence[Tensor], scales: Tensor | None, bias: Tensor | None, rectify: bool
) -> tuple[Tensor, Tensor]:
    """`node_sum` by its kernel: the sum and, if rectified, its mask."""
    from robdsl.kernels.device.nodes import node_sum_forward

    x = xs[0]
    n, channels, height, width = x.shape
    out, mask = _results(x, rectify)
    kind = tile_kind(DEFAULT_PRECISION, x.dtype)
    use = configure("node_sum_forward", Shape(height, width, channels, channels), kind, x.device)
    positions = n * height * width
    with torch.cuda.device_of(x):
        node_sum_forward[(over(positions, use.rows), over(channels, use.block_c))](
            tuple(map(nhwc, xs)), out, mask, x if scales is None else scales.contiguous(),
            x if bias is None else bias.contiguous(), positions, C=channels, BYTES=mask_bytes(channels), TERMS=len(xs),
            SCALE=scales is not None, BIAS=bias is not None, RECTIFY=rectify, MASK=rectify, M=use.rows,
            BLOCK=use.block_c, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return out, mask


def launch_gradient(
    gradient: Tensor, mask: Tensor, scales: Tensor | None, terms: int, rectify: bool
) -> list[Tensor]:
    """The gradient to each map by its kernel."""
    from robdsl.kernels.device.nodes import node_sum_gradient

    n, channels, height, width = gradient.shape
    outs = tuple(empty_nhwc(n, channels, height, width, gradient) for _ in range(terms))
    kind = tile_kind(DEFAULT_PRECISION, gradient.dtype)
    use = configure("node_sum_gradient", Shape(height, width, channels, channels), kind, gradient.device)
    positions = n * height * width
    with torch.cuda.device_of(gradient):
        node_sum_gradient[(over(positions, use.rows), over(channels, use.block_c))](
            nhwc(gradient), outs, mask, gradient if scales is None else scales.contiguous(), positions, C=channels,
            BYTES=mask_bytes(channels), TERMS=terms, SCALE=scales is not None, MASK=rectify, M=use.rows,
            BLOCK=use.block_c, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return list(outs)
