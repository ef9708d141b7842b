"""Training from one call: resumable at any moment, on any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robdsl.data import Data, Ranks, TrainingPlan, open_loader
from robdsl.evaluation import Json, make_manifest, model_device, model_dtype, text_hash, weights_hash
from robdsl.training.average import WeightAverage
from robdsl.training.checkpoint import Checkpoint
from robdsl.training.errors import TrainingError
from robdsl.training.events import CheckpointRefused, Event, Finished, Listener, Started
from robdsl.training.folder import RunFolder
from robdsl.training.methods import make_method
from robdsl.training.norms import shared_norms
from robdsl.training.optimizer import make_optimizer
from robdsl.training.recipe import Recipe
from robdsl.training.run import Run
from robdsl.training.state import Learner, Progress
from robdsl.training.validation import Judge


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Attributes:
        folder: with everything below.
        best: ``best.safetensors``, the weights of the epoch that was best on the validation split.
        last: ``last.safetensors``, those of the last epoch.
        best_epoch: from 0.
        history: the records of ``history.jsonl``, see :mod:`robdsl.training.history`.
        manifest: ``manifest.json``.
    """

    folder: Path
    best: Path
    last: Path
    best_epoch: int
    history: tuple[dict[str, Json], ...]
    manifest: Path


def train(
    model: nn.Module,
    train_data: Data,
    val_data: Data | None,
    recipe: Recipe,
    folder: str | Path,
    *,
    events: Listener | None = None,
    architecture: str | None = None,
    command: str | None = None,
    workers: int = 4,
    before_batch: Callable[[int, int], None] | None = None,
) -> TrainResult:
    """Train a model, or go on with training it, until the recipe is done.

    Called again with the same arguments after any interruption, ``kill -9`` included, it goes on from the
    newest sound checkpoint in ``folder``; on a CPU the result is then, bit for bit, that of a run that was
    never interrupted. Where several processes call it together (see :func:`robdsl.data.joined`), they share
    each batch, and the result is that of one process up to rounding.

    Args:
        model: maps images in [0, 1] to logits; trained in place, where it lies, in the type of its weights.
            In the end it has the last weights (their average, if the recipe keeps one). Where processes come
            with different weights, the first one's count.
        train_data: what to train on.
        val_data: what the best epoch is chosen on, or None to judge nothing and keep the last epoch.
        recipe: how.
        folder: for weights, history, manifest and checkpoints; made if it is not there.
        events: takes the events of :mod:`robdsl.training.events`, on the first process.
        architecture: the net's text, for the manifest; a checkpoint of another text is refused.
        command: the command line, for the manifest; this process's own where None.
        workers: reading processes for data that stays on disk.
        before_batch: called with epoch and batch, from 0, before each batch: a supernet chooses its
            sub-network there. What it does must depend on these two alone.

    Returns:
        Where everything is.

    Raises:
        CheckpointError: ``folder`` has checkpoints, and none is a sound one of this very run.
        NonFiniteError: the loss or the weights are no longer numbers.
        DiskFullError: there is no room.
        DataError: data have vanished or are broken.
        FolderTakenError: another process trains in ``folder``.
    """
    ranks, device = Ranks.current(), model_device(model)
    tell: Listener = events if events is not None and ranks.is_first else _ignore
    if recipe.channels_last:
        model.to(memory_format=torch.channels_last)
    for tensor in model.state_dict().values():
        ranks.broadcast(tensor)
    plan = TrainingPlan(len(train_data), recipe.batch, recipe.seed)
    first, end = plan.share(ranks.rank, ranks.world)
    initial = weights_hash(model.state_dict())
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        stack.enter_context(shared_norms(model, ranks))
        learner = Learner(
            model=model,
            optimizer=make_optimizer(model, recipe),
            average=WeightAverage(model, recipe.average) if recipe.average else None,
            method=make_method(recipe),
            sums=torch.zeros(3, dtype=torch.float64, device=device),
            best={},
        )
        identity = {
            "recipe": {key: value for key, value in recipe.describe().items() if key != "checkpoint_batches"},
            "architecture": None if architecture is None else text_hash(architecture),
            "training data": train_data.split_hash,
            "validation data": None if val_data is None else val_data.split_hash,
            "initial weights": initial,
        }
        files = RunFolder(Path(folder), identity)
        batch_shape = (plan.size, *train_data.facts.shape)
        carried = torch.empty(batch_shape, dtype=model_dtype(model), device="meta")  # only its shape matters
        resumed = _resume(files, learner, carried, slice(first, end), ranks, device, tell, stack)
        progress = resumed[1]

        def describe(best: str, last: str) -> dict[str, Json]:
            manifest = make_manifest(
                "training",
                seed=recipe.seed,
                settings=recipe.describe(),
                model=model,
                data=[train_data] if val_data is None else [train_data, val_data],
                architecture=architecture,
                command=command,
                ranks=ranks,
                weights=best,
            )
            extra: dict[str, Json] = {
                "initial": initial,
                "best": best,
                "last": last,
                "best_epoch": progress.best_epoch,
            }
            return {**manifest.to_json(), "training": extra}

        def keep(record: dict[str, Json] | None) -> None:
            checkpoint = learner.capture(progress, ranks, plan.size, first)
            if not ranks.is_first:
                return
            if record is None:
                files.checkpoints.save(checkpoint)
            else:
                files.write_epoch(checkpoint, learner, record, describe)

        if ranks.is_first:
            files.restore(learner, progress, describe)
        tell(Started(files.path, progress.epoch, progress.batch, recipe.epochs, plan.steps, resumed[0]))
        run = Run(
            recipe=recipe,
            learner=learner,
            progress=progress,
            plan=plan,
            loader=open_loader(
                train_data,
                device,
                augmentation=recipe.augmentation(train_data.facts),
                seed=recipe.seed,
                dtype=model_dtype(model),
                channels_last=recipe.channels_last,
                workers=workers,
            ),
            judges=None
            if val_data is None
            else (Judge(train_data, recipe, model, workers), Judge(val_data, recipe, model, workers)),
            ranks=ranks,
            device=device,
            tell=tell,
            keep=keep,
            before_batch=before_batch,
        )
        run.to_the_end()
        if learner.average is not None:
            learner.average.leave_in_model()
        ranks.wait()  # the files are there when this returns, on every process
    best_epoch = progress.best_epoch if progress.best_epoch >= 0 else recipe.epochs - 1
    tell(Finished(best_epoch, files.best, files.last))
    history = tuple(progress.history)
    return TrainResult(files.path, files.best, files.last, best_epoch, history, files.manifest)


def _resume(
    files: RunFolder,
    learner: Learner,
    carried: Tensor,
    own: slice,
    ranks: Ranks,
    device: torch.device,
    tell: Listener,
    stack: ExitStack,
) -> tuple[Path | None, Progress]:
    """Lock the folder and go back to its newest checkpoint, on every process; a failure fails them all."""
    expected = learner.expected(carried)
    found: tuple[Path, Checkpoint] | None = None
    message: dict[str, Any] = {}
    failure: TrainingError | None = None
    if ranks.is_first:
        try:
            stack.enter_context(files.locked())
            found = files.newest(expected, learner, lambda path, why: tell(CheckpointRefused(path, why)))
        except TrainingError as error:
            failure, message = error, {"failure": str(error)}
        if found is not None:
            path, checkpoint = found
            shared = [name for name in checkpoint.tensors if not name.startswith("best/")]
            message = {"path": str(path), "facts": dict(checkpoint.facts), "tensors": shared}
    message = ranks.broadcast_json(message, device)
    if "failure" in message:
        raise failure or TrainingError(message["failure"])
    if not message:
        return None, Progress()
    tensors = {} if found is None else dict(found[1].tensors)
    for name in message["tensors"]:
        like = expected[name]
        value = tensors[name].to(device) if name in tensors else torch.empty_like(like, device=device)
        tensors[name] = ranks.broadcast(value.contiguous())
    learner.restore(tensors, own, ranks)
    return Path(message["path"]), Progress(**message["facts"])


def _ignore(_event: Event) -> None:
    """Take an event and do nothing."""
