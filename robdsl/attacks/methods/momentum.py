"""MI-FGSM: gradient ascent with momentum (Dong et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robdsl.attacks.core.amounts import Amount, to_fraction
from robdsl.attacks.core.ball import per_example
from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.losses import summed_cross_entropy


@dataclass(frozen=True, kw_only=True)
class MIFGSM(Attack):
    """Steps along the decayed sum of gradients, each divided by its own L1 norm (algorithm 1 of the paper).

    Attributes:
        steps: the number of steps, one forward and one backward pass each.
        step_size: None for ``eps / steps``, as in the paper.
        decay: what remains of the accumulated gradient at each step, the paper's mu; 1.0 forgets nothing.
    """

    step_size: Amount | None = None
    steps: int = 10
    decay: float = 1.0

    kind: ClassVar[str] = "mi_fgsm"
    takes_start: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("steps", 1)
        if self.step_size is not None:
            self._fix("step_size", self.step_size)

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        return self.steps + 1, self.steps

    def _perturb(self, problem: Problem) -> Tensor:
        query, ball, labels = problem.query, problem.ball, problem.labels
        size = self.radius / self.steps if self.step_size is None else float(to_fraction(self.step_size))
        images = self._starting_images(problem, random=False)
        momentum = torch.zeros_like(images)
        scratch = torch.empty_like(images)
        for _ in range(self.steps):
            gradient, _, _ = query.gradient(images, labels, summed_cross_entropy)
            torch.nan_to_num(gradient, nan=0.0, out=scratch)
            lengths = torch.linalg.vector_norm(scratch.flatten(1), ord=1, dim=1)
            scratch.div_(per_example(lengths.clamp_min_(torch.finfo(lengths.dtype).tiny), scratch))
            momentum.mul_(self.decay).add_(scratch)
            ball.project_(ball.climb_(images, momentum, size, scratch))
        return images
