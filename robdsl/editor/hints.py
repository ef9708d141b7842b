"""The shape of every value, behind the statement that makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from robdsl.editor import reading
from robdsl.editor.analysis import Analysis
from robdsl.graph.cell import Cell
from robdsl.graph.cell_form import mentioned
from robdsl.graph.shapes import show
from robdsl.syntax import nodes


@dataclass(frozen=True)
class Hint:
    """A text behind an offset, and more of it for who asks."""

    offset: int
    text: str
    more: str


def hints(analysis: Analysis, start: int, end: int) -> list[Hint]:
    """The hints of a part of the text, in its order."""
    found = [*_stage_hints(analysis), *_cell_hints(analysis)]
    return sorted((each for each in found if start <= each.offset <= end), key=lambda each: each.offset)


def _stage_hints(analysis: Analysis) -> Iterator[Hint]:
    for (_, end), stages in analysis.stages.items():
        lines = [f"{stage.name}: {show(stage.shape)}" for stage in stages]
        yield Hint(end, f" → {reading.shapes_text([stage.shape for stage in stages])}", "\n".join(lines))


def _cell_hints(analysis: Analysis) -> Iterator[Hint]:
    for definition in analysis.file.tree.definitions:
        if isinstance(definition, nodes.CellDefinition) and id(definition) in analysis.cells:
            yield from _nodes(definition, analysis.cells[id(definition)])


def _nodes(definition: nodes.CellDefinition, cells: list[Cell]) -> Iterator[Hint]:
    """A hint for each node, where it is first mentioned."""
    told: set[str] = set()
    for statement in definition.body:
        for ident in mentioned(statement):
            if ident.name in told:
                continue
            told.add(ident.name)
            shapes = [cell.nodes[ident.name].shape for cell in cells if ident.name in cell.nodes]
            if shapes:
                lines = [
                    f"{reading.call_text(cell.name, cell.arguments)}: {show(shape)}"
                    for cell, shape in zip(cells, shapes, strict=False)
                ]
                yield Hint(ident.span.end, f": {reading.shapes_text(shapes)}", "\n".join(lines))
