"""The commands on a study that is there: a stage of it, a worker, its state, its bank, training from scratch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import out, plural, show_json
from .progress import Line
from .running import (
    BatchOption,
    DeviceOption,
    EpochsOption,
    JsonOption,
    MethodOption,
    RateOption,
    RootOption,
    StepsOption,
    check_method,
    device_of,
    reported,
)
from .search_work import (
    EmitOption,
    KeepOption,
    NameOption,
    ReadersOption,
    Show,
    StorageOption,
    StudyArgument,
    WorkersOption,
    carry_out,
    job_for,
    show_comparison,
    show_correlations,
    show_status,
    spoken,
)

_STAGES = {
    "supernet": "Train the supernet of a study, or go on with it.",
    "sample": "Draw the architectures of a study.",
    "filter": "Measure a study's architectures with inherited weights, and reject by FSP what its rule says.",
    "finetune": "Finetune architectures on inherited weights; keep their weights for `evaluate`.",
    "evaluate": "Attack the finetuned architectures on held-out training images.",
    "emit": "Write the best architectures as .rob files.",
}


def add_commands(app: typer.Typer) -> None:
    """Add the commands to those of a search."""
    for name, help in _STAGES.items():
        _add_stage(app, name, help)
    app.command("worker")(worker)
    app.command("status")(status)
    app.command("export")(export)
    app.command("retrain")(retrain)


def _add_stage(app: typer.Typer, name: str, help: str) -> None:
    def stage(
        study: StudyArgument,
        workers: WorkersOption = 1,
        emit: EmitOption = 10,
        keep_weights: KeepOption = False,
        storage: StorageOption = None,
        name_: NameOption = None,
        data_root: RootOption = None,
        readers: ReadersOption = 4,
        device: DeviceOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _work(study, [name], workers, emit, keep_weights, storage, name_, data_root, readers, device, as_json)

    stage.__doc__ = f"{help}\n\nExample: robdsl search {name} runs/s"
    app.command(name)(stage)


def worker(
    study: StudyArgument,
    stage: Annotated[
        list[str] | None, typer.Option(help="Only this stage (may be repeated); all but emit otherwise.")
    ] = None,
    workers: WorkersOption = 1,
    keep_weights: KeepOption = False,
    storage: StorageOption = None,
    name: NameOption = None,
    data_root: RootOption = None,
    readers: ReadersOption = 4,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work on a study together with whoever else does, on this machine or elsewhere, until it is done.

    The folder may be shared by all machines, or a copy: it holds the settings and the supernet, trials are in the storage.

    Example: robdsl search worker runs/s --storage postgresql+psycopg://me@server/search
    """
    stages = stage or ["supernet", "sample", "filter", "finetune", "evaluate"]
    _work(study, stages, workers, 0, keep_weights, storage, name, data_root, readers, device, as_json)


def _work(
    folder: Path,
    stages: list[str],
    workers: int,
    emit: int,
    keep_weights: bool,
    storage: str | None,
    name: str | None,
    data_root: Path | None,
    readers: int,
    device: str | None,
    as_json: bool,
) -> None:
    from robdsl.data import joined
    from robdsl.search import open_study
    from robdsl.search.crew import place_for

    where = device_of(device)
    with reported(), spoken(), joined(where), open_study(folder, storage, name, read_only=False) as study:
        place = place_for(study.settings, data_root, where, readers=readers, keep_weights=keep_weights)
        carry_out(
            study,
            place,
            stages,
            workers=workers,
            emit=emit,
            storage=storage,
            data_root=data_root,
            as_json=as_json,
        )


def status(
    study: StudyArgument, storage: StorageOption = None, name: NameOption = None, as_json: JsonOption = False
) -> None:
    """Say what a study is doing, what it has found so far, and how long the rest will take.

    Example: robdsl search status runs/s --json
    """
    from robdsl.search import open_study, status_of

    with spoken(), open_study(study, storage, name) as opened:
        found = status_of(opened)
    if as_json:
        show_json({**found.to_json(), "folder": str(study)})
    else:
        show_status(found)


def export(
    study: StudyArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A .parquet or a .jsonl file.", show_default=False)
    ],
    storage: StorageOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the bank of a study, finished or not: a row an architecture, with all that is known of it.

    Example: robdsl search export runs/s -o bank.parquet
    """
    from robdsl.search import open_study, write_bank
    from robdsl.search.bank import bank_of

    if output.suffix not in (".parquet", ".jsonl"):
        raise typer.BadParameter(f"{output} is neither a .parquet nor a .jsonl file", param_hint="--output")
    with spoken(), open_study(study, storage, name) as opened:
        bank = bank_of(opened.rows())
        write_bank(bank, output)
    if as_json:
        show_json({"bank": str(output), "architectures": len(bank)})
    else:
        out.print(f"{output}: {plural(len(bank), 'architecture')}", markup=False)


def retrain(
    study: StudyArgument,
    best: Annotated[int, typer.Option(help="How many of the best.", min=0)] = 1,
    spread: Annotated[
        int, typer.Option(help="And so many evenly over all that were measured; 1 is the median.", min=0)
    ] = 0,
    median: Annotated[
        int, typer.Option(help="And so many around the median of all that were measured.", min=0)
    ] = 0,
    epochs: EpochsOption = None,
    method: MethodOption = "pgd",
    steps: StepsOption = None,
    batch: BatchOption = None,
    lr: RateOption = None,
    emit: EmitOption = 10,
    workers: WorkersOption = 1,
    storage: StorageOption = None,
    name: NameOption = None,
    data_root: RootOption = None,
    readers: ReadersOption = 4,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train what a study found from scratch, judge it on held-out training images, and set it beside the median.

    Example: robdsl search retrain runs/s --best 5 --median 5
    """
    from robdsl.search import emit as write_best
    from robdsl.search import open_study, status_of
    from robdsl.search import retrain as run
    from robdsl.search.choosing import around_median, ranked, ranked_as_inherited
    from robdsl.search.choosing import spread as evenly
    from robdsl.search.comparison import compare
    from robdsl.search.crew import place_for, run_crew
    from robdsl.training import recipe_for

    check_method(method)
    where = device_of(device)
    with reported(), spoken(), open_study(study, storage, name, read_only=False) as opened, Line() as line:
        settings = opened.settings
        changes: dict[str, Any] = {"epochs": epochs, "steps": steps, "batch": batch, "lr": lr}
        if method != "fast":
            changes["step_size"] = settings.step_size
        try:
            recipe = recipe_for(
                settings.data,
                method,
                eps=settings.eps,
                channels_last=settings.supernet.channels_last,
                **{key: value for key, value in changes.items() if value is not None},
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        bank = opened.rows()
        finest, measured = ranked(bank), ranked_as_inherited(bank)
        middle = around_median(measured, median)
        others = evenly(measured, spread) if measured else []
        wanted = {row["trial"]: row for row in [*finest[:best], *middle, *others]}
        place, show = place_for(settings, data_root, where, readers=readers), Show(opened, line)
        if workers == 1:
            run(opened, place, recipe, list(wanted.values()), show)
        else:
            job = job_for(opened, place, (), workers, storage, data_root)
            job = replace(job, scratch=(tuple(wanted), recipe))
            run_crew(job, workers, lambda: show.retrained(tuple(wanted)))
        write_best(opened, emit)
        rows = {row["trial"]: row for row in opened.rows()}
        found = status_of(opened)
    places = {row["trial"]: place + 1 for place, row in enumerate(measured)}
    best_ones = {row["trial"]: place + 1 for place, row in enumerate(finest[:best])}
    told = [
        {"best": best_ones.get(number), "rank": places[number], **_scratch_row(rows[number])}
        for number in wanted
    ]
    groups = [[rows[row["trial"]] for row in group] for group in (finest[:best], middle)]
    compared = compare(*groups) if all(groups) else None
    if as_json:
        correlations = {pair: each.to_json() for pair, each in found.correlations.items()}
        beside = None if compared is None else compared.to_json()
        show_json(
            {"retrained": told, "measured": len(measured), "compared": beside, "correlations": correlations}
        )
        return
    for row in told:
        which = (
            f"best {row['best']}" if row["best"] else f"rank {row['rank']} of {len(measured)} as inherited"
        )
        out.print(
            f"{which}, trial {row['trial']}: robust {100 * row['robust_scratch']:.1f}%, "
            f"natural {100 * row['natural_scratch']:.1f}% from scratch ({row['examples']} images)"
        )
    if compared is not None:
        show_comparison(compared)
    show_correlations(found)


def _scratch_row(row: dict[str, Any]) -> dict[str, Any]:
    names = (
        "trial", "robust_scratch", "natural_scratch", "robust_finetuned", "robust_inherited", "examples", "params",
    )  # fmt: skip
    return {name: row.get(name) for name in names}
