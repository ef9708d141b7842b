"""The drawing of the cell under the cursor."""

from __future__ import annotations

from dataclasses import dataclass

from robdsl.editor.analysis import Analysis
from robdsl.graph.choices import pick_name
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation
from robdsl.syntax import nodes
from robdsl.viz import cell_drawing


@dataclass(frozen=True)
class CellDrawing:
    """A cell as a picture.

    Attributes:
        net, stage: where it stands.
        svg: the picture.
    """

    net: str
    stage: str
    svg: str


def draw_cell(analysis: Analysis, offset: int) -> CellDrawing | None:
    """The drawing of the cell that is defined, used or chosen at an offset; None where there is none.

    Of a cell that stands in several places, the first is drawn; of a space, everything that it offers.
    """
    for definition in analysis.file.tree.definitions:
        if not definition.span.start <= offset <= definition.span.end:
            continue
        for name, net in analysis.nets.items():
            number = _number(analysis, net, name, definition, offset)
            if number is not None:
                picture = cell_drawing(net.cells[number])
                return CellDrawing(name, str(net.cells[number].graph["name"]), picture.svg())
    return None


def _number(analysis: Analysis, net: Net, name: str, definition: nodes.Definition, offset: int) -> int | None:
    """The place, among the cells of a net, of the one that an offset is about."""
    stages = [stage for stage in net.stages if isinstance(stage.operation, CellOperation)]
    if isinstance(definition, nodes.CellDefinition):
        return next(
            (
                number
                for number, stage in enumerate(stages)
                if isinstance(stage.operation, CellOperation)
                and stage.operation.cell.definition is definition
            ),
            None,
        )
    if not isinstance(definition, nodes.NetDefinition):
        return None
    for number, stage in enumerate(stages):
        here = stage.span.source is analysis.source and stage.span.start <= offset <= stage.span.end
        if here and net.layout.bound.definition is definition:
            return number
    if name != definition.name.name:
        return None
    for each in definition.body:
        inside = each.span.start <= offset <= each.span.end
        if isinstance(each, nodes.PickBits | nodes.PickEdges) and inside:
            return _picked(net, pick_name(each))
    return 0 if stages else None


def _picked(net: Net, name: str) -> int | None:
    cells = (stage.operation for stage in net.stages if isinstance(stage.operation, CellOperation))
    for number, operation in enumerate(cells):
        if operation.pick is not None and net.layout.picks[operation.pick].name == name:
            return number
    return None
