"""Carlini and Wagner's L2 attack with a binary search over its constant (2017, section VI.A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robdsl.attacks.core.amounts import Amount
from robdsl.attacks.core.ball import Norm, per_example
from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.losses import margin


@dataclass(frozen=True, kw_only=True)
class CWL2(Attack):
    """The smallest L2 perturbation that fools: minimizes |x' - x|^2 + c max(z_y - max z_wrong, -confidence).

    The image is x' = (tanh(w) + 1) / 2, so that the box holds by itself, and w is moved by Adam. For each
    example c is searched by bisection: down after a success, up after a failure.

    Attributes:
        eps: None, for the smallest perturbation there is, or a budget in L2 that the result is projected to.
        steps: Adam steps for each constant, one forward and one backward pass each.
        binary_search_steps: how many constants to try.
        learning_rate: Adam's.
        initial_constant: the first c.
        confidence: the margin asked for, the paper's kappa.
        abort_early: go on to the next constant once a tenth of the steps has brought the batch no progress.
    """

    eps: Amount | None = None
    norm: Norm = "l2"
    steps: int = 1000
    binary_search_steps: int = 9
    learning_rate: float = 0.01
    initial_constant: float = 1e-3
    confidence: float = 0.0
    abort_early: bool = True

    kind: ClassVar[str] = "cw_l2"
    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    needs_budget: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("steps", 1)
        self._at_least("binary_search_steps", 1)
        for field in ("learning_rate", "initial_constant"):
            if not getattr(self, field) > 0:
                raise ValueError(f"cw_l2: {field} must be positive, not {getattr(self, field)}")

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        return self.steps * self.binary_search_steps + 1, self.steps * self.binary_search_steps

    def _perturb(self, problem: Problem) -> Tensor:
        clean = problem.images
        constants = torch.full((len(clean),), self.initial_constant, device=clean.device)
        lower, upper = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
        best = _Best(clean)
        for _ in range(self.binary_search_steps):
            succeeded = self._minimize(problem, constants, best)
            upper = torch.where(succeeded, torch.minimum(upper, constants), upper)
            lower = torch.where(succeeded, lower, torch.maximum(lower, constants))
            constants = torch.where(upper.isinf(), constants * 10, (lower + upper) / 2)
        return best.images

    def _minimize(self, problem: Problem, constants: Tensor, best: _Best) -> Tensor:
        """One Adam run from the clean images; whether each example was fooled on the way, (N,) bool."""

        def shortfall(logits: Tensor, labels: Tensor) -> Tensor:
            return constants * (self.confidence - margin(logits, labels)).clamp_min(0)

        clean, labels = problem.images, problem.labels
        adam = _Adam(_to_tanh_space(clean), self.learning_rate)
        succeeded = torch.zeros(len(clean), dtype=torch.bool, device=clean.device)
        previous = torch.inf
        for step in range(self.steps):
            tanh = adam.point.tanh()
            images = tanh.add(1).div_(2)
            gradient, losses, logits = problem.query.gradient(images, labels, shortfall)
            offset = images - clean
            distances = offset.square().flatten(1).sum(1)
            fooled = margin(logits, labels) > self.confidence
            succeeded |= fooled
            best.offer(images, distances, fooled)
            # The slope of the whole objective to w: that to x', times dx'/dw = (1 - tanh^2) / 2.
            slope = offset.mul_(2).add_(gradient).mul_(tanh.square_().neg_().add_(1).div_(2))
            adam.descend(slope.nan_to_num_(nan=0.0))
            if self.abort_early and step % max(self.steps // 10, 1) == 0:
                current = float((losses + distances).sum())
                if current > 0.9999 * previous:
                    break
                previous = current
        return succeeded


class _Best:
    """The nearest images so far that fool the model; the clean ones where there are none."""

    def __init__(self, clean: Tensor) -> None:
        self.images = clean.clone()
        self._distances = torch.full((len(clean),), torch.inf, device=clean.device, dtype=clean.dtype)

    def offer(self, images: Tensor, distances: Tensor, fooled: Tensor) -> None:
        nearer = fooled & (distances < self._distances)
        self._distances = torch.where(nearer, distances, self._distances)
        torch.where(per_example(nearer, images), images, self.images, out=self.images)


class _Adam:
    """Adam (Kingma & Ba 2015) on one tensor, in place, with its usual decay rates."""

    def __init__(self, point: Tensor, rate: float) -> None:
        self.point = point
        self._rate = rate
        self._mean, self._square = torch.zeros_like(point), torch.zeros_like(point)
        self._steps = 0

    def descend(self, slope: Tensor) -> None:
        self._steps += 1
        self._mean.lerp_(slope, 0.1)
        self._square.mul_(0.999).addcmul_(slope, slope, value=0.001)
        spread = (self._square / (1 - 0.999**self._steps)).sqrt_().add_(1e-8)
        self.point.addcdiv_(self._mean, spread, value=-self._rate / (1 - 0.9**self._steps))


def _to_tanh_space(images: Tensor) -> Tensor:
    """w with (tanh(w) + 1) / 2 = x, drawn in a little from the edges of the box.

    At an edge w would be infinite, and near it dx/dw vanishes: with the customary 1e-6 of room, the black and
    white pixels that digits consist of take most of the steps to get going.
    """
    room = max(1e-4, 2 * torch.finfo(images.dtype).eps)
    return images.mul(2).sub_(1).mul_(1 - room).atanh_()
