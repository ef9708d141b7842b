"""``robdsl viz``: drawings of nets, spaces and their cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robdsl.graph.net import Net

from .console import err, fail, settings, show_diagnostics, working
from .info import net_or_space


def viz(
    file: Annotated[
        str, typer.Argument(help="A file, or the name of a shipped net or space.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Where to; .svg, .png, .pdf, .dot or .html says in which format. Else NAME.svg here.",
            show_default=False,
        ),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(metavar="N", help="Only this cell: its number, from 0, or its stage's name."),
    ] = None,
    all_cells: Annotated[bool, typer.Option("--all-cells", help="All cells on one page, aligned.")] = False,
    supernet: Annotated[
        bool, typer.Option("--supernet", help="Draw faintly what the space offers and the net left out.")
    ] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="STUDY",
            help="Edges by importance, cells by FSP: a study's folder or its exported bank.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the importance that --overlay computes.")] = 0,
    net: Annotated[
        str | None, typer.Option(help="Which net or space, where the file defines several.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value.")
    ] = None,
) -> None:
    """Draw a net as a strip of its cells, one cell, or all cells on a page.

    What has weights arches above the row of nodes, what has none hangs below it; docs/drawing.md says how to read the rest.

    Example: robdsl viz robnet_free --all-cells -o cells.pdf
    """
    from robdsl.search.errors import SearchError
    from robdsl.viz import DrawingError, draw, read_overlay
    from robdsl.viz.drawing import format_of

    if cell is not None and all_cells:
        raise typer.BadParameter("one cell is drawn, or all of them", param_hint="--cell/--all-cells")
    found = net_or_space(file, net, settings(set_ or []))
    show_diagnostics(found.warnings)
    path = output or Path(f"{found.name}{'' if cell is None else '_' + cell.replace('/', '_')}.svg")
    try:
        format_of(path)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="-o") from None
    if supernet and isinstance(found, Net) and found.space is None:
        raise typer.Exit(fail(f"{found.name} is in no space, so there is nothing that it might have chosen"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with working(f"drawing {found.name}"):
            measured = None if overlay is None else read_overlay(overlay, found, seed)
            picture = draw(found, path, cell=cell, all_cells=all_cells, supernet=supernet, overlay=measured)
    except (ValueError, DrawingError, SearchError) as error:
        raise typer.Exit(fail(str(error))) from None
    for note in picture.notes:
        err.print(f"note: {note}", markup=False)
    err.print(f"wrote {path}", markup=False)
