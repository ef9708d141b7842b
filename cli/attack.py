"""``robdsl attack``: natural and robust accuracy, a row of the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import fail, out, show_json
from .progress import Line, show_evaluation
from .running import (
    DataOption,
    DeviceOption,
    File,
    JsonOption,
    NetOption,
    RootOption,
    SeedOption,
    SetOption,
    command_line,
    device_of,
    is_first,
    net_for,
    reported,
)

if TYPE_CHECKING:
    from robdsl.evaluation import Accuracy, Report


def attack(
    file: File,
    weights: Annotated[Path, typer.Option(help="Weights of the net: ours, or a published checkpoint.", show_default=False)],
    data: DataOption = "digits",
    attacks: Annotated[str, typer.Option("--attack", help="A list such as fgsm,pgd20,pgd100,deepfool,mi_fgsm,cw,autoattack.")] = "fgsm,pgd20",
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    eps: Annotated[str, typer.Option(help="The budget, such as 8/255.")] = "8/255",
    step_size: Annotated[str | None, typer.Option(help="The step of iterated attacks, such as 2/255.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many images.", min=1)] = None,
    batch: Annotated[int, typer.Option(help="Images in a batch; part of what random draws depend on.", min=1)] = 256,
    backend: Annotated[str, typer.Option(help="robdsl, or to cross-check: torchattacks, foolbox, art.")] = "robdsl",
    source: Annotated[str | None, typer.Option(help="Make the images on this net instead (black-box transfer).")] = None,
    source_weights: Annotated[Path | None, typer.Option(help="The weights of --source.")] = None,
    precision: Annotated[str, typer.Option(help="inherit, float32, tf32 or bf16.")] = "inherit",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to keep findings and report.  [default: runs/attack-NET-DATA]")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Show every class as well.")] = False,
    net: NetOption = None,
    set_: SetOption = None,
    data_root: RootOption = None,
    workers: Annotated[int, typer.Option(help="Reading processes for data that stay on disk.")] = 4,
    device: DeviceOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Attack a net and count what it still gets right; the same command goes on after any interruption.

    Example: robdsl attack runs/robnet_small-digits-pgd/net.rob --weights runs/robnet_small-digits-pgd/best.safetensors
    """
    raise typer.Exit(fail("written with the evaluation's second half"))
