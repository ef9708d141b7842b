"""Shapes of values, without the batch: (channels, height, width) of a map, or (features,) of a vector."""

from __future__ import annotations

Shape = tuple[int, ...]


def show(shape: Shape) -> str:
    """``36 x 32 x 32``, as shapes are written in .rob files and messages."""
    return " x ".join(map(str, shape))


def is_map(shape: Shape) -> bool:
    """Whether a value is a map of channels x height x width, and not a vector."""
    return len(shape) == 3


def volume(shape: Shape) -> int:
    """How many numbers a value of this shape has."""
    product = 1
    for size in shape:
        product *= size
    return product
