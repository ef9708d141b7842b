"""What a search would cost: measured throughput, and arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .console import out, show_json, working

if TYPE_CHECKING:
    import torch

    from robdsl.graph.net import Space
    from robdsl.search import Settings, Targets

#: How many nets a plan trains from scratch in the end, and on how many devices it looks.
_SCRATCH, _DEVICES = 3, (1, 8, 32)


def show_plan(
    space: Space, settings: Settings, targets: Targets, device: torch.device, as_json: bool
) -> None:
    """Measure this machine, and show what each stage would cost on it."""
    from robdsl.search.plan import make_plan, measure_throughput
    from robdsl.training import recipe_for

    with working(f"measuring {device}"):
        throughput = measure_throughput(space, settings, device)
    recipe = recipe_for(settings.data, settings.supernet.method)
    plan = make_plan(throughput, settings, targets, _SCRATCH, recipe)
    if as_json:
        show_json(
            {**plan.to_json(), "device": str(device), "devices": {str(n): plan.on(n) for n in _DEVICES}}
        )
        return
    measured = ", ".join(f"{name} {value:,.1f}" for name, value in vars(throughput).items())
    out.print(f"measured on {device}, a second (images; for draw, architectures): {measured}")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    table.add_column("hours", justify="right")
    table.add_column("reckoned as", overflow="fold")
    for stage, seconds in plan.seconds.items():
        table.add_row(stage, f"{seconds / 3600:,.2f}", plan.formulas[stage])
    table.add_row("total", f"{plan.total / 3600:,.2f}", "")
    out.print(table)
    for devices in _DEVICES[1:]:
        out.print(f"on {devices} such devices: {plan.on(devices) / 3600:,.2f} hours, if all share evenly")
