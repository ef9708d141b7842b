"""Starts the kernels of pointwise convolutions; see `robdsl.kernels.pointwise_fan` for what they compute."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import empty_nhwc, mask_bytes, nhwc
from robdsl.kernels.precision import product_kind, tile_kind
from robdsl.kernels.separable_reference import mask_shape
from robdsl.kernels.tiles import chunks, over


def forward(
    xs: Sequence[Tensor], pointwise: Tensor, bias: Tensor | None, precision: str, keep_mask: bool
) -> tuple[list[Tensor], Tensor]:
    """Each convolution of the rectified maps, and the masks of the maps."""
    from robdsl.kernels.device.pointwise import pointwise_fan_forward

    x = xs[0]
    n, channels, height, width = x.shape
    fan, outputs = pointwise.shape[:2]
    shape = Shape(height, width, channels, outputs)
    use = configure("pointwise_fan_forward", shape, tile_kind(precision, x.dtype), x.device)
    blocks_in, blocks_out = len(xs) * over(channels, use.block_c), fan * over(outputs, use.block_o)
    _, blocks = chunks(blocks_out, 1, use.blocks)
    outs = tuple(empty_nhwc(n, outputs, height, width, x) for _ in range(fan))
    masks = x.new_empty(mask_shape(x, len(xs), keep_mask), dtype=torch.uint8)
    positions = n * height * width
    with torch.cuda.device_of(x):
        pointwise_fan_forward[(over(positions, use.rows),)](
            tuple(map(nhwc, xs)), outs, masks, pointwise.contiguous(), x if bias is None else bias.contiguous(),
            positions, masks.stride(0), blocks_in, blocks_out, C=channels, OUT=outputs, BYTES=mask_bytes(channels),
            TERMS=len(xs), FAN=fan,
            BIAS=bias is not None, MASK=keep_mask, PRECISION=product_kind(precision, x.dtype), M=use.rows,
            BLOCK_C=use.block_c, BLOCK_O=use.block_o, BLOCKS=blocks, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return list(outs), masks


def input_gradients(
    gradients: Sequence[Tensor], masks: Tensor, pointwise: Tensor, terms: int, precision: str
) -> list[Tensor]:
    """The gradient to each map, in the dtype of `gradients`."""
    from robdsl.kernels.device.pointwise import pointwise_fan_input_gradients

    first = gradients[0]
    n, outputs, height, width = first.shape
    channels = pointwise.shape[2] // terms
    shape = Shape(height, width, channels, outputs)
    use = configure("pointwise_fan_input_gradients", shape, tile_kind(precision, first.dtype), first.device)
    blocks_in, blocks_out = len(gradients) * over(outputs, use.block_o), terms * over(channels, use.block_c)
    _, blocks = chunks(blocks_out, 1, use.blocks)
    outs = tuple(empty_nhwc(n, channels, height, width, first) for _ in range(terms))
    positions = n * height * width
    with torch.cuda.device_of(first):
        pointwise_fan_input_gradients[(over(positions, use.rows),)](
            tuple(map(nhwc, gradients)), outs, masks, pointwise.contiguous(), positions, masks.stride(0),
            blocks_in, blocks_out, C=channels, OUT=outputs, BYTES=mask_bytes(channels), TERMS=terms, FAN=len(gradients),
            PRECISION=product_kind(precision, first.dtype), M=use.rows, BLOCK_C=use.block_c, BLOCK_O=use.block_o,
            BLOCKS=blocks, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return list(outs)
