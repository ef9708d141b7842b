"""What is said when long work is stopped by Ctrl-C: what is kept, and the command that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from .console import err
from .running import command_line, is_first

if TYPE_CHECKING:
    from robdsl.training import Event


@contextmanager
def stoppable(kept: Callable[[], str]) -> Iterator[None]:
    """Turns Ctrl-C into one line and exit status 1.

    Args:
        kept: says what is on disk, asked when it is needed.
    """
    try:
        yield
    except KeyboardInterrupt:
        if is_first():
            err.print(f"stopped: {kept()}; go on with: {command_line()}", markup=False)
        raise typer.Exit(1) from None


class TrainingKept:
    """What a training run has on disk, from the events that it tells."""

    def __init__(self, checkpoint_batches: int) -> None:
        """Nothing has happened yet.

        Args:
            checkpoint_batches: batches between checkpoints inside an epoch; 0 for none there.
        """
        self._every = checkpoint_batches
        self._folder = ""
        self._epochs = 0
        self._epoch = 0
        self._at_work = False

    def hear(self, event: Event) -> None:
        """Takes an event of the run."""
        from robdsl.training import BatchDone, EpochDone, Started

        match event:
            case Started():
                self._folder, self._epoch, self._epochs = str(event.folder), event.epoch, event.epochs
            case BatchDone():
                self._at_work = True
            case EpochDone():
                self._epoch, self._at_work = self._epoch + 1, False

    def __call__(self) -> str:
        """What is kept, as words."""
        if not self._folder:
            return "training had not begun"
        said = f"{self._epoch} of {self._epochs} epochs are kept in {self._folder}"
        if self._every:
            return f"{said}, and the next one up to its last checkpoint, {self._every} batches apart"
        if self._at_work:
            return f"{said}, the unfinished one is not (--checkpoint-batches N keeps parts of it)"
        return said
