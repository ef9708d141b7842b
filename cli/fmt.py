"""``robdsl fmt``: canonical text."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from robdsl.diagnostics.diagnostic import RobError
from robdsl.diagnostics.source import Source
from robdsl.files import write_atomic
from robdsl.graph.respell import respell
from robdsl.syntax.formatter import format_checked, format_source
from robdsl.syntax.parser import MAX_FILE, decode, read_source

from .console import err, plural, show_diagnostics


def fmt(
    files: Annotated[
        list[str],
        typer.Argument(help="Files to rewrite in place; `-` for stdin to stdout.", show_default=False),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file is not canonical.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; show what would change.")] = False,
    edges: Annotated[bool, typer.Option("--edges", help="Spell choices out, edge by edge.")] = False,
    alpha: Annotated[bool, typer.Option("--alpha", help="Write choices as bits.")] = False,
) -> None:
    """Rewrite files as canonical text; comments stay.

    Example: robdsl fmt --diff archs/robnet_free.rob
    """
    if edges and alpha:
        raise typer.BadParameter(
            "choices are written as bits or spelled out, not both", param_hint="--edges/--alpha"
        )
    form: Literal["edges", "alpha"] | None = "edges" if edges else "alpha" if alpha else None
    changed = wrong = 0
    for name in files:
        try:
            source, path, data = _read(name)
            text = _formatted(source, path, form)
        except RobError as error:
            show_diagnostics(error.diagnostics)
            wrong += 1
            continue
        same = text.encode() == data  # a byte-order mark or CRLF is not canonical
        changed += not same
        if diff and not same:
            lines = difflib.unified_diff(
                source.text.splitlines(True), text.splitlines(True), source.name, source.name
            )
            typer.echo("".join(lines), nl=False)
        if path is None and not (check or diff):
            typer.echo(text, nl=False)
        elif check and not same:
            err.print(f"{source.name} is not canonical", markup=False)
        elif path is not None and not same and not (check or diff):
            write_atomic(path, text.encode())
    if not (check or diff) and files != ["-"]:
        err.print(f"{plural(len(files) - wrong, 'file')} read, {changed} rewritten")
    if wrong or (check and changed):
        raise typer.Exit(1)


def _read(name: str) -> tuple[Source, Path | None, bytes]:
    """The text of a file or of stdin, its path if it has one, and its bytes as they are."""
    if name == "-":
        data = sys.stdin.buffer.read(MAX_FILE + 1)
        return decode(data, "<stdin>"), None, data
    path = Path(name)
    return read_source(path), path, path.read_bytes()


def _formatted(source: Source, path: Path | None, form: Literal["edges", "alpha"] | None) -> str:
    if form is None:
        return format_source(source)
    return format_checked(respell(source, path, form))
