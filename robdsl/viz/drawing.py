"""Pictures of nets, to files."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Literal

from robdsl.files import write_atomic
from robdsl.graph.net import Net, Space
from robdsl.viz.cell_picture import cell_picture, legend, noted, restyled
from robdsl.viz.picture import Picture, framed, stacked
from robdsl.viz.sheet import sheet_picture
from robdsl.viz.spine import LARGE
from robdsl.viz.strip import net_picture
from robdsl.viz.subject import Overlay, Subject

#: The formats, by the suffix of the file.
FORMATS = (".svg", ".png", ".pdf", ".dot", ".html")
_PIXELS = 12_000  # the longest side of a PNG
_SCALE = 2.0  # pixels a point, where that fits


def draw(
    net: Net | Space,
    path: str | Path,
    *,
    cell: int | str | None = None,
    all_cells: bool = False,
    supernet: bool = False,
    overlay: Overlay | None = None,
) -> Picture:
    """Draw a net to a file: whole, as a strip of its cells, or one cell, or all cells on one page.

    Args:
        net: a net; or a space, which is drawn with everything that it offers.
        path: where to; ``.svg``, ``.png``, ``.pdf``, ``.dot`` or ``.html`` says in which format.
        cell: only this cell, by its number in ``net.cells`` or the name of its stage.
        all_cells: a contact sheet of all cells.
        supernet: draw faintly what the net's space offers and the net did not choose.
        overlay: what a study found (`robdsl.viz.read_overlay`).

    Returns:
        The picture; ``notes`` say what it leaves out. Of a page, the picture of the whole net.

    Raises:
        ValueError: there is no such cell or format.
        DrawingError: Graphviz is missing, or failed.
        OSError: the file cannot be written; what was there is as it was.
    """
    path = Path(path)
    suffix = format_of(path)
    subject = Subject.of(net, faint=supernet, overlay=overlay)
    if suffix == ".html":
        from robdsl.viz.page import page

        start = (
            "all-cells" if all_cells else None if cell is None else f"cell-{subject.cell_number(str(cell))}"
        )
        picture, text = page(subject, start)
        write_atomic(path, text.encode())
        return picture
    picture = picture_of(subject, cell=cell, all_cells=all_cells)
    write_picture(picture, path)
    return picture


def picture_of(subject: Subject, *, cell: int | str | None = None, all_cells: bool = False) -> Picture:
    """The picture that `draw` writes.

    Raises:
        ValueError: there is no such cell.
    """
    if cell is not None:
        return one_cell(subject, subject.cell_number(str(cell)))
    return sheet_picture(subject) if all_cells else net_picture(subject)


def one_cell(subject: Subject, number: int, *, within: bool = False) -> Picture:
    """One cell with its legend; ``within`` a net, its ids begin with the stage's name."""
    cell, drawn = subject.drawn(number)
    drawn = drawn if within else replace(drawn, prefix="")
    layout = subject.layout(number, LARGE)
    picture = cell_picture(cell, layout, drawn, subject.heading(number))
    below = legend(
        restyled(subject.styles, [cell]), LARGE, max(picture.width, 420), joins=bool(layout.places.rails)
    )
    notes = subject.overlay.notes if subject.overlay is not None else ()
    said = [noted(notes, picture.width)] if notes else []
    return framed(stacked([picture, *said, below], picture.title, notes=notes))


def format_of(path: Path) -> Literal[".svg", ".png", ".pdf", ".dot", ".html"]:
    """The format that a file's name asks for.

    Raises:
        ValueError: none that there is.
    """
    for suffix in (".svg", ".png", ".pdf", ".dot", ".html"):
        if path.suffix.lower() == suffix:
            return suffix
    raise ValueError(
        f"the name of a drawing ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, unlike `{path}`"
    )


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture as the suffix says (``.html`` is for nets, not pictures), whole or not at all.

    Raises:
        ValueError: there is no such format.
        DrawingError: Graphviz is missing, or failed.
        OSError: the file cannot be written.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file", str(path))
    write_atomic(path, encoded(picture, format_of(path)))


def encoded(picture: Picture, suffix: str) -> bytes:
    """A picture in a format: ``.svg``, ``.dot``, ``.png`` or ``.pdf``.

    Raises:
        ValueError: there is no such format.
        DrawingError: Graphviz is missing, or failed.
    """
    from robdsl.viz.dot import dot
    from robdsl.viz.rendering import render

    match suffix:
        case ".svg":
            return picture.svg().encode()
        case ".dot":
            return dot(picture).encode()
        case ".png":
            scale = min(_SCALE, _PIXELS / max(picture.width, picture.height))
            return render(dot(picture, exact=True), "png", scale)
        case ".pdf":
            return render(dot(picture, exact=True), "pdf")
    raise ValueError(f"there is no format `{suffix}` for a picture")
