"""All cells of a net on one page, aligned so that the eye compares them."""

from __future__ import annotations

from collections.abc import Sequence

from robdsl.viz.cell_picture import cell_picture, legend, restyled
from robdsl.viz.lettering import amount, shown, sizes, width, wrapped
from robdsl.viz.picture import Mark, Picture, Text, framed
from robdsl.viz.spine import MEDIUM
from robdsl.viz.styles import SOFT
from robdsl.viz.subject import Subject

#: More kinds of cells than this do not fit on a page.
MOST_CELLS = 120
_ASPECT = 1.45
_GAP = 26.0


def sheet_picture(subject: Subject) -> Picture:
    """A contact sheet: a picture of each cell, those that are alike once.

    Raises:
        ValueError: the net has no cells.
    """
    net = subject.net
    if not subject.cells:
        raise ValueError(f"{net.name} has no cells; without --all-cells the whole net is drawn")
    kinds = _kinds(subject)
    notes = subject.overlay.notes if subject.overlay is not None else ()
    if len(kinds) > MOST_CELLS:
        notes += (f"{net.name} has {len(kinds):,} kinds of cells; the first {MOST_CELLS} are drawn",)
        kinds = kinds[:MOST_CELLS]
    layouts = [subject.layout(numbers[0], MEDIUM) for numbers in kinds]
    reach = max(each.places.above for each in layouts), max(each.places.below for each in layouts)
    pictures = []
    for numbers, layout in zip(kinds, layouts, strict=True):
        cell, drawn = subject.drawn(numbers[0])
        pictures.append(cell_picture(cell, layout, drawn, _heading(subject, numbers), reach))
    across, down = max(each.width for each in pictures), max(each.height for each in pictures)
    columns = _columns(len(pictures), across + _GAP, down + _GAP)
    title = f"{net.name}: {len(subject.cells)} cells" + (
        f" of {len(kinds)} kinds" if len(kinds) < len(subject.cells) else ""
    )
    marks: list[Mark] = [Text(0, 10, shown(title), 17, bold=True)]
    top = 32.0
    room = max(columns * (across + _GAP) - _GAP, 420.0)
    for said in (line for note in notes for line in wrapped(shown(note), 11, room)):
        marks.append(Text(0, top, said, 11, colour=SOFT))
        top += 15
    for number, picture in enumerate(pictures):
        x, y = number % columns * (across + _GAP), top + number // columns * (down + _GAP)
        marks.extend(picture.moved(x, y))
    wide = columns * (across + _GAP) - _GAP
    y = top + -(-len(pictures) // columns) * (down + _GAP)
    drawn_cells = [subject.drawn(numbers[0])[0] for numbers in kinds]
    joins = any(edge["place"] is not None for cell in drawn_cells for *_, edge in cell.edges(data=True))
    key = legend(restyled(subject.styles, drawn_cells), MEDIUM, max(wide, 420), joins=joins)
    marks.extend(key.moved(0, y))
    wide = max(wide, key.width, width(shown(title), 17, bold=True), room)
    return framed(Picture(wide, y + key.height, tuple(marks), title, notes))


def _kinds(subject: Subject) -> list[list[int]]:
    """The numbers of the cells, those that look alike together."""
    kinds: dict[object, list[int]] = {}
    for number, cell in enumerate(subject.cells):
        operations = tuple((*name, cell.edges[name]["op"]) for name in cell.edges(keys=True))
        measured = subject.overlay is not None and number in subject.overlay.cells
        key = cell.graph["cell"], cell.graph["order"], operations, number if measured else cell.graph["pick"]
        kinds.setdefault(key, []).append(number)
    return list(kinds.values())


def _heading(subject: Subject, numbers: Sequence[int]) -> tuple[str, str]:
    cell = subject.cells[numbers[0]]
    said = subject.facts(numbers[0])
    if len(numbers) == 1:
        facts = [sizes(cell.graph["shape"]), f"{amount(cell.graph['params'])} parameters"]
        return f"{numbers[0]}: {shown(cell.graph['name'])}", " · ".join([*said, *facts])
    return f"{ranges(numbers)}: {shown(cell.graph['cell'])}", " · ".join([*said, f"{len(numbers)} cells"])


def ranges(numbers: Sequence[int]) -> str:
    """``0, 2–5, 7`` for ascending numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _columns(count: int, across: float, down: float) -> int:
    """The number of columns that makes a page nearest to a sheet of paper on its side."""

    def off(columns: int) -> float:
        aspect = columns * across / (-(-count // columns) * down)
        return max(aspect / _ASPECT, _ASPECT / aspect)

    return min(range(1, count + 1), key=off)
