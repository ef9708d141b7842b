"""Which shipped file defines a name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from robdsl import resources
from robdsl.graph.program import shipped_files
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


def defined_in(name: str) -> str | None:
    """The dotted name of the shipped file that defines an operation or cell."""
    for definition, path in _definitions():
        if definition.name.name == name and not isinstance(definition, nodes.NetDefinition):
            return dotted(path)
    return None


def shipped(kind: str) -> Iterator[tuple[str, Path]]:
    """The names of the shipped nets (or spaces), each with its file."""
    for definition, path in _definitions():
        if isinstance(definition, nodes.NetDefinition) and definition.kind == kind:
            yield definition.name.name, path
