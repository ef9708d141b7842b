"""What ``robdsl compile`` tells of the passes: their cost, their time, and the graph after one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from robdsl.graph.net import Net

from .console import fail, out, show_json

if TYPE_CHECKING:
    from robdsl.compiler.cost.explain import Explanation
    from robdsl.compiler.passes import Pass

TARGETS = ("cpu", "sm_80", "sm_90")  # known without torch; a test holds them against the cost model's


def pipeline_of(text: str | None) -> tuple[Pass, ...] | None:
    """The pipeline that `--passes` names; leaves with 2 where it names none."""
    from robdsl.compiler.passes import PipelineError, parse_pipeline

    if text is None:
        return None
    try:
        return parse_pipeline(text)
    except PipelineError as error:
        raise typer.BadParameter(str(error), param_hint="--passes") from None


def explain(net: Net, target: str, pipeline: Sequence[Pass] | None, *, times: bool, as_json: bool) -> None:
    """Shows the cost before and after every pass."""
    from robdsl.compiler.cost import MACHINES
    from robdsl.compiler.cost.explain import explain as explained

    found = explained(net, MACHINES[target], pipeline)
    if as_json:
        show_json(_described(net, found))
        return
    machine = found.machine
    out.print(
        f"[bold]{net.name}[/]: one step of an attack, forward and the gradient to the images, in eval mode"
    )
    title = f"{machine.name} ({machine.about}), batch {machine.batch}, float32"
    out.print(
        f"  {title}: at best, as {machine.bandwidth / 1e9:,.0f} GB/s and {machine.flops / 1e9:,.0f} GFLOP/s allow"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("after")
    for name in ("M MACs", "MB an image", "calls", "ms a step", *(("pass took",) if times else ())):
        table.add_column(name, justify="right")
    for row in found.rows:
        cells = [f"{row.work.macs / 1e6:,.0f}", f"{4 * row.work.numbers / 1e6:,.1f}", f"{row.work.calls:,}"]
        cells += [f"{1000 * row.seconds:,.1f}", *([f"{1000 * row.took:,.0f} ms"] if times else [])]
        table.add_row(f"{row.pipeline}: {row.name}", *cells)
    out.print(table)
    if found.choice is not None:
        out.print(f"merging: {found.choice.why()}", markup=False)
    last = found.rows[-1].seconds
    share = (
        f"{last / found.floor:,.1f} times the floor" if found.floor else "no floor, as nothing is multiplied"
    )
    out.print(f"the multiplications alone take {1000 * found.floor:,.1f} ms: {share} is left", markup=False)


def _described(net: Net, found: Explanation) -> dict[str, object]:
    machine = found.machine
    return {
        "net": net.name,
        "target": machine.name,
        "batch": machine.batch,
        "floor_seconds": found.floor,
        "merging": None if found.choice is None else found.choice.why(),
        "passes": [
            {
                "pipeline": row.pipeline,
                "after": row.name,
                "macs": row.work.macs,
                "bytes": 4 * row.work.numbers,
                "calls": row.work.calls,
                "seconds": row.seconds,
                "took": round(row.took, 6),
            }
            for row in found.rows
        ],
    }


def show_passes(
    net: Net, target: str, pipeline: Sequence[Pass] | None, wanted: str | None, *, times: bool, as_json: bool
) -> None:
    """Compiles and freezes a net; shows the code after a pass, or how long each pass took, as JSON if asked."""
    import robdsl
    from robdsl.compiler.cost import MACHINES
    from robdsl.compiler.cost.choose import pipeline_for, training_passes
    from robdsl.compiler.lowered_module import LoweredModule
    from robdsl.compiler.passes import PASSES, graphs_of

    if wanted is not None and wanted not in PASSES:
        raise typer.BadParameter(
            f"there is no pass `{wanted}`; there are {', '.join(PASSES)}", param_hint="--print-after"
        )

    ran: list[dict[str, object]] = []

    def watch(each: Pass, model: LoweredModule, took: float) -> None:
        ran.append({"pipeline": way, "after": each.name, "took": round(took, 6)})
        if times and not as_json:
            out.print(f"{way:8} {each.name:16} {1000 * took:8.1f} ms", markup=False)
        if each.name == wanted:
            shown = dict.fromkeys(graph.code.strip() for graph in graphs_of(model))
            typer.echo(f"# {way}, after {each.name}\n" + "\n\n".join(shown))

    way = "compile"
    machine = MACHINES[target]
    model = robdsl.compile(net, seed=0, passes=training_passes(machine), watch=watch)
    assert isinstance(model, LoweredModule)
    way = "freeze"
    robdsl.freeze(
        model, pipeline_for(model, net.image, machine) if pipeline is None else pipeline, watch=watch
    )
    if as_json:
        show_json({"net": net.name, "passes": ran})
    if wanted is not None and wanted not in {each["after"] for each in ran}:
        raise typer.Exit(
            fail(
                f"`{wanted}` is in neither pipeline for {target}: name another --target, or a pipeline with it by --passes"
            )
        )
