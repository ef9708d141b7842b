"""Gradients to the weights of a separable stage, for training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robdsl.kernels import separable_reference as reference
from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import nhwc, runs_kernel, wide_dtype
from robdsl.kernels.precision import product_kind, tile_kind
from robdsl.kernels.tiles import chunks, over

#: Parts that positions are summed in: enough programs for a large GPU, few enough that adding them up costs nothing.
PARTS = 256


def separable_weight_gradients(
    x: Tensor, gradient: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int, precision: str
) -> tuple[Tensor, Tensor]:
    """The gradients of ``pointwise(depthwise(relu(x)))`` to its weights.

    The rectified maps and the depthwise convolution are made anew from `x`: nothing but `x` need be kept.

    Args:
        x: N x C x H x W.
        gradient: to the result, N x O x H' x W'.
        depthwise: (C, 3, 3).
        pointwise: (O, C).
        stride: 1 or 2.
        precision: see `robdsl.kernels.precision`.

    Returns:
        To depthwise (C, 3, 3) and pointwise (O, C), at least float32; the same bits on each run.
    """
    found: tuple[Tensor, Tensor] = torch.ops.robdsl.separable_weight_gradients(
        x, gradient, depthwise, pointwise, stride, precision
    )
    return found


@torch.library.custom_op(
    "robdsl::separable_weight_gradients",
    mutates_args=(),
    schema="(Tensor x, Tensor gradient, Tensor depthwise, Tensor pointwise, int stride, str precision) "
    "-> (Tensor, Tensor)",
)
def _weight_gradients(
    x: Tensor, gradient: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int, precision: str
) -> tuple[Tensor, Tensor]:
    if runs_kernel(x, gradient, depthwise, pointwise):
        to_depthwise = launch_depthwise(x, gradient, pointwise, stride, precision)
        return to_depthwise, launch_pointwise(x, gradient, depthwise, stride, precision)
    to_depthwise, to_pointwise = reference.weight_gradients(x, gradient, depthwise, pointwise, stride)
    return to_depthwise.contiguous(), to_pointwise.contiguous()


@_weight_gradients.register_fake
def _(
    x: Tensor, gradient: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int, precision: str
) -> tuple[Tensor, Tensor]:
    dtype = wide_dtype(x.dtype)
    channels, outputs = x.shape[1], pointwise.shape[0]
    return x.new_empty((channels, 3, 3), dtype=dtype), x.new_empty((outputs, channels), dtype=dtype)


def launch_pointwise(x: Tensor, gradient: Tensor, depthwise: Tensor, stride: int, precision: str) -> Tensor:
    """The gradient to pointwise weights, (O, C) float32."""
    from robdsl.kernels.device.weight_gradients import pointwise_gradient

    shape, named = _sizes(x, gradient, stride, precision)
    use = configure("pointwise_gradient", shape, tile_kind(precision, x.dtype), x.device)
    tiles = over(gradient.numel() // shape.outputs, use.rows)
    count, blocks = chunks(shape.outputs, use.block_o, use.blocks)
    parts = x.new_empty((min(PARTS, tiles), shape.outputs, shape.channels), dtype=torch.float32)
    with torch.cuda.device_of(x):
        pointwise_gradient[(len(parts), over(shape.channels, use.block_c), count)](
            nhwc(x), nhwc(gradient), parts, depthwise.contiguous(), len(x), tiles, **named, M=use.rows,
            BLOCK_C=use.block_c, BLOCK_O=use.block_o, BLOCKS=blocks, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return parts.sum(0)


def launch_depthwise(x: Tensor, gradient: Tensor, pointwise: Tensor, stride: int, precision: str) -> Tensor:
    """The gradient to depthwise weights, (C, 3, 3) float32."""
    from robdsl.kernels.device.weight_gradients import depthwise_gradient

    shape, named = _sizes(x, gradient, stride, precision)
    use = configure("depthwise_gradient", shape, tile_kind(precision, x.dtype), x.device)
    tiles = over(gradient.numel() // shape.outputs, use.rows)
    parts = x.new_empty((min(PARTS, tiles), shape.channels, 3, 3), dtype=torch.float32)
    with torch.cuda.device_of(x):
        depthwise_gradient[(len(parts), over(shape.channels, use.block_c))](
            nhwc(x), nhwc(gradient), parts, pointwise.contiguous(), len(x), tiles, **named, M=use.rows,
            BLOCK_C=use.block_c, BLOCK_O=use.block_o, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return parts.sum(0)


def _sizes(x: Tensor, gradient: Tensor, stride: int, precision: str) -> tuple[Shape, dict[str, Any]]:
    """What configurations depend on, and the kernels' compile-time constants."""
    _, channels, height, width = x.shape
    outputs, height_out, width_out = gradient.shape[1:]
    named = {
        "HEIGHT": height, "WIDTH": width, "HEIGHT_OUT": height_out, "WIDTH_OUT": width_out, "C": channels,
        "OUT": outputs, "STRIDE": stride, "PRECISION": product_kind(precision, x.dtype),
    }  # fmt: skip
    return Shape(height, width, channels, outputs, stride), named
