"""One batch: which examples a model gets right, clean and under an attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from robdsl.attacks import AttackResult, misclassified, undisturbed


class Attacker(Protocol):
    """What is needed of an attack; :class:`robdsl.attacks.Attack` and the optional backends have it."""

    @property
    def name(self) -> str:
        """A short name, such as ``pgd20``."""
        ...

    @property
    def precision(self) -> str:
        """The arithmetic it asks for; "inherit" where it has no wish."""
        ...

    @property
    def gradient_free(self) -> bool:
        """Whether it only asks for logits."""
        ...

    @property
    def most_passes(self) -> tuple[int, int] | None:
        """The most forward passes and gradient computations of a call; None where unknown."""
        ...

    def describe(self) -> Mapping[str, str | int | float | bool | None]:
        """All settings, as plain values."""
        ...

    def __call__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, generator: torch.Generator | None = None
    ) -> AttackResult:
        """Attack a batch."""
        ...


def right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Which of the images (N, C, H, W) the model, in evaluation mode, gives their labels: (N,) bool."""
    with torch.no_grad(), undisturbed(model, "eval"):
        return ~misclassified(model(images), labels)


def right_under(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: Attacker,
    generator: torch.Generator,
    source: nn.Module | None = None,
) -> tuple[Tensor, AttackResult]:
    """Which of the images (N, C, H, W) the model still gets right once they are attacked.

    Args:
        model: the one that is judged, in evaluation mode and in the caller's arithmetic.
        images: in [0, 1].
        labels: (N,) int64.
        attack: what is done.
        generator: the source of the attack's draws.
        source: the model that is attacked, where that is another one (transfer).

    Returns:
        (N,) bool, and what the attack reports.
    """
    result = attack(model if source is None else source, images, labels, generator=generator)
    if source is None and attack.precision == "inherit":
        return ~result.success, result
    return right(model, result.images, labels), result
