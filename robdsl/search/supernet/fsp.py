"""The flow of solution procedure of each cell, and how far an attack moves it (CVPR 2020, equations 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robdsl.graph.operations import CellOperation
from robdsl.search.supernet.walk import Walk
from robdsl.weights.identity import net_of, unwrapped


@torch.no_grad()
def fsp_distances(model: nn.Module, images: Tensor, adversarial: Tensor, *, batch: int = 128) -> Tensor:
    """For each cell, how far its FSP matrix moves from clean to adversarial images, mean over images.

    The FSP matrix of a cell is the mean over positions of its input map times its output map, C_in x C_out (equation
    3); the distance is the squared Frobenius norm of the difference (equation 4). The input of a cell with
    several is the most recent one. Where a cell changes the size of maps, the larger one is average-pooled to the
    smaller. Models are taken in evaluation mode; matrices and sums are computed in float64.

    A cell's maps are let go as soon as its distance is known and no later cell needs them: memory does not grow with the
    number of cells, nor with the number of images.

    Args:
        model: from `robdsl.compile` or `inherit`, or a `Supernet` (whose chosen sub-network is meant).
        images: (N, C, H, W), in [0, 1].
        adversarial: the same images, attacked.
        batch: how many images go through the model at a time; with their adversarial ones, twice as many.

    Returns:
        (cells,), float64, on the CPU: a distance for each stage that is a cell, in the order of the net.

    Raises:
        ValueError: the model has no cells that could be told, or images and adversarial images do not match.
    """
    model = unwrapped(model)
    net = net_of(model)
    if net is None:
        raise ValueError(
            "FSP distances need a model from robdsl.compile, or a supernet: others do not say what a cell is"
        )
    if images.shape != adversarial.shape or not len(images):
        shapes = f"{tuple(images.shape)} and {tuple(adversarial.shape)}"
        raise ValueError(f"clean and adversarial images must be as many, of one shape, not {shapes}")
    walk = Walk(model, net)
    is_cell = [isinstance(stage.operation, CellOperation) for stage in net.stages]
    sums = torch.zeros(sum(is_cell), dtype=torch.float64, device=images.device)
    with _evaluating(model):
        for clean, attacked in zip(images.split(batch), adversarial.split(batch), strict=True):
            stages = walk.stages(torch.cat([clean, attacked]))
            cell = 0
            for counts in is_cell:
                inputs, output = next(stages)
                if counts:
                    matrices = fsp_matrices(inputs[-1], output)
                    difference = matrices[: len(clean)] - matrices[len(clean) :]
                    sums[cell] += difference.square().sum()
                    cell += 1
                del inputs, output
    return (sums / len(images)).cpu()


def fsp_matrices(entering: Tensor, leaving: Tensor) -> Tensor:
    """The FSP matrix of each image, (N, C_in, C_out) in float64 (equation 3).

    Args:
        entering: (N, C_in, H, W).
        leaving: (N, C_out, H', W'); the larger map is average-pooled to the smaller. Vectors (N, C) count as maps of one
            position.
    """
    first, second = (
        each.double().reshape(*each.shape[:2], *(each.shape[2:] or (1, 1))) for each in (entering, leaving)
    )
    size = min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3])
    first, second = (
        each if each.shape[2:] == size else F.adaptive_avg_pool2d(each, size) for each in (first, second)
    )
    return first.flatten(2) @ second.flatten(2).mT / (size[0] * size[1])


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while."""
    modes = [(each, each.training) for each in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
