"""Batch norms that meet in a node: their statistics, their sum, and the way back in two passes over the maps."""

from __future__ import annotations

import triton
import triton.language as tl

from robdsl.kernels.device.parts import unpack


@triton.jit
def combine_statistics(
    parts, mean, variance, tiles, rows, positions, OUT: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr
):
    """Each channel's mean and variance from tiles' means and squared deviations (Chan, Golub and LeVeque 1979, eq. 2.1).

    Grid: blocks of channels; M tiles are read at once. All but the last tile have `rows` positions.
    """
    channels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = channels < OUT
    at = parts + (tl.arange(0, M) * (2 * OUT))[:, None] + channels[None, :]
    sums = tl.zeros((M, BLOCK), tl.float32)
    for first in range(0, tiles, M):
        tile = first + tl.arange(0, M)
        count = tl.where(tile < tiles, tl.minimum(rows, positions - tile * rows), 0).to(tl.float32)
        there = (tile < tiles)[:, None] & inside[None, :]
        middle = tl.load(at + tl.cast(first, tl.int64) * (2 * OUT), mask=there, other=0.0)
        sums += middle * count[:, None]
    whole = tl.sum(sums, 0) / positions
    squares = tl.zeros((M, BLOCK), tl.float32)
    for first in range(0, tiles, M):
        tile = first + tl.arange(0, M)
        count = tl.where(tile < tiles, tl.minimum(rows, positions - tile * rows), 0).to(tl.float32)
        there = (tile < tiles)[:, None] & inside[None, :]
        place = at + tl.cast(first, tl.int64) * (2 * OUT)
        apart = tl.load(place, mask=there, other=0.0) - whole[None, :]
        squares += tl.load(place + OUT, mask=there, other=0.0) + count[:, None] * apart * apart
    tl.store(mean + channels, whole, mask=inside)
    tl.store(variance + channels, tl.sum(squares, 0) / positions, mask=inside)


@triton.jit
def norm_sum_forward(
    ys, addends, means, variances, weights, biases, out, eps, positions,
    C: tl.constexpr, TERMS: tl.constexpr, ADDENDS: tl.constexpr, AFFINE: tl.constexpr, M: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """out = sum of (y_e - mean_e) / sqrt(variance_e + eps) [* weight_e + bias_e] + sum of addends.

    Grid: positions by channels.
    """
    start = tl.program_id(0).to(tl.int64) * M
    rows = tl.arange(0, M)
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = channels < C
    there = (start + rows < positions)[:, None] & inside[None, :]
    at = start * C + ((rows * C)[:, None] + channels[None, :])
    total = tl.zeros((M, BLOCK), tl.float32)
    for term in tl.static_range(TERMS):
        value = tl.load(ys[term] + at, mask=there, other=0.0).to(tl.float32)
        mean = tl.load(means[term] + channels, mask=inside, other=0.0).to(tl.float32)
        spread = tl.load(variances[term] + channels, mask=inside, other=1.0).to(tl.float32)
        scale = 1.0 / tl.sqrt(spread + eps)
        if AFFINE:
            scale = scale * tl.load(weights[term] + channels, mask=inside, other=0.0).to(tl.float32)
            total += tl.load(biases[term] + channels, mask=inside, other=0.0).to(tl.float32)[None, :]
        total += (value - mean[None, :]) * scale[None, :]
    for addend in tl.static_range(ADDENDS):
        total += tl.load(addends[addend] + at, mask=there, other=0.0).to(tl.float32)
    tl.store(out + at, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def channel_gradients(
    gradient, xs, masks, centres, parts, positions, tiles,
    C: tl.constexpr, BYTES: tl.constexpr, TERMS: tl.constexpr, CENTRED: tl.constexpr, MASK: tl.constexpr,
    M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """parts[s, e, c]: the sum over part s of gradient * (x_e - centre_e); parts[s, TERMS, c]: of the gradient.

    Grid: parts, by blocks of channels. Part s takes tiles s, s + parts, and so on. The gradient is read once for all
    terms, and where a mask says so it is zero.
    """
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = channels < C
    rows = tl.arange(0, M)
    sums = ()
    for _ in tl.static_range(TERMS + 1):
        sums = sums + (tl.zeros((M, BLOCK), tl.float32),)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        start = tl.cast(tile, tl.int64) * M
        there = (start + rows < positions)[:, None] & inside[None, :]
        at = start * C + ((rows * C)[:, None] + channels[None, :])
        value = tl.load(gradient + at, mask=there, other=0.0).to(tl.float32)
        if MASK:
            value = tl.where(unpack(masks + start * BYTES, rows * BYTES, channels, there), value, 0.0)
        added = ()
        for term in tl.static_range(TERMS):
            x = tl.load(xs[term] + at, mask=there, other=0.0).to(tl.float32)
            if CENTRED:
                x -= tl.load(centres[term] + channels, mask=inside, other=0.0).to(tl.float32)[None, :]
            added = added + (sums[term] + value * x,)
        sums = added + (sums[TERMS] + value,)
    place = parts + tl.program_id(0).to(tl.int64) * ((TERMS + 1) * C) + channels
    for term in tl.static_range(TERMS + 1):
        tl.store(place + term * C, tl.sum(sums[term], 0), mask=inside)


@triton.jit
def norm_sum_gradient(
    gradient, ys, outs, means, variances, weights, sums, to_weights, eps, positions,
    C: tl.constexpr, TERMS: tl.constexpr, AFFINE: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """outs_e = scale_e * (gradient - its mean - normed_e * the mean of gradient * normed_e), and to_weights.

    `sums` is what `channel_gradients` found, added up; to_weights[e] and, of the gradient itself, to_weights[TERMS] are
    the gradients to weight and bias. Grid: positions by channels.
    """
    start = tl.program_id(0).to(tl.int64) * M
    rows = tl.arange(0, M)
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = channels < C
    there = (start + rows < positions)[:, None] & inside[None, :]
    at = start * C + ((rows * C)[:, None] + channels[None, :])
    whole = tl.load(sums + TERMS * C + channels, mask=inside, other=0.0)
    tl.store(to_weights + TERMS * C + channels, whole, mask=inside & (tl.program_id(0) == 0))
    value = tl.load(gradient + at, mask=there, other=0.0).to(tl.float32) - (whole / positions)[None, :]
    for term in tl.static_range(TERMS):
        mean = tl.load(means[term] + channels, mask=inside, other=0.0).to(tl.float32)
        spread = tl.load(variances[term] + channels, mask=inside, other=1.0).to(tl.float32)
        inverse = 1.0 / tl.sqrt(spread + eps)
        product = tl.load(sums + term * C + channels, mask=inside, other=0.0) * inverse
        tl.store(to_weights + term * C + channels, product, mask=inside & (tl.program_id(0) == 0))
        slope = product / positions * inverse
        scale = inverse
        if AFFINE:
            scale = scale * tl.load(weights[term] + channels, mask=inside, other=0.0).to(tl.float32)
        normed = tl.load(ys[term] + at, mask=there, other=0.0).to(tl.float32) - mean[None, :]
        result = scale[None, :] * (value - normed * slope[None, :])
        tl.store(outs[term] + at, result.to(outs[term].dtype.element_ty), mask=there)
