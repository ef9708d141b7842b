"""APGD: PGD with momentum that sets its own step size (Croce & Hein 2020, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import torch
from torch import Tensor

from robdsl.attacks.core.ball import per_example
from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.losses import Loss, cross_entropy, dlr, targeted_dlr
from robdsl.attacks.core.query import misclassified
from robdsl.attacks.core.remaining import Remaining
from robdsl.attacks.methods.deep_fool import runners_up

_MOMENTUM = 0.75


@dataclass(frozen=True, kw_only=True)
class _AutoPGD(Attack):
    """What both APGDs share.

    Attributes:
        steps: iterations of a run, one forward and one backward pass each; fooled examples leave.
        restarts: runs from new random starts, on examples not fooled so far.
        rho: the share of steps between checkpoints that must raise the loss, or the step size is halved.
    """

    steps: int = 100
    restarts: int = 1
    rho: float = 0.75

    takes_start: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("steps", 1)
        self._at_least("restarts", 1)

    def _climb(self, problem: Problem, loss: Loss, aims: Tensor) -> Tensor:
        """One run from one start: adversarial images where found, elsewhere those of the largest loss.

        `aims` is what `loss` takes beside the logits: labels, or pairs of label and target.
        """
        query = problem.query
        start = self._starting_images(problem, random=True)
        gradient, losses, logits = query.gradient(start, aims, loss)
        remaining = Remaining(problem.images)
        remaining.record(misclassified(logits, problem.labels), start)
        state = _State.begin(start, gradient, losses, aims, step=2 * min(self.radius, 1.0))
        checkpoints = _checkpoints(self.steps)
        for step in range(1, self.steps + 1):
            keep = remaining.keep()
            if keep is not None:
                problem, state = problem.select(keep), state.select(keep)
                if not len(keep):
                    break
            images = state.move(problem, _MOMENTUM if step > 1 else 1.0)
            if step < self.steps:
                gradient, losses, logits = query.gradient(images, state.aims, loss)
            else:  # nothing will follow the last gradient
                logits = query.logits(images)
                losses, gradient = loss(logits, state.aims), state.gradient
            remaining.record(misclassified(logits, problem.labels), images)
            state.learn(gradient, losses)
            if step in checkpoints:
                state.adapt(self.rho * checkpoints[step])
        return remaining.finish(state.best)


@dataclass(frozen=True, kw_only=True)
class APGD(_AutoPGD):
    """Untargeted APGD.

    Attributes:
        loss: cross-entropy, or the difference of logits ratio.
    """

    loss: Literal["ce", "dlr"] = "ce"

    kind: ClassVar[str] = "apgd_ce"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._choice("loss", self.loss, ("ce", "dlr"))

    @property
    def name(self) -> str:
        return super().name.replace("_ce", f"_{self.loss}")

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        again = 2 * (self.restarts - 1)
        return self.restarts * (self.steps + 1) + again + 1, self.restarts * self.steps

    def _perturb(self, problem: Problem) -> Tensor:
        loss = cross_entropy if self.loss == "ce" else dlr
        final = self._climb(problem, loss, problem.labels)
        for _ in range(self.restarts - 1):
            left = (~problem.query.fooled(final, problem.labels)).nonzero().squeeze(1)
            if not len(left):
                break
            part = problem.select(left)
            again = self._climb(part, loss, part.labels)
            newly = part.query.fooled(again, part.labels)
            final[left[newly]] = again[newly]
        return final


@dataclass(frozen=True, kw_only=True)
class APGDTargeted(_AutoPGD):
    """APGD towards each of the likeliest wrong classes in turn, by the targeted DLR loss.

    Attributes:
        targets: how many classes to try, in the order of the clean logits; at most all wrong ones.
    """

    targets: int = 9

    kind: ClassVar[str] = "apgd_t"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("targets", 1)

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        runs = self.restarts * self.targets
        return runs * (self.steps + 2) + 2, runs * self.steps

    def _perturb(self, problem: Problem) -> Tensor:
        logits = problem.query.logits(problem.images)
        rivals = runners_up(logits, problem.labels, self.targets)
        final = problem.images.clone()
        left = (~misclassified(logits, problem.labels)).nonzero().squeeze(1)
        for _ in range(self.restarts):
            for rank in range(rivals.shape[1]):
                if not len(left):
                    return final
                part = problem.select(left)
                tried = self._climb(part, _towards, torch.stack([part.labels, rivals[left, rank]], dim=1))
                final[left] = tried
                left = left[~part.query.fooled(tried, part.labels)]
        return final


def _towards(logits: Tensor, aims: Tensor) -> Tensor:
    """The targeted DLR loss with labels and targets as the two columns of `aims`."""
    return targeted_dlr(logits, aims[:, 0], aims[:, 1])


@dataclass(eq=False)
class _State:
    """The rows of a run, one for each example still attacked."""

    images: Tensor
    previous: Tensor
    gradient: Tensor
    losses: Tensor
    best: Tensor
    best_gradient: Tensor
    best_losses: Tensor
    aims: Tensor
    step: Tensor  # the step size, shaped to broadcast against the images
    improvements: Tensor  # steps since the last checkpoint that raised the loss
    checked_losses: Tensor  # the best losses at the last checkpoint
    just_halved: Tensor  # whether that checkpoint halved the step

    @classmethod
    def begin(cls, images: Tensor, gradient: Tensor, losses: Tensor, aims: Tensor, step: float) -> _State:
        losses = losses.nan_to_num(nan=-torch.inf)
        return cls(
            images=images,
            previous=images.clone(),
            gradient=gradient,
            losses=losses,
            best=images.clone(),
            best_gradient=gradient.clone(),
            best_losses=losses,
            aims=aims,
            step=per_example(
                torch.full((len(images),), step, dtype=images.dtype, device=images.device), images
            ),
            improvements=torch.zeros_like(losses),
            checked_losses=losses,
            just_halved=torch.ones_like(losses, dtype=torch.bool),
        )

    def select(self, index: Tensor) -> _State:
        return _State(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def move(self, problem: Problem, momentum: float) -> Tensor:
        """Step: x + a (z - x) + (1 - a) (x - previous), where z is PGD's step from x (eq. 2)."""
        ball, x = problem.ball, self.images
        z = ball.project_(ball.climb_(x.clone(), self.gradient, self.step, torch.empty_like(x)))
        z.mul_(momentum).add_(x, alpha=2 - 2 * momentum).sub_(self.previous, alpha=1 - momentum)
        self.previous, self.images = x, ball.project_(z)
        return self.images

    def learn(self, gradient: Tensor, losses: Tensor) -> None:
        losses = losses.nan_to_num(nan=-torch.inf)
        self.improvements += losses > self.losses
        self.losses, self.gradient = losses, gradient
        better = losses > self.best_losses
        rows = per_example(better, self.images)
        self.best = torch.where(rows, self.images, self.best)
        self.best_gradient = torch.where(rows, gradient, self.best_gradient)
        self.best_losses = torch.where(better, losses, self.best_losses)

    def adapt(self, enough: float) -> None:
        """At a checkpoint: halve the step, and return to the best point, where progress has stalled."""
        stalled = self.improvements <= enough
        stalled |= ~self.just_halved & (self.checked_losses >= self.best_losses)
        rows = per_example(stalled, self.images)
        self.step = torch.where(rows, self.step / 2, self.step)
        self.images = torch.where(rows, self.best, self.images)
        self.gradient = torch.where(rows, self.best_gradient, self.gradient)
        self.just_halved, self.checked_losses = stalled, self.best_losses
        self.improvements = torch.zeros_like(self.improvements)


def _checkpoints(steps: int) -> dict[int, int]:
    """The steps at which to look back, and how many steps lie between each and the one before.

    The distance begins at 0.22 of all steps and shrinks by 0.03 down to 0.06 (section 3 of the paper).
    """
    distance, least, shrink = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1), max(int(0.03 * steps), 1)
    checkpoints, step = {}, distance
    while step <= steps:
        checkpoints[step] = distance
        distance = max(distance - shrink, least)
        step += distance
    return checkpoints
