"""Batch norms that meet in a node, applied and added up in one pass; back, two passes for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from robdsl.kernels import channel_sums
from robdsl.kernels.channel_sums import channel_gradients
from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import empty_nhwc, nhwc, runs_kernel, wide, wide_dtype
from robdsl.kernels.precision import DEFAULT_PRECISION, tile_kind
from robdsl.kernels.tiles import over


def norm_sum(
    ys: Sequence[Tensor],
    means: Sequence[Tensor],
    variances: Sequence[Tensor],
    weights: Sequence[Tensor] = (),
    biases: Sequence[Tensor] = (),
    addends: Sequence[Tensor] = (),
    eps: float = 1e-5,
    *,
    batch: bool,
) -> Tensor:
    """``sum_e (ys[e] - means[e]) / sqrt(variances[e] + eps) * weights[e] + biases[e]``, and the addends.

    Gradients flow to maps, weights, biases and addends. To means and variances none flows: those of the batch are
    made from the maps, and the gradient to the maps goes through them as well.

    Args:
        ys: k maps, N x C x H x W each.
        means: k vectors (C,).
        variances: k vectors (C,), biased.
        weights: k vectors (C,), or none for ones.
        biases: k vectors (C,), where there are weights.
        addends: maps like the result.
        eps: is added to variances.
        batch: whether means and variances are those of `ys`, as in training, or are given, as running ones are.

    Returns:
        N x C x H x W in channels_last, in the dtype that torch promotes those of all maps to.

    Raises:
        ValueError: shapes that do not fit.
    """
    if not ys or any(each.shape != ys[0].shape for each in (*ys, *addends)):
        raise ValueError("norms are summed of at least one map, and all of one shape")
    lists = {"means": means, "variances": variances} | ({"weights": weights, "biases": biases} if weights else {})
    for name, each in lists.items():
        if [vector.shape for vector in each] != [ys[0].shape[1:2]] * len(ys):
            raise ValueError(f"{name} must be {len(ys)} vectors of {ys[0].shape[1]} numbers")
    given = (*(list(each) for each in (ys, addends, means, variances, weights, biases)), eps, batch)
    out: Tensor = torch.ops.robdsl.norm_sum(*given)
    return out


@torch.library.custom_op(
    "robdsl::norm_sum",
    mutates_args=(),
    schema="(Tensor[] ys, Tensor[] addends, Tensor[] means, Tensor[] variances, Tensor[] weights, Tensor[] biases, "
    "float eps, bool batch) -> Tensor",
)
def _norm_sum(
    ys: list[Tensor],
    addends: list[Tensor],
    means: list[Tensor],
    variances: list[Tensor],
    weights: list[Tensor],
    biases: list[Tensor],
    eps: float,
    batch: bool,
) -> Tensor:
    if runs_kernel(*ys, *addends, *means, *variances, *weights, *biases):
        return launch(ys, addends, means, variances, weights, biases, eps)
    scales = _scales(variances, weights, eps)
    parts = [
        (wide(y) - wide(mean)[:, None, None]) * scale[:, None, None]
        for y, mean, scale in zip(ys, means, scales, strict=True)
    ]
    parts += [wide(bias)[:, None, None] for bias in biases]
    total = sum((*parts[1:], *map(wide, addends)), parts[0])
    return total.to(_dtype(ys, addends)).contiguous(memory_format=torch.channels_last)


def _scales(variances: Sequence[Tensor], weights: Sequence[Tensor], eps: float) -> list[Tensor]:
    """What each map is multiplied by, (C,) each."""
    inverses = [(wide(variance) + eps).rsqrt() for variance in variances]
    if not weights:
        return inverses
    return [inverse * wide(weight) for inverse, weight in zip(inverses, weights, strict=True)]


def _dtype(ys: Sequence[Tensor], addends: Sequence[Tensor]) -> torch.dtype:
    return reduce(torch.promote_types, (each.dtype for each in (*ys, *addends)))


@_norm_sum.register_fake
def _(
    ys: list[Tensor],
    addends: list[Tensor],
    means: list[Tensor],
    variances: list[Tensor],
    weights: list[Tensor],
    biases: list[Tensor],
    eps: float,
    batch: bool,
) -> Tensor:
    n, channels, height, width = ys[0].shape
    return empty_nhwc(n, channels, height, width, ys[0].to(_dtype(ys, addends)))


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ys, addends, means, variances, weights, biases, ctx.eps, ctx.batch = inputs
    ctx.terms, ctx.affine = len(ys), len(weights) > 0
    ctx.learns = any(each.requires_grad for each in (*weights, *biases))
    ctx.dtypes = [y.dtype for y in ys]
    ctx.addends = [addend.dtype for addend in addends]
    ctx.of_weights, ctx.of_biases = [each.dtype for each in weights], [each.dtype for each in biases]
    kept = ys if ctx.batch or ctx.learns else ()
    ctx.save_for_backward(*means, *variances, *weights, *kept)


def _back(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    k = ctx.terms
    saved = list(ctx.saved_tensors)
    means, variances = saved[:k], saved[k : 2 * k]
    weights = saved[2 * k : 3 * k] if ctx.affine else []
    ys = saved[(3 if ctx.affine else 2) * k :]
    sums: Tensor | None = None
    if ctx.batch:
        to_ys, sums = torch.ops.robdsl.norm_sum_gradient(gradient, ys, means, variances, weights, ctx.eps)
    else:
        scales = torch.stack(_scales(variances, weights, ctx.eps))
        none = gradient.new_empty(0, dtype=torch.uint8)
        to_ys = torch.ops.robdsl.node_sum_gradient(gradient, none, scales, k, False)
        to_ys = [each.to(dtype) for each, dtype in zip(to_ys, ctx.dtypes, strict=True)]
        if ctx.learns:
            products = channel_gradients(gradient, ys, means)
            inverses = torch.stack([*_scales(variances, (), ctx.eps), torch.ones_like(products[0])])
            sums = products * inverses
    to_weights: list[Tensor | None] = [None] * len(ctx.of_weights)
    to_biases: list[Tensor | None] = [None] * len(ctx.of_biases)
    if ctx.learns:
        assert sums is not None
        to_weights = [each.to(dtype) for each, dtype in zip(sums[:k], ctx.of_weights, strict=True)]
        # Copies: autograd takes what it is given for `.grad`, and what shares memory would be changed with the others.
        to_biases = [sums[k].to(dtype, copy=True) for dtype in ctx.of_biases]
    to_addends = [gradient.to(dtype) for dtype in ctx.addends]
    return to_ys, to_addends, [None] * k, [None] * k, to_weights, to_biases, None, None


_norm_sum.register_autograd(_back, setup_context=_remember)


@torch.library.custom_op(
    "robdsl::norm_sum_gradient",
    mutates_args=(),
    schema="(Tensor gradient, Tensor[] ys, Tensor[] means, Tensor[] variances, Tensor[] weights, float eps) "
    "-> (Tensor[], Tensor)",
)
def _norm_sum_gradient(
    gradient: Tensor,
    ys: list[Tensor],
    means: list[Tensor],
    variances: list[Tensor],
    weights: list[Tensor],
    eps: float,
) -> tuple[list[Tensor], Tensor]:
    """To each map, through the statistics of the batch too, and (k + 1, C): to each weight, and to a bias."""
    if runs_kernel(gradient, *ys, *means, *variances, *weights):
        return launch_gradient(gradient, ys, means, variances, weights, eps)
    positions = max(1, gradient.numel() // max(1, gradient.shape[1]))
    value = wide(gradient)
    rest = value - value.sum((0, 2, 3), keepdim=True)[0] / positions
    to_ys, sums = [], []
    scales, inverses = _scales(variances, weights, eps), _scales(variances, (), eps)
    for y, mean, scale, inverse in zip(ys, means, scales, inverses, strict=True):
        normed = (wide(y) - wide(mean)[:, None, None]) * inverse[:, None, None]
        sums.append((value * normed).sum((0, 2, 3)))
        result = scale[:, None, None] * (rest - normed * (sums[-1] / positions)[:, None, None])
        to_ys.append(result.to(y.dtype).contiguous(memory_format=torch.channels_last))
    return to_ys, torch.stack([*sums, value.sum((0, 2, 3))])


@_norm_sum_gradient.register_fake
def _(
    gradient: Tensor,
    ys: list[Tensor],
    means: list[Tensor],
    variances: list[Tensor],
    weights: list[Tensor],
    eps: float,
) -> tuple[list[Tensor], Tensor]:
    n, channels, height, width = gradient.shape
    to_ys = [empty_nhwc(n, channels, height, width, y) for y in ys]
    return to_ys, gradient.new_empty((len(ys) + 1, channels), dtype=wide_dtype(gradient.dtype))


def launch(
    ys: Sequence[Tensor],
    addends: Sequence[Tensor],
    means: Sequence[Tensor],
    variances: Sequence[Tensor],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    eps: float,
) -> Tensor:
    """`norm_sum` by its kernel."""
    from robdsl.kernels.device.norms import norm_sum_forward

    y = ys[0]
    n, channels, height, width = y.shape
    out = empty_nhwc(n, channels, height, width, y.new_empty(0, dtype=_dtype(ys, addends)))
    kind = tile_kind(DEFAULT_PRECISION, y.dtype)
    use = configure("norm_sum_forward", Shape(height, width, channels, channels), kind, y.device)
    positions = n * height * width
    with torch.cuda.device_of(y):
        norm_sum_forward[(over(positions, use.rows), over(channels, use.block_c))](
            tuple(map(nhwc, ys)), tuple(map(nhwc, addends)), _rows(means), _rows(variances), _rows(weights),
            _rows(biases), out, eps, positions, C=channels, TERMS=len(ys), ADDENDS=len(addends),
            AFFINE=len(weights) > 0, M=use.rows, BLOCK=use.block_c, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return out


def launch_gradient(
    gradient: Tensor,
    ys: Sequence[Tensor],
    means: Sequence[Tensor],
    variances: Sequence[Tensor],
    weights: Sequence[Tensor],
    eps: float,
) -> tuple[list[Tensor], Tensor]:
    """The gradients by two kernels: one sums over all positions, one applies what the sums say."""
    sums = channel_sums.launch(gradient, ys, means, None)
    return launch_application(gradient, ys, means, variances, weights, sums, eps)


def launch_application(
    gradient: Tensor,
    ys: Sequence[Tensor],
    means: Sequence[Tensor],
    variances: Sequence[Tensor],
    weights: Sequence[Tensor],
    sums: Tensor,
    eps: float,
) -> tuple[list[Tensor], Tensor]:
    """The second of the two: what `channel_gradients` found is applied to every map."""
    from robdsl.kernels.device.norms import norm_sum_gradient

    n, channels, height, width = gradient.shape
    outs = tuple(empty_nhwc(n, channels, height, width, y) for y in ys)
    to_weights = torch.empty_like(sums)
    kind = tile_kind(DEFAULT_PRECISION, gradient.dtype)
    use = configure("norm_sum_gradient", Shape(height, width, channels, channels), kind, gradient.device)
    positions = n * height * width
    with torch.cuda.device_of(gradient):
        norm_sum_gradient[(over(positions, use.rows), over(channels, use.block_c))](
            nhwc(gradient), tuple(map(nhwc, ys)), outs, _rows(means), _rows(variances), _rows(weights), sums,
            to_weights, eps, positions, C=channels, TERMS=len(ys), AFFINE=len(weights) > 0, M=use.rows,
            BLOCK=use.block_c, num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return list(outs), to_weights


def _rows(vectors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(each.contiguous() for each in vectors)
