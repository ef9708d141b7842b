"""The weights and images behind the figures of the published implementation.

Every tensor is filled from its name alone, by the SplitMix64 generator, so that two implementations can be
given equal weights without a file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(key: str, count: int) -> Tensor:
    """``count`` numbers in [0, 1) that belong to ``key``, in float64."""
    seed = np.frombuffer(hashlib.sha256(key.encode()).digest()[:8], dtype="<u8")[0]
    z = seed + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def filled(key: str, like: Tensor) -> Tensor:
    """The tensor under a published ``key``, of the shape of ``like``, in float64 (integers stay integers)."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros_like(like)
    u = uniform(key, like.numel()).reshape(like.shape)
    if key.endswith("running_var"):
        return 8 * u + 4
    if key.endswith(("running_mean", "bias")):
        return (u - 0.5) * 0.2
    if like.dim() == 1:
        return u + 0.5
    fan_in = like[0].numel()
    return (u * 2 - 1) * math.sqrt(6 / fan_in)


def filled_state(state: Mapping[str, Tensor], published: Mapping[str, str]) -> dict[str, Tensor]:
    """A `state_dict` like ``state``, filled by the published keys of its own keys."""
    return {key: filled(published[key], tensor) for key, tensor in state.items()}


def images(batch: int, size: int) -> Tensor:
    """Images in [0, 1), N x 3 x H x W, in float64."""
    return uniform("input", batch * 3 * size * size).reshape(batch, 3, size, size)


def labels(batch: int, classes: int) -> Tensor:
    """The label of image i is (3i + 1) mod classes."""
    return (3 * torch.arange(batch) + 1) % classes
