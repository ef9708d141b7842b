"""Other libraries' attacks behind the interface of ours.

A backend turns one of our configured attacks into one that the other library carries out. Everything around
it stays ours: the guard, the budget, the count of passes and the verdict on success. So a row of a table can
be cross-checked by changing one option, and two rows differ by nothing but the attack's own steps.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.query import Query


class MissingBackendError(ImportError):
    """The library behind a backend is not installed; the message holds the line that installs it."""

    def __init__(self, backend: str, package: str) -> None:
        super().__init__(
            f"the backend '{backend}' needs {package}, which is not installed:\n"
            f'    pip install "robdsl[{backend}]"      (all backends: "robdsl[backends]")'
        )


class UnsupportedAttackError(ValueError):
    """The backend's library has no such attack, or not with these settings."""


@dataclass(frozen=True)
class Call:
    """What a library is asked for.

    Attributes:
        model: the model as a module; calls of it are counted.
        images, labels: the clean batch.
        classes: the number of logits.
        seed: for libraries that seed themselves.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    classes: int
    seed: int


Run = Callable[[Any, Call], Tensor]
"""Carries out an attack of one class of ours: (attack, call) to adversarial images."""


class Backend(ABC):
    """One library of attacks."""

    name: ClassVar[str]
    """The name in `get_backend`, and of the extra that installs it."""
    module: ClassVar[str]
    """What is imported."""
    distribution: ClassVar[str]
    """What is installed."""

    def __init__(self) -> None:
        try:
            import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name != self.module:
                raise
            raise MissingBackendError(self.name, self.distribution) from error

    @property
    def version(self) -> str:
        """The installed version of the library."""
        return version(self.distribution)

    @abstractmethod
    def runs(self) -> Mapping[type[Attack], Run]:
        """How to carry out each attack that the library has."""

    def adapt(self, attack: Attack) -> Attack:
        """Return an attack with the settings of `attack` that this library carries out.

        Raises:
            UnsupportedAttackError: the library has no such attack, or not with these settings.
        """
        run = self.runs().get(type(attack))
        if run is None:
            known = ", ".join(sorted(kind.kind for kind in self.runs()))
            raise UnsupportedAttackError(f"{self.name} has no {attack.kind}; it has {known}")
        if attack.mode != "eval":
            raise UnsupportedAttackError(f"{self.name} attacks in evaluation mode, not mode='{attack.mode}'")
        return ForeignAttack(
            eps=attack.eps,
            norm=attack.norm,
            precision=attack.precision,
            source=attack,
            backend=self,
            run=run,
        )


@dataclass(frozen=True, kw_only=True)
class ForeignAttack(Attack):
    """An attack of ours in another library's hands; made by `Backend.adapt`."""

    source: Attack
    backend: Backend
    run: Run

    kind: ClassVar[str] = "foreign"
    needs_budget: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return self.source.name

    def describe(self) -> dict[str, str | int | float | bool | None]:
        return self.source.describe() | {
            "backend": self.backend.name,
            "backend_version": self.backend.version,
        }

    def _perturb(self, problem: Problem) -> Tensor:
        seed = problem.draws.seed()
        # Numbers of classes are asked of the model, since libraries want to be told.
        classes = problem.query.logits(problem.images[:1]).shape[1]
        device = problem.images.device
        model = _Counted(problem.query, device)
        call = Call(model, problem.images.clone(), problem.labels.clone(), classes, seed)
        with _seeded(seed, device), torch.enable_grad():
            adversarial = self.run(self.source, call)
        return adversarial.detach().to(problem.images, copy=True)


class _Counted(nn.Module):
    """The model behind a query, as a module for a library to call.

    It has one parameter, so that libraries find the device, and none of the model's: some clear the gradients
    of what they attack, move it or change its mode.
    """

    def __init__(self, query: Query, device: torch.device) -> None:
        super().__init__()
        self.device_marker = nn.Parameter(torch.zeros(0, device=device), requires_grad=False)
        self._query = query
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits = self._query.graded_logits(images)
        if logits.requires_grad:
            rows = len(images)
            logits.register_hook(lambda gradient: self._count_backward(rows))
        return logits

    def _count_backward(self, rows: int) -> None:
        self._query.backward_passes += 1
        self._query.backward_images += rows


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that other libraries draw from, and put them back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            random.seed(seed)  # noqa: TID251 - foreign code draws from it; put back below
            np.random.seed(seed)  # noqa: TID251 - likewise
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
