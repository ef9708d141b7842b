"""The quick judgement of every epoch: natural and robust accuracy on a few images, in evaluation mode."""

from __future__ import annotations

import torch
from torch import nn

from robdsl.attacks import PGD
from robdsl.data import Data, Ranks, evaluation_batches, generator, open_loader, own_batches
from robdsl.evaluation import Accuracy, model_device, model_dtype, right, right_under
from robdsl.training.recipe import Recipe


class Judge:
    """Judges a model on a fixed sample of a split under a small PGD attack.

    The sample, the batches and the draws are the same at every epoch and on any number of processes.
    """

    def __init__(self, data: Data, recipe: Recipe, model: nn.Module, workers: int) -> None:
        """Load what is judged on.

        Args:
            data: the split that the sample is taken from.
            recipe: says how many images, in what batches and under how strong an attack.
            model: whose device and type of numbers are meant.
            workers: reading processes for data that stays on disk.
        """
        self._data = data.take(recipe.validation_images)
        self._batches = evaluation_batches(len(self._data), recipe.validation_batch)
        self._loader = open_loader(
            self._data,
            model_device(model),
            dtype=model_dtype(model),
            channels_last=recipe.channels_last,
            workers=workers,
        )
        self._attack = PGD(
            eps=recipe.eps, step_size=recipe.validation_step_size, steps=recipe.validation_steps
        )
        self._seed = recipe.seed

    def judge(self, model: nn.Module, ranks: Ranks) -> tuple[Accuracy, Accuracy]:
        """Natural and robust accuracy, over all processes."""
        device = model_device(model)
        counts = torch.zeros(2, dtype=torch.int64, device=device)
        own = own_batches(len(self._batches), ranks.rank, ranks.world)
        loaded = self._loader.batches([self._batches[number] for number in own])
        for number, (images, labels) in zip(own, loaded, strict=True):
            clean = right(model, images, labels)
            draws = generator(device, self._seed, "validate", number)
            attacked, _ = right_under(model, images, labels, self._attack, draws)
            counts[0] += clean.sum()
            counts[1] += (clean & attacked).sum()
        natural, robust = ranks.sum(counts).tolist()
        return Accuracy(natural, len(self._data)), Accuracy(robust, len(self._data))
