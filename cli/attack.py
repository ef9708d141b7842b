"""``robdsl attack``: natural and robust accuracy, a row of the paper's tables."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import err, fail, out, plural, show_json
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
from .stopping import stoppable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from robdsl.attacks import Attack
    from robdsl.attacks.core.graphed import StepGraphs
    from robdsl.evaluation import Accuracy, AttackReport, Report
    from robdsl.graph.net import Net


def attack(
    file: File,
    weights: Annotated[
        Path, typer.Option(help="Weights of the net: ours, or a published checkpoint.", show_default=False)
    ],
    data: DataOption = "digits",
    attacks: Annotated[
        str, typer.Option("--attack", help="A list such as fgsm,pgd20,pgd100,deepfool,mi_fgsm,cw,autoattack.")
    ] = "fgsm,pgd20",
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    eps: Annotated[str, typer.Option(help="The budget, such as 8/255.")] = "8/255",
    step_size: Annotated[
        str | None, typer.Option(help="The step of iterated attacks, such as 2/255.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many images.", min=1)] = None,
    batch: Annotated[
        int, typer.Option(help="Images in a batch; part of what random draws depend on.", min=1)
    ] = 256,
    backend: Annotated[
        str, typer.Option(help="robdsl, or to cross-check: torchattacks, foolbox, art.")
    ] = "robdsl",
    source: Annotated[
        str | None, typer.Option(help="Make the images on this net instead (black-box transfer).")
    ] = None,
    source_weights: Annotated[Path | None, typer.Option(help="The weights of --source.")] = None,
    precision: Annotated[str, typer.Option(help="inherit, float32, tf32 or bf16.")] = "inherit",
    frozen: Annotated[
        bool,
        typer.Option(
            "--frozen/--not-frozen",
            help="Attack a frozen model, which counts the same faster; other backends attack the compiled one.",
        ),
    ] = True,
    cuda_graphs: Annotated[
        bool,
        typer.Option(
            "--cuda-graphs",
            help="Replay the steps of PGD, BIM and C&W as one CUDA graph each: for small batches, bound by launches.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to keep findings and reports.", show_default="runs/attack-NET-DATA"
        ),
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

    The report goes to report.json in the folder, or beside those of other attacks, as report-2.json and so on.

    Example: robdsl attack runs/robnet_small-digits-pgd/net.rob --weights runs/robnet_small-digits-pgd/best.safetensors
    """
    import robdsl
    from robdsl.attacks import UnknownAttackError, parse_attacks
    from robdsl.attacks.core.graphed import graphed_steps
    from robdsl.data import joined, load_data
    from robdsl.evaluation import evaluate, keep_report

    if split not in ("test", "val", "train"):
        raise typer.BadParameter(f"`{split}` is not one of test, val, train", param_hint="--split")
    if "/" not in eps and eps.replace(".", "", 1).isdigit() and float(eps) > 1:
        raise typer.BadParameter(f"images are in [0, 1]; did you mean {eps}/255?", param_hint="--eps")
    if (source is None) != (source_weights is None):
        raise typer.BadParameter("a source is a net with its weights: give both", param_hint="--source")
    options = {"eps": eps, "step_size": step_size, "precision": precision}
    try:
        chosen = parse_attacks(
            attacks, **{name: value for name, value in options.items() if value is not None}
        )
    except (UnknownAttackError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--attack") from None
    if backend != "robdsl":
        if cuda_graphs:
            raise typer.BadParameter("only robdsl's own attacks can be recorded", param_hint="--cuda-graphs")
        chosen = tuple(_behind(backend, each) for each in chosen)
    place = device_of(device)
    with reported(), joined(place):
        images = load_data(data, data_root, split)  # type: ignore[arg-type]  # one of the three, as checked above
        images = images if limit is None else images.take(limit)
        found = net_for(file, net, set_, images)
        frozen = frozen and backend == "robdsl"
        model = _model(found, weights, place, frozen=frozen)
        other = None
        if source is not None and source_weights is not None:
            other = _model(net_for(source, None, set_, images), source_weights, place, frozen=frozen)
        folder = output or Path("runs") / f"attack-{found.name}-{images.facts.name}"
        with (
            stoppable(lambda: f"what was found so far is kept in {folder}"),
            Line() as line,
            graphed_steps() if cuda_graphs else nullcontext() as graphs,
        ):
            report = evaluate(
                model,
                images,
                chosen,
                source=other,
                batch=batch,
                seed=seed,
                folder=folder,
                events=(lambda event: show_evaluation(line, event)) if is_first() else None,
                architecture=robdsl.format(found),
                command=command_line(),
                workers=workers,
            )
        if not is_first():
            return
        beside = {"net": found.name, "paper_row": report.paper_row(found.cost.params)}
        kept = keep_report(folder, report, **beside)
        if graphs is not None:
            err.print(_replayed(graphs, place), markup=False)
    if as_json:
        show_json({**beside, **report.to_json(), "report": str(kept)})
    else:
        _show(found, report, per_class)
        out.print(f"report: {kept}", markup=False)


def _model(net: Net, weights: Path, device: torch.device, *, frozen: bool) -> nn.Module:
    import robdsl

    model = robdsl.compile(net)
    robdsl.load_weights(model, weights)
    model = model.to(device).eval()
    return robdsl.freeze(model) if frozen else model


def _replayed(graphs: StepGraphs, device: torch.device) -> str:
    """What `--cuda-graphs` came to."""
    if device.type != "cuda":
        return f"--cuda-graphs: there is no graph on {device.type}; steps were taken one by one"
    said = f"--cuda-graphs: {plural(graphs.replays, 'step')} replayed, {graphs.plain:,} taken one by one"
    return said if graphs.reason is None else f"{said}; a step could not be recorded: {graphs.reason}"


def _behind(backend: str, attack: Attack) -> Attack:
    """The same attack in another library's hands."""
    from robdsl.attacks.backends import MissingBackendError, UnsupportedAttackError, get_backend

    try:
        return get_backend(backend).adapt(attack)
    except MissingBackendError as error:
        raise typer.Exit(fail(str(error))) from None
    except (UnsupportedAttackError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--backend") from None


def _show(net: Net, report: Report, per_class: bool) -> None:
    out.print(f"[bold]{net.name}[/] on {report.data} ({report.split}, {report.natural.total:,} images)")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for name in ("accuracy", "right", "95% interval", "forward", "backward", "seconds"):
        table.add_column(name, justify="right")
    rows: list[tuple[str, Accuracy, tuple[Accuracy, ...], AttackReport | None]]
    rows = [("natural", report.natural, report.natural_per_class, None)]
    rows += [(each.name, each.robust, each.per_class, each) for each in report.attacks]
    if len(report.attacks) > 1:
        rows.append(("worst case", report.worst_case, report.worst_case_per_class, None))
    for name, accuracy, _, cost in rows:
        low, high = accuracy.interval
        cells = [
            f"{100 * accuracy.share:.2f}%",
            f"{accuracy.correct:,}/{accuracy.total:,}",
            f"{100 * low:.1f} to {100 * high:.1f}",
        ]
        cells += [f"{cost.forward:,}", f"{cost.backward:,}", f"{cost.seconds:.1f}"] if cost else ["", "", ""]
        table.add_row(name, *cells)
    out.print(table)
    if per_class:
        out.print(_class_table(report.classes, [(name, classes) for name, _, classes, _ in rows]))
    row = report.paper_row(net.cost.params)
    out.print(
        "paper's row: " + ", ".join(f"{key} {value}" for key, value in row.items() if value is not None)
    )


def _class_table(classes: tuple[str, ...], columns: list[tuple[str, tuple[Accuracy, ...]]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("class")
    for name, _ in columns:
        table.add_column(name, justify="right")
    for place, label in enumerate(classes):
        table.add_row(label, *(f"{100 * accuracies[place].share:.1f}%" for _, accuracies in columns))
    return table
