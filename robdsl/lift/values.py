"""A traced model as plain data: values, each made from earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from robdsl.graph.shapes import Shape

Number: TypeAlias = int | float | bool
Kind: TypeAlias = Literal["input", "apply", "sum", "mul", "concat"]


@dataclass(frozen=True)
class Applied:
    """A primitive of the language with its arguments.

    Attributes:
        name: of the primitive.
        arguments: all that it has, in the order of its signature.
        path: of the module that holds its weights; "" where it has none.
        eps: what a batch norm adds to its variances.
    """

    name: str
    arguments: tuple[tuple[str, Number], ...] = ()
    path: str = ""
    eps: float = 1e-5

    def __getitem__(self, name: str) -> Number:
        return next(value for key, value in self.arguments if key == name)


@dataclass(frozen=True)
class Value:
    """One value.

    Attributes:
        kind: how `inputs` become it.
        inputs: places of earlier values.
        shape: without the batch.
        applied: for ``apply``, what.
        where: the module or the traced node that makes it, for names and messages.
    """

    kind: Kind
    inputs: tuple[int, ...]
    shape: Shape
    applied: Applied | None = None
    where: str = ""


@dataclass(frozen=True)
class Traced:
    """The values of a model, inputs before users; the last is its result, and nothing is computed in vain."""

    values: tuple[Value, ...]
    classes: dict[str, str] = field(default_factory=dict)
    """The class of each module, by its path."""

    def last_uses(self) -> list[int]:
        """For each value the place of the last that reads it; its own place where none does."""
        last = list(range(len(self.values)))
        for place, value in enumerate(self.values):
            for each in value.inputs:
                last[each] = place
        return last


def needed(values: Sequence[Value]) -> tuple[Value, ...]:
    """The values that the last one needs, in their order; the first, the image, always stays."""
    keep = {0, len(values) - 1}
    for place in range(len(values) - 1, -1, -1):
        if place in keep:
            keep.update(values[place].inputs)
    new = {old: place for place, old in enumerate(sorted(keep))}
    return tuple(
        Value(each.kind, tuple(new[i] for i in each.inputs), each.shape, each.applied, each.where)
        for each in (values[old] for old in new)
    )
