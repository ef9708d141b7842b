"""FAB: the fast adaptive boundary attack, targeted.

Croce & Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary attack".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robdsl.attacks.core.ball import make_ball, per_example
from robdsl.attacks.core.hyperplane import project_onto_hyperplane
from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.query import misclassified
from robdsl.attacks.core.remaining import Remaining
from robdsl.attacks.methods.deep_fool import runners_up


@dataclass(frozen=True, kw_only=True)
class FABTargeted(Attack):
    """Walks along the boundary to each of the likeliest wrong classes, and along it towards the clean image.

    With a budget, an example is done at its first adversarial image within it. Without one (``eps=None``),
    all steps are taken and the smallest perturbation of all targets is the result.

    Attributes:
        targets: how many classes to try, in the order of the clean logits; at most all wrong ones.
        steps: iterations for each class, two forward and one backward pass each.
        restarts: runs for each class; from the second on they begin at random.
        alpha_max: the most that the clean image's projection may weigh in a step.
        eta: how far beyond the linearized boundary to step.
        beta: where to go on after a success, on the way from the clean to the adversarial image.
    """

    targets: int = 9
    steps: int = 100
    restarts: int = 1
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9

    kind: ClassVar[str] = "fab_t"
    needs_budget: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("targets", "steps", "restarts"):
            self._at_least(field, 1)

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        runs = self.restarts * self.targets
        return 2 * runs * self.steps + 2, runs * self.steps

    def _perturb(self, problem: Problem) -> Tensor:
        logits = problem.query.logits(problem.images)
        rivals = runners_up(logits, problem.labels, self.targets)
        final = problem.images.clone()
        distances = torch.full((len(final),), torch.inf, device=final.device, dtype=final.dtype)
        left = (~misclassified(logits, problem.labels)).nonzero().squeeze(1)
        for restart in range(self.restarts):
            for rank in range(rivals.shape[1]):
                if not len(left):
                    return final
                found, found_distances = self._walk(problem.select(left), rivals[left, rank], restart)
                nearer = (found_distances < distances[left]).nonzero().squeeze(1)
                final[left[nearer]] = found[nearer]
                distances[left[nearer]] = found_distances[nearer]
                if self.eps is not None:
                    left = left[distances[left] > self.radius]
        return final

    def _walk(self, problem: Problem, targets: Tensor, restart: int) -> tuple[Tensor, Tensor]:
        """One run towards `targets`: the nearest adversarial images and their distances, inf for none."""
        clean, labels, ball = problem.images, problem.labels, problem.ball
        images = clean.clone()
        if restart:
            images = make_ball(self.norm, clean, min(self.radius, 1.0)).random_start(clean, problem.draws)
            images.sub_(clean).div_(2).add_(clean)
        # One for each example of the problem as given; `remaining.index` says whose the rows are.
        distances = torch.full((len(clean),), torch.inf, device=clean.device, dtype=clean.dtype)
        remaining = Remaining(clean)
        for _ in range(self.steps):
            if self.eps is not None and (keep := remaining.keep()) is not None:
                images, clean, labels, targets = images[keep], clean[keep], labels[keep], targets[keep]
                ball = ball.select(keep)
                if not len(keep):
                    break
            gradient, gaps, _ = problem.query.gradient(
                images, torch.stack([labels, targets], dim=1), _target_minus_label
            )
            images = self._step(images, clean, gradient, gaps)
            fooled = problem.query.fooled(images, labels)
            reached = ball.distances(images, clean).to(distances.dtype)
            rows = (fooled & (reached < distances[remaining.index])).nonzero().squeeze(1)
            if len(rows):
                remaining.final[remaining.index[rows]] = images[rows]
                distances[remaining.index[rows]] = reached[rows]
            if self.eps is not None:
                remaining.done |= fooled & (reached <= self.radius)
            # After a success, back towards the clean image to look for a nearer boundary.
            back = torch.lerp(clean, images, self.beta)
            images = torch.where(per_example(fooled, images), back, images)
        return remaining.final, distances

    def _step(self, images: Tensor, clean: Tensor, gradient: Tensor, gaps: Tensor) -> Tensor:
        """Steps towards the linearized boundary from here and from the clean image, mixed (eq. 9 to 11)."""
        normals = gradient.flatten(1).nan_to_num(nan=0.0)
        points, centres = images.flatten(1), clean.flatten(1)
        gaps = gaps.to(points.dtype)
        centre_gaps = gaps + (normals * (centres - points)).sum(1)
        moved = project_onto_hyperplane(
            torch.cat([points, centres]), normals.repeat(2, 1), torch.cat([gaps, centre_gaps]), self.norm
        )
        here, there = moved.sub_(torch.cat([points, centres])).chunk(2)
        order = torch.inf if self.norm == "linf" else 2
        here_length = torch.linalg.vector_norm(here, ord=order, dim=1).clamp_min(_SHORTEST)
        there_length = torch.linalg.vector_norm(there, ord=order, dim=1).clamp_min(_SHORTEST)
        weight = (here_length / (here_length + there_length)).clamp_max(self.alpha_max).unsqueeze(1)
        mixed = torch.lerp(points + self.eta * here, centres + self.eta * there, weight)
        return mixed.clamp_(0, 1).view_as(images)


_SHORTEST = 1e-8


def _target_minus_label(logits: Tensor, aims: Tensor) -> Tensor:
    """The logit of `aims`' second column minus that of its first: negative until the target is reached."""
    return (logits.gather(1, aims[:, 1:]) - logits.gather(1, aims[:, :1])).squeeze(1)
