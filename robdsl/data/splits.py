"""Which images belong to which split, fixed for all time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from robdsl.data.seeds import stable_key

SPLIT_SEED = 0
"""The seed of every split made here. A split is part of what a figure means, so it is no option."""


def hold_out(labels: Tensor, fraction: float, seed: int = SPLIT_SEED) -> tuple[Tensor, Tensor]:
    """Part the images of a set into kept and held-out ones, class by class.

    Args:
        labels: (N,) int64.
        fraction: in [0, 1); of a class of n images the nearest whole number to ``fraction * n`` is held out.
        seed: decides which ones, through a hash of the seed and the image's index.

    Returns:
        The indices kept and the indices held out, each ascending, int64.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"the fraction held out must lie in [0, 1), not {fraction}")
    held: list[int] = []
    for label in sorted(set(labels.tolist())):
        members = (labels == label).nonzero().flatten().tolist()
        members.sort(key=lambda index: stable_key(seed, index))
        held.extend(members[: int(fraction * len(members) + 0.5)])
    is_held = torch.zeros(len(labels), dtype=torch.bool)
    is_held[torch.tensor(held, dtype=torch.int64)] = True
    return (~is_held).nonzero().flatten(), is_held.nonzero().flatten()


def sample(count: int, wanted: int, seed: int = SPLIT_SEED) -> Tensor:
    """The indices, ascending, of a fixed pseudo-random sample of ``wanted`` out of ``count``."""
    chosen = sorted(range(count), key=lambda index: stable_key(seed, index))[:wanted]
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def digest(parts: Iterable[bytes]) -> str:
    """The sha256, in hex, of the parts in their order, each with its length."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()
