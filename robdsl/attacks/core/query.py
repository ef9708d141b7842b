"""The only door from an attack to the model: every pass goes through here and is counted."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from robdsl.attacks.core.losses import Loss


class NoGradientError(ValueError):
    """The logits do not depend on the images as far as autograd knows."""

    def __init__(self) -> None:
        super().__init__(
            "no gradient reaches the images through this model: it detaches or rounds them, or runs without "
            "autograd; gradient attacks cannot work on it: use the black-box attack 'square'"
        )


class Query:
    """A model that answers with logits and input gradients, and counts what it was asked.

    Args:
        model: maps images (N, ...) in [0, 1] to logits (N, C). Of a `DistributedDataParallel` wrapper the
            module inside is asked: input gradients need no reduction, and its bookkeeping is for training.

    Attributes:
        model: the module asked; what asks it past this object is not counted.
        forward_passes, backward_passes: calls of the model, and gradient computations through it.
        forward_images, backward_images: the same, times the images in each; less than passes times batch size
            where an attack left fooled examples out.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
        self.forward_passes = 0
        self.backward_passes = 0
        self.forward_images = 0
        self.backward_images = 0

    def graded_logits(self, images: Tensor) -> Tensor:
        """The logits, (N, C), in the current gradient mode; half types come back as float32.

        Raises:
            TypeError, ValueError: the model does not return one row of logits per image.
        """
        self.forward_passes += 1
        self.forward_images += len(images)
        logits = self.model(images)
        if not isinstance(logits, Tensor):
            raise TypeError(f"a model must return its logits as one tensor, not {type(logits).__name__}")
        if logits.ndim != 2 or len(logits) != len(images):
            raise ValueError(
                f"a model must return one row of logits per image: got shape {tuple(logits.shape)} "
                f"for {len(images)} images"
            )
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """The logits of `images`, (N, C), without a graph."""
        return self.graded_logits(images)

    def fooled(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether each image is not given its label, (N,) bool; see `misclassified`."""
        return misclassified(self.logits(images), labels)

    def gradient(self, images: Tensor, labels: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
        """One forward and one backward pass.

        Returns:
            The gradient of the summed `loss` to `images`, the losses as `loss` gave them, and the logits. The
            gradient may share memory between its elements; read it, do not write to it.

        Raises:
            NoGradientError: the logits do not depend on the images as far as autograd knows.
        """
        with torch.enable_grad():
            images.requires_grad_(True)
            logits = self.graded_logits(images)
            losses = loss(logits, labels)
            total = losses if losses.ndim == 0 else losses.sum()
        gradient = self.backward(total, images)
        images.requires_grad_(False)
        return gradient, losses.detach(), logits.detach()

    def backward(self, total: Tensor, images: Tensor, *, retain: bool = False) -> Tensor:
        """The gradient of the scalar `total` to `images` through a graph made by `graded_logits`."""
        if not total.requires_grad:
            raise NoGradientError
        self.backward_passes += 1
        self.backward_images += len(images)
        (gradient,) = torch.autograd.grad(total, images, retain_graph=retain, allow_unused=True)
        if gradient is None:
            raise NoGradientError
        return gradient


def misclassified(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each row's largest logit is not its label's, (N,) bool.

    A row that holds a not-a-number counts as misclassified: no class is named by it.
    """
    return (logits.argmax(1) != labels) | logits.isnan().any(1)


def device_of(model: nn.Module) -> torch.device | None:
    """The device of the first parameter or buffer of `model`, or None if it has neither."""
    tensor = next(chain(model.parameters(), model.buffers()), None)
    return None if tensor is None else tensor.device
