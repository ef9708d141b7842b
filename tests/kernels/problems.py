"""What kernels are asked, and how far from exact they may answer.

Each problem calls operations with float32, float16 or bfloat16 maps and compares with the references in float64, within
a bound derived from the sums of absolute values: every sum of products errs by at most `relative_bound` times the
same sum over absolute values (see robdsl/kernels/precision.py), rectifying does not enlarge an error, and the
result is rounded to its dtype once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from robdsl.kernels import channel_sums, separable_launch
from robdsl.kernels import separable_reference as reference
from robdsl.kernels.layout import pack_bits, unpack_bits
from robdsl.kernels.precision import relative_bound
from tests.kernels import bounds
from tests.kernels.bounds import ratio
from tests.kernels.fan_problems import pointwise_fan, separable_fan
from tests.kernels.problem import FORMATS, Maker, Problem, kind

OPS = torch.ops.robdsl


class Stages(NamedTuple):
    """What a sum of stages is made from."""

    xs: list[Tensor]
    d: Tensor
    w: Tensor
    bias: Tensor
    addends: list[Tensor]


def separable(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """A sum of stages and its gradients."""
    xs = [make.maps(p.channels, (p.height, p.width)) for _ in range(p.terms)]
    d, w = make.weights(p.terms, p.channels, 3, 3), make.weights(p.terms, p.outputs, p.channels)
    bias, addends = make.weights(p.outputs), [make.maps(p.outputs, p.out)]
    out, masks = OPS.separable_sum(xs, d, w, bias, addends, p.stride, p.precision, True)
    wide = Stages(
        [x.double() for x in xs], d.double(), w.double(), bias.double(), [a.double() for a in addends]
    )
    whole = Stages(
        [x.relu() for x in wide.xs], wide.d.abs(), wide.w.abs(), wide.bias.abs(), [a.abs() for a in wide.addends]
    )  # fmt: skip
    terms = 9 + p.terms * (p.channels + 1) + 3
    bound = relative_bound(kind(p), terms) * reference.forward(*whole, p.stride)
    yield "forward", ratio(out, reference.forward(*wide, p.stride), bound)
    yield "masks", float((masks != reference.masks(xs, True)).sum())
    bare, none = OPS.separable_sum(xs, d, w, None, [], p.stride, p.precision, False)
    yield (
        "bare",
        ratio(bare, reference.forward(wide.xs, wide.d, wide.w, None, [], p.stride), bound) + none.numel(),
    )

    gradient = make.maps(p.outputs, p.out)
    size = (p.height, p.width)
    found = OPS.separable_input_gradient(gradient, masks, d, w, *size, p.stride, p.precision)
    yield from bounds.of_input_gradients(gradient, masks, d, w, size, p.stride, kind(p), found)
    to_weights = OPS.separable_weight_gradients(xs[0], gradient, d[0], w[0], p.stride, p.precision)
    yield from bounds.of_weight_gradients(xs[0], gradient, d[0], w[0], p.stride, kind(p), to_weights)


def statistics(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """A stage with what batch norm needs of it."""
    x = make.maps(p.channels, (p.height, p.width))
    d, w = make.weights(p.channels, 3, 3), make.weights(p.outputs, p.channels)
    found = OPS.separable_statistics(x, d, w, p.stride, p.precision)
    yield from bounds.of_statistics(x, d, w, p.stride, kind(p), found)
    if p.n:
        yield from combined(make)


def combined(make: Maker) -> Iterator[tuple[str, float]]:
    """Statistics of more tiles than are read at once, the last one shorter."""
    rows, tiles = 64, 600
    parts = make.weights(tiles, 2, 20).abs()
    counts = torch.full((tiles, 1), rows, dtype=torch.float64, device=parts.device)
    counts[-1] = 3
    positions = int(counts.sum())
    found = separable_launch.combine(parts, positions, rows)
    means, squares = parts.double().unbind(1)
    mean = (counts * means).sum(0) / positions
    limit = relative_bound("ieee", tiles + 4)
    yield "mean of tiles", ratio(found[0], mean, limit * (counts * means.abs()).sum(0) / positions)
    apart = (means - mean).abs() + limit * means.abs().amax(0)
    sizes = (squares + counts * apart.square()).sum(0) / positions
    exact = (squares + counts * (means - mean).square()).sum(0) / positions
    yield "variance of tiles", ratio(found[1], exact, sizes - exact + limit * sizes)


def pair(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """Both stages of a separable convolution, with as many channels between as come out."""
    x, addend = make.maps(p.channels, (p.height, p.width)), make.maps(p.outputs, p.out)
    first = make.weights(p.channels, 3, 3), make.weights(p.outputs, p.channels), make.weights(p.outputs)
    second = make.weights(p.outputs, 3, 3), make.weights(p.outputs, p.outputs), make.weights(p.outputs)
    out, masks_in, masks_between = OPS.separable_pair(
        x, *first, *second, [addend], p.stride, p.precision, True
    )

    def stage(
        x: Tensor, d: Tensor, w: Tensor, b: Tensor | None, addends: list[Tensor], stride: int
    ) -> Tensor:
        bias = None if b is None else b.double()
        return reference.forward([x.double()], d[None].double(), w[None].double(), bias, addends, stride)

    between = stage(x, *first, [], p.stride)
    d_1, w_1, b_1 = (each.abs() for each in first)
    sizes = stage(x, d_1, w_1, b_1, [], p.stride)
    error = relative_bound(kind(p), 12 + p.channels) * sizes
    if p.dtype != torch.float32:
        error = error + torch.finfo(p.dtype).eps * sizes  # single stages, on maps too large, round in between
    d_2, w_2, b_2 = (each.abs() for each in second)
    through = stage(error, d_2, w_2, None, [], 1)
    largest = stage(sizes + error, d_2, w_2, b_2, [addend.double().abs()], 1)
    rounding = relative_bound(kind(p), 12 + p.outputs) * largest
    exact = stage(between, *second, [addend.double()], 1)
    yield "forward", ratio(out, exact, through + rounding)
    yield "masks in", float((masks_in[0] != pack_bits(~(x <= 0))).sum())
    differs = unpack_bits(masks_between[0], p.outputs) != ~(between <= 0)
    yield "masks between", float((differs & (between.abs() > error)).sum())

    gradient = make.maps(p.outputs, p.out)
    size = (p.height, p.width)
    weights = first[0], first[1], second[0], second[1]
    found = OPS.separable_pair_input_gradient(
        gradient, masks_in, masks_between, *weights, *size, p.stride, p.precision
    )

    def back(g: Tensor, d: Tensor, w: Tensor, masks: Tensor, size: tuple[int, int], stride: int) -> Tensor:
        return reference.input_gradients(g.double(), masks, d[None].double(), w[None].double(), size, stride)[
            0
        ]

    inner = back(gradient, *second[:2], masks_between, p.out, 1)
    inner_sizes = back(gradient.abs(), d_2, w_2, masks_between, p.out, 1)
    inner_error = relative_bound(kind(p), 12 + p.outputs) * inner_sizes
    if p.dtype != torch.float32:
        inner_error = inner_error + torch.finfo(p.dtype).eps * inner_sizes
    last = first[0].abs(), first[1].abs(), masks_in, size, p.stride
    bound = back(inner_error, *last) + relative_bound(kind(p), 12 + p.outputs) * back(
        inner_sizes + inner_error, *last
    )
    yield "gradient", ratio(found, back(inner, *first[:2], masks_in, size, p.stride), bound)


def node_sum(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """A node's sum and its gradient."""
    xs = [make.maps(p.channels, (p.height, p.width)) for _ in range(p.terms)]
    scales, bias = make.weights(p.terms, p.channels), make.weights(p.channels)
    out, mask = OPS.node_sum(xs, scales, bias, True)
    parts = torch.stack([x.double() * s.double()[:, None, None] for x, s in zip(xs, scales, strict=True)])
    total = parts.sum(0) + bias.double()[:, None, None]
    bound = relative_bound("ieee", p.terms + 2) * (parts.abs().sum(0) + bias.double().abs()[:, None, None])
    yield "forward", ratio(out, total.relu(), bound)
    differs = unpack_bits(mask, p.channels) != ~(total <= 0)
    yield "masks", float((differs & (total.abs() > bound)).sum())
    plain, none = OPS.node_sum(xs, None, None, False)
    exact = torch.stack([x.double() for x in xs])
    limit = relative_bound("ieee", p.terms) * exact.abs().sum(0)
    yield "plain", ratio(plain, exact.sum(0), limit) + none.numel()

    gradient = make.maps(p.channels, (p.height, p.width))
    found = OPS.node_sum_gradient(gradient, mask, scales, p.terms, True)
    kept = gradient.double() * unpack_bits(mask, p.channels)
    for term in range(p.terms):
        exact = kept * scales[term].double()[:, None, None]
        yield f"gradient {term}", ratio(found[term], exact, 2.0**-23 * exact.abs())


def norm_sum(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """Batch norms and what they are added to, and their gradients, with any statistics that are given."""
    size = (p.height, p.width)
    ys, addend = [make.maps(p.channels, size) for _ in range(p.terms)], make.maps(p.channels, size)
    means, weights, biases = ([make.weights(p.channels) for _ in range(p.terms)] for _ in range(3))
    variances = [make.weights(p.channels).abs() for _ in range(p.terms)]
    given = ys, [addend], means, variances, weights, biases, 1e-5
    yield from bounds.of_norm_sum(*given, OPS.norm_sum(*given, True))
    none: list[Tensor] = []
    bare = ys, none, means, variances, none, none, 1e-5
    yield from (("bare", share) for _, share in bounds.of_norm_sum(*bare, OPS.norm_sum(*bare, True)))
    gradient = make.maps(p.channels, size)
    for of in (weights, none):
        back = gradient, ys, means, variances, of, 1e-5
        parts = bounds.of_norm_sum_gradient(*back, OPS.norm_sum_gradient(*back))
        yield from ((name if of else f"bare {name}", share) for name, share in parts)

    mask = pack_bits(make.maps(p.channels, size) > 0)
    with patch.object(channel_sums, "PROGRAMS", 2):  # so that each has several tiles
        found = OPS.channel_gradients(gradient, ys, [], mask)
    kept = gradient.double() * unpack_bits(mask, p.channels)
    limit = relative_bound("ieee", p.n * p.height * p.width + 2)
    terms = torch.cat([kept * torch.stack(ys).double(), kept[None]])
    yield "channels", ratio(found, terms.sum((1, 3, 4)), limit * terms.abs().sum((1, 3, 4)))


def pgd(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """A step of PGD: the same bits as torch's, not-a-numbers included."""
    size = (p.height, p.width)
    images = make.maps(p.channels, size).sigmoid()
    lower, upper = (images - 0.03).clamp(0, 1), (images + 0.03).clamp(0, 1)
    gradient = make.maps(p.channels, size)
    if images.numel():
        gradient[0, 0, 0, 0] = torch.nan
        images[0, 0, 0, -1] = torch.nan
        lower[0, 0, -1, 0] = torch.nan
        upper[0, 0, -1, -1] = torch.nan
    expected = images.clone()
    for number, size_of_step in enumerate((2 / 255, 0.01, 2 / 255)):
        OPS.pgd_step_(images, gradient, lower, upper, size_of_step)
        if images.is_cuda or p.dtype == torch.float32 or gradient.stride() != images.stride():
            expected.add_(torch.sign(gradient), alpha=size_of_step).clamp_(lower, upper)
        else:  # torch's CPU kernel rounds the step itself to half types; its GPU kernel, and ours, the sum alone.
            # (Ours takes images that lie alike; others go to torch.)
            moved = expected.float() + torch.sign(gradient).float() * size_of_step
            if p.dtype == torch.bfloat16:  # Triton's interpreter cuts off bits where hardware rounds
                moved = (moved.view(torch.int32) & ~0xFFFF).view(torch.float32)
            expected = moved.to(p.dtype).clamp_(lower, upper)
        same = (images == expected) | (images.isnan() & expected.isnan())
        yield f"step {number}", float((~same).sum())


def fsp(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """Gram matrices and distances between them."""
    size = (p.height, p.width)
    a, other_a = make.maps(p.channels, size), make.maps(p.channels, size)
    b, other_b = make.maps(p.outputs, size), make.maps(p.outputs, size)

    def gram(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("nihw,njhw->nij", a.double(), b.double()) / (p.height * p.width)

    limit = relative_bound(kind(p), p.height * p.width + 2)
    sizes, other_sizes = gram(a.abs(), b.abs()), gram(other_a.abs(), other_b.abs())
    yield "gram", ratio(OPS.fsp_gram(a, b, p.precision), gram(a, b), limit * sizes)
    apart = gram(a, b) - gram(other_a, other_b)
    away = 2 * limit * (sizes + other_sizes)
    bound = (2 * apart.abs() * away + away.square()).sum((1, 2))
    bound += relative_bound("ieee", p.channels * p.outputs) * apart.square().sum((1, 2))
    found = OPS.fsp_distance(a, b, other_a, other_b, p.precision)
    yield "distance", ratio(found, apart.square().sum((1, 2)), bound)


RUN: dict[str, Callable[[Problem, Maker], Iterator[tuple[str, float]]]] = {
    "separable": separable, "separable_fan": separable_fan, "pointwise_fan": pointwise_fan, "statistics": statistics,
    "pair": pair, "node_sum": node_sum, "norm_sum": norm_sum, "pgd": pgd, "fsp": fsp,
}  # fmt: skip


def run(problem: Problem, device: str) -> dict[str, float]:
    """What each part of a problem got, as a share of what is allowed: at most 1."""
    return dict(RUN[problem.operation](problem, Maker(problem, device)))


def few() -> list[Problem]:
    """Every operation at every kind of tile, dtype, stride and memory format, on maps as small as can be."""
    p = Problem
    return [
        p("separable", channels=36, outputs=24, stride=2, height=6, width=5),
        p("separable", channels=16, outputs=16, terms=2, memory="contiguous"),
        p("separable", n=1, channels=20, outputs=36, height=36, width=9),
        p("separable", channels=16, outputs=144, height=3, width=3, memory="sliced"),
        p("separable", channels=16, outputs=16, dtype=torch.bfloat16),
        p("separable", channels=24, outputs=16, dtype=torch.float16, stride=2),
        p("separable", channels=16, outputs=16, precision="bf16", height=4, width=4),
        p("separable", n=0),
        p("separable_fan", channels=36, outputs=24, stride=2, height=6, width=5, fan=3),
        p("separable_fan", n=1, channels=20, outputs=36, height=36, width=9, fan=2, memory="sliced"),
        p("separable_fan", channels=24, outputs=16, fan=5, dtype=torch.bfloat16, memory="contiguous"),
        p("separable_fan", n=0, fan=2),
        p("pointwise_fan", channels=20, outputs=36, terms=4, fan=2, memory="sliced"),
        p("pointwise_fan", channels=36, outputs=24, terms=1, dtype=torch.bfloat16, memory="contiguous"),
        p("pointwise_fan", n=1, channels=24, outputs=176, terms=2, fan=2, dtype=torch.float16),
        p("pointwise_fan", n=0, terms=2, fan=2),
        p("statistics", channels=20, outputs=24, n=3),
        p("pair", channels=20, outputs=36, n=3),
        p("pair", channels=16, outputs=16, stride=2, height=9, width=8, dtype=torch.bfloat16),
        p("pair", n=1, channels=16, outputs=16, height=18, width=17),
        p("pair", n=0),
        p("node_sum", channels=20, terms=3, memory="sliced"),
        p("node_sum", channels=36, terms=1, dtype=torch.float16),
        p("node_sum", n=0),
        p("norm_sum", channels=20, terms=3, memory="sliced", height=9), p("norm_sum", n=0),
        p("norm_sum", channels=36, terms=1, dtype=torch.bfloat16),
        p("pgd", channels=3), p("pgd", channels=3, memory="contiguous", dtype=torch.bfloat16), p("pgd", n=0),
        p("fsp", channels=20, outputs=36, height=9, width=9), p("fsp", n=0),
        p("fsp", channels=72, outputs=16, dtype=torch.bfloat16, memory="contiguous"),
    ]  # fmt: skip


def many() -> list[Problem]:
    """The whole grid: channels, strides, odd sizes, memory formats, dtypes, precisions."""
    found = []
    for channels in (16, 36, 64, 72, 144):
        for stride in (1, 2):
            for height, width in ((1, 1), (5, 7), (8, 8)):
                shape = Problem("", 2, channels, channels, height, width, stride)
                for operation in ("separable", "statistics", "pair"):
                    found.append(replace(shape, operation=operation))
                found.append(replace(shape, operation="separable_fan", fan=2))
        for operation in ("node_sum", "norm_sum", "fsp", "pgd"):
            found.append(Problem(operation, 2, channels, channels, 7, 5, terms=4))
        for outputs in (16, 36, 72, 144):
            found.append(Problem("pointwise_fan", 2, channels, outputs, 7, 5, terms=3, fan=2))
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for memory in FORMATS:
            for operation in RUN:
                found.append(Problem(operation, 2, 36, 24, 6, 5, terms=2, fan=2, dtype=dtype, memory=memory))
    for precision in ("ieee", "tf32x3", "tf32", "bf16"):
        for operation in ("separable", "separable_fan", "pointwise_fan", "statistics", "pair", "fsp"):
            found.append(Problem(operation, 1, 36, 36, 16, 16, precision=precision))
    found.append(Problem("separable", 1, 36, 36, 32, 32))
    found.append(Problem("separable_fan", 1, 36, 36, 32, 32, fan=2))
    found.append(Problem("separable_fan", 1, 20, 24, 72, 16, stride=2, fan=2))
    return found
