"""Sums and fans of stages, relu + depthwise 3x3 + pointwise: forward, and the gradients to their inputs."""

from __future__ import annotations

import triton
import triton.language as tl

from robdsl.kernels.device.parts import (
    chosen,
    consecutive,
    depthwise_of_relu,
    dot,
    keep_mask,
    positions,
    store_masked,
    store_transposed_depthwise,
    transposed_depthwise,
)


@triton.jit
def separable_forward(
    xs, addends, outs, masks, depthwise, pointwise, bias, statistics, N, mask_stride, fans,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr,
    C: tl.constexpr, OUT: tl.constexpr, BYTES: tl.constexpr, STRIDE: tl.constexpr, TERMS: tl.constexpr,
    FAN: tl.constexpr, ADDENDS: tl.constexpr, BIAS: tl.constexpr, MASK: tl.constexpr, STATISTICS: tl.constexpr,
    PRECISION: tl.constexpr, M: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """outs[f] = bias_f + sum of addends + sum over terms of pointwise(depthwise(relu(x))), for FAN sums of the same maps.

    See `separable_sum` (FAN = 1) and `separable_fan` (TERMS = 1). Grid: tiles of M consecutive output positions, by
    chunks of BLOCKS blocks of output channels. A depthwise block is made once a chunk and multiplied with all of
    its blocks. What the first sum read of the maps is in cache for the others. `fans` is FAN again: a loop whose length the
    compiler does not know is not unrolled, and unrolled it spills.
    """
    base, image, row, column, exists = consecutive(tl.program_id(0), N, HEIGHT_OUT, WIDTH_OUT, M)
    base_x = base * (HEIGHT * WIDTH * C)
    base_mask = base * (HEIGHT * WIDTH * BYTES)
    first = tl.program_id(1) * (BLOCKS * BLOCK_O)
    begin = tl.program_id(0).to(tl.int64) * (M * OUT)
    for fan in range(fans):
        sums = ()
        for _ in tl.static_range(BLOCKS):
            sums = sums + (tl.zeros((M, BLOCK_O), tl.float32),)
        for term in tl.static_range(TERMS):
            for start in range(0, C, BLOCK_C):
                channels = start + tl.arange(0, BLOCK_C)
                if MASK and fan == 0 and tl.program_id(1) == 0:
                    keep_mask(
                        xs[term] + base_x, masks + term * mask_stride + base_mask, image, row, column, exists,
                        channels, HEIGHT, WIDTH, C, BYTES, STRIDE, M, BLOCK_C,
                    )  # fmt: skip
                block = depthwise_of_relu(
                    xs[term] + base_x, depthwise + (fan * TERMS + term) * C * 9, image, row, column, exists, channels,
                    HEIGHT, WIDTH, C, STRIDE, M, BLOCK_C,
                )  # fmt: skip
                added = ()
                for k in tl.static_range(BLOCKS):
                    outputs = first + k * BLOCK_O + tl.arange(0, BLOCK_O)
                    weight = tl.load(
                        pointwise + (fan * TERMS + term) * OUT * C + outputs[None, :] * C + channels[:, None],
                        mask=(outputs < OUT)[None, :] & (channels < C)[:, None],
                        other=0.0,
                    )
                    added = added + (dot(block, weight, sums[k], PRECISION),)
                sums = added
        place = tl.arange(0, M) * OUT
        out = chosen(outs, fan, FAN)
        for k in tl.static_range(BLOCKS):
            outputs = first + k * BLOCK_O + tl.arange(0, BLOCK_O)
            there = exists[:, None] & (outputs < OUT)[None, :]
            at = place[:, None] + outputs[None, :]
            total = sums[k]
            if BIAS:
                shift = tl.load(bias + fan * OUT + outputs, mask=outputs < OUT, other=0.0)
                total += shift.to(tl.float32)[None, :]
            for addend in tl.static_range(ADDENDS):
                total += tl.load(addends[addend] + begin + at, mask=there, other=0.0).to(tl.float32)
            tl.store(out + begin + at, total.to(out.dtype.element_ty), mask=there)
            if STATISTICS:
                # About the tile's own mean, so that adding up tiles (Chan et al. 1979) loses nothing to cancellation.
                count = tl.sum(exists.to(tl.float32), 0)
                mean = tl.sum(tl.where(there, total, 0.0), 0) / tl.maximum(count, 1.0)
                apart = tl.where(there, total - mean[None, :], 0.0)
                of = statistics + tl.program_id(0).to(tl.int64) * (2 * OUT) + outputs
                tl.store(of, mean, mask=outputs < OUT)
                tl.store(of + OUT, tl.sum(apart * apart, 0), mask=outputs < OUT)


@triton.jit
def separable_input_gradient(
    gradient, outs, masks, depthwise, pointwise, N, mask_stride,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr,
    C: tl.constexpr, OUT: tl.constexpr, BYTES: tl.constexpr, STRIDE: tl.constexpr, TERMS: tl.constexpr,
    PRECISION: tl.constexpr, ROWS: tl.constexpr, IMAGES: tl.constexpr, M: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """The gradient to each x: pointwise transposed, then depthwise transposed by shifted reads on chip.

    Grid: tiles of whole maps, or of rows with a halo. The products of the halo are made twice, those of the
    nine taps once.
    """
    base, image, row, column, exists, writes = positions(
        tl.program_id(0), N, HEIGHT_OUT, WIDTH_OUT, ROWS, IMAGES, M
    )
    place = (image * (HEIGHT_OUT * WIDTH_OUT) + (row * WIDTH_OUT + column)) * OUT
    gradient += base * (HEIGHT_OUT * WIDTH_OUT * OUT)
    masks += base * (HEIGHT * WIDTH * BYTES)
    for term in tl.static_range(TERMS):
        for start in range(0, C, BLOCK_C):
            channels = start + tl.arange(0, BLOCK_C)
            values = tl.zeros((M, BLOCK_C), tl.float32)
            for first in range(0, OUT, BLOCK_O):
                outputs = first + tl.arange(0, BLOCK_O)
                given = tl.load(
                    gradient + (place[:, None] + outputs[None, :]),
                    mask=exists[:, None] & (outputs < OUT)[None, :],
                    other=0.0,
                )
                weight = tl.load(
                    pointwise + term * OUT * C + outputs[:, None] * C + channels[None, :],
                    mask=(outputs < OUT)[:, None] & (channels < C)[None, :],
                    other=0.0,
                )
                values = dot(given, weight, values, PRECISION)
            store_transposed_depthwise(
                values, outs[term] + base * (HEIGHT * WIDTH * C), masks + term * mask_stride, depthwise + term * C * 9,
                image, row, column, writes, channels, HEIGHT, WIDTH, C, BYTES, STRIDE, HEIGHT_OUT, WIDTH_OUT, M, BLOCK_C,
            )  # fmt: skip


@triton.jit
def separable_fan_input_gradient(
    gradients, out, masks, depthwise, pointwise, N, fans,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr,
    C: tl.constexpr, OUT: tl.constexpr, BYTES: tl.constexpr, STRIDE: tl.constexpr, FAN: tl.constexpr,
    PRECISION: tl.constexpr, ROWS: tl.constexpr, IMAGES: tl.constexpr, M: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """The gradient to the one x of FAN stages, from all of theirs: as `separable_input_gradient`, summed up on chip.

    Of each position of x that an output position answers for, a tile of sums is kept: one at stride 1, four at 2.
    `fans` is FAN again: a loop whose length the compiler does not know is not unrolled, and unrolled it spills.
    """
    base, image, row, column, exists, writes = positions(
        tl.program_id(0), N, HEIGHT_OUT, WIDTH_OUT, ROWS, IMAGES, M
    )
    place = (image * (HEIGHT_OUT * WIDTH_OUT) + (row * WIDTH_OUT + column)) * OUT
    for start in range(0, C, BLOCK_C):
        channels = start + tl.arange(0, BLOCK_C)
        sums = ()
        for _ in tl.static_range(STRIDE * STRIDE):
            sums = sums + (tl.zeros((M, BLOCK_C), tl.float32),)
        for fan in range(fans):
            gradient = chosen(gradients, fan, FAN) + base * (HEIGHT_OUT * WIDTH_OUT * OUT)
            values = tl.zeros((M, BLOCK_C), tl.float32)
            for first in range(0, OUT, BLOCK_O):
                outputs = first + tl.arange(0, BLOCK_O)
                given = tl.load(
                    gradient + (place[:, None] + outputs[None, :]),
                    mask=exists[:, None] & (outputs < OUT)[None, :],
                    other=0.0,
                )
                weight = tl.load(
                    pointwise + fan * OUT * C + outputs[:, None] * C + channels[None, :],
                    mask=(outputs < OUT)[:, None] & (channels < C)[None, :],
                    other=0.0,
                )
                values = dot(given, weight, values, PRECISION)
            added = ()
            for k in tl.static_range(STRIDE * STRIDE):
                part = transposed_depthwise(
                    values, depthwise + fan * C * 9, row, column, channels, k // STRIDE, k % STRIDE, C, STRIDE,
                    HEIGHT_OUT, WIDTH_OUT, M, BLOCK_C,
                )  # fmt: skip
                added = added + (sums[k] + part,)
            sums = added
        for k in tl.static_range(STRIDE * STRIDE):
            store_masked(
                sums[k], out + base * (HEIGHT * WIDTH * C), masks + base * (HEIGHT * WIDTH * BYTES), image, row, column,
                writes, channels, k // STRIDE, k % STRIDE, HEIGHT, WIDTH, C, BYTES, STRIDE,
            )  # fmt: skip
