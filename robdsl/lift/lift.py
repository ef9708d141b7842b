"""The whole way: trace, tidy, write, load, compile, carry the weights over, and look whether both compute the same."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robdsl.compiler import compile
from robdsl.graph.load import load
from robdsl.graph.net import Net
from robdsl.graph.shapes import Shape
from robdsl.lift.carry import EPS, carry
from robdsl.lift.errors import LiftError
from robdsl.lift.tidy import tidy
from robdsl.lift.trace import trace
from robdsl.lift.values import Traced
from robdsl.lift.write import write

TOLERANCE = 1e-9
"""Largest difference, in float64, relative to the largest logit, with which a lifted net counts as the same."""


@dataclass(frozen=True)
class Lifted:
    """A model as a net.

    Attributes:
        text: canonical ``.rob``.
        net: what the text says.
        weights: a `state_dict` for ``robdsl.compile(net)``, in the type of the model's weights.
        difference: largest difference of the logits in float64, relative to the largest, on random images.
        notes: what a reader should know, a sentence each.
    """

    text: str
    net: Net
    weights: dict[str, Tensor]
    difference: float
    notes: tuple[str, ...]


def lift(model: nn.Module, image: Shape = (3, 224, 224), *, name: str = "lifted", about: str = "") -> Lifted:
    """A ``.rob`` net that computes what a model computes in eval mode, with the model's weights.

    Args:
        model: takes images, N x C x H x W, and gives one tensor. It is not changed.
        image: C, H and W of the images.
        name: what the net is called.
        about: what the model is, for the comment at the top; its class if empty.

    Raises:
        NotInLanguage: the model does what the language has no words for; the message lists all of it.
        LiftError: it cannot be traced, or what was written does not compute the same (both would be said here, never kept).
        ValueError: the name cannot be one.
    """
    traced = tidy(trace(model, image))
    text = write(traced, name, about or type(model).__name__)
    net = load(text)
    exact = copy.deepcopy(model).cpu().double().eval()
    carried = carry(traced, exact.state_dict(), net)
    difference = _difference(exact, net, carried, image)
    like = next(model.parameters(), torch.zeros(())).dtype
    weights = {key: each.to(like) if each.is_floating_point() else each for key, each in carried.items()}
    return Lifted(text, net, weights, difference, tuple(_notes(traced)))


def _difference(model: nn.Module, net: Net, weights: dict[str, Tensor], image: Shape) -> float:
    """How far the two are from each other, in float64: before any rounding of the weights."""
    compiled = compile(net, seed=0).double().eval()
    compiled.load_state_dict(weights)
    images = torch.rand(1, *image, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs, ours = model(images), compiled(images)
    scale = max(float(theirs.abs().max()), sys.float_info.min)
    difference = float((theirs - ours).abs().max()) / scale
    if not difference <= TOLERANCE:  # so that it holds for nan too
        raise LiftError("what was written does not compute what the model does; please report this model")
    return difference


def _notes(traced: Traced) -> list[str]:
    applied = [value.applied for value in traced.values if value.applied is not None]
    notes = []
    if any(each.name == "batch_norm" and each.eps != EPS for each in applied):
        notes.append(
            "the model's batch norms have another eps than the language's 1e-5: the difference is in the running "
            "variances, so the nets are the same in eval mode (but for rounding that sum) and slightly different in training"
        )
    return notes
