"""Gradients to the weights of a separable stage. Sums over all positions, in parts that are added up in a fixed order."""

from __future__ import annotations

import triton
import triton.language as tl

from robdsl.kernels.device.parts import consecutive, depthwise_of_relu, dot, relu


@triton.jit
def pointwise_gradient(
    x, gradient, parts, depthwise, N, tiles,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr,
    C: tl.constexpr, OUT: tl.constexpr, STRIDE: tl.constexpr, PRECISION: tl.constexpr, M: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """parts[s, o, c]: the sum over part s of gradient[p, o] * depthwise(relu(x))[p, c], made anew from x.

    Grid: parts, by blocks of C, by chunks of BLOCKS blocks of OUT. Part s takes tiles s, s + parts, and so on.
    """
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    first = tl.program_id(2) * (BLOCKS * BLOCK_O)
    place = tl.arange(0, M)
    sums = ()
    for _ in tl.static_range(BLOCKS):
        sums = sums + (tl.zeros((BLOCK_O, BLOCK_C), tl.float32),)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        base, image, row, column, exists = consecutive(tile, N, HEIGHT_OUT, WIDTH_OUT, M)
        base_x = base * (HEIGHT * WIDTH * C)
        start = tl.cast(tile, tl.int64) * (M * OUT)
        block = depthwise_of_relu(
            x + base_x, depthwise, image, row, column, exists, channels, HEIGHT, WIDTH, C, STRIDE, M, BLOCK_C
        )
        added = ()
        for k in tl.static_range(BLOCKS):
            outputs = first + k * BLOCK_O + tl.arange(0, BLOCK_O)
            given = tl.load(
                gradient + start + ((place * OUT)[None, :] + outputs[:, None]),
                mask=exists[None, :] & (outputs < OUT)[:, None],
                other=0.0,
            )
            added = added + (dot(given, block, sums[k], PRECISION),)
        sums = added
    for k in tl.static_range(BLOCKS):
        outputs = first + k * BLOCK_O + tl.arange(0, BLOCK_O)
        at = parts + tl.program_id(0).to(tl.int64) * (OUT * C) + outputs[:, None] * C + channels[None, :]
        tl.store(at, sums[k], mask=(outputs < OUT)[:, None] & (channels < C)[None, :])


@triton.jit
def depthwise_gradient(
    x, gradient, parts, pointwise, N, tiles,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr,
    C: tl.constexpr, OUT: tl.constexpr, STRIDE: tl.constexpr, PRECISION: tl.constexpr, M: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """parts[s, c, t]: the sum over part s of (pointwise transposed of gradient)[p, c] * relu(x)[p at tap t, c].

    Grid: parts, by blocks of C.
    """
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside_channels = channels < C
    place = tl.arange(0, M)
    taps = tl.arange(0, 16)
    sums = tl.zeros((16, BLOCK_C), tl.float32)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        base, image, row, column, exists = consecutive(tile, N, HEIGHT_OUT, WIDTH_OUT, M)
        base_x = base * (HEIGHT * WIDTH * C)
        start = tl.cast(tile, tl.int64) * (M * OUT)
        values = tl.zeros((M, BLOCK_C), tl.float32)
        for first in range(0, OUT, BLOCK_O):
            outputs = first + tl.arange(0, BLOCK_O)
            given = tl.load(
                gradient + start + ((place * OUT)[:, None] + outputs[None, :]),
                mask=exists[:, None] & (outputs < OUT)[None, :],
                other=0.0,
            )
            weight = tl.load(
                pointwise + outputs[:, None] * C + channels[None, :],
                mask=(outputs < OUT)[:, None] & inside_channels[None, :],
                other=0.0,
            )
            values = dot(given, weight, values, PRECISION)
        centre = (
            x + base_x + ((image * (HEIGHT * WIDTH) + row * (STRIDE * WIDTH) + column * STRIDE) * C)[:, None]
        )
        for tap in tl.static_range(9):
            line = row * STRIDE + (tap // 3 - 1)
            along = column * STRIDE + (tap % 3 - 1)
            inside = exists & (line >= 0) & (line < HEIGHT) & (along >= 0) & (along < WIDTH)
            read = tl.load(
                centre + (((tap // 3 - 1) * WIDTH + (tap % 3 - 1)) * C + channels[None, :]),
                mask=inside[:, None] & inside_channels[None, :],
                other=0.0,
            )
            total = tl.sum(values * relu(read.to(tl.float32)), 0)
            sums += tl.where((taps == tap)[:, None], total[None, :], 0.0)
    at = parts + tl.program_id(0).to(tl.int64) * (C * 9) + channels[None, :] * 9 + taps[:, None]
    tl.store(at, sums, mask=(taps < 9)[:, None] & inside_channels[None, :])
