"""The ``robdsl`` command."""

from __future__ import annotations

import os
import sys

import typer

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.canonical import TooSymmetric
from robdsl.graph.sampling import Uncountable
from robdsl.graph.writer import NotWritable
from robdsl.syntax.formatter import FormatError

from . import (
    analyze,
    attack,
    check,
    compile,
    diff,
    doctor,
    fmt,
    genotypes,
    info,
    lift,
    lsp,
    search,
    tables,
    train,
    tune,
    viz,
)
from .console import fail, show_diagnostics

app = typer.Typer(
    name="robdsl",
    help="Architectures as text: check, compile, train and attack them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("check")(check.check)
app.command("fmt")(fmt.fmt)
app.command("info")(info.info)
app.command("compile")(compile.compile)
app.command("import")(genotypes.import_)
app.command("export")(genotypes.export)
app.command("lift")(lift.lift)
app.command("train")(train.train)
app.command("attack")(attack.attack)
app.command("tune")(tune.tune)
app.command("tables")(tables.tables)
app.add_typer(search.app, name="search")
app.command("viz")(viz.viz)
app.command("diff")(diff.diff)
app.command("doctor")(doctor.doctor)
app.command("lsp")(lsp.lsp)
app.command("analyze")(analyze.analyze)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Show the version and leave.")) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"robdsl {installed('robdsl')}")
        raise typer.Exit


def main() -> int:
    """Runs the command; the exit status is 0, 1 (the input is wrong) or 2 (the call is wrong)."""
    try:
        app()
    except RobError as error:
        show_diagnostics(error.diagnostics)
        return 1
    except (FormatError, NotWritable, TooSymmetric, Uncountable) as error:
        return fail(str(error))
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # so that closing it at exit stays silent
        return 1
    except OSError as error:
        return fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    return 0
