"""What the kernels share: products of stated precision, bit masks, and reading a tile at shifted positions."""

from __future__ import annotations

import os

import triton
import triton.language as tl

#: Whether kernels decorated in this process run in Triton's interpreter. Triton reads the variable when it decorates.
INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET", "0") == "1")


@triton.jit
def dot(a, b, accumulator, PRECISION: tl.constexpr):
    """``accumulator + a @ b``, accumulated in float32; operands are rounded as `PRECISION` says.

    The interpreter's products of bfloat16 are wrong, so there rounded operands are multiplied as float32, which is
    what the hardware computes: products of two bfloat16 are exact in float32.
    """
    if PRECISION == "bf16":
        if INTERPRETED:
            return tl.dot(
                a.to(tl.bfloat16).to(tl.float32),
                b.to(tl.bfloat16).to(tl.float32),
                accumulator,
                input_precision="ieee",
            )
        else:
            return tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16), accumulator)
    elif PRECISION == "fp16":
        return tl.dot(a.to(tl.float16), b.to(tl.float16), accumulator)
    else:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), accumulator, input_precision=PRECISION)


@triton.jit
def chosen(maps, index, COUNT: tl.constexpr):
    """maps[index], of a tuple of COUNT pointers, where the compiler does not know the index."""
    found = maps[0]
    for k in tl.static_range(1, COUNT):
        found = tl.where(index == k, maps[k], found)
    return found


@triton.jit
def relu(x):
    """max(x, 0); a not-a-number stays one, as in torch."""
    return tl.where(x < 0, 0.0, x)


@triton.jit
def pack(bits, M: tl.constexpr, C: tl.constexpr):
    """(M, C) of 0 and 1 -> (M, C / 8) bytes, the lowest channel in the lowest bit."""
    weights = 1 << tl.arange(0, 8)
    grouped = tl.reshape(bits.to(tl.int32), (M, C // 8, 8))
    return tl.sum(grouped * weights[None, None, :], axis=2).to(tl.uint8)


@triton.jit
def unpack(masks, offsets, channels, alive):
    """The bits at rows `offsets` (of bytes) and `channels` of a packed mask, (M, C) bool."""
    bytes_ = tl.load(masks + (offsets[:, None] + (channels >> 3)[None, :]), mask=alive, other=0)
    return ((bytes_.to(tl.int32) >> (channels & 7)[None, :]) & 1) != 0


@triton.jit
def positions(
    tile,
    N,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    IMAGES: tl.constexpr,
    M: tl.constexpr,
):
    """What the M rows of a tile stand for: first image, image from there, row, column, whether it exists, is written.

    With ROWS = 0 a tile is IMAGES whole maps. Else it is ROWS rows of one map and a halo row above and below, which
    neighbouring tiles write. The first image is one 64-bit number; all else in a tile is counted from it in 32 bits.
    """
    m = tl.arange(0, M)
    line = m // WIDTH
    column = m % WIDTH
    if ROWS == 0:
        first = tile * IMAGES
        image = line // HEIGHT
        exists = (image < IMAGES) & (first + image < N)
        return first.to(tl.int64), image, line % HEIGHT, column, exists, exists
    else:
        across = (HEIGHT + ROWS - 1) // ROWS
        row = (tile % across) * ROWS - 1 + line
        exists = (row >= 0) & (row < HEIGHT) & (line < ROWS + 2)
        first = (tile // across).to(tl.int64)
        return first, tl.zeros((M,), tl.int32), row, column, exists, exists & (line > 0) & (line <= ROWS)


@triton.jit
def consecutive(tile, N, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, M: tl.constexpr):
    """M consecutive positions of all maps: first image, image from there, row, column, whether they exist."""
    start = tile * M
    first = start // (HEIGHT * WIDTH)
    rest = start % (HEIGHT * WIDTH) + tl.arange(0, M)
    exists = start + tl.arange(0, M) < N * (HEIGHT * WIDTH)
    inner = rest % (HEIGHT * WIDTH)
    return tl.cast(first, tl.int64), rest // (HEIGHT * WIDTH), inner // WIDTH, inner % WIDTH, exists


@triton.jit
def shifted(
    values, row, column, down, right,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, M: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """A tile on chip, read `down` rows lower and `right` columns further; zero outside the map."""
    source = tl.arange(0, M) + (down * WIDTH + right)
    inside = (row + down >= 0) & (row + down < HEIGHT) & (column + right >= 0) & (column + right < WIDTH)
    inside = inside & (source >= 0) & (source < M)
    index = tl.broadcast_to(tl.where(inside, source, 0)[:, None], (M, C))
    return tl.where(inside[:, None], tl.gather(values, index, 0), 0.0)


@triton.jit
def keep_mask(
    x, masks, image, row, column, exists, channels,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, C: tl.constexpr, BYTES: tl.constexpr, STRIDE: tl.constexpr,
    M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes which of x are positive, for the STRIDE x STRIDE positions of x that each output position answers for.

    `x` and `masks` point to the tile's first image. What is read here is in cache when the taps are read.
    """
    place = image * (HEIGHT * WIDTH) + row * (STRIDE * WIDTH) + column * STRIDE
    byte = (tl.min(channels, 0) >> 3) + tl.arange(0, BLOCK // 8)
    for a in tl.static_range(STRIDE):
        for b in tl.static_range(STRIDE):
            inside = exists & (row * STRIDE + a < HEIGHT) & (column * STRIDE + b < WIDTH)
            here = place + (a * WIDTH + b)
            value = tl.load(
                x + ((here * C)[:, None] + channels[None, :]),
                mask=inside[:, None] & (channels < C)[None, :],
                other=0.0,
            )
            tl.store(
                masks + ((here * BYTES)[:, None] + byte[None, :]),
                pack(~(value.to(tl.float32) <= 0), M, BLOCK),
                mask=inside[:, None] & (byte < BYTES)[None, :],
            )


@triton.jit
def depthwise_of_relu(
    x, weights, image, row, column, exists, channels,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, C: tl.constexpr, STRIDE: tl.constexpr,
    M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A depthwise 3x3 of relu(x), padding 1, at a tile of output positions, (M, BLOCK) float32.

    Reads x once from memory and eight times from cache. `x` points to the tile's first image. The loop over the
    window's rows is a loop for a reason: where all nine taps are one expression, Triton moves each of them, and not
    their sum, through shared memory into the layout of the product that follows.
    """
    inside_channels = channels < C
    result = tl.zeros((M, BLOCK), tl.float32)
    place = image * (HEIGHT * WIDTH) + row * (STRIDE * WIDTH) + column * STRIDE
    centre = x + ((place * C)[:, None] + channels[None, :])
    for down in range(-1, 2):
        line = row * STRIDE + down
        inside_line = exists & (line >= 0) & (line < HEIGHT)
        for tap in tl.static_range(3):
            along = column * STRIDE + (tap - 1)
            inside = inside_line & (along >= 0) & (along < WIDTH)
            value = tl.load(
                centre + (down * WIDTH + (tap - 1)) * C,
                mask=inside[:, None] & inside_channels[None, :],
                other=0.0,
            )
            weight = tl.load(weights + channels * 9 + (3 * down + 3 + tap), mask=inside_channels, other=0.0)
            result += relu(value.to(tl.float32)) * weight.to(tl.float32)[None, :]
    return result


@triton.jit
def transposed_depthwise(
    values, weights, row, column, channels, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr, STRIDE: tl.constexpr,
    HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The transpose of `depthwise_of_relu` without its ReLU: from a tile of gradients at output positions to those of x.

    An output position p answers for the x at STRIDE * p + (A, B). Those get the outputs at p + (down, right) through
    tap (A, B) + 1 - STRIDE * (down, right), where there is one: nine shifted reads in all, whatever the stride.
    """
    total = tl.zeros((M, BLOCK), tl.float32)
    for down in range(-((1 - A) // STRIDE), (A + 1) // STRIDE + 1):
        for right in tl.static_range(-((1 - B) // STRIDE), (B + 1) // STRIDE + 1):
            tap = 3 * (A + 1 - STRIDE * down) + (B + 1 - STRIDE * right)
            weight = tl.load(weights + channels * 9 + tap, mask=channels < C, other=0.0)
            part = shifted(values, row, column, down, right, HEIGHT_OUT, WIDTH_OUT, M, BLOCK)
            total += part * weight.to(tl.float32)[None, :]
    return total


@triton.jit
def store_masked(
    total, out, masks, image, row, column, writes, channels, A: tl.constexpr, B: tl.constexpr,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, C: tl.constexpr, BYTES: tl.constexpr, STRIDE: tl.constexpr,
):  # fmt: skip
    """Stores what `transposed_depthwise` gave for (A, B), where the mask says that x was positive, else zero."""
    inside = writes & (row * STRIDE + A < HEIGHT) & (column * STRIDE + B < WIDTH)
    there = inside[:, None] & (channels < C)[None, :]
    place = image * (HEIGHT * WIDTH) + row * (STRIDE * WIDTH) + column * STRIDE + (A * WIDTH + B)
    positive = unpack(masks, place * BYTES, channels, there)
    kept = tl.where(positive, total, 0.0)
    tl.store(out + ((place * C)[:, None] + channels[None, :]), kept.to(out.dtype.element_ty), mask=there)


@triton.jit
def store_transposed_depthwise(
    values, out, masks, weights, image, row, column, writes, channels,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, C: tl.constexpr, BYTES: tl.constexpr, STRIDE: tl.constexpr,
    HEIGHT_OUT: tl.constexpr, WIDTH_OUT: tl.constexpr, M: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradients of x from a tile of those of its depthwise convolution, masked and stored."""
    for a in tl.static_range(STRIDE):
        for b in tl.static_range(STRIDE):
            total = transposed_depthwise(
                values, weights, row, column, channels, a, b, C, STRIDE, HEIGHT_OUT, WIDTH_OUT, M, BLOCK
            )
            store_masked(
                total, out, masks, image, row, column, writes, channels, a, b, HEIGHT, WIDTH, C, BYTES, STRIDE
            )
