"""The learning rate: a linear warm-up, then a cosine."""

from __future__ import annotations

import math

from robdsl.training.recipe import Recipe


def rate_at(recipe: Recipe, time: float, batch: int) -> float:
    """The learning rate at a moment of training.

    At whole epochs this is what the RobNets' published scheduler, which steps once an epoch, gives; in
    between it goes on smoothly.

    Args:
        recipe: see :class:`Recipe`.
        time: epochs since the start, in [0, epochs]; 1.5 is the middle of the second.
        batch: images in a batch, which all rates scale with.
    """
    low, high, last = (
        recipe.learning_rate(batch, rate) for rate in (recipe.warmup_lr, recipe.lr, recipe.final_lr)
    )
    if time < recipe.warmup_epochs:
        return low + (high - low) * time / recipe.warmup_epochs
    cooling = recipe.epochs - recipe.warmup_epochs
    share = (time - recipe.warmup_epochs) / cooling if cooling else 1.0
    return last + (high - last) * (1 + math.cos(math.pi * share)) / 2
