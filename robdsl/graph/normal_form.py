"""The function that a net computes, freed from the accidents of how it was written.

A net becomes one graph of values, from the image to the result. Names, stages, calls and the order of statements are
gone, and so is every difference that makes none:

- `depthwise` is the `conv` that it stands for, and what does nothing (`identity`, `crop(0)`, a pool of single numbers,
  `dropout(0)`, `flatten` of a vector) is not there;
- the `weight` of a batch norm is not there, for it says where weights start and not what they do;
- a sum of sums is one sum, with each operand and how often it occurs; so is a product; a concat of concats is one, in order;
- zeros add nothing to a sum, and what turns zeros into zeros without learning anything is zeros;
- values are computed once: two values are one if they are the same function of the same values. Not so what learns, keeps
  statistics or draws at random: two convolutions are two, whatever they look like;
- what the result does not need is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from robdsl.graph.net import Net
from robdsl.graph.primitives import Primitive
from robdsl.graph.shapes import Shape, is_map
from robdsl.graph.values import Word, show_value
from robdsl.graph.views import flat_stages

#: How many operands all sums, products and concats together may have once nested ones are joined. A net that goes beyond (a
#: thousand additions in a row with nothing between them) is taken with its joins as they are written.
MAX_OPERANDS = 1_000_000


@dataclass(frozen=True, eq=False)
class NormalForm:
    """Values and what they are made of; nets compute the same function if these graphs are isomorphic.

    Attributes:
        labels: a primitive with its arguments, ``sum``, ``mul``, ``concat``, zeros of a shape, or the image.
        operands: for each value, those that it is made of, each once, with what it is there: how often it occurs (in a sum
            or product) or where (in a concat). Operands come before what is made of them.
        output: the result.
    """

    labels: tuple[bytes, ...]
    operands: tuple[tuple[tuple[int, bytes], ...], ...]
    output: int


def normal_form(net: Net) -> NormalForm:
    """The normal form of what a net computes from an image and its weights."""
    try:
        return _written(net, _Values(joins=True))
    except _TooManyOperands:
        return _written(net, _Values(joins=False))


class _TooManyOperands(Exception):
    """Joining nested sums takes too much room."""


def _written(net: Net, values: _Values) -> NormalForm:
    results = {-1: values.image(net.image)}
    for index, (stage, flat) in enumerate(flat_stages(net)):
        made = [results[each] for each in stage.inputs]
        for step in flat.steps[flat.arity :]:
            operands = [made[each] for each in step.inputs]
            if step.primitive is not None:
                made.append(values.primitive(step.primitive, operands[0], step.in_shape, step.shape))
            elif step.kind == "zeros":
                made.append(values.zeros(step.shape))
            elif step.kind == "concat":
                made.append(values.concat(operands, step.shape))
            else:
                assert step.kind in ("sum", "mul")
                made.append(values.bag(step.kind, operands, step.shape))
        results[index] = made[flat.output]
    return values.needed_by(results[len(net.stages) - 1])


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a primitive does to values of one shape.

    Attributes:
        individual: two of them are two, even on the same value.
        nothing: it gives back what it is given.
        zeros: it gives zeros, whatever it is given.
        keeps_zeros: it gives zeros when it is given zeros.
    """

    label: bytes
    individual: bool = False
    nothing: bool = False
    zeros: bool = False
    keeps_zeros: bool = False


@lru_cache(maxsize=4096)
def _effect(primitive: Primitive, shape: Shape) -> _Effect:
    arguments = dict(primitive.normal(shape).arguments)
    name = primitive.normal(shape).name
    match name:
        case "zero":
            return _Effect(b"", zeros=True)
        case "identity":
            nothing = True
        case "crop":
            nothing = arguments["n"] == 0
        case "max_pool" | "avg_pool":
            nothing = (arguments["kernel"], arguments["stride"], arguments["padding"]) == (1, 1, 0)
        case "global_avg_pool":
            nothing = shape[1:] == (1, 1)
        case "flatten":
            nothing = not is_map(shape)
        case "dropout":
            arguments["p"] = float(primitive["p"])  # type: ignore[arg-type]  # its domain says that it is a number
            nothing = arguments["p"] == 0
        case _:
            nothing = False
    if name == "batch_norm":
        del arguments["weight"]
    shown = ", ".join(f"{key}={show_value(value)}" for key, value in arguments.items())
    return _Effect(
        f"{name}({shown})".encode(),
        individual=primitive.stateful or name == "dropout",
        nothing=nothing,
        keeps_zeros=name in ("relu", "max_pool", "avg_pool", "global_avg_pool", "flatten", "crop", "dropout")
        or arguments.get("kind") == Word("dot"),
    )


class _Values:
    """Values as they are made, each once."""

    def __init__(self, joins: bool) -> None:
        self._joins = joins
        self._room = MAX_OPERANDS
        self._labels: list[bytes] = []
        self._operands: list[tuple[tuple[int, bytes], ...]] = []
        self._known: dict[tuple[bytes, object], int] = {}
        #: What sums and products consist of, the operands of concats, the shapes of zeros.
        self._bags: dict[str, dict[int, Counter[int]]] = {"sum": {}, "mul": {}}
        self._rows: dict[int, tuple[int, ...]] = {}
        self._zeros: dict[int, Shape] = {}

    def image(self, shape: Shape) -> int:
        return self._add(f"image{shape}".encode(), ())

    def zeros(self, shape: Shape) -> int:
        value = self._once(f"zeros{shape}".encode(), (), ())
        self._zeros[value] = shape
        return value

    def primitive(self, primitive: Primitive, operand: int, in_shape: Shape, shape: Shape) -> int:
        effect = _effect(primitive, in_shape)
        if effect.zeros or (effect.keeps_zeros and operand in self._zeros):
            return self.zeros(shape)
        if effect.nothing:
            return operand
        if effect.individual:
            return self._add(effect.label, ((operand, b""),))
        return self._once(effect.label, operand, ((operand, b""),))

    def bag(self, kind: Literal["sum", "mul"], operands: Sequence[int], shape: Shape) -> int:
        """A sum or a product: what occurs in it, and how often; the order says nothing."""
        bags = self._bags[kind]
        bag: Counter[int] = Counter()
        for operand in operands:
            if operand in self._zeros:
                if kind == "mul":
                    return self.zeros(shape)
            elif operand in bags and self._joins:
                self._take(len(bags[operand]))
                bag.update(bags[operand])
            else:
                bag[operand] += 1
        if not bag:
            return self.zeros(shape)
        if bag.total() == 1:
            return next(iter(bag))
        self._take(len(bag))
        made = tuple((operand, b"%x" % count) for operand, count in bag.items())
        value = self._once(kind.encode(), frozenset(bag.items()), made)
        bags[value] = bag
        return value

    def concat(self, operands: Sequence[int], shape: Shape) -> int:
        """A row of values; zeros beside zeros are one."""
        row: list[int] = []
        for operand in operands:
            parts = self._rows.get(operand, (operand,)) if self._joins else (operand,)
            self._take(len(parts))
            for part in parts:
                if row and part in self._zeros and row[-1] in self._zeros:
                    first, rest = self._zeros[row.pop()], self._zeros[part]
                    part = self.zeros((first[0] + rest[0], *first[1:]))
                row.append(part)
        if len(row) == 1:
            return row[0]
        places: dict[int, list[str]] = {}
        for place, part in enumerate(row):
            places.setdefault(part, []).append(str(place))
        made = tuple((part, ",".join(at).encode()) for part, at in places.items())
        value = self._once(b"concat", tuple(row), made)
        self._rows[value] = tuple(row)
        return value

    def _take(self, operands: int) -> None:
        """Keeps within the bound. It counts what is written, so that it falls alike for nets that differ in order alone."""
        self._room -= operands
        if self._joins and self._room < 0:
            raise _TooManyOperands

    def _once(self, label: bytes, identity: object, operands: tuple[tuple[int, bytes], ...]) -> int:
        key = (label, identity)
        if key not in self._known:
            self._known[key] = self._add(label, operands)
        return self._known[key]

    def _add(self, label: bytes, operands: tuple[tuple[int, bytes], ...]) -> int:
        self._labels.append(label)
        self._operands.append(operands)
        return len(self._labels) - 1

    def needed_by(self, output: int) -> NormalForm:
        """The normal form of one value: what it does not need is left out."""
        needed = {output}
        for value in range(output, -1, -1):
            if value in needed:
                needed.update(operand for operand, _ in self._operands[value])
        new = {old: place for place, old in enumerate(sorted(needed))}
        return NormalForm(
            tuple(self._labels[old] for old in new),
            tuple(_renumbered(self._operands[old], new) for old in new),
            new[output],
        )


def _renumbered(operands: Iterable[tuple[int, bytes]], new: dict[int, int]) -> tuple[tuple[int, bytes], ...]:
    return tuple((new[operand], role) for operand, role in operands)
