"""Small supernets in training, here and in other processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from robdsl.search import PathName, Supernet, supernet_recipe, train_supernet
from robdsl.training import Recipe, TrainResult
from tests.search.supernet.nets import tiny
from tests.training.workers import blobs


def small_recipe(**changes: Any) -> Recipe:
    settings: dict[str, Any] = {"epochs": 2, "batch": 12, "lr_batch": 12, "steps": 2, "replays": 2, "seed": 3}
    return supernet_recipe("digits", changes.pop("method", "pgd"), **{**settings, **changes})


def small_run(
    folder: Path,
    recipe: Recipe,
    *,
    space: str = "tiny_free",
    paths: PathName = "uniform",
    batches: int | None = None,
    supernet: Supernet | None = None,
) -> TrainResult | None:
    """Train a small supernet in float64; break off after some batches, as ctrl-C does."""
    model = supernet or Supernet(tiny(space), recipe.seed).to(torch.float64)
    choose, left = model.choose, iter(range(batches or 0))

    def stopping(net: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        choose(net)

    if batches is not None:
        model.choose = stopping  # type: ignore[method-assign]  # called once for each batch
    try:
        return train_supernet(
            tiny(space), blobs(), recipe, folder, paths=paths, supernet=model, command="test"
        )
    except KeyboardInterrupt:
        return None


def together(folder: Path, changes: dict[str, Any], paths: PathName) -> None:
    small_run(folder, small_recipe(**changes), paths=paths)
