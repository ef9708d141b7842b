"""Running statistics of batch norms, computed anew for a sub-network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from robdsl.search.supernet.supernet import Supernet

_BATCH = 250


@torch.no_grad()
def recompute_batch_norm(model: nn.Module, images: Tensor | Iterable[Tensor], *, batch: int = _BATCH) -> None:
    """Replace the running statistics of a model's batch norms by their averages over batches of images.

    Every batch norm's mean and (unbiased) variance become the plain average of those of the batches, each computed with
    the batch statistics below it, as one-shot searches do before they evaluate a sub-network (Bender et al. 2018,
    section 3.3; Guo et al. 2020, SPOS, section 3.4). The same batches give the same statistics. Weights do not change,
    and the model is in the mode that it was in before. Of a `Supernet` only what is chosen is touched.

    Args:
        model: with batch norms, or without, which leaves it as it is.
        images: (N, C, H, W), taken in batches of ``batch`` with the rest left out; or the batches themselves. Training
            images, where the statistics are for an evaluation. For a model that was trained on adversarial images alone,
            such images come closest to what it knew.
        batch: images in a batch.

    Raises:
        ValueError: there is no batch.
    """
    batches = iter(_batches(images, batch) if isinstance(images, Tensor) else images)
    first = next(batches, None)
    if first is None:
        raise ValueError("batch norms need at least one batch of images to compute their statistics from")
    modules = list(model.computed() if isinstance(model, Supernet) else model.modules())
    norms = [each for each in modules if isinstance(each, _BatchNorm) and each.track_running_stats]
    modes = [(each, each.training) for each in model.modules()]
    momenta = [(norm, norm.momentum) for norm in norms]
    model.eval()  # whatever draws, such as dropout, stays as in an evaluation
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
            norm.momentum = None  # which is the cumulative average
        for each in chain([first], batches):
            model(each)
    finally:
        for norm, momentum in momenta:
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode


def _batches(images: Tensor, size: int) -> Iterator[Tensor]:
    """Batches of one size; all images in one where there are fewer."""
    if len(images):
        size = min(size, len(images))
        yield from images[: len(images) // size * size].split(size)
