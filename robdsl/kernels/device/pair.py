"""Both stages of a separable convolution on chip: whole maps a tile, nothing between the stages goes to memory."""

from __future__ import annotations

import triton
import triton.language as tl

from robdsl.kernels.device.parts import (
    depthwise_of_relu,
    dot,
    keep_mask,
    pack,
    positions,
    relu,
    shifted,
    store_transposed_depthwise,
    unpack,
)


@triton.jit
def pair_forward(
    x, addends, out, masks_in, masks_between, depthwise_1, pointwise_1, bias_1, depthwise_2, pointwise_2, bias_2, N,
    between_end,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr,
    C: tl.constexpr, B: tl.constexpr, OUT: tl.constexpr, BYTES_IN: tl.constexpr, BYTES_BETWEEN: tl.constexpr,
    STRIDE: tl.constexpr, ADDENDS: tl.constexpr, BIAS_1: tl.constexpr, BIAS_2: tl.constexpr, MASK: tl.constexpr,
    PRECISION: tl.constexpr, IMAGES: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr,
    BLOCKS_C: tl.constexpr, BLOCKS_O: tl.constexpr,
):  # fmt: skip
    """stage(stage(x)) + sum of addends. All blocks of the first depthwise convolution and of the result stay on chip.

    `between_end` is B again: a loop whose length the compiler does not know is not unrolled, and unrolled it spills.
    Between the stages one block of channels lives at a time: made, masked, read at nine shifted places, multiplied.
    """
    base, image, row, column, exists, _ = positions(tl.program_id(0), N, HEIGHT_OUT, WIDTH_OUT, 0, IMAGES, M)
    x += base * (HEIGHT * WIDTH * C)
    masks_in += base * (HEIGHT * WIDTH * BYTES_IN)
    masks_between += base * (HEIGHT_OUT * WIDTH_OUT * BYTES_BETWEEN)
    place = image * (HEIGHT_OUT * WIDTH_OUT) + row * WIDTH_OUT + column
    inner = ()
    for j in tl.static_range(BLOCKS_C):
        channels = j * BLOCK + tl.arange(0, BLOCK)
        if MASK:
            keep_mask(
                x,
                masks_in,
                image,
                row,
                column,
                exists,
                channels,
                HEIGHT,
                WIDTH,
                C,
                BYTES_IN,
                STRIDE,
                M,
                BLOCK,
            )
        block = depthwise_of_relu(
            x, depthwise_1, image, row, column, exists, channels, HEIGHT, WIDTH, C, STRIDE, M, BLOCK
        )
        inner = inner + (block,)
    sums = ()
    for _ in tl.static_range(BLOCKS_O):
        sums = sums + (tl.zeros((M, BLOCK), tl.float32),)
    for start in range(0, between_end, BLOCK):
        middle = start + tl.arange(0, BLOCK)
        between = tl.zeros((M, BLOCK), tl.float32)
        if BIAS_1:  # where the sum begins: added at its end it costs Triton 3.6 a spill on sm_80
            between += tl.load(bias_1 + middle, mask=middle < B, other=0.0).to(tl.float32)[None, :]
        for j in tl.static_range(BLOCKS_C):
            channels = j * BLOCK + tl.arange(0, BLOCK)
            weight = tl.load(
                pointwise_1 + middle[None, :] * C + channels[:, None],
                mask=(middle < B)[None, :] & (channels < C)[:, None],
                other=0.0,
            )
            between = dot(inner[j], weight, between, PRECISION)
        if MASK:
            byte = (start >> 3) + tl.arange(0, BLOCK // 8)
            tl.store(
                masks_between + ((place * BYTES_BETWEEN)[:, None] + byte[None, :]),
                pack(~(between <= 0), M, BLOCK),
                mask=exists[:, None] & (byte < BYTES_BETWEEN)[None, :],
            )
        between = relu(between)
        block = tl.zeros((M, BLOCK), tl.float32)
        for down in range(-1, 2):
            for right in tl.static_range(-1, 2):
                tap = 3 * (1 + down) + (1 + right)
                factor = tl.load(depthwise_2 + middle * 9 + tap, mask=middle < B, other=0.0).to(tl.float32)
                part = shifted(between, row, column, down, right, HEIGHT_OUT, WIDTH_OUT, M, BLOCK)
                block += part * factor[None, :]
        added = ()
        for k in tl.static_range(BLOCKS_O):
            outputs = k * BLOCK + tl.arange(0, BLOCK)
            weight = tl.load(
                pointwise_2 + outputs[None, :] * B + middle[:, None],
                mask=(outputs < OUT)[None, :] & (middle < B)[:, None],
                other=0.0,
            )
            added = added + (dot(block, weight, sums[k], PRECISION),)
        sums = added
    start_out = base * (HEIGHT_OUT * WIDTH_OUT * OUT)
    for k in tl.static_range(BLOCKS_O):
        outputs = k * BLOCK + tl.arange(0, BLOCK)
        there = exists[:, None] & (outputs < OUT)[None, :]
        total = sums[k]
        if BIAS_2:
            total += tl.load(bias_2 + outputs, mask=outputs < OUT, other=0.0).to(tl.float32)[None, :]
        at = (place * OUT)[:, None] + outputs[None, :]
        for addend in tl.static_range(ADDENDS):
            total += tl.load(addends[addend] + start_out + at, mask=there, other=0.0).to(tl.float32)
        tl.store(out + start_out + at, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def pair_input_gradient(
    gradient, out, masks_in, masks_between, depthwise_1, pointwise_1, depthwise_2, pointwise_2, N, outputs_end,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr,
    C: tl.constexpr, B: tl.constexpr, OUT: tl.constexpr, BYTES_IN: tl.constexpr, BYTES_BETWEEN: tl.constexpr,
    STRIDE: tl.constexpr, PRECISION: tl.constexpr, IMAGES: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr,
    BLOCKS_C: tl.constexpr,
):  # fmt: skip
    """The gradient to x, back through both stages; the gradient between them lives a block of channels at a time.

    `outputs_end` is OUT again: a loop whose length the compiler does not know is not unrolled, and unrolled it spills.
    """
    base, image, row, column, exists, _ = positions(tl.program_id(0), N, HEIGHT_OUT, WIDTH_OUT, 0, IMAGES, M)
    gradient += base * (HEIGHT_OUT * WIDTH_OUT * OUT)
    masks_between += base * (HEIGHT_OUT * WIDTH_OUT * BYTES_BETWEEN)
    place = image * (HEIGHT_OUT * WIDTH_OUT) + row * WIDTH_OUT + column
    sums = ()
    for _ in tl.static_range(BLOCKS_C):
        sums = sums + (tl.zeros((M, BLOCK), tl.float32),)
    for start in range(0, B, BLOCK):
        middle = start + tl.arange(0, BLOCK)
        outer = tl.zeros((M, BLOCK), tl.float32)
        for first in range(0, outputs_end, BLOCK):
            outputs = first + tl.arange(0, BLOCK)
            given = tl.load(
                gradient + ((place * OUT)[:, None] + outputs[None, :]),
                mask=exists[:, None] & (outputs < OUT)[None, :],
                other=0.0,
            )
            weight = tl.load(
                pointwise_2 + outputs[:, None] * B + middle[None, :],
                mask=(outputs < OUT)[:, None] & (middle < B)[None, :],
                other=0.0,
            )
            outer = dot(given, weight, outer, PRECISION)
        between = tl.zeros((M, BLOCK), tl.float32)
        for down in range(-1, 2):
            for right in tl.static_range(-1, 2):
                tap = 3 * (1 - down) + (1 - right)
                factor = tl.load(depthwise_2 + middle * 9 + tap, mask=middle < B, other=0.0).to(tl.float32)
                part = shifted(outer, row, column, down, right, HEIGHT_OUT, WIDTH_OUT, M, BLOCK)
                between += part * factor[None, :]
        there = exists[:, None] & (middle < B)[None, :]
        between = tl.where(unpack(masks_between, place * BYTES_BETWEEN, middle, there), between, 0.0)
        added = ()
        for j in tl.static_range(BLOCKS_C):
            channels = j * BLOCK + tl.arange(0, BLOCK)
            weight = tl.load(
                pointwise_1 + middle[:, None] * C + channels[None, :],
                mask=(middle < B)[:, None] & (channels < C)[None, :],
                other=0.0,
            )
            added = added + (dot(between, weight, sums[j], PRECISION),)
        sums = added
    for j in tl.static_range(BLOCKS_C):
        store_transposed_depthwise(
            sums[j], out + base * (HEIGHT * WIDTH * C), masks_in + base * (HEIGHT * WIDTH * BYTES_IN), depthwise_1,
            image, row, column, exists, j * BLOCK + tl.arange(0, BLOCK),
            HEIGHT, WIDTH, C, BYTES_IN, STRIDE, HEIGHT_OUT, WIDTH_OUT, M, BLOCK,
        )  # fmt: skip
