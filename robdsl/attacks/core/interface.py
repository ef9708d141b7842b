"""One interface for every attack: a final call around an abstract step.

The call checks the arguments, guards the model, sets the arithmetic, runs the step, brings whatever the step
returns back into the budget and the box, and asks the model once more who is fooled. An attack decides only
where to move the images.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import ClassVar, final, get_args

import torch
from torch import Tensor, nn

from robdsl.attacks.core.amounts import Amount, fraction_text, to_fraction
from robdsl.attacks.core.ball import Ball, Norm, make_ball
from robdsl.attacks.core.draws import Draws
from robdsl.attacks.core.guard import Mode, undisturbed
from robdsl.attacks.core.precision import Precision, arithmetic
from robdsl.attacks.core.query import Query

DEFAULT_EPS = Fraction(8, 255)
DEFAULT_STEP = Fraction(2, 255)


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What an attack made of a batch.

    Attributes:
        images: adversarial images, of the shape, dtype, device and memory format of the clean ones, within
            the budget and [0, 1]. Where the attack did not succeed, its last or best attempt.
        success: (N,) bool, whether the model misclassifies each of `images`; found by one forward pass of
            its own, not taken from the attack.
        forward_passes, backward_passes: calls of the model and gradient computations, that pass included.
        forward_images, backward_images: the images in them, which is less than passes times N where fooled
            examples were left out.
        stage: (N,) int64 for an attack made of several (its `stages`), the index of the one that fooled the
            model first: -1 where the clean image does, -2 where none did. None for a single attack.
    """

    images: Tensor
    success: Tensor
    forward_passes: int
    backward_passes: int
    forward_images: int
    backward_images: int
    stage: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch to attack, as an attack's step sees it.

    Attributes:
        query: the model.
        images: clean images, (N, ...).
        labels: (N,) int64, or whatever the loss takes in their place, one row per image.
        ball: where adversarial images may lie.
        draws: the source of random numbers.
        start: images to begin from, or None to begin as the attack would.
        stage: for composed attacks to fill in; see `AttackResult`.
    """

    query: Query
    images: Tensor
    labels: Tensor
    ball: Ball
    draws: Draws
    start: Tensor | None = None
    stage: Tensor | None = None

    def select(self, index: Tensor) -> Problem:
        """The problem of a subset of the examples; counts and draws are shared."""
        return Problem(
            query=self.query,
            images=self.images[index],
            labels=self.labels[index],
            ball=self.ball.select(index),
            draws=self.draws,
            start=None if self.start is None else self.start[index],
        )


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An attack with its settings; equal settings are equal attacks.

    Attributes:
        eps: the budget, in units of the pixel range [0, 1]; kept as an exact fraction. None: no budget but
            the box, for attacks that look for the smallest perturbation.
        norm: what the budget is measured in.
        mode: the mode the model is attacked in; see `Mode`.
        precision: the arithmetic it is attacked in; see `Precision`.
    """

    eps: Amount | None = DEFAULT_EPS
    norm: Norm = "linf"
    mode: Mode = "eval"
    precision: Precision = "inherit"

    kind: ClassVar[str]
    """The name in `parse_attack` and in manifests."""
    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    """The norms this attack is defined for."""
    stages: ClassVar[tuple[str, ...]] = ()
    """The names of the attacks that a composed attack runs, in order."""
    needs_budget: ClassVar[bool] = True
    """Whether `eps` must be given; attacks that look for the smallest perturbation can do without."""
    takes_start: ClassVar[bool] = False
    """Whether the attack can begin from given images."""
    gradient_free: ClassVar[bool] = False
    """Whether the attack only asks for logits (a black-box attack)."""

    def __post_init__(self) -> None:
        if self.eps is not None:
            self._fix("eps", self.eps)
        elif self.needs_budget:
            raise ValueError(f"{self.kind} needs a budget, such as eps='8/255'")
        self._choice("norm", self.norm, self.norms)
        self._choice("mode", self.mode, get_args(Mode))
        self._choice("precision", self.precision, get_args(Precision))

    @property
    def name(self) -> str:
        """A short name for rows and files, such as ``pgd20`` or ``pgd20_l2``."""
        return self.kind if self.norm == self.norms[0] else f"{self.kind}_{self.norm}"

    @property
    def most_passes(self) -> tuple[int, int] | None:
        """The most forward passes and gradient computations of a call, its verdict included; None where unknown."""
        return None

    @property
    def radius(self) -> float:
        """`eps` as a float; infinity for none."""
        return math.inf if self.eps is None else float(to_fraction(self.eps))

    def describe(self) -> dict[str, str | int | float | bool | None]:
        """The settings for a manifest: plain values, amounts as the text of their fractions."""
        settings: dict[str, str | int | float | bool | None] = {"attack": self.kind}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Fraction):
                value = fraction_text(value)
            elif not isinstance(value, str | int | float | bool | None):
                value = getattr(value, "__qualname__", repr(value))
            settings[field.name] = value
        return settings

    @final
    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        start: Tensor | None = None,
    ) -> AttackResult:
        """Attack `model` on a batch and report.

        Args:
            model: maps images in [0, 1] to logits (N, C); left exactly as it was, see `undisturbed`.
            images: (N, ...) of any floating dtype, in [0, 1], on the model's device. N may be 0.
            labels: (N,) integers, the classes to lead away from.
            generator: the source of every random draw, on any device; None for torch's global one.
            start: images to begin from (attacks that can begin anywhere); brought into the budget first.
                Takes the place of a random start.

        Raises:
            TypeError, ValueError: the arguments do not fit together, or the model is not such a map.
        """
        if labels.ndim != 1 or labels.is_floating_point():
            raise ValueError(
                f"labels must be (N,) integers, not {labels.dtype} of shape {tuple(labels.shape)}"
            )
        with self._attacking(model, images, labels, generator, start) as problem:
            query = problem.query
            adversarial = self._bounded(problem)
            if len(images):
                success = query.fooled(adversarial, problem.labels)
            else:
                success = torch.zeros(0, dtype=torch.bool, device=images.device)
        return AttackResult(
            images=adversarial,
            success=success,
            forward_passes=query.forward_passes,
            backward_passes=query.backward_passes,
            forward_images=query.forward_images,
            backward_images=query.backward_images,
            stage=problem.stage,
        )

    @final
    def perturb(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """The adversarial images alone, without the forward pass that tells who is fooled: for training.

        As `__call__`, except that `labels` may be whatever the attack's loss takes, one row per image.
        """
        with self._attacking(model, images, labels, generator, start) as problem:
            return self._bounded(problem)

    @abstractmethod
    def _perturb(self, problem: Problem) -> Tensor:
        """Adversarial images for `problem`, which is not empty; the caller brings them into the budget."""

    @contextmanager
    def _attacking(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        generator: torch.Generator | None,
        start: Tensor | None,
    ) -> Iterator[Problem]:
        _check(images, labels, start)
        if start is not None and not self.takes_start:
            raise ValueError(f"{self.kind} begins where its definition says; it takes no start")
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            undisturbed(model, self.mode),
            arithmetic(self.precision, images.device),
        ):
            clean = _plain(images)
            yield Problem(
                query=Query(model),
                images=clean,
                labels=_plain(labels if labels.is_floating_point() else labels.long()),
                ball=make_ball(self.norm, clean, self.radius),
                draws=Draws(generator, images.device),
                start=None if start is None else _plain(start),
                stage=torch.full((len(images),), -2, device=images.device) if self.stages else None,
            )

    def _bounded(self, problem: Problem) -> Tensor:
        """What `_perturb` makes, in the budget, the box and the clean images' memory format.

        Pixels that are not numbers become clean again.
        """
        clean = problem.images
        if not len(clean):
            return clean.clone()
        made = self._perturb(problem)
        bounded = torch.where(made.isnan(), clean, made, out=torch.empty_like(clean))
        return problem.ball.project_(bounded.clamp_(0, 1))  # the box first: infinity has no nearest point

    def _starting_images(self, problem: Problem, *, random: bool) -> Tensor:
        """New memory to move: the given start in the budget, else a random one, else the clean images."""
        if problem.start is not None:
            return problem.ball.project_(problem.start.clone())
        if random:
            return problem.ball.random_start(problem.images, problem.draws)
        return problem.images.clone()

    def _fix(self, field: str, amount: Amount) -> None:
        # The way to normalize a field of a frozen dataclass.
        object.__setattr__(self, field, to_fraction(amount))

    def _at_least(self, field: str, least: int) -> None:
        value = getattr(self, field)
        if not isinstance(value, int) or value < least:
            raise ValueError(
                f"{self.kind}: {field} must be a whole number of at least {least}, not {value!r}"
            )

    def _choice(self, field: str, value: object, choices: tuple[object, ...]) -> None:
        if value not in choices:
            listed = ", ".join(str(choice) for choice in choices)
            raise ValueError(f"{self.kind}: {field} must be one of {listed}, not {value!r}")


def _plain(tensor: Tensor) -> Tensor:
    """`tensor` without history: detached, or a copy of an inference tensor, which autograd has no use for."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def _check(images: Tensor, labels: Tensor, start: Tensor | None) -> None:
    if not images.is_floating_point():
        raise TypeError(f"images must be floating point in [0, 1], not {images.dtype}; divide bytes by 255")
    if images.ndim < 2:
        raise ValueError(f"images must be (N, ...), not of shape {tuple(images.shape)}")
    if labels.ndim < 1 or len(labels) != len(images):
        raise ValueError(f"{len(images)} images need as many labels, not {tuple(labels.shape)}")
    if labels.device != images.device:
        raise ValueError(f"images are on {images.device} and labels on {labels.device}; move them together")
    if start is not None and (start.shape != images.shape or start.dtype != images.dtype):
        raise ValueError(f"start must be like the images, {tuple(images.shape)} of {images.dtype}")
