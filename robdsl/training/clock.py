"""How fast a run goes and how long it will take."""

from __future__ import annotations

import time

_TELL_EVERY = 0.5  # seconds between two reports, so that a GPU is not made to wait for each batch
_MEMORY = 0.9  # of the moving average of a batch's time


class Clock:
    """Times batches and judgements, and estimates what is left."""

    def __init__(self, epochs: int, batches: int) -> None:
        """Start timing.

        Args:
            epochs: of the whole run.
            batches: of an epoch.
        """
        self._epochs = epochs
        self._batches = batches
        self._last = self._told = time.perf_counter()
        self._batch: float | None = None
        self._judgement = 0.0

    def batch_done(self) -> float:
        """The seconds since the last call of this or :meth:`epoch_done`."""
        seconds = self._lap()
        self._batch = seconds if self._batch is None else _MEMORY * self._batch + (1 - _MEMORY) * seconds
        return seconds

    def epoch_done(self) -> float:
        """The seconds since the last call of this or :meth:`batch_done`: judging and writing."""
        self._judgement = self._lap()
        return self._judgement

    def is_due(self) -> bool:
        """Whether the last report is long enough ago; counts as one if so."""
        if time.perf_counter() - self._told < _TELL_EVERY:
            return False
        self._told = time.perf_counter()
        return True

    def batch_seconds(self) -> float:
        """What a batch takes lately."""
        return max(self._batch or 0.0, 1e-9)

    def seconds_left(self, epoch: int, batch: int) -> float:
        """An estimate for the rest of the run.

        Args:
            epoch: the one that is under way, from 0.
            batch: how many of its batches are done.
        """
        batches = (self._epochs - epoch) * self._batches - batch
        return batches * self.batch_seconds() + (self._epochs - epoch) * self._judgement

    def _lap(self) -> float:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds
