"""The whole text of a lifted model: its blocks, then the net that strings them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby

from robdsl.diagnostics.source import Source
from robdsl.graph.primitives import signatures
from robdsl.graph.shapes import show
from robdsl.lift.blocks import Part, spine
from robdsl.lift.cells import Definition, block_name, define
from robdsl.lift.sizes import Sizes
from robdsl.lift.values import Traced
from robdsl.lift.words import say
from robdsl.syntax.formatter import format_source

_HEAVY = ("conv", "linear")


def write(traced: Traced, name: str, about: str) -> str:
    """Canonical ``.rob`` text.

    Args:
        traced: the model, tidied.
        name: what the net is called.
        about: what it was lifted from, for the comment at its top.
    """
    parts = spine(traced)
    definitions = _definitions(traced, parts, name)
    calls = {
        id(part): call
        for uses, definition in definitions
        for part, call in zip(uses, definition.calls, strict=True)
    }
    classes = _classes(traced)
    head = f"(classes={classes})" if classes else ""
    lines = [f"# Lifted from {about}.", ""]
    for _, definition in definitions:
        lines += [definition.text, ""]
    lines.append(f"net {name}{head} {{")
    lines.append(f"    input {show(traced.values[0].shape)}")
    lines += [f"    {line}" for line in _repeated(_statements(traced, parts, calls))]
    lines.append("}")
    return format_source(Source("<lifted>", "\n".join(lines) + "\n"))


def _classes(traced: Traced) -> int:
    """How many features the last linear layer has, if it gives the result."""
    applied = traced.values[-1].applied
    return int(applied["features"]) if applied is not None and applied.name == "linear" else 0


def _definitions(traced: Traced, parts: Sequence[Part], net: str) -> list[tuple[list[Part], Definition]]:
    alike: dict[Hashable, list[Part]] = defaultdict(list)
    for part in parts:
        if part.block:
            alike[part.shape_key].append(part)
    taken = {net, "x", "out", *signatures()}
    made = []
    for uses in alike.values():
        base = block_name(traced, uses[0])
        name = base
        if name in taken and _halves(traced, uses[0]):
            name = f"{base}_down"
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        made.append((uses, define(traced, uses, name)))
    return made


def _halves(traced: Traced, part: Part) -> bool:
    return traced.values[part.end].shape[1:] < traced.values[part.start].shape[1:]


def _statements(traced: Traced, parts: Sequence[Part], calls: dict[int, str]) -> Iterator[str]:
    """One line a block; primitives in a row are chains, broken before each layer that is not the first of its chain."""
    chain: list[str] = []
    heavy = False
    for part in parts:
        applied = traced.values[part.end].applied
        if id(part) in calls:
            if chain:
                yield " | ".join(chain)
            yield calls[id(part)]
            chain, heavy = [], False
            continue
        assert applied is not None
        if applied.name in _HEAVY and heavy:
            yield " | ".join(chain)
            chain, heavy = [], False
        if part.end == len(traced.values) - 1 and applied.name == "linear":
            chain.append("linear(classes)" if applied["bias"] else "linear(classes, bias=false)")
        else:
            channels = traced.values[part.start].shape[0]
            chain.append(say([applied], [channels], Sizes((channels,), "in.channels", set())))
        heavy = heavy or applied.name in _HEAVY
    if chain:
        yield " | ".join(chain)


def _repeated(statements: Iterator[str]) -> Iterator[str]:
    for statement, same in groupby(statements):
        count = len(list(same))
        yield f"repeat {count} {{ {statement} }}" if count > 1 else statement
