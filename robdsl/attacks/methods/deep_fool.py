"""DeepFool: steps to the nearest linearized decision boundary (Moosavi-Dezfooli, Fawzi & Frossard 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robdsl.attacks.core.ball import Norm, l2_norms, per_example
from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.query import Query, misclassified
from robdsl.attacks.core.remaining import Remaining


@dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """A small perturbation that crosses the nearest boundary, then projected to the budget.

    An example is done when it is fooled (at whatever distance), so a larger `eps` never changes the path.

    Attributes:
        steps: the most iterations; each takes one forward pass and one backward pass per candidate but one.
        overshoot: how far beyond the estimated boundary to go, as a share of the whole perturbation.
        candidates: how many classes are in play, the right one and the wrong ones with the largest clean
            logits.
        relaxation: the share of the way to the estimated boundary that an iteration goes. 1 is the paper's;
            shorter steps follow a curved boundary to a nearer point of it, in about twice as many iterations.
    """

    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10
    relaxation: float = 0.5

    kind: ClassVar[str] = "deepfool"
    needs_budget: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("steps", 1)
        self._at_least("candidates", 2)
        if not self.overshoot >= 0:
            raise ValueError(f"deepfool: overshoot must not be negative, not {self.overshoot}")
        if not 0 < self.relaxation <= 1:
            raise ValueError(f"deepfool: relaxation must be in (0, 1], not {self.relaxation}")

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        return self.steps + 2, self.steps * (self.candidates - 1)

    def _perturb(self, problem: Problem) -> Tensor:
        query, clean, labels = problem.query, problem.images, problem.labels
        logits = query.logits(clean)
        rivals = runners_up(logits, labels, self.candidates - 1)
        remaining = Remaining(clean)
        remaining.record(misclassified(logits, labels), clean)
        images, total = clean.clone(), torch.zeros_like(clean)
        for _ in range(self.steps):
            keep = remaining.keep()
            if keep is not None:
                images, total, clean = images[keep], total[keep], clean[keep]
                labels, rivals = labels[keep], rivals[keep]
                if not len(keep):
                    break
            logits, step = _nearest_boundary(query, images, labels, rivals, self.norm)
            # These logits judge the images made in the iteration before, which saves a pass of its own.
            remaining.record(misclassified(logits, labels), images)
            total.add_(step, alpha=self.relaxation)
            torch.add(clean, total, alpha=1 + self.overshoot, out=images).clamp_(0, 1)
            # Of a step that led out of the box, only what is inside has been taken.
            torch.sub(images, clean, out=total).div_(1 + self.overshoot)
        return remaining.finish(images)


_NUDGE = 1e-4
"""What is added to each step, lest steps that the box cuts short end just before the boundary."""


def runners_up(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The wrong classes with the largest logits, in order, (N, count or all there are)."""
    wrong = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
    return wrong.topk(min(count, logits.shape[1] - 1), dim=1).indices


def _nearest_boundary(
    query: Query, images: Tensor, labels: Tensor, rivals: Tensor, norm: Norm
) -> tuple[Tensor, Tensor]:
    """The logits of `images` and, for each, the shortest step to a boundary of the linearized model.

    Of rival k with logit difference f and gradient w of that difference, the boundary lies |f| / |w|_1 away
    in L-infinity along sign(w), and |f| / |w|_2 in L2 along w (algorithm 2 and section 3.3 of the paper).
    """
    with torch.enable_grad():
        images.requires_grad_(True)
        logits = query.graded_logits(images)
        differences = logits.gather(1, rivals) - logits.gather(1, labels.unsqueeze(1))
        totals = differences.sum(0).unbind()
    shortest = torch.full_like(differences[:, 0], torch.inf)
    nearest = torch.zeros_like(images, requires_grad=False)
    count = rivals.shape[1]
    for rival in range(count):
        gradient = query.backward(totals[rival], images, retain=rival + 1 < count)
        # Pixels at the edge of the box do not move outwards, so the others have to make up for them.
        stuck = torch.where(gradient > 0, images >= 1, images <= 0)
        gradient = gradient.masked_fill(stuck, 0)
        lengths = gradient.abs().flatten(1).sum(1) if norm == "linf" else l2_norms(gradient)
        distances = differences[:, rival].detach().abs() / lengths  # no slope: infinitely far
        closer = distances < shortest
        shortest = torch.where(closer, distances, shortest)
        direction = gradient.sign() if norm == "linf" else gradient / per_example(lengths, gradient)
        nearest = torch.where(per_example(closer, nearest), direction, nearest)
    images.requires_grad_(False)
    reach = shortest.nan_to_num(nan=0.0, posinf=0.0).add_(_NUDGE).to(images.dtype)
    return logits.detach(), nearest.mul_(per_example(reach, nearest))
