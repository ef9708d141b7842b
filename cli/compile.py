"""``robdsl compile``: from a file to a network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robdsl.graph.load import load
from robdsl.graph.net import Net

from .console import fail, find, out, settings, show_diagnostics, show_json, working
from .info import describe_net, headline, net_name
from .passes import TARGETS, pipeline_of, show_passes
from .passes import explain as explain_passes

if TYPE_CHECKING:
    from torch import fx

KINDS = {"py": ".py", "pt2": ".pt2", "onnx": ".onnx", "rob": ".rob", "json": ".json"}  # known without torch


def compile(
    file: Annotated[str, typer.Argument(help="A file, or the name of a shipped net.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write; `-` for the terminal.", show_default="NET.SUFFIX"
        ),
    ] = None,
    emit: Annotated[str, typer.Option(metavar="py|pt2|onnx|rob|json", help="What to write.")] = "py",
    net: Annotated[str | None, typer.Option(help="Which net, where the file defines several.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights for pt2 and onnx.", show_default="fresh ones")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of fresh weights.")] = 0,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Write nothing; show what each pass does to the cost of an attack's step."
        ),
    ] = False,
    target: Annotated[
        str,
        typer.Option(
            metavar="cpu|sm_80|sm_90",
            help="The machine that --explain reckons for and passes are chosen for.",
        ),
    ] = "cpu",
    passes: Annotated[
        str | None,
        typer.Option(
            metavar="PIPELINE",
            help="What to freeze with, such as `fold-norms, dead`, for --explain, --print-after and --time-passes.",
            show_default="what pays on the target",
        ),
    ] = None,
    print_after: Annotated[
        str | None,
        typer.Option(
            metavar="PASS", help="Write nothing; show the code as it is after a pass, such as common."
        ),
    ] = None,
    time_passes: Annotated[
        bool, typer.Option("--time-passes", help="Write nothing; show how long each pass takes.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the report as JSON; with --explain or --time-passes, theirs."),
    ] = False,
) -> None:
    """Check a file, compile its net and write the artifact: by default a readable PyTorch module that needs only torch.

    What passes do to the net (docs/passes.md) is shown by --explain, --print-after and --time-passes.

    Example: robdsl compile robnet_free -o robnet_free.py

    Example: robdsl compile robnet_free --explain --target sm_90
    """
    if emit not in KINDS:
        raise typer.BadParameter(f"`{emit}` is not one of {', '.join(KINDS)}", param_hint="--emit")
    if weights is not None and emit not in ("pt2", "onnx"):
        raise typer.BadParameter(f"a {emit} file holds no weights", param_hint="--weights")
    if target not in TARGETS:
        raise typer.BadParameter(f"`{target}` is not one of {', '.join(TARGETS)}", param_hint="--target")
    shows = explain or print_after is not None or time_passes
    if target != "cpu" and not shows:
        raise typer.BadParameter(
            "it is for --explain, --print-after and --time-passes", param_hint="--target"
        )
    if shows and (output is not None or emit != "py"):
        raise typer.BadParameter(
            "what passes do is shown, and writes nothing: leave out --output and --emit, or the other options",
            param_hint="--output" if output is not None else "--emit",
        )
    if passes is not None and not shows:
        raise typer.BadParameter(
            "artifacts are written as the text has them; passes are for --explain, --print-after, --time-passes",
            param_hint="--passes",
        )
    if as_json and print_after is not None:
        raise typer.BadParameter("code is not JSON: leave out --json", param_hint="--print-after")
    path = find(file)
    started = time.perf_counter()
    found = load(path, net_name(file, path, net), **settings(set_ or []))
    show_diagnostics(found.warnings)
    if shows:
        pipeline = pipeline_of(passes)
        if explain:
            explain_passes(found, target, pipeline, times=time_passes, as_json=as_json)
        if print_after is not None or not explain:
            show_passes(
                found, target, pipeline, print_after, times=time_passes and not explain, as_json=as_json
            )
        return
    written = output or Path(f"{found.name}{KINDS[emit]}")
    if written.exists() and path.exists() and written.samefile(path):
        raise typer.Exit(fail(f"{written} is the file that is being compiled; name another with -o"))
    if str(written) == "-" and emit in ("pt2", "onnx"):
        raise typer.BadParameter(f"a {emit} file is not text", param_hint="--output")

    with working(f"compiling {found.name}"):
        from robdsl.compiler.emit import EmitError, emit_text
        from robdsl.compiler.emit import emit as write

        try:
            if str(written) == "-":
                typer.echo(emit_text(found, emit), nl=False)
                return
            written.parent.mkdir(parents=True, exist_ok=True)
            write(found, emit, written, _model(found, weights, seed) if emit in ("pt2", "onnx") else None)
        except EmitError as error:
            raise typer.Exit(fail(str(error))) from None
    seconds = time.perf_counter() - started
    if as_json:
        show_json(
            {"written": str(written), "emit": emit, "seconds": round(seconds, 3), **describe_net(found)}
        )
        return
    title, *rest = headline(found)
    out.print(f"[bold]{title}[/]")
    for line in rest:
        out.print(f"  {line}")
    out.print(f"wrote {written} ({written.stat().st_size / 1024:,.0f} KiB) in {seconds:.1f} s", markup=False)


def _model(net: Net, weights: Path | None, seed: int) -> fx.GraphModule:
    import robdsl
    from robdsl.weights import WeightsError

    model = robdsl.compile(net, seed=seed)
    try:
        if weights is not None:
            robdsl.load_weights(model, weights)
    except WeightsError as error:
        raise typer.Exit(fail(str(error))) from None
    return model
