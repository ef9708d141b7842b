"""A step of projected gradient ascent in the maximum norm."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def pgd_step(images, gradient, lower, upper, size, count, M: tl.constexpr):
    """images = min(max(images + size * sign(gradient), lower), upper), in place, with torch's rounding and NaNs.

    The sum is made in float32 and rounded to the images' format once, as torch does. The sign of a not-a-number is
    0; a not-a-number among images or bounds is what comes out.
    """
    at = tl.program_id(0).to(tl.int64) * M + tl.arange(0, M)
    there = at < count
    image = tl.load(images + at, mask=there, other=0.0).to(tl.float32)
    slope = tl.load(gradient + at, mask=there, other=0.0).to(tl.float32)
    low = tl.load(lower + at, mask=there, other=0.0).to(tl.float32)
    high = tl.load(upper + at, mask=there, other=0.0).to(tl.float32)
    step = tl.where(slope > 0, size, tl.where(slope < 0, -size, 0.0))
    # Rounded before it is compared: the bounds are numbers of the images' format, so nothing is rounded after.
    moved = (image + step).to(images.dtype.element_ty).to(tl.float32)
    moved = tl.where((moved >= low) | (moved != moved), moved, low)
    moved = tl.where((moved <= high) | (moved != moved), moved, high)
    tl.store(images + at, moved.to(images.dtype.element_ty), mask=there)
