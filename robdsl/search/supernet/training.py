"""Adversarial training of a supernet, one sub-network a batch (CVPR 2020, section 3.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from robdsl.data import Data
from robdsl.graph.net import Space
from robdsl.graph.values import show_value
from robdsl.search.supernet.paths import PathName, PathSampler
from robdsl.search.supernet.supernet import Supernet
from robdsl.training import Listener, Recipe, TrainResult, recipe_for, train

#: What the paper leaves unsaid, as the one-shot methods near it do it: no warm-up, a cosine from 0.05, clipped gradients.
_PUBLISHED = {"epochs": 300, "batch": 64, "lr": 0.05, "lr_batch": 64, "warmup_epochs": 0, "clip": 5.0}
#: The digits are few and small.
_DIGITS = {"epochs": 40, "lr": 0.05, "warmup_epochs": 0, "clip": 5.0}


def supernet_recipe(data: str, method: str = "pgd", **changes: Any) -> Recipe:
    """The recipe for the supernet of a data set and a method, with what the caller wants different.

    Learning rate 0.05 for batches of 64, a cosine to 0.001 without warm-up, weight decay 1e-4, gradients clipped to a
    norm of 5, 300 epochs; the attack is that of `robdsl.training.recipe_for`. On ``digits`` 40 epochs.

    Args:
        data: the data set's name.
        method: any of the library's, see `robdsl.training.Recipe`.
        changes: fields to set otherwise; they win over all of the above.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a recipe has no such field.
    """
    settings: dict[str, Any] = dict(_DIGITS if data == "digits" else _PUBLISHED)
    if method == "free":
        times = changes.get("replays", recipe_for(data, method).replays)
        settings["epochs"] = -(-settings["epochs"] // times)
    return recipe_for(data, method, **{**settings, **changes})


def train_supernet(
    space: Space,
    train_data: Data,
    recipe: Recipe,
    folder: str | Path,
    *,
    paths: PathName = "uniform",
    supernet: Supernet | None = None,
    device: torch.device | str = "cpu",
    events: Listener | None = None,
    command: str | None = None,
    workers: int = 4,
) -> TrainResult:
    """Train the supernet of a space, or go on with training it, until the recipe is done.

    Each batch trains one sub-network (`PathSampler`), the same on all processes, and what attacks it in training attacks
    that sub-network. Only what the batch computes is updated: neither weight decay nor momentum moves the other
    weights, whose momentum waits for them. Parameters without a gradient are the same ones on all processes, so
    that there is nothing to search for: the sums that processes exchange have the sampled parts only.

    No epoch is judged, because no one sub-network stands for all: ``last.safetensors`` is the result, and the
    history has each epoch's training loss and accuracy over the sub-networks that it met. As with
    `robdsl.training.train`, the same call after any interruption goes on from the newest checkpoint, exactly.

    Args:
        space: gives the supernet and the sub-networks to draw.
        train_data: what to train on.
        recipe: how; `supernet_recipe` has a default. Its ``seed`` also seeds the weights and the paths.
        folder: for weights, history, manifest and checkpoints; made if it is not there.
        paths: the distribution of sub-networks, see `PathSampler`.
        supernet: trained in place; None makes one from the seed, on ``device``. It may be that of another space with the
            same stages (one supernet for cell-based and cell-free).
        device: for a supernet that is made here.
        events: takes the events of `robdsl.training`, on the first process.
        command: the command line, for the manifest.
        workers: reading processes for data that stays on disk.

    Returns:
        Where everything is; ``last`` has the weights, with the names of any sub-network's.

    Raises:
        ValueError: the supernet is not that of the space.
        CheckpointError, NonFiniteError, DiskFullError, DataError, TrainingError: see `robdsl.training.train`.
    """
    sampler = PathSampler(space, paths, recipe.seed)
    model = Supernet(space, recipe.seed).to(device) if supernet is None else supernet

    def before_batch(epoch: int, batch: int) -> None:
        model.choose(sampler.net(epoch, batch))

    return train(
        model,
        train_data,
        None,
        recipe,
        folder,
        events=events,
        architecture=_described(space, paths),
        command=command,
        workers=workers,
        before_batch=before_batch,
    )


def _described(space: Space, paths: PathName) -> str:
    """What is trained and on which sub-networks: a run is resumed only where both are the same."""
    given = ", ".join(f"{name}={show_value(value)}" for name, value in space.parameters.items())
    return f"the supernet of {space.name}({given}), {paths} paths; {space.supernet().hash}"
