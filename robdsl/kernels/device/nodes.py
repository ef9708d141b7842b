"""Sums of the maps that meet in a node, scaled, shifted, rectified, and the way back."""

from __future__ import annotations

import triton
import triton.language as tl

from robdsl.kernels.device.parts import pack, relu, unpack


@triton.jit
def node_sum_forward(
    xs, out, masks, scales, bias, positions,
    C: tl.constexpr, BYTES: tl.constexpr, TERMS: tl.constexpr, SCALE: tl.constexpr, BIAS: tl.constexpr,
    RECTIFY: tl.constexpr, MASK: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out = [relu](sum of scale_e * x_e + bias), and the mask of its positive elements. Grid: positions by channels."""
    start = tl.program_id(0).to(tl.int64) * M
    rows = tl.arange(0, M)
    exists = start + rows < positions
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = exists[:, None] & (channels < C)[None, :]
    at = (rows * C)[:, None] + channels[None, :]
    total = tl.zeros((M, BLOCK), tl.float32)
    for term in tl.static_range(TERMS):
        value = tl.load(xs[term] + start * C + at, mask=there, other=0.0).to(tl.float32)
        if SCALE:
            scale = tl.load(scales + term * C + channels, mask=channels < C, other=0.0)
            value = value * scale.to(tl.float32)[None, :]
        total += value
    if BIAS:
        total += tl.load(bias + channels, mask=channels < C, other=0.0).to(tl.float32)[None, :]
    if MASK:
        byte = tl.program_id(1) * (BLOCK // 8) + tl.arange(0, BLOCK // 8)
        tl.store(
            masks + start * BYTES + ((rows * BYTES)[:, None] + byte[None, :]),
            pack(~(total <= 0) & there, M, BLOCK),
            mask=exists[:, None] & (byte < BYTES)[None, :],
        )
    if RECTIFY:
        total = relu(total)
    tl.store(out + start * C + at, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def node_sum_gradient(
    gradient, outs, masks, scales, positions,
    C: tl.constexpr, BYTES: tl.constexpr, TERMS: tl.constexpr, SCALE: tl.constexpr, MASK: tl.constexpr,
    M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """outs_e = scale_e * gradient where the mask says so, all terms from one read of the gradient."""
    start = tl.program_id(0).to(tl.int64) * M
    rows = tl.arange(0, M)
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = (start + rows < positions)[:, None] & (channels < C)[None, :]
    at = (rows * C)[:, None] + channels[None, :]
    value = tl.load(gradient + start * C + at, mask=there, other=0.0).to(tl.float32)
    if MASK:
        value = tl.where(unpack(masks + start * BYTES, rows * BYTES, channels, there), value, 0.0)
    for term in tl.static_range(TERMS):
        result = value
        if SCALE:
            scale = tl.load(scales + term * C + channels, mask=channels < C, other=0.0)
            result = value * scale.to(tl.float32)[None, :]
        tl.store(outs[term] + start * C + at, result.to(outs[term].dtype.element_ty), mask=there)
