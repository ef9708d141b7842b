"""Which shipped file defines a name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from robdsl import resources
from robdsl.graph.program import Kind, kind_of, shipped_files
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse_all, read_source


@cache
def _definitions() -> tuple[tuple[nodes.Definition, Path], ...]:
    return tuple(
        (definition, path)
        for path in shipped_files()
        for definition in parse_all(read_source(path))[0].definitions
    )


def dotted(path: Path) -> str:
    """The name by which ``use`` finds a shipped file."""
    return ".".join(path.relative_to(resources.folder("archs")).with_suffix("").parts)


def use_for(name: str, *kinds: Kind) -> str | None:
    """Which shipped file to ``use`` for a definition of that name and kind, as a sentence; None for none."""
    for definition, path in _definitions():
        if definition.name.name == name and kind_of(definition) in kinds:
            return f"`use {dotted(path)}` defines it"
    return None


def shipped(kind: Kind) -> Iterator[tuple[str, Path]]:
    """The names of the shipped nets (or spaces), each with its file."""
    for definition, path in _definitions():
        if kind_of(definition) == kind:
            yield definition.name.name, path
