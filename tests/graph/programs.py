"""Small programs for tests of elaboration, and what `robdsl check` says of them."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic
from robdsl.graph.cell import Cell
from robdsl.graph.load import check_source, load
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation
from robdsl.graph.shapes import Shape
from robdsl.syntax.parser import source_of


def check(text: str) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with a program; not that it gives a map, as most of these short ones do."""
    found = check_source(source_of(dedent(text), "test.rob"))
    return tuple(each for each in found if each.code is not codes.MAP_RESULT)


def found(text: str) -> list[str]:
    """What is wrong, as code and culprit: ``R203 foo``."""
    return [f"{each.code.id} {each.span.text}".rstrip() for each in check(text)]


def only(text: str) -> Diagnostic:
    """The one thing that is wrong."""
    diagnostics = check(text)
    assert len(diagnostics) == 1, [each.title for each in diagnostics]
    return diagnostics[0]


def net_of(stages: str, definitions: str = "", image: str = "3 x 8 x 8", **parameters: Any) -> Net:
    """A net of some stages."""
    body = dedent(stages)
    return load(f"{dedent(definitions)}\nnet test {{\ninput {image}\n{body}\n}}\n", **parameters)


def cell_of(cell: str, call: str = "", image: str = "3 x 8 x 8", **parameters: Any) -> Cell:
    """The last cell of some definitions, as the only stage of a net."""
    text = dedent(cell)
    name = text[text.rindex("cell ") + 5 :].split("(")[0].split("{")[0].strip()
    operation = net_of(call or name, text, image, **parameters).stages[-1].operation
    assert isinstance(operation, CellOperation)
    return operation.cell


def shape_of(operation: str, image: str = "3 x 8 x 8", definitions: str = "") -> Shape:
    """What an operation makes of an image."""
    return net_of(operation, definitions, image).stages[-1].shape


def value_of(expression: str, definitions: str = "") -> str:
    """The value of an expression, as a broken requirement shows it."""
    text = f"{definitions}\nnet test {{\ninput 3 x 8 x 8\nlet value = {expression}\nrelu\nrequire value == shown\n}}\n"
    (diagnostic,) = check(text)
    assert diagnostic.code.id == "R307", diagnostic.title
    return diagnostic.label.removeprefix("value = ")
