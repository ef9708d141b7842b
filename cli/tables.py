"""``robdsl tables``: the paper's Tables 1, 2 and 4 on one data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import out, show_json
from .progress import Line, show_evaluation, show_training
from .running import (
    DataOption,
    DeviceOption,
    JsonOption,
    RootOption,
    SeedOption,
    command_line,
    device_of,
    is_first,
    reported,
)
from .stopping import stoppable

if TYPE_CHECKING:
    from robdsl.reproduction import RowEvent


def tables(
    data: DataOption = "digits",
    only: Annotated[str | None, typer.Option(help="Only these nets, such as resnet18,robnet_free.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the training attack.")] = None,
    frozen: Annotated[
        bool,
        typer.Option(
            "--frozen/--not-frozen", help="Attack frozen models, which count the same up to rounding, faster."
        ),
    ] = True,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to work.", show_default="runs/tables-DATA")
    ] = None,
    data_root: RootOption = None,
    device: DeviceOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train and attack every net of the paper's Tables 1, 2 and 4; the same command goes on after any interruption.

    With --data cifar10 these are the paper's tables. On digits the nets are far smaller, are trained briefly for twice the
    paper's budget and attacked on 100 images, and the tables say so.

    Example: robdsl tables --data digits --only robnet_small
    """
    from robdsl.data import canonical_name, joined
    from robdsl.reproduction import make_tables, version_for

    place = device_of(device)
    with reported(), joined(place):
        name = canonical_name(data)
        version = version_for(name)
        if only is not None:
            wanted = [each.strip() for each in only.split(",")]
            names = [row.name for row in version.rows]
            unknown = [each for each in wanted if each not in names]
            if unknown:
                raise typer.BadParameter(
                    f"no row is called {unknown[0]}: there are {', '.join(names)}",
                    param_hint="--only",
                )
            version = replace(version, rows=tuple(row for row in version.rows if row.name in wanted))
        changes = {key: value for key, value in (("epochs", epochs), ("steps", steps)) if value is not None}
        folder = output or Path("runs") / f"tables-{name}"
        with stoppable(lambda: f"what is finished is kept in {folder}"), Line() as line:
            made = make_tables(
                version,
                name,
                folder,
                root=data_root,
                device=place,
                seed=seed,
                changes=changes,
                frozen=frozen,
                events=(lambda event: _show(line, event)) if is_first() else None,
                command=command_line(),
            )
        if is_first():
            if as_json:
                show_json(made.to_json())
            else:
                out.print(made.markdown(), markup=False)


def _show(line: Line, event: RowEvent) -> None:
    from robdsl.evaluation import EvaluationProgress

    line.prefix = f"{event.row}, {event.what}: "
    if isinstance(event.event, EvaluationProgress):
        show_evaluation(line, event.event)
    else:
        show_training(line, event.event)
