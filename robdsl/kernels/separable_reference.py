"""Sums and fans of separable stages in plain torch: what kernels are held to, and what runs where they do not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

from robdsl.kernels.layout import mask_bytes, pack_bits, unpack_bits, wide


def _depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    return F.conv2d(x, weight.unsqueeze(1), None, stride, 1, 1, len(weight))


def _pointwise(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight[:, :, None, None])


def forward(
    xs: Sequence[Tensor],
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    addends: Sequence[Tensor],
    stride: int,
) -> Tensor:
    """The sum, in at least float32, in order: terms, bias, addends."""
    parts = [
        _pointwise(_depthwise(wide(x).relu(), d, stride), p)
        for x, d, p in zip(xs, wide(depthwise), wide(pointwise), strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    if bias is not None:
        total = total + wide(bias)[:, None, None]
    for addend in addends:
        total = total + wide(addend)
    return total


def masks(xs: Sequence[Tensor], keep: bool) -> Tensor:
    """The bit masks of positive `xs`, (k, N, H, W, bytes) uint8, or an empty tensor."""
    if not keep:
        return xs[0].new_empty(0, dtype=torch.uint8)
    return torch.stack([pack_bits(~(x <= 0)) for x in xs])


def input_gradients(
    gradient: Tensor, packed: Tensor, depthwise: Tensor, pointwise: Tensor, size: tuple[int, int], stride: int
) -> list[Tensor]:
    """The gradient to each x, in at least float32."""
    return [
        torch.where(unpack_bits(bits, len(d)), _transposed(wide(gradient), d, p, size, stride), 0)
        for bits, d, p in zip(packed, wide(depthwise), wide(pointwise), strict=True)
    ]


def _transposed(
    gradient: Tensor, depthwise: Tensor, pointwise: Tensor, size: tuple[int, int], stride: int
) -> Tensor:
    """The transpose of one term without its ReLU, to maps of `size`."""
    lost = [size[i] - 1 - (gradient.shape[2 + i] - 1) * stride for i in range(2)]
    inner = _pointwise(gradient, pointwise.t())
    return F.conv_transpose2d(inner, depthwise.unsqueeze(1), None, stride, 1, lost, len(depthwise))


def fan_forward(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, bias: Tensor | None, stride: int
) -> list[Tensor]:
    """Each stage of one map, in at least float32."""
    biases = [None] * len(depthwise) if bias is None else bias
    return [
        forward([x], d[None], p[None], b, (), stride)
        for d, p, b in zip(depthwise, pointwise, biases, strict=True)
    ]


def fan_input_gradient(
    gradients: Sequence[Tensor],
    packed: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    size: tuple[int, int],
    stride: int,
) -> Tensor:
    """The gradient to the map that all stages read, in at least float32."""
    parts = [
        _transposed(wide(gradient), d, p, size, stride)
        for gradient, d, p in zip(gradients, wide(depthwise), wide(pointwise), strict=True)
    ]
    return torch.where(unpack_bits(packed[0], depthwise.shape[1]), torch.stack(parts).sum(0), 0)


def weight_gradients(
    x: Tensor, gradient: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int
) -> tuple[Tensor, Tensor]:
    """The gradients to one term's depthwise (C, 3, 3) and pointwise (O, C) weights, in at least float32."""
    x, gradient, depthwise, pointwise = (wide(each) for each in (x, gradient, depthwise, pointwise))
    channels = x.shape[1]
    if not len(x):
        return torch.zeros_like(depthwise), torch.zeros_like(pointwise)
    x = x.relu()
    inner = _depthwise(x, depthwise, stride)
    to_pointwise = torch.einsum("nohw,nchw->oc", gradient, inner)
    weight_shape = (channels, 1, 3, 3)
    outer = _pointwise(gradient, pointwise.t())
    to_depthwise = conv2d_weight(x, weight_shape, outer, stride, 1, 1, channels)
    return to_depthwise.squeeze(1), to_pointwise


def statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Each channel's mean and biased variance, (C,); zeros for an empty batch."""
    if not maps.numel():
        return maps.new_zeros(maps.shape[1]), maps.new_zeros(maps.shape[1])
    mean = maps.mean((0, 2, 3))
    return mean, (maps - mean[:, None, None]).square().mean((0, 2, 3))


def mask_shape(x: Tensor, terms: int, keep: bool) -> tuple[int, ...]:
    """The shape of `masks`."""
    n, channels, height, width = x.shape
    return (terms, n, height, width, mask_bytes(channels)) if keep else (0,)
