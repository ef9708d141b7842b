"""PGD and what is PGD by another loss or start: BIM, and Carlini and Wagner's margin under the PGD loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from robdsl.attacks.core.amounts import Amount, to_fraction
from robdsl.attacks.core.graphed import active_graphs
from robdsl.attacks.core.interface import DEFAULT_STEP, Attack, Problem
from robdsl.attacks.core.losses import Loss, dlr, margin, summed_cross_entropy
from robdsl.attacks.core.query import misclassified
from robdsl.attacks.core.remaining import Remaining

LossName = Literal["ce", "margin", "dlr"]
_LOSSES: dict[str, Loss] = {"ce": summed_cross_entropy, "margin": margin, "dlr": dlr}


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """Projected gradient ascent (Madry et al. 2018).

    The loop is a forward pass, a backward pass to the input alone and three pointwise operations in place: it
    allocates nothing of its own and never waits for the device.

    Attributes:
        step_size: the length of a step, in the budget's norm.
        steps: the number of steps, one forward and one backward pass each.
        restarts: how many times to begin anew; from the second on only with examples not fooled so far, at
            one more forward pass each to find them.
        random_start: begin from a uniform draw from the budget, not from the clean image.
        loss: what to climb: cross-entropy, the margin, DLR, or a function of logits and labels.
        skip_fooled: the images that fool the model first are an example's result, and it leaves the batch.
            Less work on weak models, for synchronizing at every step; off, every example takes every step.
    """

    step_size: Amount = DEFAULT_STEP
    steps: int = 20
    restarts: int = 1
    random_start: bool = True
    loss: LossName | Loss = "ce"
    skip_fooled: bool = False

    kind: ClassVar[str] = "pgd"
    takes_start: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fix("step_size", self.step_size)
        self._at_least("steps", 0)
        self._at_least("restarts", 1)
        if isinstance(self.loss, str):
            self._choice("loss", self.loss, tuple(_LOSSES))

    @property
    def name(self) -> str:
        return f"{self.kind}{self.steps}" + ("" if self.norm == "linf" else f"_{self.norm}")

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        again = 2 * (self.restarts - 1)  # to find who is left, and who is fooled in the end
        return self.restarts * self.steps + again + 1, self.restarts * self.steps

    def _perturb(self, problem: Problem) -> Tensor:
        if problem.labels.ndim != 1 and (self.restarts > 1 or self.skip_fooled):
            raise ValueError(f"{self.kind}: restarts and skip_fooled need class labels to tell who is fooled")
        images = self._climb(problem)
        for _ in range(self.restarts - 1):
            left = (~problem.query.fooled(images, problem.labels)).nonzero().squeeze(1)
            if not len(left):
                break
            part = problem.select(left)
            again = self._climb(part)
            newly = part.query.fooled(again, part.labels)
            images[left[newly]] = again[newly]
        return images

    def _climb(self, problem: Problem) -> Tensor:
        if self.skip_fooled:
            return self._climb_skipping(problem)
        query, ball, labels = problem.query, problem.ball, problem.labels
        size, loss = float(to_fraction(self.step_size)), self._loss()
        images = self._starting_images(problem, random=self.random_start)
        graphs = active_graphs()
        if graphs is not None and graphs.climb(query, ball, images, labels, loss, size, self.steps):
            return images
        scratch = torch.empty_like(images)
        for _ in range(self.steps):
            gradient, _, _ = query.gradient(images, labels, loss)
            ball.ascend_(images, gradient, size, scratch)
        return images

    def _climb_skipping(self, problem: Problem) -> Tensor:
        size, loss = float(to_fraction(self.step_size)), self._loss()
        images = self._starting_images(problem, random=self.random_start)
        remaining = Remaining(images)
        for _ in range(self.steps):
            gradient, _, logits = problem.query.gradient(images, problem.labels, loss)
            remaining.record(misclassified(logits, problem.labels), images)
            keep = remaining.keep()
            if keep is not None:
                problem, images, gradient = problem.select(keep), images[keep], gradient[keep]
                if not len(keep):
                    break
            problem.ball.ascend_(images, gradient, size, torch.empty_like(images))
        return remaining.finish(images)

    def _loss(self) -> Loss:
        return _LOSSES[self.loss] if isinstance(self.loss, str) else self.loss


@dataclass(frozen=True, kw_only=True)
class BIM(PGD):
    """The basic iterative method (Kurakin et al. 2017): PGD from the clean image."""

    random_start: bool = False

    kind: ClassVar[str] = "bim"


@dataclass(frozen=True, kw_only=True)
class CW(PGD):
    """Carlini and Wagner's margin loss under the PGD loop: what robustness papers call C&W in L-infinity."""

    loss: LossName | Loss = "margin"

    kind: ClassVar[str] = "cw"
