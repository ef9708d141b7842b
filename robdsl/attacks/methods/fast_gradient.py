"""FGSM: one step along the sign of the gradient (Goodfellow, Shlens & Szegedy 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.losses import summed_cross_entropy


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """One ascent step of the whole budget from the clean image: one forward, one backward pass."""

    kind: ClassVar[str] = "fgsm"
    takes_start: ClassVar[bool] = True

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        return 2, 1

    def _perturb(self, problem: Problem) -> Tensor:
        images = self._starting_images(problem, random=False)
        gradient, _, _ = problem.query.gradient(images, problem.labels, summed_cross_entropy)
        return problem.ball.climb_(images, gradient, self.radius, torch.empty_like(images))
