"""A run's history as TensorBoard scalars (optional)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robdsl.training.errors import MissingExtraError
from robdsl.training.events import EpochDone, Event, Finished, Started


class TensorBoard:
    """A listener that writes every number of an epoch's record as a scalar, at the epoch.

    A run that goes on takes back what was written for epochs that it does again.
    """

    def __init__(self, folder: str | Path) -> None:
        """Nothing is written yet.

        Args:
            folder: for TensorBoard's files; made if it is not there.

        Raises:
            MissingExtraError: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                f"TensorBoard cannot be loaded ({error}): pip install 'robdsl[tensorboard]'"
            ) from error
        self._folder = Path(folder)
        self._make_writer = SummaryWriter
        self._writer: Any = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Started):
            self._writer = self._make_writer(str(self._folder), purge_step=event.epoch)
        elif isinstance(event, EpochDone) and self._writer is not None:
            for name, value in event.record.items():
                if name != "epoch" and isinstance(value, int | float):
                    self._writer.add_scalar(name, value, event.record["epoch"])
            self._writer.flush()
        elif isinstance(event, Finished) and self._writer is not None:
            self._writer.close()
            self._writer = None
