"""``robdsl diff``: what differs between two nets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robdsl.graph.load import load
from robdsl.graph.net import Net

from .console import err, fail, find, out, settings, show_diagnostics, show_json, working
from .info import net_name


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A file, or the name of a shipped net.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Draw the cells that differ; .svg, .png, .pdf or .dot says in which format.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if they differ.")] = False,
    net_a: Annotated[str | None, typer.Option(help="Which net, where A defines several.")] = None,
    net_b: Annotated[str | None, typer.Option(help="Which net, where B defines several.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value, in both.")
    ] = None,
) -> None:
    """Show what differs between two nets, cell by cell: edges, operations, sizes and density.

    Names of nets, comments and meta do not count.

    Example: robdsl diff robnet_small robnet_medium -o change.svg
    """
    from robdsl.viz import DrawingError
    from robdsl.viz.difference import compare, difference_picture, lines
    from robdsl.viz.drawing import format_of, write_picture

    if output is not None:
        try:
            if format_of(output) == ".html":
                raise ValueError("a difference is drawn as .svg, .png, .pdf or .dot")
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="-o") from None
    nets = [_net(before, net_a, set_ or []), _net(after, net_b, set_ or [])]
    with working("comparing"):
        difference = compare(*nets)
    if as_json:
        show_json(difference.to_json())
    else:
        for line in lines(difference):
            style = {"-": "red", "+": "green"}.get(line.strip()[:1])
            out.print(line, style=style, markup=False)
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            with working("drawing"):
                picture = difference_picture(*nets)
                write_picture(picture, output)
        except DrawingError as error:
            raise typer.Exit(fail(str(error))) from None
        for note in picture.notes:
            err.print(f"note: {note}", markup=False)
        err.print(f"wrote {output}", markup=False)
    if exit_code and difference.differs:
        raise typer.Exit(1)


def _net(what: str, name: str | None, given: list[str]) -> Net:
    path = find(what)
    net = load(path, net_name(what, path, name), **settings(given))
    show_diagnostics(net.warnings)
    return net
