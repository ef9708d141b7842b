"""The update of projected gradient ascent in the maximum norm, in one pass over the images."""

from __future__ import annotations

import torch
from torch import Tensor

from robdsl.kernels.layout import runs_kernel
from robdsl.kernels.tiles import over

_ELEMENTS, _WARPS = 1024, 4


def pgd_step_(images: Tensor, gradient: Tensor, lower: Tensor, upper: Tensor, size: float) -> Tensor:
    """``images = clamp(images + size * sign(gradient), lower, upper)``, in place; returns `images`.

    The same bits as torch's ``sign``, ``add_`` and ``clamp_`` on the same device, in one kernel where those take
    three and a temporary.
    A gradient that is zero or not a number moves nothing.

    Args:
        images: (N, ...), dense in memory.
        gradient: of what is climbed, like `images`.
        lower: the least that each pixel may be, like `images`.
        upper: the most.
        size: the length of a step.
    """
    torch.ops.robdsl.pgd_step_(images, gradient, lower, upper, size)
    return images


@torch.library.custom_op(
    "robdsl::pgd_step_",
    mutates_args=("images",),
    schema="(Tensor(a!) images, Tensor gradient, Tensor lower, Tensor upper, float size) -> ()",
)
def _pgd_step(images: Tensor, gradient: Tensor, lower: Tensor, upper: Tensor, size: float) -> None:
    if runs_kernel(images, gradient, lower, upper) and _alike(images, gradient, lower, upper):
        launch(images, gradient, lower, upper, size)
    else:
        images.add_(torch.sign(gradient), alpha=size).clamp_(lower, upper)


@_pgd_step.register_fake
def _(images: Tensor, gradient: Tensor, lower: Tensor, upper: Tensor, size: float) -> None:
    pass


def _alike(images: Tensor, *others: Tensor) -> bool:
    """Whether elements lie in the same order without gaps, so that memory can be walked through blindly."""
    dense = images.is_contiguous() or images.is_contiguous(memory_format=torch.channels_last)
    same = all(
        each.stride() == images.stride() and each.shape == images.shape and each.dtype == images.dtype
        for each in others
    )
    return same and dense


def launch(images: Tensor, gradient: Tensor, lower: Tensor, upper: Tensor, size: float) -> None:
    """`pgd_step_` by its kernel; all four lie alike in memory."""
    from robdsl.kernels.device.pgd import pgd_step

    count = images.numel()
    with torch.cuda.device_of(images):
        pgd_step[(over(count, _ELEMENTS),)](
            images, gradient, lower, upper, float(size), count, M=_ELEMENTS, num_warps=_WARPS, num_stages=1
        )
