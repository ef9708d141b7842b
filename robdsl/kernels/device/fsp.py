"""Gram matrices between two maps, and how far two of them are apart."""

from __future__ import annotations

import triton
import triton.language as tl

from robdsl.kernels.device.parts import dot


@triton.jit
def _accumulate(
    a, b, sign, image, total, rows, columns,
    POSITIONS: tl.constexpr, A: tl.constexpr, B: tl.constexpr, PRECISION: tl.constexpr, M: tl.constexpr,
):  # fmt: skip
    """total + sign * (sum over positions of a[p, rows] b[p, columns])."""
    a += image * (POSITIONS * A)
    b += image * (POSITIONS * B)
    for start in range(0, POSITIONS, M):
        place = start + tl.arange(0, M)
        left = tl.load(
            a + (place[None, :] * A + rows[:, None]),
            mask=(place < POSITIONS)[None, :] & (rows < A)[:, None],
            other=0.0,
        )
        right = tl.load(
            b + (place[:, None] * B + columns[None, :]),
            mask=(place < POSITIONS)[:, None] & (columns < B)[None, :],
            other=0.0,
        )
        total = dot(left.to(tl.float32) * sign, right, total, PRECISION)
    return total


@triton.jit
def gram(
    a, b, out,
    POSITIONS: tl.constexpr, A: tl.constexpr, B: tl.constexpr, PRECISION: tl.constexpr, M: tl.constexpr,
    BLOCK_A: tl.constexpr, BLOCK_B: tl.constexpr,
):  # fmt: skip
    """out[n, i, j] = mean over positions of a[n, p, i] * b[n, p, j]. Grid: images, blocks of i, blocks of j."""
    image = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BLOCK_A + tl.arange(0, BLOCK_A)
    columns = tl.program_id(2) * BLOCK_B + tl.arange(0, BLOCK_B)
    total = tl.zeros((BLOCK_A, BLOCK_B), tl.float32)
    total = _accumulate(a, b, 1.0, image, total, rows, columns, POSITIONS, A, B, PRECISION, M)
    tl.store(
        out + image * (A * B) + (rows[:, None] * B + columns[None, :]),
        total / POSITIONS,
        mask=(rows < A)[:, None] & (columns < B)[None, :],
    )


@triton.jit
def gram_distance(
    a, b, a_other, b_other, parts,
    POSITIONS: tl.constexpr, A: tl.constexpr, B: tl.constexpr, PRECISION: tl.constexpr, M: tl.constexpr,
    BLOCK_A: tl.constexpr, BLOCK_B: tl.constexpr,
):  # fmt: skip
    """parts[n, block]: the squared difference of two Gram matrices, summed over a block. No matrix is written."""
    image = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BLOCK_A + tl.arange(0, BLOCK_A)
    columns = tl.program_id(2) * BLOCK_B + tl.arange(0, BLOCK_B)
    total = tl.zeros((BLOCK_A, BLOCK_B), tl.float32)
    total = _accumulate(a, b, 1.0, image, total, rows, columns, POSITIONS, A, B, PRECISION, M)
    total = _accumulate(a_other, b_other, -1.0, image, total, rows, columns, POSITIONS, A, B, PRECISION, M)
    total = total / POSITIONS
    blocks = tl.num_programs(1) * tl.num_programs(2)
    block = tl.program_id(1) * tl.num_programs(2) + tl.program_id(2)
    tl.store(parts + image * blocks + block, tl.sum(tl.sum(total * total, 1), 0))
