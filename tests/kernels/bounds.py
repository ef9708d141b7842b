"""How far from exact operations may answer, given what they were given: each part as a share of its bound.

Bounds are derived from the sums of absolute values, as `tests/kernels/problems.py` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from robdsl.kernels import separable_reference as reference
from robdsl.kernels.layout import pack_bits
from robdsl.kernels.precision import relative_bound

Shares = Iterator[tuple[str, float]]


def ratio(found: Tensor, exact: Tensor, bound: Tensor) -> float:
    """The largest error over what is allowed; not a number where anything is."""
    rounded = torch.finfo(found.dtype).eps * exact.abs()
    error = (found.double() - exact).abs()
    return float((error / (bound + rounded + 1e-30)).max()) if found.numel() else 0.0


def of_input_gradients(
    gradient: Tensor, masks: Tensor, d: Tensor, w: Tensor, size: tuple[int, int], stride: int, kind: str,
    found: Sequence[Tensor],
) -> Shares:  # fmt: skip
    """`separable_input_gradient`: a sum over outputs, then over nine taps."""
    given = gradient.double()
    exact = reference.input_gradients(given, masks, d.double(), w.double(), size, stride)
    sizes = reference.input_gradients(given.abs(), masks, d.double().abs(), w.double().abs(), size, stride)
    limit = relative_bound(kind, w.shape[1] + 11)
    for term, each in enumerate(found):
        yield f"gradient {term}", ratio(each, exact[term], limit * sizes[term])


def of_weight_gradients(
    x: Tensor, gradient: Tensor, d: Tensor, w: Tensor, stride: int, kind: str, found: tuple[Tensor, Tensor]
) -> Shares:
    """`separable_weight_gradients`: sums over all positions."""
    given = gradient.double()
    exact = reference.weight_gradients(x.double(), given, d.double(), w.double(), stride)
    whole = x.double().relu(), given.abs(), d.double().abs(), w.double().abs()
    sizes = reference.weight_gradients(*whole, stride)
    limit = relative_bound(kind, gradient[:, :1].numel() + len(w) + 12)
    for name, one, other, size in zip(("depthwise", "pointwise"), found, exact, sizes, strict=True):
        yield f"to {name}", ratio(one, other, limit * size)


def of_statistics(
    x: Tensor, d: Tensor, w: Tensor, stride: int, kind: str, found: tuple[Tensor, Tensor, Tensor, Tensor]
) -> Shares:
    """`separable_statistics`: a stage, its masks, and each channel's mean and variance."""
    out, masks, mean, variance = found
    wide = d[None].double(), w[None].double()
    exact = reference.forward([x.double()], *wide, None, [], stride)
    sizes = reference.forward([x.double().relu()], wide[0].abs(), wide[1].abs(), None, [], stride)
    error = relative_bound(kind, 12 + x.shape[1]) * sizes
    limit = relative_bound("ieee", exact[:, 0].numel() + 4)
    yield "forward", ratio(out, exact, error)
    yield "masks", float((masks[0] != pack_bits(~(x <= 0))).sum())
    exact_mean, exact_variance = reference.statistics(exact)
    of_mean = (error + limit * sizes).mean((0, 2, 3))
    yield "mean", ratio(mean, exact_mean, of_mean)
    # Each deviation errs by `away`: (a + e)^2 - a^2 <= 2 |a| e + e^2, on average, and the sum itself rounds.
    apart, away = (exact - exact_mean[:, None, None]).abs(), error + of_mean[:, None, None]
    of_variance = (2 * apart * away + away.square()).mean((0, 2, 3)) + limit * exact_variance
    yield "variance", ratio(variance, exact_variance, of_variance)


def _spread(vectors: Sequence[Tensor]) -> Tensor:
    """k vectors (C,) as (k, 1, C, 1, 1) float64."""
    return torch.stack(list(vectors)).double()[:, None, :, None, None]


def of_norm_sum(
    ys: Sequence[Tensor], addends: Sequence[Tensor], means: Sequence[Tensor], variances: Sequence[Tensor],
    weights: Sequence[Tensor], biases: Sequence[Tensor], eps: float, found: Tensor,
) -> Shares:  # fmt: skip
    """`norm_sum`: the difference, what is under the root, it, and three products err by one unit each; then all is added."""
    normed = (torch.stack(list(ys)).double() - _spread(means)) * (_spread(variances) + eps).rsqrt()
    parts = [normed * _spread(weights), _spread(biases).expand_as(normed)] if weights else [normed]
    parts += [addend.double()[None] for addend in addends]
    exact = torch.stack([each.sum(0) for each in parts]).sum(0)
    sizes = torch.stack([each.abs().sum(0) for each in parts]).sum(0)
    yield "forward", ratio(found, exact, relative_bound("ieee", 2 * len(ys) + len(addends) + 6) * sizes)


def of_norm_sum_gradient(
    gradient: Tensor, ys: Sequence[Tensor], means: Sequence[Tensor], variances: Sequence[Tensor],
    weights: Sequence[Tensor], eps: float, found: tuple[Sequence[Tensor], Tensor],
) -> Shares:  # fmt: skip
    """`norm_sum_gradient`: two sums over all positions, and what is made of them at each."""
    to_ys, sums = found
    given, inverses = gradient.double(), (_spread(variances) + eps).rsqrt()
    normed = (torch.stack(list(ys)).double() - _spread(means)) * inverses
    positions = max(1, gradient[:, :1].numel())
    limit = relative_bound("ieee", positions + 7)
    products, of_products = (given * normed).sum((1, 3, 4)), limit * (given * normed).abs().sum((1, 3, 4))
    whole, of_whole = given.sum((0, 2, 3)), limit * given.abs().sum((0, 2, 3))
    yield "to weights", ratio(sums[:-1], products, of_products)
    yield "to biases", ratio(sums[-1], whole, of_whole)
    scales = inverses * _spread(weights) if weights else inverses
    limit = relative_bound("ieee", 12)
    for term, to_y in enumerate(to_ys):
        back = normed[term] * (products[term] / positions)[:, None, None]
        rest = given - (whole / positions)[:, None, None]
        away = (
            limit * (rest.abs() + back.abs())
            + (of_whole / positions)[:, None, None]
            + normed[term].abs() * (of_products[term] / positions)[:, None, None]
        )
        yield f"gradient {term}", ratio(to_y, scales[term] * (rest - back), scales[term].abs() * away)
