"""The recipe that each data set and method starts from."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from robdsl.attacks import to_fraction
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

#: The free method's own for ImageNet (Shafahi et al. 2019): the updates of 90 epochs with m = 4, eps 4/255.
IMAGENET = Recipe(
    method="free",
    epochs=23,
    batch=256,
    lr=0.1,
    lr_batch=256,
    warmup_epochs=0,
    eps=Fraction(4, 255),
    step_size=Fraction(1, 255),
    validation_step_size=Fraction(1, 255),
)


def recipe_for(data: str, method: str = "pgd", **changes: Any) -> Recipe:
    """The recipe for a data set and a method, with what the caller wants different.

    TRADES takes its authors' attack, 10 steps of 0.007; fast training one step of 5/4 of the budget, which is
    its authors' 10/255 for 8/255. Free training makes several updates of each batch, and therefore goes
    through the data so many times less often (on ImageNet that is in its recipe already).

    Args:
        data: the data set's name.
        method: see `Recipe`.
        changes: fields to set otherwise; they win over all of the above.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a recipe has no such field.
    """
    base = {"digits": DIGITS, "imagenet": IMAGENET}.get(data, PUBLISHED)
    settings: dict[str, Any] = {}
    if method == "trades":
        settings = {"step_size": "0.007", "steps": 10}
    elif method == "fast":
        settings = {"step_size": to_fraction(changes.get("eps", base.eps)) * Fraction(5, 4), "steps": 1}
    elif method == "free" and base.method != "free":
        times = changes.get("replays", base.replays)
        settings = {"epochs": -(-base.epochs // times), "warmup_epochs": -(-base.warmup_epochs // times)}
    return replace(base, **{"method": method, **settings, **changes})
