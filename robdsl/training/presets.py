"""The recipe that each data set starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from robdsl.training.recipe import Recipe

#: The RobNets' published recipe (see `Recipe`).
PUBLISHED = Recipe()

#: 1,797 images of 8 x 8 pixels need far less: this reaches its end in minutes on a laptop.
DIGITS = Recipe(
    epochs=12,
    batch=64,
    lr=0.1,
    lr_batch=64,
    warmup_epochs=1,
    warmup_lr=0.02,
    final_lr=0.001,
    validation_steps=5,
    validation_images=150,
)

#: Training attacks other than Madry's have settings of their own (reproduction of their papers).
METHOD_SETTINGS: dict[str, dict[str, Any]] = {
    "trades": {"step_size": "0.007", "steps": 10},
    "fast": {"step_size": "10/255"},
}


def recipe_for(data: str, method: str = "pgd", **changes: Any) -> Recipe:
    """The recipe for a data set and a method, with what the caller wants different.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a recipe has no such field.
    """
    base = DIGITS if data == "digits" else PUBLISHED
    return replace(base, **{"method": method, **METHOD_SETTINGS.get(method, {}), **changes})
