"""What all commands share: printing, diagnostics, finding files, reading ``--set``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, RobError, did_you_mean
from robdsl.diagnostics.render import render_all, to_json
from robdsl.diagnostics.source import Source, Span
from robdsl.graph.index import shipped

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
for console in (out, err):
    if not console.is_terminal:
        console.width = 120  # a file or a pipe has no width of its own


def plural(count: int, what: str, many: str | None = None) -> str:
    """``1 file``, ``2 files``; ``many`` where the plural is no mere "s"."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {many or what + 's'}"


def fail(message: str) -> int:
    """Says what is wrong with the input; the exit status for it."""
    err.print(f"[bold red]error[/]: {_plain(message)}")
    return 1


def _plain(text: str) -> str:
    """Text without rich's markup, whatever brackets it holds."""
    from rich.markup import escape

    return escape(text)


def show_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Errors and warnings on stderr, with a line that counts them."""
    found = tuple(diagnostics)
    if not found:
        return
    typer.echo(render_all(found, color=err.is_terminal), err=True)
    typer.echo(f"\n{count_line(found)}", err=True)


def count_line(found: tuple[Diagnostic, ...]) -> str:
    """``2 errors and 1 warning``"""
    errors = sum(each.severity == "error" for each in found)
    warnings = len(found) - errors
    said = [plural(errors, "error")] if errors else []
    return " and ".join(said + ([plural(warnings, "warning")] if warnings else []))


def show_json(value: object) -> None:
    """Plain data as JSON on stdout."""
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def diagnostics_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """Diagnostics as plain data."""
    return [to_json(each) for each in diagnostics]


def find(name: str) -> Path:
    """The file that an argument means: a path, or the bare name of a shipped net or space.

    Raises:
        RobError: it is neither.
    """
    path = Path(name)
    if path.suffix == ".rob" or path.exists() or len(path.parts) > 1:
        return path
    known = {**dict(shipped("space")), **dict(shipped("net"))}
    wanted = name.replace("-", "_")
    if wanted not in known:
        near = did_you_mean(wanted, known) or f"shipped are {', '.join(sorted(known))}"
        problem = f"there is no file `{name}`, and no net or space of that name is shipped"
        raise RobError([codes.WHICH_NET.at(Span(Source(name, ""), 0, 0), problem=problem, help=near)])
    return known[wanted]


def settings(given: list[str]) -> dict[str, object]:
    """``--set classes=100`` as parameters; a value that is no number or boolean is a word."""
    return dict(_setting(each) for each in given)


def _setting(given: str) -> tuple[str, object]:
    name, equals, text = given.partition("=")
    if not equals or not name.isidentifier():
        raise typer.BadParameter(f"`{given}` is not NAME=VALUE", param_hint="--set")
    if text in ("true", "false"):
        return name, text == "true"
    found = number(text)
    if found is not None:
        return name, found
    if not text.isidentifier():
        raise typer.BadParameter(
            f"`{text}` is neither a number, `true`, `false` nor a word", param_hint="--set"
        )
    return name, text


def number(text: str) -> int | float | None:
    """The number that a text is, or None."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something is going on; says nothing elsewhere."""
    if err.is_terminal:
        with err.status(what):
            yield
    else:
        yield
