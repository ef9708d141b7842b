"""The primitive operations: their signatures, shapes, learned numbers and multiply-adds.

Signatures are written in the language itself, so that a call of a primitive is bound like any other call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from robdsl.diagnostics.source import Source
from robdsl.graph.shapes import Shape, is_map, show, volume
from robdsl.graph.values import Value, Word, show_value
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse

_SIGNATURES = """\
op conv(kernel, width=in.channels, stride=1, padding=kernel // 2, groups=1, dilation=1, bias=false) = identity
op depthwise(kernel, stride=1, padding=kernel // 2) = identity
op linear(features, bias=true) = identity
op batch_norm(affine=true, weight=1) = identity
op relu = identity
op sigmoid = identity
op identity = identity
op zero(stride=1) = identity
op dropout(p) = identity
op max_pool(kernel, stride=kernel, padding=0) = identity
op avg_pool(kernel, stride=kernel, padding=0) = identity
op global_avg_pool = identity
op flatten = identity
op crop(n) = identity
op nonlocal_mean(kind) = identity
"""


class Misfit(Exception):
    """A primitive cannot take a value of the given shape; the message says why."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that a parameter of a primitive may have."""

    wanted: str
    types: tuple[type, ...]
    admits: Callable[[Any], bool] = lambda value: True


def _integers(low: int, high: int = 10**6) -> Domain:
    return Domain(f"an integer from {low} to {high}", (int,), lambda value: low <= value <= high)


_BOOLEAN = Domain("`true` or `false`", (bool,))

DOMAINS: Mapping[str, Domain] = {
    "kernel": _integers(1),
    "width": _integers(1),
    "stride": _integers(1),
    "padding": _integers(0),
    "groups": _integers(1),
    "dilation": _integers(1),
    "features": _integers(1),
    "n": _integers(0),
    "bias": _BOOLEAN,
    "affine": _BOOLEAN,
    "weight": Domain("a number", (int, float)),
    "p": Domain("a number from 0 to 1", (int, float), lambda value: 0 <= value <= 1),
    "kind": Domain("`gaussian` or `dot`", (Word,), lambda value: value.name in ("gaussian", "dot")),
}


@cache
def signatures() -> Mapping[str, tuple[nodes.Parameter, ...]]:
    """The parameters of every primitive, by its name."""
    tree = parse(Source("<primitives>", _SIGNATURES))
    return {each.name.name: each.parameters for each in tree.definitions}


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive with all its arguments, in the order of its signature; compared by value."""

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()

    def __getitem__(self, name: str) -> Value:
        return next(value for key, value in self.arguments if key == name)

    def integer(self, name: str) -> int:
        """An argument that is known to be an integer."""
        value = self[name]
        assert isinstance(value, int)
        return value

    def flag(self, name: str) -> bool:
        """An argument that is known to be true or false."""
        value = self[name]
        assert isinstance(value, bool)
        return value

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={show_value(value)}" for name, value in self.arguments)
        return f"{self.name}({shown})" if shown else self.name

    def normal(self, shape: Shape) -> Primitive:
        """The same function as another primitive says it: `depthwise` is `conv` with a group a channel."""
        if self.name != "depthwise":
            return self
        arguments: dict[str, Value] = dict(self.arguments)
        arguments |= {"width": shape[0], "groups": shape[0], "dilation": 1, "bias": False}
        return Primitive(
            "conv", tuple((each.name.name, arguments[each.name.name]) for each in signatures()["conv"])
        )

    # --- what it does to shapes

    def output(self, shape: Shape) -> Shape:
        """The shape that comes out for a value of ``shape``; raises `Misfit` when none does."""
        result = _OUTPUT.get(self.name, _unchanged)(self.normal(shape) if is_map(shape) else self, shape)
        if min(result) < 1:
            raise Misfit(f"nothing would be left ({show(result)})")
        return result

    # --- what it costs

    def learned(self, shape: Shape) -> int:
        """How many numbers it learns."""
        match self.name:
            case "conv" | "depthwise":
                conv = self.normal(shape)
                width = conv.integer("width")
                fan_in = shape[0] // conv.integer("groups") * conv.integer("kernel") ** 2
                return width * fan_in + width * conv.flag("bias")
            case "linear":
                return self.integer("features") * (shape[0] + self.flag("bias"))
            case "batch_norm":
                return 2 * shape[0] * self.flag("affine")
            case "nonlocal_mean" if self["kind"] == Word("gaussian"):
                return 2 * shape[0] * (shape[0] // 2)
        return 0

    def macs(self, shape: Shape) -> int:
        """Multiply-adds of its convolutions and linear layers for one image."""
        match self.name:
            case "conv" | "depthwise":
                conv = self.normal(shape)
                fan_in = shape[0] // conv.integer("groups") * conv.integer("kernel") ** 2
                return volume(self.output(shape)) * fan_in
            case "linear":
                return self.integer("features") * shape[0]
            case "nonlocal_mean":
                return self.learned(shape) * shape[1] * shape[2]
        return 0

    def depth(self) -> int:
        """How many convolutions or linear layers a path through it meets."""
        embeds = self.name == "nonlocal_mean" and self["kind"] == Word("gaussian")
        return int(self.name in ("conv", "depthwise", "linear") or embeds)

    @property
    def stateful(self) -> bool:
        """Whether it has parameters or buffers, so that two of them are never one."""
        return self.name in ("conv", "depthwise", "linear", "batch_norm") or self.depth() > 0


def _unchanged(primitive: Primitive, shape: Shape) -> Shape:
    return shape


def _need_map(shape: Shape) -> None:
    if not is_map(shape):
        raise Misfit("it needs a map of channels x height x width, and this value is flattened")


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    reach = dilation * (kernel - 1) + 1
    if size + 2 * padding < reach:
        raise Misfit(f"its window of {reach} does not fit into {size} with padding {padding}")
    return (size + 2 * padding - reach) // stride + 1


def _conv(conv: Primitive, shape: Shape) -> Shape:
    _need_map(shape)
    groups, width = conv.integer("groups"), conv.integer("width")
    if shape[0] % groups or width % groups:
        raise Misfit(f"{groups} groups divide neither" if shape[0] % groups and width % groups else
                     f"{groups} groups do not divide {shape[0] if shape[0] % groups else width} channels")  # fmt: skip
    sizes = (conv.integer(name) for name in ("kernel", "stride", "padding", "dilation"))
    kernel, stride, padding, dilation = sizes
    return (width, *(_windows(size, kernel, stride, padding, dilation) for size in shape[1:]))


def _pool(pool: Primitive, shape: Shape) -> Shape:
    _need_map(shape)
    kernel, stride, padding = (pool.integer(name) for name in ("kernel", "stride", "padding"))
    if padding > kernel // 2:
        raise Misfit(f"a padding of {padding} is more than half of the kernel")
    return (shape[0], *(_windows(size, kernel, stride, padding) for size in shape[1:]))


def _zero(zero: Primitive, shape: Shape) -> Shape:
    stride = zero.integer("stride")
    if stride > 1:
        _need_map(shape)
    return (shape[0], *(-(-size // stride) for size in shape[1:]))


def _linear(linear: Primitive, shape: Shape) -> Shape:
    if is_map(shape):
        raise Misfit("it needs a vector; put `flatten` before it")
    return (linear.integer("features"),)


def _global_avg_pool(primitive: Primitive, shape: Shape) -> Shape:
    _need_map(shape)
    return (shape[0], 1, 1)


def _flatten(primitive: Primitive, shape: Shape) -> Shape:
    return (volume(shape),)


def _crop(crop: Primitive, shape: Shape) -> Shape:
    _need_map(shape)
    n = crop.integer("n")
    if n >= min(shape[1:]):
        raise Misfit(f"it has fewer than {n + 1} rows or columns")
    return (shape[0], shape[1] - n, shape[2] - n)


def _nonlocal_mean(primitive: Primitive, shape: Shape) -> Shape:
    _need_map(shape)
    if primitive["kind"] == Word("gaussian") and shape[0] < 2:
        raise Misfit("its embeddings have half the channels, and there is only one")
    return shape


_OUTPUT: Mapping[str, Callable[[Primitive, Shape], Shape]] = {
    "conv": _conv,
    "depthwise": _conv,
    "max_pool": _pool,
    "avg_pool": _pool,
    "zero": _zero,
    "linear": _linear,
    "global_avg_pool": _global_avg_pool,
    "flatten": _flatten,
    "crop": _crop,
    "nonlocal_mean": _nonlocal_mean,
}
