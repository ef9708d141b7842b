"""A whole net as strips of stages: a group of rows for each resolution, each cell drawn small.

A net with too many nodes for that falls back to a box for each cell, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from robdsl.graph.layout import Stage
from robdsl.graph.operations import CellOperation
from robdsl.graph.shapes import Shape
from robdsl.graph.values import show_value
from robdsl.graph.views import IMAGE, show
from robdsl.viz.bezier import line
from robdsl.viz.cell_picture import cell_marks, legend, restyled
from robdsl.viz.lettering import amount, cut, shown, sizes, where, width, wrapped
from robdsl.viz.picture import Box, Curve, Mark, Picture, Point, Spline, Stroke, Text, framed
from robdsl.viz.spine import LARGE, SMALL, rounded
from robdsl.viz.styles import INK, PALE, SOFT, mixed
from robdsl.viz.subject import Subject

#: More nodes of cells than this are not drawn at once, nor more stages than that.
MOST_NODES, MOST_STAGES = 1200, 600
_WIDEST = 1720.0
_GAP, _MARGIN, _TRACK = 20.0, 84.0, 5.0
_NOTE = 1000.0  # a longer note is broken
_FLOW = Stroke(SOFT, 1.1)
_SECOND = Stroke(PALE, 1.0)
_FSP = "#e69f00"


@dataclass
class _Item:
    """A stage in a row; ``x`` is its left side, and ``y`` the middle of its row."""

    name: str
    index: int
    shape: Shape
    width: float
    height: float
    marks: tuple[Mark, ...]
    row: int = 0
    x: float = 0
    y: float = 0

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


@dataclass
class _Row:
    label: str
    items: list[_Item] = field(default_factory=list)

    @property
    def height(self) -> float:
        return max(item.height for item in self.items)


def net_picture(subject: Subject) -> Picture:
    """The whole net: its stages from the image to the logits."""
    net = subject.net
    nodes = sum(len(cell) for cell in subject.cells)
    opened = nodes <= MOST_NODES
    notes = list(subject.overlay.notes) if subject.overlay is not None else []
    if not opened:
        notes.append(
            f"{net.name} has {nodes:,} nodes in {len(subject.cells):,} cells, too many to open them all: each cell is"
            " a box; --cell N draws one"
        )
    items = [_image(subject), *_items(subject, opened=opened)]
    if len(net.stages) > MOST_STAGES:
        notes.append(f"{len(net.stages):,} stages are too many to draw: the middle ones are left out")
    rows = _rows(items)
    marks: list[Mark] = []
    y = _title(subject, notes, marks)
    feeding = _feeding(subject, items)
    for number, row in enumerate(rows):
        y += row.height / 2
        x = _MARGIN
        for item in row.items:
            item.row, item.x, item.y = number, x, y
            x += item.width + _GAP
        if row.label:
            marks.append(Text(0, y, row.label, 13, bold=True, colour=INK))
        y += row.height / 2 + 28 + _TRACK * _crossings(feeding, row)
    marks.extend(_flows(items, rows, feeding))
    for item in items:
        marks.extend(mark.moved(item.x, item.y) for mark in item.marks)
    texts = [mark for mark in marks if isinstance(mark, Text) and mark.anchor == "start"]
    said = max(mark.x + width(mark.text, mark.size, bold=mark.bold) for mark in texts)
    wide = max(max(item.x + item.width for item in items), said, 560.0)
    if opened and subject.cells:
        drawn = [subject.drawn(number)[0] for number in range(len(subject.cells))]
        joins = any(edge["place"] is not None for cell in drawn for *_, edge in cell.edges(data=True))
        key = legend(restyled(subject.styles, drawn), LARGE, wide, joins=joins)
        marks.extend(key.moved(0, y))
        y, wide = y + key.height, max(wide, key.width)
    return framed(Picture(wide, y, tuple(marks), _headline(subject), tuple(notes)))


# --- the title


def _headline(subject: Subject) -> str:
    net = subject.net
    where = f" in {net.space.name}" if net.space is not None and not net.whole else ""
    values = ", ".join(f"{name}={show_value(value)}" for name, value in net.layout.parameters)
    stats = net.stats()
    parts = [
        f"{net.name}{where}" + (f" ({values})" if values else ""),
        f"{sizes(net.image)} → {sizes(net.layout.stages[-1].shape)}",
        f"{amount(stats.params)} parameters",
        f"{amount(stats.macs)} multiply-adds",
        f"depth {stats.depth}",
    ]
    if stats.density is not None and not net.whole:
        parts.append(f"mean density {stats.density:.3f}")
    if subject.overlay is not None:
        parts.append(subject.overlay.title)
    return shown(" · ".join(parts))


def _title(subject: Subject, notes: Sequence[str], marks: list[Mark]) -> float:
    """Writes the title and the notes; where the drawing begins."""
    marks.append(Text(0, 11, shown(subject.net.name), 18, bold=True))
    marks.append(Text(0, 30, _headline(subject), 12, colour=SOFT))
    y = 48.0
    for said in (part for note in notes for part in wrapped(shown(note), 12, _NOTE)):
        marks.append(Text(0, y, said, 12, bold=True))
        y += 16
    return y + 4


# --- stages


def _image(subject: Subject) -> _Item:
    return _boxed(IMAGE, -1, subject.net.image, ["image", sizes(subject.net.image)], "input")


def _items(subject: Subject, *, opened: bool) -> Iterator[_Item]:
    number = 0
    stages = subject.net.stages
    left_out = range(0)
    if len(stages) > MOST_STAGES:
        left_out = range(MOST_STAGES // 2, len(stages) - MOST_STAGES // 2)
    for index, stage in enumerate(stages):
        is_cell = isinstance(stage.operation, CellOperation)
        if index in left_out:
            if index == left_out.start:
                yield _boxed(
                    f"... {len(left_out)} more",
                    -2,
                    stage.shape,
                    ["...", f"{len(left_out):,} more stages"],
                    "mark",
                )
        elif is_cell and opened:
            yield _opened(subject, stage, index, number)
        elif is_cell:
            text = f"{stage.operation.name or 'cell'}, {amount(stage.operation.cost.params)}"
            yield _boxed(stage.name, index, stage.shape, [f"{number}: {stage.name}", text], "stage", stage)
        else:
            yield _boxed(stage.name, index, stage.shape, [stage.name, *_chain(stage)], "stage", stage)
        number += is_cell


def _chain(stage: Stage) -> list[str]:
    """A stage that is no cell, in a few words a line."""
    parts = show(stage.operation).split(" | ")
    return parts if len(parts) <= 4 else [*parts[:3], f"and {len(parts) - 3} more"]


def _boxed(
    name: str, index: int, shape: Shape, lines: Sequence[str], sort: str, stage: Stage | None = None
) -> _Item:
    texts = [cut(shown(text), 9, 118, bold=not number) for number, text in enumerate(lines)]
    wide = max(width(text, 9, bold=not number) for number, text in enumerate(texts)) + 14
    tall = 12 * len(texts) + 10.0
    fill = {"input": "#ffffff", "stage": "#f1f1f1"}.get(sort, "#ffffff")
    facts = {} if stage is None else _facts(stage)
    spans = () if stage is None else (stage.span,)
    marks: list[Mark] = [
        Box(name, wide / 2, 0, wide, tall, sort, fill, Stroke(SOFT, 1), facts=facts, radius=5, spans=spans)
    ]
    for number, text in enumerate(texts):
        y = (number - (len(texts) - 1) / 2) * 12
        colour = SOFT if number else INK
        marks.append(Text(wide / 2, y, text, 9, "middle", bold=not number, colour=colour))
    return _Item(name, index, shape, wide, tall, tuple(marks))


def _facts(stage: Stage) -> dict[str, str]:
    cost = stage.operation.cost
    return {
        "stage": stage.name,
        "is": show(stage.operation)
        if not isinstance(stage.operation, CellOperation)
        else stage.operation.cell.name,
        "shape": sizes(stage.shape),
        "parameters": f"{cost.params:,}",
        "multiply-adds": f"{cost.macs:,}",
        **where((stage.span,)),
    }


def _opened(subject: Subject, stage: Stage, index: int, number: int) -> _Item:
    """A cell drawn small, in a frame."""
    cell, drawn = subject.drawn(number)
    layout = subject.layout(number, SMALL)
    places = layout.places
    said = ", ".join(subject.facts(number))
    title = f"{number}: {shown(stage.name)}"
    wide = max(places.width, width(title, 9, bold=True), width(said, 8), 60) + 16
    title = cut(title, 9, 180, bold=True)
    head = 15 + (10 if said else 0)
    tall = head + places.above + places.below + 9
    spine = -tall / 2 + head + places.above + 2
    fill = "#fbfbfb"
    if subject.overlay is not None and number in subject.overlay.cells:
        furthest = max(subject.overlay.cells.values()) or 1.0
        fill = mixed(_FSP, 0.08 + 0.5 * subject.overlay.cells[number] / furthest)
    facts = _facts(stage)
    if said:
        facts["choice"] = said
    top = -tall / 2
    marks: list[Mark] = [
        Box(
            stage.name,
            wide / 2,
            0,
            wide,
            tall,
            "stage",
            fill,
            Stroke(PALE, 1),
            radius=6,
            facts=facts,
            spans=(stage.span,),
        ),
        Text(8, top + 9, title, 9, bold=True),
    ]
    if said:
        marks.append(Text(8, top + 19, said, 8, colour=SOFT))
    left = (wide - places.width) / 2
    marks.extend(cell_marks(cell, layout, replace(drawn, x=left, y=spine)))
    return _Item(stage.name, index, stage.shape, wide, tall, tuple(marks))


# --- rows


def _rows(items: Sequence[_Item]) -> list[_Row]:
    """The items in rows no wider than a page, a new one for each resolution."""
    rows: list[_Row] = []
    for resolution, group in groupby(_with_resolution(items), key=lambda each: each[0]):
        label = " × ".join(map(str, resolution))
        row = _Row(label)
        x = 0.0
        for _, item in group:
            if row.items and x + item.width > _WIDEST:
                rows.append(row)
                row, x = _Row(""), 0.0
            row.items.append(item)
            x += item.width + _GAP
        rows.append(row)
    return rows


def _with_resolution(items: Sequence[_Item]) -> Iterator[tuple[tuple[int, ...], _Item]]:
    """Each item with its height and width in pixels; a vector stays where it was made."""
    resolution: tuple[int, ...] = ()
    for item in items:
        if len(item.shape) == 3 and item.shape[1:] != (1, 1):
            resolution = item.shape[1:]
        yield resolution, item


# --- the flow from stage to stage


def _feeding(subject: Subject, items: Sequence[_Item]) -> list[tuple[_Item, _Item]]:
    """The stages that are fed by each, among those that are drawn."""
    by_index = {item.index: item for item in items if item.index != -2}
    pairs: list[tuple[_Item, _Item]] = []
    for index, stage in enumerate(subject.net.stages):
        if index in by_index:
            pairs.extend((by_index[each], by_index[index]) for each in stage.inputs if each in by_index)
    gap = next((place for place, item in enumerate(items) if item.index == -2), None)
    if gap is not None:
        pairs.extend([(items[gap - 1], items[gap]), (items[gap], items[gap + 1])])
    return pairs


def _crossings(feeding: Sequence[tuple[_Item, _Item]], row: _Row) -> int:
    """How many lines leave a row for another one."""
    inside = {id(item) for item in row.items}
    return sum(id(source) in inside and id(target) not in inside for source, target in feeding)


def _flows(
    items: Sequence[_Item], rows: Sequence[_Row], feeding: Sequence[tuple[_Item, _Item]]
) -> Iterator[Curve]:
    place = {id(item): number for number, item in enumerate(items)}
    tracks = [0] * len(rows)
    for source, target in feeding:
        direct = place[id(target)] - place[id(source)] == 1
        if source.row == target.row and direct:
            path = line((source.x + source.width, source.y), (target.x, target.y))
        elif source.row == target.row:
            y = source.y + rows[source.row].height / 2 + 7 + 4 * (source.index % 2)
            path = _loop(source, target, y)
        else:
            y = source.y + rows[source.row].height / 2 + 17 + _TRACK * tracks[source.row]
            tracks[source.row] += 1
            path = _to_row(source, target, y, rows)
        yield Curve(
            f"{source.name}=>{target.name}", source.name, target.name, (path,), _FLOW if direct else _SECOND, "flow", arrow=6
        )  # fmt: skip


def _loop(source: _Item, target: _Item, y: float) -> Spline:
    """Under what lies between, in the same row."""
    start, end = source.x + source.width * 0.72, target.x + target.width * 0.28
    return rounded([(start, source.bottom), (start, y), (end, y), (end, target.bottom)], 5)


def _to_row(source: _Item, target: _Item, y: float, rows: Sequence[_Row]) -> Spline:
    """Down to a track under its own row, along it, and down into a later row."""
    start = source.x + source.width * 0.6
    direct = target.index == source.index + 1
    end = target.x + target.width * (0.3 if direct else 0.6)
    points: list[Point] = [(start, source.bottom), (start, y)]
    if target.row - source.row > 1:
        above = target.y - rows[target.row].height / 2 - 8
        points += [(_MARGIN - 14, y), (_MARGIN - 14, above), (end, above)]
    else:
        points.append((end, y))
    return rounded([*points, (end, target.y - target.height / 2)], 5)
