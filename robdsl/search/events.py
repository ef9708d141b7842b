"""What a search tells while it goes on. Nothing here prints: the caller decides what to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from robdsl.training import Event as TrainingEvent


@dataclass(frozen=True)
class StageProgress:
    """Where a stage stands.

    Attributes:
        stage: its name.
        done: pieces of work that are done, by all workers.
        total: how many there are.
    """

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class TrialDone:
    """This worker has done a piece of work.

    Attributes:
        stage: what for.
        number: the trial's.
        facts: what was found, see `robdsl.search.bank`.
    """

    stage: str
    number: int
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class StageDone:
    """Nothing is left to do in a stage."""

    stage: str


@dataclass(frozen=True)
class Training:
    """A training run inside the search (of the supernet, or from scratch) tells something.

    Attributes:
        what: is trained.
        event: what it tells.
    """

    what: str
    event: TrainingEvent


Event = StageProgress | TrialDone | StageDone | Training
Listener = Callable[[Event], None]
