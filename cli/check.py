"""``robdsl check``: every mistake in some files."""

from __future__ import annotations

from typing import Annotated

import typer

from robdsl.diagnostics.diagnostic import Diagnostic
from robdsl.graph.load import check_file

from .console import diagnostics_json, find, out, plural, show_diagnostics, show_json


def check(
    files: Annotated[list[str], typer.Argument(help="Files, or names of shipped nets.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the diagnostics as JSON.")] = False,
) -> None:
    """Check files: names, shapes, choices, rules; all mistakes at once.

    Example: robdsl check archs/robnet_free.rob
    """
    found: dict[tuple[object, ...], Diagnostic] = {}
    for name in files:
        for diagnostic in check_file(find(name)):
            found.setdefault(diagnostic.identity, diagnostic)
    diagnostics = tuple(found.values())
    if as_json:
        show_json(diagnostics_json(diagnostics))
    else:
        show_diagnostics(diagnostics)
        if not diagnostics:
            out.print(f"{plural(len(files), 'file')}: all is well")
    if any(each.severity == "error" for each in diagnostics):
        raise typer.Exit(1)
