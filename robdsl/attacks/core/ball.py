"""The set an adversarial image may come from: a ball around the clean image, cut by the box [0, 1].

Two balls, one interface. Every method works in place on the candidate images, so that an attack's loop
allocates nothing, and none of them synchronizes with the device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, Self

import torch
from torch import Tensor

from robdsl.attacks.core.draws import Draws
from robdsl.kernels import pgd_step_

Norm = Literal["linf", "l2"]


def make_ball(norm: Norm, images: Tensor, eps: float) -> Ball:
    """Return the ball of radius `eps` (may be infinite: the whole box) around `images`, shape (N, ...)."""
    return LinfBall.around(images, eps) if norm == "linf" else L2Ball(images, eps)


def per_example(values: Tensor, images: Tensor) -> Tensor:
    """View `values`, shape (N,), so that it broadcasts against `images`, shape (N, ...)."""
    return values.reshape(-1, *[1] * (images.ndim - 1))


def l2_norms(perturbations: Tensor) -> Tensor:
    """The Euclidean norm of each example of `perturbations`, shape (N, ...) to (N,), in at least float32."""
    dtype = torch.float64 if perturbations.dtype == torch.float64 else torch.float32
    norms: Tensor = torch.linalg.vector_norm(perturbations.flatten(1), dim=1, dtype=dtype)
    return norms


class _Ball(ABC):
    """The images within a budget of given centres and within [0, 1]."""

    norm: Norm
    eps: float

    @abstractmethod
    def project_(self, images: Tensor) -> Tensor:
        """Move each of `images` to the nearest member of the set, in place; not-a-numbers stay."""

    @abstractmethod
    def climb_(self, images: Tensor, gradient: Tensor, size: float | Tensor, scratch: Tensor) -> Tensor:
        """Take a step of steepest ascent in this norm, in place; `size` is a number or broadcasts.

        A gradient that is zero or not a number moves nothing. `scratch` has the shape of `images`; its
        content is lost. `gradient` is left as it was.
        """

    def ascend_(self, images: Tensor, gradient: Tensor, size: float | Tensor, scratch: Tensor) -> Tensor:
        """`climb_`, then `project_`."""
        return self.project_(self.climb_(images, gradient, size, scratch))

    @abstractmethod
    def random_start(self, images: Tensor, draws: Draws) -> Tensor:
        """A new tensor: uniform draws from the ball around `images`, brought into the set."""

    @abstractmethod
    def distances(self, images: Tensor, centres: Tensor) -> Tensor:
        """The distance of each of `images` from its centre in this norm, shape (N,)."""

    @abstractmethod
    def select(self, index: Tensor) -> Self:
        """The set of a subset of the examples; `index` as in tensor indexing."""


class LinfBall(_Ball):
    """Every pixel between two bounds.

    The bounds are rounded inwards, so that in exact arithmetic no pixel leaves the budget: in bfloat16, where
    8/255 is eight units in the last place, rounding to nearest would overstep it by six per cent.
    """

    norm = "linf"

    def __init__(self, lower: Tensor, upper: Tensor, eps: float) -> None:
        self.lower = lower
        self.upper = upper
        self.eps = eps

    @classmethod
    def around(cls, images: Tensor, eps: float) -> LinfBall:
        wide = images.to(
            torch.float32 if images.device.type == "mps" else torch.float64
        )  # Apple's GPUs have no float64
        return cls(_bound(images, wide, -eps), _bound(images, wide, eps), eps)

    def project_(self, images: Tensor) -> Tensor:
        return images.clamp_(self.lower, self.upper)

    def climb_(self, images: Tensor, gradient: Tensor, size: float | Tensor, scratch: Tensor) -> Tensor:
        torch.sign(gradient, out=scratch)  # torch's sign of not-a-number is 0
        if isinstance(size, Tensor):
            return images.addcmul_(scratch, size)
        return images.add_(scratch, alpha=size)

    def ascend_(self, images: Tensor, gradient: Tensor, size: float | Tensor, scratch: Tensor) -> Tensor:
        # On a GPU one kernel for three, with the same bits; on a CPU torch's own loops are as fast.
        if images.is_cuda and not isinstance(size, Tensor):
            return pgd_step_(images, gradient, self.lower, self.upper, size)
        return super().ascend_(images, gradient, size, scratch)

    def random_start(self, images: Tensor, draws: Draws) -> Tensor:
        noise = draws.uniform(*images.shape, dtype=images.dtype)
        radius = min(self.eps, 1.0)
        return self.project_(images.clone().add_(noise.mul_(2).sub_(1), alpha=radius))

    def distances(self, images: Tensor, centres: Tensor) -> Tensor:
        return (images - centres).abs_().flatten(1).amax(1)

    def select(self, index: Tensor) -> Self:
        return type(self)(self.lower[index], self.upper[index], self.eps)


class L2Ball(_Ball):
    """Every image within a Euclidean distance of its centre, and within [0, 1]."""

    norm = "l2"

    def __init__(self, centres: Tensor, eps: float) -> None:
        self.centres = centres
        self.eps = eps

    def project_(self, images: Tensor) -> Tensor:
        if not math.isinf(self.eps):
            images.sub_(self.centres)
            norms = l2_norms(images)
            # A hair inside, so that rounding the scaled pixels does not lead out again.
            slack = 1 - 4 * torch.finfo(norms.dtype).eps
            tiny = torch.finfo(norms.dtype).tiny
            scale = (self.eps * slack / norms.clamp_min(tiny)).clamp_max(1)
            images.mul_(per_example(scale, images)).add_(self.centres)
        # The centres lie in the box, so clipping only brings an image nearer to its centre.
        return images.clamp_(0, 1)

    def climb_(self, images: Tensor, gradient: Tensor, size: float | Tensor, scratch: Tensor) -> Tensor:
        torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0, out=scratch)
        norms = l2_norms(scratch)
        scratch.div_(per_example(norms.clamp_min(torch.finfo(norms.dtype).tiny), scratch))
        if isinstance(size, Tensor):
            return images.addcmul_(scratch, size)
        return images.add_(scratch, alpha=size)

    def random_start(self, images: Tensor, draws: Draws) -> Tensor:
        direction = draws.normal(*images.shape, dtype=images.dtype)
        dimensions = images[0].numel()
        radius = draws.uniform(len(images)).pow_(1 / dimensions).mul_(min(self.eps, math.sqrt(dimensions)))
        direction.mul_(per_example(radius / l2_norms(direction), images))
        return self.project_(images.clone().add_(direction))

    def distances(self, images: Tensor, centres: Tensor) -> Tensor:
        return l2_norms(images - centres)

    def select(self, index: Tensor) -> Self:
        return type(self)(self.centres[index], self.eps)


Ball = LinfBall | L2Ball

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _bound(images: Tensor, wide: Tensor, offset: float) -> Tensor:
    """``images + offset`` clipped to [0, 1], rounded towards `images`; a new tensor of the same format.

    `wide` are the images in numbers wide enough to tell on which side of the sum a rounded one lies.
    """
    exact = (wide + offset).clamp_(0, 1)
    rounded = exact.to(images.dtype)
    # Bounds are not negative, and the bits of such floats, read as integers, are in the order of the floats.
    bits = rounded.view(_BITS[images.element_size()])
    if offset < 0:
        bits.add_(rounded < exact)
    else:
        bits.sub_((rounded > exact).to(bits.dtype))
    return rounded
