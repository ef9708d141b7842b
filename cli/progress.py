"""Progress of long work: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from .console import err, plural
from .running import clock

if TYPE_CHECKING:
    from robdsl.evaluation import EvaluationProgress, Json
    from robdsl.training import Event

#: Seconds between two plain lines.
_PATIENCE = 20.0


class Line:
    """One line that changes in place on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        #: What every text begins with.
        self.prefix = ""
        self._live = Live(console=err, transient=True, refresh_per_second=8) if err.is_terminal else None
        self._told = time.monotonic()

    def __enter__(self) -> Line:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def passing(self, text: str) -> None:
        """Something that soon is no longer true."""
        if self._live is not None:
            self._live.update(Text(self.prefix + text))
        elif time.monotonic() - self._told >= _PATIENCE:
            self.lasting(text)

    def lasting(self, text: str) -> None:
        """Something to keep on the screen."""
        self._told = time.monotonic()
        err.print(self.prefix + text, markup=False)


def show_training(line: Line, event: Event) -> None:
    """Shows one event of a training run."""
    from robdsl.training import BatchDone, CheckpointRefused, EpochDone, Started

    match event:
        case Started():
            where = (
                f"goes on from {event.resumed}"
                if event.resumed
                else f"{plural(event.epochs, 'epoch')} of {plural(event.batches, 'batch', 'batches')}"
            )
            line.lasting(f"{event.folder}: {where}")
        case CheckpointRefused():
            line.lasting(f"warning: {event.path} is not used: {event.reason}")
        case BatchDone():
            line.passing(
                f"epoch {event.epoch + 1}/{event.epochs}, batch {event.batch + 1}/{event.batches}: loss {event.loss:.3f}, "
                f"{event.images_per_second:.0f} images/s, {clock(event.seconds_left)} left"
            )
        case EpochDone():
            line.lasting(f"{_epoch_line(event.record)}, {clock(event.seconds_left)} left")


def _epoch_line(record: Mapping[str, Json]) -> str:
    """A line of ``history.jsonl`` in words; an accuracy that was not judged is left out."""
    epoch, loss = record["epoch"], record["loss"]
    assert isinstance(epoch, int) and isinstance(loss, float)
    said = [f"epoch {epoch + 1}", f"loss {loss:.3f}"]
    for key, text in (
        ("val_natural", "natural"),
        ("val_robust", "robust"),
        ("train_robust", "robust in training"),
    ):
        accuracy = record.get(key)
        if isinstance(accuracy, float):
            said.append(f"{text} {100 * accuracy:.1f}%")
    return ", ".join(said)


def show_evaluation(line: Line, event: EvaluationProgress) -> None:
    """Shows how far an evaluation is."""
    share = event.accuracy.share
    line.passing(
        f"{event.attack}: {event.done}/{event.total}, {100 * share:.1f}% so far, "
        f"{event.images_per_second:.0f} images/s, {'at most ' if event.at_most else ''}{clock(event.seconds_left)} left"
    )
