"""Pointwise convolutions of rectified maps that all read the same ones: forward, and the gradients to the maps.

Both are products of a tile of positions by blocks of channels. The blocks of all maps that are made are counted through,
BLOCKS of them are on chip at once, and for the next ones the maps that are read come from cache. Their blocks are counted
through too. How many there are is a number at run time: a loop of constant length is unrolled, which takes the compiler a
minute and the GPU its registers.
"""

from __future__ import annotations

import triton
import triton.language as tl

from robdsl.kernels.device.parts import chosen, dot, pack, relu, unpack


@triton.jit
def pointwise_fan_forward(
    xs, outs, masks, pointwise, bias, positions, mask_stride, blocks_in, blocks_out,
    C: tl.constexpr, OUT: tl.constexpr, BYTES: tl.constexpr, TERMS: tl.constexpr, FAN: tl.constexpr,
    BIAS: tl.constexpr, MASK: tl.constexpr, PRECISION: tl.constexpr, M: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_O: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """outs[f] = bias_f + sum over terms of pointwise_f(relu(x)), and the masks of positive x. Grid: tiles of positions."""
    start = tl.program_id(0).to(tl.int64) * M
    rows = tl.arange(0, M)
    exists = start + rows < positions
    of_x: tl.constexpr = (C + BLOCK_C - 1) // BLOCK_C
    of_out: tl.constexpr = (OUT + BLOCK_O - 1) // BLOCK_O
    for chunk in range(0, blocks_out, BLOCKS):
        sums = ()
        for _ in tl.static_range(BLOCKS):
            sums = sums + (tl.zeros((M, BLOCK_O), tl.float32),)
        for block in range(blocks_in):
            term = block // of_x
            first = (block % of_x) * BLOCK_C
            channels = first + tl.arange(0, BLOCK_C)
            value = tl.load(
                chosen(xs, term, TERMS) + start * C + ((rows * C)[:, None] + channels[None, :]),
                mask=exists[:, None] & (channels < C)[None, :],
                other=0.0,
            )
            if MASK and chunk == 0:
                byte = (first >> 3) + tl.arange(0, BLOCK_C // 8)
                tl.store(
                    masks + term * mask_stride + start * BYTES + ((rows * BYTES)[:, None] + byte[None, :]),
                    pack(~(value.to(tl.float32) <= 0), M, BLOCK_C),
                    mask=exists[:, None] & (byte < BYTES)[None, :],
                )
            value = relu(value)
            added = ()
            for k in tl.static_range(BLOCKS):
                fan = (chunk + k) // of_out
                outputs = ((chunk + k) % of_out) * BLOCK_O + tl.arange(0, BLOCK_O)
                weight = tl.load(
                    pointwise + fan * (OUT * TERMS * C) + term * C
                    + (outputs[None, :] * (TERMS * C) + channels[:, None]),
                    mask=((outputs < OUT) & (fan < FAN))[None, :] & (channels < C)[:, None],
                    other=0.0,
                )  # fmt: skip
                added = added + (dot(value, weight, sums[k], PRECISION),)
            sums = added
        for k in tl.static_range(BLOCKS):
            fan = (chunk + k) // of_out
            outputs = ((chunk + k) % of_out) * BLOCK_O + tl.arange(0, BLOCK_O)
            inside = (outputs < OUT) & (fan < FAN)
            total = sums[k]
            if BIAS:
                shift = tl.load(bias + fan * OUT + outputs, mask=inside, other=0.0)
                total += shift.to(tl.float32)[None, :]
            out = chosen(outs, fan, FAN)
            tl.store(
                out + start * OUT + ((rows * OUT)[:, None] + outputs[None, :]),
                total.to(out.dtype.element_ty),
                mask=exists[:, None] & inside[None, :],
            )


@triton.jit
def pointwise_fan_input_gradients(
    gradients, outs, masks, pointwise, positions, mask_stride, blocks_in, blocks_out,
    C: tl.constexpr, OUT: tl.constexpr, BYTES: tl.constexpr, TERMS: tl.constexpr, FAN: tl.constexpr,
    PRECISION: tl.constexpr, M: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """The gradient to each of the TERMS maps, from those to the FAN results. Grid: tiles of positions."""
    start = tl.program_id(0).to(tl.int64) * M
    rows = tl.arange(0, M)
    exists = start + rows < positions
    of_x: tl.constexpr = (C + BLOCK_C - 1) // BLOCK_C
    of_out: tl.constexpr = (OUT + BLOCK_O - 1) // BLOCK_O
    for chunk in range(0, blocks_out, BLOCKS):
        sums = ()
        for _ in tl.static_range(BLOCKS):
            sums = sums + (tl.zeros((M, BLOCK_C), tl.float32),)
        for block in range(blocks_in):
            fan = block // of_out
            outputs = (block % of_out) * BLOCK_O + tl.arange(0, BLOCK_O)
            given = tl.load(
                chosen(gradients, fan, FAN) + start * OUT + ((rows * OUT)[:, None] + outputs[None, :]),
                mask=exists[:, None] & (outputs < OUT)[None, :],
                other=0.0,
            )
            added = ()
            for k in tl.static_range(BLOCKS):
                term = (chunk + k) // of_x
                channels = ((chunk + k) % of_x) * BLOCK_C + tl.arange(0, BLOCK_C)
                weight = tl.load(
                    pointwise + fan * (OUT * TERMS * C) + term * C
                    + (outputs[:, None] * (TERMS * C) + channels[None, :]),
                    mask=(outputs < OUT)[:, None] & ((channels < C) & (term < TERMS))[None, :],
                    other=0.0,
                )  # fmt: skip
                added = added + (dot(given, weight, sums[k], PRECISION),)
            sums = added
        for k in tl.static_range(BLOCKS):
            term = (chunk + k) // of_x
            channels = ((chunk + k) % of_x) * BLOCK_C + tl.arange(0, BLOCK_C)
            there = exists[:, None] & ((channels < C) & (term < TERMS))[None, :]
            positive = unpack(masks + term * mask_stride + start * BYTES, rows * BYTES, channels, there)
            out = chosen(outs, term, TERMS)
            tl.store(
                out + start * C + ((rows * C)[:, None] + channels[None, :]),
                tl.where(positive, sums[k], 0.0).to(out.dtype.element_ty),
                mask=there,
            )
