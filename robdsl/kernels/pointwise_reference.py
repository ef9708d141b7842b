"""Pointwise convolutions of rectified maps in plain torch: what kernels are held to, and what runs where they do not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from robdsl.kernels.layout import unpack_bits, wide


def forward(xs: Sequence[Tensor], pointwise: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Each convolution of the rectified maps, concatenated, in at least float32."""
    whole = torch.cat([wide(x).relu() for x in xs], 1)
    biases = [None] * len(pointwise) if bias is None else wide(bias)
    return [F.conv2d(whole, w[:, :, None, None], b) for w, b in zip(wide(pointwise), biases, strict=True)]


def input_gradients(gradients: Sequence[Tensor], packed: Tensor, pointwise: Tensor) -> list[Tensor]:
    """The gradient to each of the concatenated maps, in at least float32."""
    parts = [
        F.conv2d(wide(g), w.t()[:, :, None, None]) for g, w in zip(gradients, wide(pointwise), strict=True)
    ]
    channels = pointwise.shape[2] // len(packed)
    chunks = torch.stack(parts).sum(0).split(channels, 1)
    return [
        torch.where(unpack_bits(bits, channels), chunk, 0) for bits, chunk in zip(packed, chunks, strict=True)
    ]
