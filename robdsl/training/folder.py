"""What a run leaves behind: checkpoints, weights, history and manifest, always in step with each other."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from robdsl.evaluation import Json, weights_hash
from robdsl.files import remove_unfinished, write_atomic
from robdsl.training.checkpoint import Checkpoint, CheckpointFolder, plain_tensor
from robdsl.training.errors import CheckpointError, FolderTakenError
from robdsl.training.history import add_to_history, restore_history
from robdsl.training.state import Learner, Progress, is_progress
from robdsl.weights import weights_file


class RunFolder:
    """The folder of one run. One process uses it.

    Attributes:
        path: the folder.
        checkpoints: in ``checkpoints/``.
        best: ``best.safetensors``.
        last: ``last.safetensors``.
        history: ``history.jsonl``.
        manifest: ``manifest.json``.
    """

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        """Nothing is written yet.

        Args:
            path: the folder.
            identity: plain data by which a checkpoint of this very run is known.
        """
        self.path = path
        self.checkpoints = CheckpointFolder(path / "checkpoints", identity)
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.history = path / "history.jsonl"
        self.manifest = path / "manifest.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in the folder, and remove what an earlier one left half written.

        The lock ends with the process, however that ends.

        Raises:
            FolderTakenError: another process has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderTakenError(
                    f"another process trains in {self.path}: wait for it, or take another folder"
                ) from error
            remove_unfinished(self.path)
            remove_unfinished(self.checkpoints.folder)
            yield

    def newest(
        self, expected: Mapping[str, Tensor], learner: Learner, refused: Callable[[Path, str], None]
    ) -> tuple[Path, Checkpoint] | None:
        """The checkpoint to go on from; None for a new run.

        Args:
            expected: tensors of the types and shapes that a checkpoint may have, by name.
            learner: knows which of them it must have.
            refused: told of each one that cannot be used, where there is another to go on from.

        Raises:
            CheckpointError: there are checkpoints, but none that could be used.
        """
        paths: dict[str, list[Path]] = {}  # by the reason

        def refuse(path: Path, reason: str) -> None:
            paths.setdefault(reason, []).append(path)

        found = self.checkpoints.load(expected.get, learner.required(), is_progress, refuse)
        if found is None and paths:
            said = (f"{', '.join(path.name for path in those)}: {reason}" for reason, those in paths.items())
            raise CheckpointError(
                f"no checkpoint in {self.checkpoints.folder} can be used: {'; '.join(said)}. "
                "Take another folder, or remove this one to begin anew"
            )
        for reason, those in paths.items():
            for path in those:
                refused(path, reason)
        return found

    def write_epoch(
        self,
        checkpoint: Checkpoint,
        learner: Learner,
        record: dict[str, Json],
        describe: Callable[[str, str], dict[str, Json]],
    ) -> None:
        """Write everything at the end of an epoch.

        The line of the history goes first and the weights last: what an interruption cuts short in between
        is put right by :meth:`restore`.

        Args:
            checkpoint: the present state.
            learner: the same, with the best weights.
            record: the epoch's line.
            describe: makes the manifest from the hashes of the best and of the last weights.
        """
        add_to_history(self.history, record)
        self.checkpoints.save(checkpoint)
        self._write_weights(learner, describe)

    def restore(
        self, learner: Learner, progress: Progress, describe: Callable[[str, str], dict[str, Json]]
    ) -> None:
        """Bring history, weights and manifest in step with the checkpoint that was loaded."""
        restore_history(self.history, progress.history)
        if progress.epoch and not progress.batch:
            self._write_weights(learner, describe)

    def _write_weights(self, learner: Learner, describe: Callable[[str, str], dict[str, Json]]) -> None:
        last = {name: plain_tensor(tensor) for name, tensor in learner.kept_state().items()}
        best = learner.best or last
        for path, state in ((self.best, best), (self.last, last)):
            write_atomic(path, weights_file(learner.model, state))
        manifest = describe(weights_hash(best), weights_hash(last))
        write_atomic(self.manifest, json.dumps(manifest, indent=2).encode() + b"\n")
