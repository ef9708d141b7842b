"""What can end a training run early, as types; nothing of an earlier checkpoint is lost by any of them."""

from __future__ import annotations


class TrainingError(Exception):
    """A run cannot go on as asked."""


class FolderTakenError(TrainingError):
    """Another process trains in the folder."""


class NonFiniteError(TrainingError):
    """The loss or the weights are no longer numbers."""


class CheckpointError(TrainingError):
    """What is in the run's folder cannot be gone on from."""


class MissingExtraError(TrainingError):
    """An optional library is not installed."""
