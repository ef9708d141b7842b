"""A study's space as a file: a program that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path

from robdsl.evaluation import Json
from robdsl.graph.load import load
from robdsl.graph.net import Space
from robdsl.graph.values import show_value
from robdsl.graph.writer import format_net
from robdsl.search.errors import SearchError


def space_text(space: Space) -> str:
    """A program that holds a space with its parameters: one of its nets, which brings along all it needs."""
    return format_net(space.sample(0))


def plain_parameters(space: Space) -> dict[str, Json]:
    """The parameters of a space as JSON can hold them; words become text."""
    return {
        name: value if isinstance(value, int | float) else show_value(value)
        for name, value in space.parameters.items()
    }


def read_space(path: Path) -> Space:
    """The space that `space_text` wrote.

    Raises:
        SearchError: there is none.
        RobError: the text is no program.
    """
    if not path.is_file():
        raise SearchError(f"{path.parent} is no study: it has no {path.name}")
    space = load(path).space
    if space is None:
        raise SearchError(f"{path} holds no net of a space")
    return space
