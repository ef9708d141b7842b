"""The flow between two layers (Yim et al. 2017): Gram matrices between two maps, and the distance of two of them.

Guo et al. (2020, section 3.3) compare a cell's matrix on clean and on adversarial images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import nhwc, runs_kernel, wide, wide_dtype
from robdsl.kernels.precision import DEFAULT_PRECISION, check_precision, product_kind, tile_kind
from robdsl.kernels.tiles import over


def fsp_gram(a: Tensor, b: Tensor, precision: str = DEFAULT_PRECISION) -> Tensor:
    """The mean over positions of the outer product of two maps.

    Args:
        a: N x A x H x W, the input map.
        b: N x B x H x W, the output map.
        precision: of the products on a GPU; see `robdsl.kernels.precision`.

    Returns:
        N x A x B, at least float32.

    Raises:
        ValueError: maps of different sizes, or without a position; average-pool the larger one first.
    """
    _check(a, b)
    found: Tensor = torch.ops.robdsl.fsp_gram(a, b, check_precision(precision))
    return found


def fsp_distance(
    a: Tensor, b: Tensor, a_other: Tensor, b_other: Tensor, precision: str = DEFAULT_PRECISION
) -> Tensor:
    """The squared Frobenius distance between ``fsp_gram(a, b)`` and ``fsp_gram(a_other, b_other)``, an image each.

    On a GPU neither matrix goes to memory.

    Args:
        a: the input map on the clean images.
        b: the output map on the clean images.
        a_other: the input map on the adversarial images, like `a`.
        b_other: the output map on the adversarial images, like `b`.
        precision: as in `fsp_gram`.

    Returns:
        (N,), at least float32.

    Raises:
        ValueError: as `fsp_gram`, and where the shapes of the two pairs differ.
    """
    _check(a, b)
    if a.shape != a_other.shape or b.shape != b_other.shape:
        raise ValueError("both pairs of maps must have the same shapes")
    found: Tensor = torch.ops.robdsl.fsp_distance(a, b, a_other, b_other, check_precision(precision))
    return found


def _check(a: Tensor, b: Tensor) -> None:
    if a.ndim != 4 or b.ndim != 4 or len(a) != len(b) or a.shape[2:] != b.shape[2:]:
        raise ValueError(
            f"maps must agree in images, height and width: {tuple(a.shape)} and {tuple(b.shape)}; "
            "average-pool the larger one"
        )
    if not a.shape[2] * a.shape[3]:
        raise ValueError("maps must have at least one position")


def _reference(a: Tensor, b: Tensor) -> Tensor:
    left, right = wide(a).flatten(2), wide(b).flatten(2)
    return left @ right.transpose(1, 2) / left.shape[2]


def _wide_empty(like: Tensor, *size: int) -> Tensor:
    return like.new_empty(size, dtype=wide_dtype(like.dtype))


@torch.library.custom_op(
    "robdsl::fsp_gram", mutates_args=(), schema="(Tensor a, Tensor b, str precision) -> Tensor"
)
def _gram(a: Tensor, b: Tensor, precision: str) -> Tensor:
    return launch_gram(a, b, precision) if runs_kernel(a, b) else _reference(a, b)


@_gram.register_fake
def _(a: Tensor, b: Tensor, precision: str) -> Tensor:
    return _wide_empty(a, len(a), a.shape[1], b.shape[1])


def _remember_gram(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], inputs[1])


def _back_through_gram(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    return *torch.ops.robdsl.fsp_gram_gradient(gradient, *ctx.saved_tensors), None


_gram.register_autograd(_back_through_gram, setup_context=_remember_gram)


@torch.library.custom_op(
    "robdsl::fsp_gram_gradient",
    mutates_args=(),
    schema="(Tensor gradient, Tensor a, Tensor b) -> (Tensor, Tensor)",
)
def _gram_gradient(gradient: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    # Two batched matrix products with nothing to fuse: the vendor's library is the kernel.
    scaled = gradient / (a.shape[2] * a.shape[3])
    to_a = (scaled @ wide(b).flatten(2)).to(a.dtype).view(a.shape)
    to_b = (scaled.transpose(1, 2) @ wide(a).flatten(2)).to(b.dtype).view(b.shape)
    return to_a, to_b


@_gram_gradient.register_fake
def _(gradient: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return a.new_empty(a.shape), b.new_empty(b.shape)


@torch.library.custom_op(
    "robdsl::fsp_distance",
    mutates_args=(),
    schema="(Tensor a, Tensor b, Tensor a_other, Tensor b_other, str precision) -> Tensor",
)
def _distance(a: Tensor, b: Tensor, a_other: Tensor, b_other: Tensor, precision: str) -> Tensor:
    if runs_kernel(a, b, a_other, b_other):
        return launch_distance(a, b, a_other, b_other, precision)
    return (_reference(a, b) - _reference(a_other, b_other)).square().sum((1, 2))


@_distance.register_fake
def _(a: Tensor, b: Tensor, a_other: Tensor, b_other: Tensor, precision: str) -> Tensor:
    return _wide_empty(a, len(a))


def _remember_distance(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *maps, ctx.precision = inputs
    ctx.save_for_backward(*maps)


def _back_through_distance(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    a, b, a_other, b_other = ctx.saved_tensors
    ops = torch.ops.robdsl
    apart = ops.fsp_gram(a, b, ctx.precision) - ops.fsp_gram(a_other, b_other, ctx.precision)
    apart = 2 * gradient[:, None, None] * apart
    return *ops.fsp_gram_gradient(apart, a, b), *ops.fsp_gram_gradient(-apart, a_other, b_other), None


_distance.register_autograd(_back_through_distance, setup_context=_remember_distance)


def launch_gram(a: Tensor, b: Tensor, precision: str) -> Tensor:
    """`fsp_gram` by its kernel."""
    from robdsl.kernels.device.fsp import gram

    grid, named = _cut("gram", a, b, precision)
    out = _wide_empty(a, len(a), a.shape[1], b.shape[1])
    with torch.cuda.device_of(a):
        gram[grid](nhwc(a), nhwc(b), out, **named)
    return out


def launch_distance(a: Tensor, b: Tensor, a_other: Tensor, b_other: Tensor, precision: str) -> Tensor:
    """`fsp_distance` by its kernel."""
    from robdsl.kernels.device.fsp import gram_distance

    grid, named = _cut("gram_distance", a, b, precision)
    parts = _wide_empty(a, grid[0], grid[1] * grid[2])
    with torch.cuda.device_of(a):
        gram_distance[grid](nhwc(a), nhwc(b), nhwc(a_other), nhwc(b_other), parts, **named)
    return parts.sum(1)


def _cut(kernel: str, a: Tensor, b: Tensor, precision: str) -> tuple[tuple[int, int, int], dict[str, Any]]:
    """The grid of a launch, and its compile-time constants and options."""
    n, channels, height, width = a.shape
    kind = tile_kind(precision, a.dtype)
    use = configure(kernel, Shape(height, width, channels, b.shape[1]), kind, a.device)
    named = {
        "POSITIONS": height * width, "A": channels, "B": b.shape[1], "PRECISION": product_kind(precision, a.dtype),
        "M": use.rows, "BLOCK_A": use.block_c, "BLOCK_B": use.block_o, "num_warps": use.warps,
        "num_stages": use.stages,
    }  # fmt: skip
    return (n, over(channels, use.block_c), over(b.shape[1], use.block_o)), named
