"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from robdsl.data import Batch, DataError, Loader, Ranks, TrainingPlan, derive_seed, generator
from robdsl.evaluation import Json
from robdsl.training.checkpoint import plain_tensor
from robdsl.training.clock import Clock
from robdsl.training.errors import NonFiniteError
from robdsl.training.events import BatchDone, EpochDone, Listener
from robdsl.training.methods import Step
from robdsl.training.recipe import Recipe
from robdsl.training.schedule import rate_at
from robdsl.training.state import Learner, Progress
from robdsl.training.validation import Judge


@dataclass(frozen=True, eq=False)
class Run:
    """A run, from wherever it stands to its end.

    No random state is carried along: every draw is seeded by the run's seed and by the epoch and batch it
    is for.

    Attributes:
        recipe: how to train.
        learner: what is trained.
        progress: where the run stands; moves on.
        plan: which images make up which batch.
        loader: of the training images.
        judges: of a sample of the training and of the validation split; None for no judgement.
        ranks: the processes.
        device: where everything is.
        tell: takes the events.
        keep: called on all processes at the end of every epoch, with its record, and at the checkpoints
            inside one, with None.
        before_batch: called with the epoch and the batch before each batch, or None.
    """

    recipe: Recipe
    learner: Learner
    progress: Progress
    plan: TrainingPlan
    loader: Loader
    judges: tuple[Judge, Judge] | None
    ranks: Ranks
    device: torch.device
    tell: Listener
    keep: Callable[[dict[str, Json] | None], None]
    before_batch: Callable[[int, int], None] | None

    def to_the_end(self) -> None:
        """Train and judge the epochs that are left.

        Raises:
            NonFiniteError: the loss or the weights are no longer numbers; nothing of that is kept.
            DataError: data have vanished or are broken.
            DiskFullError: there is no room for a checkpoint or a line of the history.
        """
        clock = Clock(self.recipe.epochs, self.plan.steps)
        while self.progress.epoch < self.recipe.epochs:
            self.learner.model.train()
            for batch in self._batches():
                self._train_batch(batch, clock)
            self._close_epoch(clock)

    def _batches(self) -> Iterator[Batch]:
        progress = self.progress
        parts = self.plan.epoch(progress.epoch, self.ranks.rank, self.ranks.world)[progress.batch :]
        batches = self.loader.batches(parts, progress.epoch)
        while True:
            try:
                batch = next(batches, None)
            except DataError:
                # Between two batches all is in order, and a process that is alone can keep it. Several would
                # have to agree on that while the others wait in the middle of a batch; they lose a little.
                if self.ranks.world == 1:
                    self._check_weights()
                    self.keep(None)
                raise
            if batch is None:
                return
            yield batch

    def _train_batch(self, batch: Batch, clock: Clock) -> None:
        progress = self.progress
        if self.before_batch is not None:
            self.before_batch(progress.epoch, progress.batch)
        moment = progress.epoch + progress.batch / self.plan.steps
        rate = rate_at(self.recipe, moment, self.plan.size)
        self._update(batch, rate)
        progress.batch += 1
        progress.seconds += clock.batch_done()
        is_last = progress.batch == self.plan.steps
        is_due = clock.is_due() or is_last
        # To read the sums is to wait for the device, which is not worth it after every batch on a GPU.
        if is_due or self.device.type == "cpu":
            losses, _, images = self.learner.sums.tolist()
            if not math.isfinite(losses):
                raise self._not_finite("loss is")
            if is_due:
                speed = self.plan.size / clock.batch_seconds()
                left = clock.seconds_left(progress.epoch, progress.batch)
                place = (progress.epoch, progress.batch - 1, self.plan.steps, self.recipe.epochs)
                self.tell(BatchDone(*place, losses / images, rate, speed, left))
        every = self.recipe.checkpoint_batches
        if every and progress.batch % every == 0 and not is_last:
            self._check_weights()
            self.keep(None)

    def _update(self, batch: Batch, rate: float) -> None:
        """Make all updates that one batch is for."""
        progress, learner = self.progress, self.learner
        where = (progress.epoch, progress.batch)
        # For layers that draw, such as dropout: in each process for its own examples, hence apart.
        torch.manual_seed(derive_seed(self.recipe.seed, "layers", *where, self.ranks.rank))
        for group in learner.optimizer.param_groups:
            group["lr"] = rate
        step = Step(
            model=learner.model,
            images=batch.images,
            labels=batch.labels,
            first=self.plan.share(self.ranks.rank, self.ranks.world)[0],
            total=self.plan.size,
            draws=generator(self.device, self.recipe.seed, "attack", *where),
            arithmetic=self._arithmetic,
        )
        for outcome in learner.method.updates(step):
            learner.optimizer.zero_grad(set_to_none=True)
            outcome.loss.backward()
            self._add_up_gradients()
            if self.recipe.clip is not None:
                nn.utils.clip_grad_norm_(learner.model.parameters(), self.recipe.clip)
            learner.optimizer.step()
            progress.updates += 1
            if learner.average is not None:
                learner.average.update(progress.updates)
            learner.sums[0] += outcome.loss.detach() * self.plan.size
            learner.sums[1] += outcome.correct
            learner.sums[2] += len(batch.labels)

    def _arithmetic(self) -> AbstractContextManager[Any]:
        if not self.recipe.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _add_up_gradients(self) -> None:
        # One exchange a step: next to an attack's passes it costs nothing that overlapping it could save.
        if self.ranks.world == 1:
            return
        parameters = self.learner.model.parameters()
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.ranks.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        for gradient, part in zip(gradients, flat.split([part.numel() for part in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def _close_epoch(self, clock: Clock) -> None:
        progress, learner = self.progress, self.learner
        self._check_weights()
        losses, correct, images = self.ranks.sum(learner.sums.clone()).tolist()
        record: dict[str, Json] = {
            "epoch": progress.epoch,
            "updates": progress.updates,
            "rate": rate_at(self.recipe, progress.epoch + 1, self.plan.size),
            "loss": losses / images,
            "train_accuracy": correct / images,
        }
        if self.judges is not None:
            record |= self._judge(*self.judges)
        record["images_per_second"] = round(self.plan.steps * self.plan.size / max(progress.seconds, 1e-9), 3)
        record["seconds"] = round(progress.seconds + clock.epoch_done(), 3)
        progress.history.append(record)
        progress.epoch, progress.batch, progress.seconds = progress.epoch + 1, 0, 0.0
        learner.sums.zero_()
        self.keep(record)
        clock.epoch_done()
        self.tell(EpochDone(record, clock.seconds_left(progress.epoch, 0)))

    def _judge(self, train: Judge, val: Judge) -> dict[str, Json]:
        progress, learner = self.progress, self.learner
        with nullcontext() if learner.average is None else learner.average.in_place(), self._arithmetic():
            train_natural, train_robust = train.judge(learner.model, self.ranks)
            val_natural, val_robust = val.judge(learner.model, self.ranks)
        score = [val_robust.correct, val_natural.correct]
        if self.recipe.method == "natural":
            score.reverse()
        if progress.best_epoch < 0 or score > progress.best_score:
            progress.best_epoch, progress.best_score = progress.epoch, score
            if self.ranks.is_first:
                learner.best.update({name: plain_tensor(part) for name, part in learner.kept_state().items()})
        return {
            "train_natural": train_natural.share,
            "train_robust": train_robust.share,
            "train_images": train_robust.total,
            "val_natural": val_natural.share,
            "val_robust": val_robust.share,
            "val_images": val_robust.total,
            "robust_gap": train_robust.share - val_robust.share,
            "best_epoch": progress.best_epoch,
        }

    def _check_weights(self) -> None:
        state = self.learner.model.state_dict().values()
        finite = [tensor.isfinite().all() for tensor in state if tensor.is_floating_point()]
        if finite and not bool(torch.stack(finite).all()):
            raise self._not_finite("weights are")

    def _not_finite(self, what: str) -> NonFiniteError:
        recipe, progress = self.recipe, self.progress
        remedies = [f"a lower learning rate (lr={recipe.lr:g} for batches of {recipe.lr_batch})"]
        if recipe.clip is None:
            remedies.append("clipped gradients (clip=5)")
        if recipe.bf16:
            remedies.append("float32 in place of bf16")
        return NonFiniteError(
            f"the {what} not finite in epoch {progress.epoch}, after batch {progress.batch} of "
            f"{self.plan.steps}; earlier checkpoints are as they were. Begin anew, in another folder, with "
            + " or ".join(remedies)
        )
