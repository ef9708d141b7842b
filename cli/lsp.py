"""``robdsl lsp``: the language server, for editors."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import fail


def lsp(
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Speak over standard input and output, as it does anyway.")
    ] = True,
) -> None:
    """Answer an editor's questions about .rob files (Language Server Protocol, over standard input and output).

    Editors start it themselves: see docs/editor.md.

    Example: robdsl lsp --stdio
    """
    try:
        from robdsl.editor.server import make_server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        fail(f'the language server needs `{error.name}`; install it with: pip install "robdsl[lsp]"')
        raise typer.Exit(1) from None
    make_server().start_io()
