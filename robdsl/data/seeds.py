"""Seeds and orders that depend on nothing but their arguments.

Every random draw of the project takes its generator from here, seeded by what the draw is for. No generator's
state then has to outlive a step, so that a run can stop anywhere and go on with the same draws.
"""

from __future__ import annotations

import hashlib
import json

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2**63) for one purpose, such as ``derive_seed(seed, "augment", epoch)``.

    Distinct arguments give independent seeds (a hash of all of them).
    """
    text = json.dumps([seed, *purpose])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(device: torch.device | str, seed: int, *purpose: str | int) -> torch.Generator:
    """A generator on ``device`` seeded by :func:`derive_seed`."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))


def stable_key(seed: int, index: int) -> bytes:
    """A key that sorts indices into a pseudo-random order, the same under every version of every library."""
    return hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=16).digest()
