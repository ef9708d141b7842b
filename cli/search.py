"""``robdsl search``: the one-shot search, whole or stage by stage, on one machine or on many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robdsl.graph.load import load_space

from .console import fail, find, settings
from .running import (
    DataOption,
    DeviceOption,
    JsonOption,
    RootOption,
    SeedOption,
    SetOption,
    amount,
    device_of,
    reported,
)
from .search_plan import show_plan
from .search_study import add_commands
from .search_work import (
    EmitOption,
    NameOption,
    ReadersOption,
    StorageOption,
    WorkersOption,
    carry_out,
    spoken,
)

if TYPE_CHECKING:
    from robdsl.data import Data
    from robdsl.graph.net import Space

app = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

add_commands(app)

_SUPERNET, _FINETUNE, _JUDGE = "The supernet", "Finetuning", "Judging"


@app.callback()
def search(
    context: typer.Context,
    space: Annotated[
        str | None,
        typer.Option("--space", help="A shipped space, such as cell-free or cell-based, or a file."),
    ] = None,
    set_: SetOption = None,
    data: DataOption = "digits",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The study's folder.", show_default="runs/search-SPACE-DATA"),
    ] = None,
    trials: Annotated[int, typer.Option(help="Architectures to draw.", min=1)] = 1000,
    sampler: Annotated[str, typer.Option(help="random, budget, nsga2, tpe or predictor.")] = "random",
    budget: Annotated[
        str | None, typer.Option(help="small, medium or large: only nets of so many convolutions a cell.")
    ] = None,
    operation: Annotated[str, typer.Option(help="The operation that a budget counts.")] = "sep_conv_3x3",
    against: Annotated[
        str, typer.Option(help="What nsga2 weighs robustness against: params or macs.")
    ] = "params",
    filter_: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="RULE",
            help="none; quantile:0.25 rejects the worst quarter by FSP; value:1.5 all above.",
        ),
    ] = "none",
    deeper: Annotated[
        float, typer.Option(help="The share of the cells, the deepest, that FSP compares.")
    ] = 0.5,
    method: Annotated[
        str, typer.Option(help="How supernet and finetuning train: pgd, trades, free, fast or natural.")
    ] = "pgd",
    steps: Annotated[int | None, typer.Option(help="Steps of the training attack.")] = None,
    eps: Annotated[str, typer.Option(help="The budget of every attack, such as 8/255.")] = "8/255",
    step_size: Annotated[str, typer.Option(help="The step of every attack, such as 2/255.")] = "2/255",
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Keep channels last in memory.")
    ] = False,
    paths: Annotated[
        str,
        typer.Option(
            help="How the supernet draws sub-networks: uniform, density or sandwich.",
            rich_help_panel=_SUPERNET,
        ),
    ] = "uniform",
    supernet_from: Annotated[
        Path | None,
        typer.Option(
            help="A study of the same stages whose supernet to take, as cell-based may that of cell-free.",
            rich_help_panel=_SUPERNET,
        ),
    ] = None,
    supernet_epochs: Annotated[
        int | None, typer.Option(help="Its epochs.", rich_help_panel=_SUPERNET)
    ] = None,
    supernet_batch: Annotated[
        int | None, typer.Option(help="Images in a batch.", rich_help_panel=_SUPERNET)
    ] = None,
    supernet_lr: Annotated[
        float | None, typer.Option(help="Its learning rate.", rich_help_panel=_SUPERNET)
    ] = None,
    finetune: Annotated[
        int | None,
        typer.Option(
            help="How many architectures are finetuned.", show_default="all", min=0, rich_help_panel=_FINETUNE
        ),
    ] = None,
    choose: Annotated[
        str,
        typer.Option(
            help="Which ones: first (drawn) or best (with inherited weights).", rich_help_panel=_FINETUNE
        ),
    ] = "first",
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs; 0 judges inherited weights.", show_default="3", min=0, rich_help_panel=_FINETUNE
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images in a batch.", rich_help_panel=_FINETUNE)] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", rich_help_panel=_FINETUNE)] = None,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep every net's weights.", rich_help_panel=_FINETUNE)
    ] = False,
    attack: Annotated[
        str, typer.Option(help="The attack on held-out training images.", rich_help_panel=_JUDGE)
    ] = "pgd20",
    images: Annotated[
        int, typer.Option(help="At most so many held-out images.", min=1, rich_help_panel=_JUDGE)
    ] = 1000,
    val_fraction: Annotated[
        float,
        typer.Option(help="Share of the training images that is held out.", rich_help_panel=_JUDGE),
    ] = 0.1,
    eval_batch: Annotated[
        int, typer.Option(help="Images in a batch of it.", min=1, rich_help_panel=_JUDGE)
    ] = 250,
    norm_images: Annotated[
        int,
        typer.Option(help="Training images for batch-norm statistics.", min=1, rich_help_panel=_JUDGE),
    ] = 1024,
    emit: EmitOption = 10,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this stage (may be repeated): supernet, sample, filter, finetune, evaluate, emit."
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Search nothing: measure this machine, and say what the search would cost."
        ),
    ] = False,
    workers: WorkersOption = 1,
    storage: StorageOption = None,
    name: NameOption = None,
    data_root: RootOption = None,
    readers: ReadersOption = 4,
    device: DeviceOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Search a space for robust architectures; the same command goes on after any interruption.

    Supernet, sample, filter, finetune, evaluate, emit: all stages in one go, or each by --stage or by a command of
    its own on the study's folder.

    Example: robdsl search --space cell-free --set width=4 --set layers=3 --data digits --trials 20 --finetune 5 -o runs/s
    """
    if context.invoked_subcommand is not None:
        return
    if space is None:
        raise typer.BadParameter("name the space to search, such as cell-free", param_hint="--space")
    from robdsl.data import canonical_name, joined
    from robdsl.search import Place, Settings, Targets, create_study
    from robdsl.search.heritage import adopt_heritage
    from robdsl.search.recipes import finetune_recipe
    from robdsl.search.settings import read_settings, with_changes
    from robdsl.search.space_file import plain_parameters
    from robdsl.search.supernet.training import supernet_recipe

    where = device_of(device)
    widest, step = amount(eps, "--eps"), amount(step_size, "--step-size")
    with reported(), spoken(), joined(where):
        data_name = canonical_name(data)
        if not 0 < val_fraction < 1:
            raise typer.BadParameter("a share lies between 0 and 1", param_hint="--val-fraction")
        splits: tuple[Data, ...] = () if plan else _splits(data_name, data_root, val_fraction)
        known = _space_for(space, set_, data_name, splits)
        folder = output or Path("runs") / f"search-{known.name}-{data_name}"
        try:
            rule, threshold = _filter_rule(filter_)
            training = {"steps": steps, "eps": eps, "step_size": step_size if method != "fast" else None}
            training |= {"channels_last": channels_last, "seed": seed}
            own = {"epochs": supernet_epochs, "batch": supernet_batch, "lr": supernet_lr}
            if supernet_from is None:
                supernet = with_changes(supernet_recipe(data_name, method), {**training, **own})
            else:
                supernet = read_settings(supernet_from / "study.json").supernet
            fine = with_changes(finetune_recipe(data_name, method), training)
            fine = with_changes(fine, {"epochs": epochs or None, "batch": batch, "lr": lr})
            chosen: dict[str, Any] = {"sampler": sampler, "against": against, "filter": rule}
            study_settings = Settings(
                space=known.name,
                parameters=plain_parameters(known),
                data=data_name,
                data_hashes={each.split: each.split_hash for each in splits},
                val_fraction=val_fraction,
                seed=seed,
                budget=budget,
                operation=operation,
                supernet=supernet,
                paths=paths,
                finetune=None if epochs == 0 else fine,
                norm_images=norm_images,
                attack=attack,
                eps=widest,
                step_size=step,
                images=images,
                batch=eval_batch,
                threshold=threshold,
                deeper=deeper,
                **chosen,
            )
            which: Any = choose
            targets = Targets(trials=trials, finetune=finetune, choose=which)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if plan:
            show_plan(known, study_settings, targets, where, as_json)
            return
        with create_study(folder, study_settings, known, targets, storage, name) as study:
            if supernet_from is not None:
                adopt_heritage(study, supernet_from)
            train, held = splits
            place = Place(train, held, where, readers, keep_weights)
            carry_out(
                study,
                place,
                stage,
                workers=workers,
                emit=emit,
                storage=storage,
                data_root=data_root,
                as_json=as_json,
            )


def _splits(data: str, root: Path | None, val_fraction: float) -> tuple[Data, Data]:
    from robdsl.data import load_data

    return (
        load_data(data, root, "train", val_fraction=val_fraction),
        load_data(data, root, "val", val_fraction=val_fraction),
    )


def _space_for(space: str, set_: list[str] | None, data: str, splits: tuple[Data, ...]) -> Space:
    """The space with as many classes as the data; leaves with 1 when the two do not fit."""
    from robdsl.data import FACTS

    given = settings(set_ or [])
    path = find(space)
    only = space.replace("-", "_") if not Path(space).exists() else None
    known = load_space(path, only, **given)
    if splits and "classes" in known.parameters and "classes" not in given:
        known = load_space(path, only, **given, classes=len(splits[0].classes))
    if known.layout.image != tuple(FACTS[data].shape):
        raise typer.Exit(fail(f"{known.name} takes other images than those of {data}"))
    classes = known.layout.stages[-1].shape[0]
    if splits and classes != len(splits[0].classes):
        raise typer.Exit(fail(f"{known.name} has {classes} classes, and {data} {len(splits[0].classes)}"))
    return known


def _filter_rule(text: str) -> tuple[str, float]:
    kind, _, number = text.partition(":")
    if kind == "none" and not number:
        return kind, 0.0
    try:
        return {"quantile": "quantile", "value": "value"}[kind], float(number)
    except (KeyError, ValueError):
        raise typer.BadParameter(
            f"`{text}` is not none, quantile:SHARE or value:NUMBER", param_hint="--filter"
        ) from None
