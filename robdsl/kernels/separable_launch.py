"""Starts the kernels of sums and fans of separable stages.

See `robdsl.kernels.separable` and `robdsl.kernels.separable_fan` for what they compute.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robdsl.kernels.configurations import Configuration, Shape, configure
from robdsl.kernels.layout import empty_nhwc, mask_bytes, nhwc, out_size
from robdsl.kernels.precision import product_kind, tile_kind
from robdsl.kernels.separable_reference import mask_shape
from robdsl.kernels.tiles import Tile, chunks, over, tile_of


def shape_of(x: Tensor, pointwise: Tensor, stride: int) -> Shape:
    """What the configuration of a stage depends on."""
    return Shape(x.shape[2], x.shape[3], x.shape[1], pointwise.shape[-2], stride)


def forward(
    xs: Sequence[Tensor],
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    addends: Sequence[Tensor],
    stride: int,
    precision: str,
    keep_mask: bool,
    keep_statistics: bool,
    use: Configuration | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The sum, its masks, and per tile of positions the mean and the squared deviations, (tiles, 2, O) or empty."""
    shape = shape_of(xs[0], pointwise, stride)
    use = use or configure("separable_forward", shape, tile_kind(precision, xs[0].dtype), xs[0].device)
    (out,), masks, sums = _forward(
        xs, depthwise, pointwise, bias, addends, 1, stride, precision, keep_mask, keep_statistics, use
    )
    return out, masks, sums


def fan_forward(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[list[Tensor], Tensor]:
    """Each stage of one map, and the map's mask."""
    shape = shape_of(x, pointwise, stride)
    use = configure("separable_fan_forward", shape, tile_kind(precision, x.dtype), x.device)
    stages = len(depthwise)
    outs, masks, _ = _forward(
        [x], depthwise, pointwise, bias, (), stages, stride, precision, keep_mask, False, use
    )
    return outs, masks


def _forward(
    xs: Sequence[Tensor],
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    addends: Sequence[Tensor],
    fan: int,
    stride: int,
    precision: str,
    keep_mask: bool,
    keep_statistics: bool,
    use: Configuration,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """`fan` sums of the same maps; the weights of the first sum's terms come first."""
    from robdsl.kernels.device.separable import separable_forward

    x = xs[0]
    n, channels, height, width = x.shape
    outputs = pointwise.shape[1]
    height_out, width_out = out_size(height, stride), out_size(width, stride)
    count, blocks = chunks(outputs, use.block_o, use.blocks)
    tiles = over(n * height_out * width_out, use.rows)
    outs = tuple(empty_nhwc(n, outputs, height_out, width_out, x) for _ in range(fan))
    masks = x.new_empty(mask_shape(x, len(xs), keep_mask), dtype=torch.uint8)
    sums = x.new_empty((tiles, 2, outputs) if keep_statistics else (0,), dtype=torch.float32)
    with torch.cuda.device_of(x):
        separable_forward[(tiles, count)](
            tuple(map(nhwc, xs)), tuple(map(nhwc, addends)), outs, masks, depthwise.contiguous(),
            pointwise.contiguous(), depthwise if bias is None else bias.contiguous(), sums, n,
            masks.stride(0), fan, HEIGHT=height, WIDTH=width, HEIGHT_OUT=height_out,
            WIDTH_OUT=width_out, C=channels, OUT=outputs, BYTES=mask_bytes(channels), STRIDE=stride, TERMS=len(xs),
            FAN=fan, ADDENDS=len(addends), BIAS=bias is not None, MASK=keep_mask, STATISTICS=keep_statistics,
            PRECISION=product_kind(precision, x.dtype), M=use.rows, BLOCK_C=use.block_c, BLOCK_O=use.block_o,
            BLOCKS=blocks, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return list(outs), masks, sums


def input_gradients(
    gradient: Tensor,
    masks: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    size: tuple[int, int],
    stride: int,
    precision: str,
    tile: Tile,
    use: Configuration,
) -> list[Tensor]:
    """The gradient to each x, in the dtype of `gradient`."""
    from robdsl.kernels.device.separable import separable_input_gradient

    n, outputs, height_out, width_out = gradient.shape
    terms, channels = depthwise.shape[:2]
    outs = tuple(empty_nhwc(n, channels, *size, gradient) for _ in range(terms))
    with torch.cuda.device_of(gradient):
        separable_input_gradient[(tile.count(n, height_out),)](
            nhwc(gradient), outs, masks, depthwise.contiguous(), pointwise.contiguous(), n, masks.stride(0),
            HEIGHT=size[0], WIDTH=size[1], HEIGHT_OUT=height_out, WIDTH_OUT=width_out, C=channels, OUT=outputs,
            BYTES=mask_bytes(channels), STRIDE=stride, TERMS=terms,
            PRECISION=product_kind(precision, gradient.dtype), ROWS=tile.lines, IMAGES=tile.images, M=tile.rows,
            BLOCK_C=use.block_c, BLOCK_O=use.block_o, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return list(outs)


def fan_input_gradient(
    gradients: Sequence[Tensor],
    masks: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    size: tuple[int, int],
    stride: int,
    precision: str,
    tile: Tile,
    use: Configuration,
) -> Tensor:
    """The gradient to the map that all stages read, in the dtype of `gradients`."""
    from robdsl.kernels.device.separable import separable_fan_input_gradient

    n, outputs, height_out, width_out = gradients[0].shape
    fan, channels = depthwise.shape[:2]
    out = empty_nhwc(n, channels, *size, gradients[0])
    with torch.cuda.device_of(out):
        separable_fan_input_gradient[(tile.count(n, height_out),)](
            tuple(map(nhwc, gradients)), out, masks, depthwise.contiguous(), pointwise.contiguous(), n, fan,
            HEIGHT=size[0], WIDTH=size[1], HEIGHT_OUT=height_out, WIDTH_OUT=width_out, C=channels, OUT=outputs,
            BYTES=mask_bytes(channels), STRIDE=stride, FAN=fan, PRECISION=product_kind(precision, out.dtype),
            ROWS=tile.lines, IMAGES=tile.images, M=tile.rows, BLOCK_C=use.block_c, BLOCK_O=use.block_o,
            num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return out


def gradient_tile(
    kernel: str, shape: Shape, kind: str, device: torch.device
) -> tuple[Tile | None, Configuration]:
    """How an input gradient cuts the output maps of a stage of `shape`; no tile where not even three rows fit."""
    use = configure(kernel, shape, kind, device)
    return tile_of(use.rows, out_size(shape.height, shape.stride), out_size(shape.width, shape.stride)), use


def combine(sums: Tensor, positions: int, rows: int) -> tuple[Tensor, Tensor]:
    """Tiles' means and squared deviations to each channel's mean and biased variance, (C,) float32."""
    from robdsl.kernels.device.norms import combine_statistics

    tiles, _, outputs = sums.shape
    mean, variance = sums.new_empty(outputs), sums.new_empty(outputs)
    with torch.cuda.device_of(sums):
        combine_statistics[(over(outputs, 16),)](
            sums, mean, variance, tiles, rows, positions, OUT=outputs, M=256, BLOCK=16, num_warps=8, num_stages=1
        )
    return mean, variance
