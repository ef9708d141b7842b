"""``robdsl import`` and ``robdsl export``: other people's codes in, and back out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from robdsl.files import write_atomic
from robdsl.genotypes import FORMATS, GenotypeError, read_genotypes, write_genotype
from robdsl.genotypes.literals import MAX_TEXT
from robdsl.graph.load import load
from robdsl.graph.net import Net
from robdsl.graph.values import is_name
from robdsl.graph.writer import format_net

from .console import err, fail, find, plural, settings, show_diagnostics
from .info import net_name

_NAMES = "|".join(FORMATS)


def import_(
    code: Annotated[
        str,
        typer.Argument(help="A file that holds codes, a code itself, or `-` for stdin.", show_default=False),
    ],
    format: Annotated[
        str | None,
        typer.Option("--from", metavar=_NAMES, help="Whose code it is.", show_default="what it looks like"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write.", show_default="the terminal")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the net is called.", show_default="as in the text")
    ] = None,
) -> None:
    """Read other people's codes as .rob: RobNets lists, DARTS genotypes, NAS-Bench-201 and aw_nas strings.

    Example: robdsl import "|none~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|" -o mine.rob
    """
    _known(format, "--from")
    if name is not None and not is_name(name):
        raise typer.BadParameter(
            f"`{name}` is no name: letters, digits and `_`, and no keyword", param_hint="--name"
        )
    try:
        nets = read_genotypes(_text(code), format=format, name=name)
    except GenotypeError as error:
        raise typer.Exit(fail(str(error))) from None
    written = _together(nets)
    if output is None:
        typer.echo(written, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(output, written.encode())
    err.print(f"wrote {plural(len(nets), 'net')} to {output}", markup=False)


def export(
    file: Annotated[str, typer.Argument(help="A file, or the name of a shipped net.", show_default=False)],
    format: Annotated[str, typer.Option("--as", metavar=_NAMES, help="Whose code to write.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write.", show_default="the terminal")
    ] = None,
    net: Annotated[str | None, typer.Option(help="Which net, where the file defines several.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value.")
    ] = None,
) -> None:
    """Write a net as the code that other tools read.

    Example: robdsl export robnet_free --as robnets
    """
    _known(format, "--as")
    path = find(file)
    found = load(path, net_name(file, path, net), **settings(set_ or []))
    show_diagnostics(found.warnings)
    try:
        written = write_genotype(found, format) + "\n"
    except GenotypeError as error:
        raise typer.Exit(fail(str(error))) from None
    if output is None:
        typer.echo(written, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(output, written.encode())
    err.print(f"wrote {output}", markup=False)


def _known(format: str | None, option: str) -> None:
    if format is not None and format not in FORMATS:
        raise typer.BadParameter(f"`{format}` is not one of {', '.join(FORMATS)}", param_hint=option)


def _text(code: str) -> str:
    if code == "-":
        return sys.stdin.buffer.read(MAX_TEXT * 4).decode("utf-8", errors="replace")
    if any(sign in code for sign in "[(|"):  # a code is not looked for as a file
        return code
    with Path(code).open("rb") as file:
        return file.read(MAX_TEXT * 4).decode("utf-8", errors="replace")


def _together(nets: list[Net]) -> str:
    """One file of all nets; what they use stands once, at the top."""
    uses: dict[str, None] = {}
    bodies: list[str] = []
    for net in nets:
        lines = format_net(net).splitlines()
        uses.update((line, None) for line in lines if line.startswith("use "))
        bodies.append("\n".join(line for line in lines if not line.startswith("use ")).strip())
    return "\n".join(uses) + "\n\n" + "\n\n".join(bodies) + "\n"
