"""Steps on a CPU that are "recorded" as themselves: all around a CUDA graph works as on a GPU, the graph alone is not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robdsl.attacks.core import graphed
from robdsl.attacks.core.ball import LinfBall


def capture(take: Callable[[], None]) -> Callable[[], None]:
    """Takes a step as often as a recording does, and gives the step."""
    for _ in range(4):
        take()
    return take


def record_on_cpu(monkeypatch: pytest.MonkeyPatch, instead: Callable[..., object] = capture) -> None:
    """From now on steps are recorded by `instead`, wherever the images are."""
    monkeypatch.setattr(graphed, "_serves", lambda ball, images: isinstance(ball, LinfBall))
    monkeypatch.setattr(graphed, "_captured", instead)
