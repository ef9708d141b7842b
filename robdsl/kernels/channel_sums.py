"""Gradients to what a channel is scaled and shifted by: sums over all positions, for every map of a node in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import mask_bytes, nhwc, runs_kernel, unpack_bits, wide, wide_dtype
from robdsl.kernels.precision import DEFAULT_PRECISION, tile_kind
from robdsl.kernels.tiles import over

#: Programs that share the positions: enough for a large GPU, few enough that adding up their sums costs nothing.
PROGRAMS = 1024


def channel_gradients(
    gradient: Tensor, xs: Sequence[Tensor], centres: Sequence[Tensor] = (), mask: Tensor | None = None
) -> Tensor:
    """The sum of ``gradient * (x - centre)`` over all positions, for each x, and that of the gradient itself.

    Args:
        gradient: N x C x H x W.
        xs: k maps like it.
        centres: k vectors (C,), or none for zeros. About its mean a map loses nothing to cancellation.
        mask: bits, N x H x W x ceil(C / 8) uint8: where one is not set, the gradient counts as zero.

    Returns:
        (k + 1, C), the gradient's own sum last, at least float32; the same bits on each run.
    """
    found: Tensor = torch.ops.robdsl.channel_gradients(gradient, list(xs), list(centres), mask)
    return found


@torch.library.custom_op(
    "robdsl::channel_gradients",
    mutates_args=(),
    schema="(Tensor gradient, Tensor[] xs, Tensor[] centres, Tensor? mask) -> Tensor",
)
def _channel_gradients(
    gradient: Tensor, xs: list[Tensor], centres: list[Tensor], mask: Tensor | None
) -> Tensor:
    if runs_kernel(gradient, *xs, *centres):
        return launch(gradient, xs, centres, mask)
    value = wide(gradient)
    if mask is not None:
        value = torch.where(unpack_bits(mask, gradient.shape[1]), value, 0)
    apart = [wide(x) for x in xs]
    if centres:
        apart = [x - wide(centre)[:, None, None] for x, centre in zip(apart, centres, strict=True)]
    return torch.stack([*((value * x).sum((0, 2, 3)) for x in apart), value.sum((0, 2, 3))])


@_channel_gradients.register_fake
def _(gradient: Tensor, xs: list[Tensor], centres: list[Tensor], mask: Tensor | None) -> Tensor:
    return gradient.new_empty((len(xs) + 1, gradient.shape[1]), dtype=wide_dtype(gradient.dtype))


def launch(
    gradient: Tensor, xs: Sequence[Tensor], centres: Sequence[Tensor], mask: Tensor | None
) -> Tensor:
    """`channel_gradients` by its kernel."""
    from robdsl.kernels.device.norms import channel_gradients as kernel

    n, channels, height, width = gradient.shape
    kind = tile_kind(DEFAULT_PRECISION, gradient.dtype)
    use = configure("channel_gradients", Shape(height, width, channels, channels), kind, gradient.device)
    positions = n * height * width
    tiles, blocks = over(positions, use.rows), over(channels, use.block_c)
    count = min(tiles, over(PROGRAMS, blocks))
    parts = gradient.new_empty((count, len(xs) + 1, channels), dtype=torch.float32)
    with torch.cuda.device_of(gradient):
        kernel[(count, blocks)](
            nhwc(gradient), tuple(map(nhwc, xs)), gradient if mask is None else mask,
            tuple(each.contiguous() for each in centres), parts, positions, tiles, C=channels,
            BYTES=mask_bytes(channels), TERMS=len(xs), CENTRED=len(centres) > 0, MASK=mask is not None, M=use.rows,
            BLOCK=use.block_c, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return parts.sum(0)
