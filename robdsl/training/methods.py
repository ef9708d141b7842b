"""The training methods: what loss a batch gives, and what images it is taken on.

Losses are sums over the own examples divided by the size of the whole batch, so that gradients of several
processes need only be added up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robdsl.attacks import PGD, kl_divergence, misclassified, to_fraction
from robdsl.training.recipe import MethodName, Recipe

TRADES_START = 0.001
"""Standard deviation of the normal noise that the TRADES attack starts from."""


@dataclass(frozen=True, eq=False)
class Step:
    """One batch, as a method sees it.

    Attributes:
        model: in training mode.
        images: (n, C, H, W), the own part of the batch, in [0, 1].
        labels: (n,) int64.
        first: where the own part begins in the batch.
        total: the size of the whole batch.
        draws: the same on every process, seeded by the batch.
        arithmetic: gives the context to compute in (autocast, or nothing).
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    first: int
    total: int
    draws: torch.Generator
    arithmetic: Callable[[], AbstractContextManager[Any]]

    def uniform(self) -> Tensor:
        """Draws from [-1, 1), like the images."""
        return self._own(torch.rand).mul_(2).sub_(1)

    def normal(self) -> Tensor:
        """Standard normal draws, like the images."""
        return self._own(torch.randn)

    def _own(self, draw: Callable[..., Tensor]) -> Tensor:
        # For the whole batch, of which every process takes its part: an image gets the same wherever it is.
        shape = (self.total, *self.images.shape[1:])
        everyone = draw(shape, generator=self.draws, device=self.images.device, dtype=self.images.dtype)
        return everyone[self.first : self.first + len(self.images)]

    def logits(self, images: Tensor) -> Tensor:
        """The model's answer, (n, classes), in float32 or wider."""
        with self.arithmetic():
            logits: Tensor = self.model(images)
        return logits if logits.dtype == torch.float64 else logits.float()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one update is made from.

    Attributes:
        loss: scalar, to be differentiated: the own examples' sum over the size of the whole batch.
        correct: scalar int64, how many of the images that the loss is taken on the model gets right.
    """

    loss: Tensor
    correct: Tensor


class Method(ABC):
    """A training method. It may carry something from batch to batch (:attr:`carried`)."""

    carried: Tensor | None = None
    """(n, C, H, W): what goes from a batch to the next, one row for each of the own places in the batch."""

    @abstractmethod
    def updates(self, step: Step) -> Iterator[Outcome]:
        """What each update of one batch is made from; the caller differentiates and updates in between."""


class Natural(Method):
    """Cross-entropy on the images as they are."""

    def updates(self, step: Step) -> Iterator[Outcome]:
        """See :class:`Method`."""
        yield _cross_entropy(step, step.images)


class Madry(Method):
    """Cross-entropy on PGD's adversarial images, made in training mode (Madry et al. 2018, eq. 2.1).

    With one step this is fast adversarial training. The running statistics of norms move with every pass of
    the attack, as in the RobNets' published training.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._eps = float(to_fraction(recipe.eps))
        self._attack = PGD(
            eps=recipe.eps, step_size=recipe.step_size, steps=recipe.steps, random_start=False, mode="train"
        )

    def updates(self, step: Step) -> Iterator[Outcome]:
        """See :class:`Method`."""
        start = step.images + self._eps * step.uniform()
        with step.arithmetic():
            images = self._attack.perturb(step.model, step.images, step.labels, start=start)
        yield _cross_entropy(step, images)


class Trades(Method):
    """Cross-entropy on clean images and ``beta`` times the divergence that an attack can make (Zhang et al.
    2019).

    The attack climbs the divergence in evaluation mode, from normal noise. The loss is their equation 5,
    with one pass over the clean images (their code makes two equal ones).
    """

    def __init__(self, recipe: Recipe) -> None:
        self._beta = recipe.beta
        self._attack = PGD(
            eps=recipe.eps,
            step_size=recipe.step_size,
            steps=recipe.steps,
            random_start=False,
            loss=kl_divergence,
            mode="eval",
        )

    def updates(self, step: Step) -> Iterator[Outcome]:
        """See :class:`Method`."""
        step.model.eval()
        with torch.no_grad():
            probabilities = F.softmax(step.logits(step.images), dim=1)
        start = step.images + TRADES_START * step.normal()
        with step.arithmetic():
            images = self._attack.perturb(step.model, step.images, probabilities, start=start)
        step.model.train()
        clean, adversarial = step.logits(step.images), step.logits(images)
        natural = F.cross_entropy(clean, step.labels, reduction="sum")
        divergence = F.kl_div(F.log_softmax(adversarial, dim=1), F.softmax(clean, dim=1), reduction="sum")
        yield Outcome((natural + self._beta * divergence) / step.total, _correct(adversarial, step.labels))


class Free(Method):
    """One perturbation that grows over ``replays`` updates with the same batch, and goes on to the next one.

    Shafahi et al. 2019, algorithm 1: each backward pass gives the gradient to the weights, for an update,
    and to the perturbation, for a step of ``eps`` along its sign.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._eps = float(to_fraction(recipe.eps))
        self._replays = recipe.replays

    def updates(self, step: Step) -> Iterator[Outcome]:
        """See :class:`Method`."""
        if self.carried is None:
            self.carried = torch.zeros_like(step.images)
        perturbation = self.carried
        for _ in range(self._replays):
            perturbation.requires_grad_(True)
            yield _cross_entropy(step, (step.images + perturbation).clamp(0, 1))
            perturbation.requires_grad_(False)
            perturbation.add_(_take_gradient(perturbation).sign_(), alpha=self._eps)
            perturbation.clamp_(-self._eps, self._eps)


def make_method(recipe: Recipe) -> Method:
    """The method that a recipe names, with nothing carried yet."""
    makers: dict[MethodName, Callable[[Recipe], Method]] = {
        "natural": lambda _recipe: Natural(),
        "pgd": Madry,
        "trades": Trades,
        "free": Free,
        "fast": lambda recipe: Madry(replace(recipe, steps=1)),  # Wong et al. 2020, algorithm 3
    }
    return makers[recipe.method](recipe)


def _take_gradient(tensor: Tensor) -> Tensor:
    gradient, tensor.grad = tensor.grad, None
    if gradient is None:
        raise RuntimeError("every outcome must be differentiated before the next one is asked for")
    return gradient


def _cross_entropy(step: Step, images: Tensor) -> Outcome:
    logits = step.logits(images)
    loss = F.cross_entropy(logits, step.labels, reduction="sum") / step.total
    return Outcome(loss, _correct(logits, step.labels))


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    return (~misclassified(logits.detach(), labels)).sum()
