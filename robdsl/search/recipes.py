"""How inherited weights are finetuned, where nobody says otherwise."""

from __future__ import annotations

from typing import Any

from robdsl.training import Recipe, recipe_for

#: The paper says 3 epochs; rate and batch are ours, as those of the one-shot methods near it.
_PUBLISHED = {
    "epochs": 3,
    "batch": 64,
    "lr": 0.01,
    "lr_batch": 64,
    "warmup_epochs": 0,
    "final_lr": 0.0001,
    "clip": 5.0,
}


def finetune_recipe(data: str, method: str = "pgd", **changes: Any) -> Recipe:
    """The recipe for a few epochs on inherited weights.

    3 epochs, learning rate 0.01 for batches of 64, a cosine to 0.0001 without warm-up, gradients clipped to a norm of
    5; the attack is that of `robdsl.training.recipe_for`.

    Args:
        data: the data set's name.
        method: any of the library's, see `robdsl.training.Recipe`.
        changes: fields to set otherwise; they win over all of the above.

    Raises:
        ValueError: a value is out of its range.
        TypeError: a recipe has no such field.
    """
    return recipe_for(data, method, **{**_PUBLISHED, **changes})
