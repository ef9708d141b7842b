"""What a training run tells while it goes on. Nothing here prints: the caller decides what to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robdsl.evaluation import Json


@dataclass(frozen=True)
class Started:
    """The run begins, or goes on.

    Attributes:
        folder: where its files are.
        epoch: the first epoch that is still to be done, from 0.
        batch: the first batch of it, from 0.
        epochs: epochs in all.
        batches: batches in an epoch.
        resumed: the checkpoint that it goes on from; None for a new run.
    """

    folder: Path
    epoch: int
    batch: int
    epochs: int
    batches: int
    resumed: Path | None


@dataclass(frozen=True)
class BatchDone:
    """A batch was trained on.

    Attributes:
        epoch: from 0.
        batch: from 0.
        batches: batches in an epoch.
        epochs: epochs in all.
        loss: mean over the epoch so far.
        rate: the learning rate.
        images_per_second: over the last batches of all processes.
        seconds_left: an estimate for the whole run, validation included.
    """

    epoch: int
    batch: int
    batches: int
    epochs: int
    loss: float
    rate: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch was trained and judged.

    Attributes:
        record: its line in ``history.jsonl``, see :mod:`robdsl.training.history`.
        seconds_left: an estimate for the rest of the run.
    """

    record: dict[str, Json]
    seconds_left: float


@dataclass(frozen=True)
class CheckpointRefused:
    """A checkpoint in the run's folder is not gone on from; the one before it is tried.

    Attributes:
        path: of the checkpoint.
        reason: what is wrong with it.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Finished:
    """The run is at its end.

    Attributes:
        best_epoch: the epoch whose weights are in ``best.safetensors``, from 0.
        best: the weights that were best on the validation split.
        last: the weights of the last epoch.
    """

    best_epoch: int
    best: Path
    last: Path


Event = Started | BatchDone | EpochDone | CheckpointRefused | Finished
Listener = Callable[[Event], None]


def tell(*listeners: Listener | None) -> Listener:
    """One listener that passes every event to all of ``listeners``."""
    known = [listener for listener in listeners if listener is not None]

    def pass_on(event: Event) -> None:
        for listener in known:
            listener(event)

    return pass_on
