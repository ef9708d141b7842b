"""A safetensors file begins with a length, whose first byte may be the one that pickles begin with."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save

from robdsl.weights.stored import opened


def test_a_length_that_begins_like_a_pickle(tmp_path: Path) -> None:
    data = next(
        data
        for padding in range(400)
        if (data := save({"a": torch.ones(2)}, {"note": "x" * padding}))[0] == 0x80
    )
    path = tmp_path / "weights"
    path.write_bytes(data)
    with opened(path) as stored:
        assert stored.read("a").tolist() == [1.0, 1.0]
