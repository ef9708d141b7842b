"""``robdsl attack``: natural and robust accuracy, a row of the paper's tables."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from .attack_report import show_findings, show_report
from .console import err, fail, out, show_json
from .progress import Line, show_evaluation
from .running import (
    DataOption,
    DeviceOption,
    File,
    GraphsOption,
    JsonOption,
    LoadersOption,
    NetOption,
    RootOption,
    SeedOption,
    SetOption,
    amount,
    command_line,
    device_of,
    is_first,
    net_for,
    replayed,
    reported,
)
from .stopping import stoppable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from robdsl.attacks import Attack
    from robdsl.graph.net import Net


def attack(
    file: File,
    weights: Annotated[
        Path, typer.Option(help="Weights of the net: ours, or a published checkpoint.", show_default=False)
    ],
    data: DataOption = "digits",
    attacks: Annotated[
        str,
        typer.Option(
            "--attack",
            help="A list with commas of fgsm, bim, pgd, mi_fgsm, deepfool, cw, cw_l2, apgd_ce, apgd_t, fab_t, square "
            "and autoattack. A number sets the steps, as in pgd100; _l2 the norm, as in pgd100_l2.",
        ),
    ] = "fgsm,pgd20",
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    eps: Annotated[
        str | None, typer.Option(help="The budget, such as 4/255.", show_default="8/255, in L2 128/255")
    ] = None,
    step_size: Annotated[
        str | None,
        typer.Option(help="The step of bim, pgd, cw and mi_fgsm.", show_default="2/255, in L2 15/255"),
    ] = None,
    restarts: Annotated[
        int, typer.Option(help="Random starts of pgd, cw, apgd_ce, fab_t and square.", min=1)
    ] = 1,
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
    cuda_graphs: GraphsOption = False,
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
    workers: LoadersOption = 4,
    device: DeviceOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Attack a net and count what it still gets right; the same command goes on after any interruption.

    The report goes to report.json in the folder, or beside those of other attacks, as report-2.json and so on.

    Example: robdsl attack runs/robnet_small-digits-pgd/net.rob --weights runs/robnet_small-digits-pgd/best.safetensors
    """
    import robdsl
    from robdsl.attacks.core.graphed import graphed_steps
    from robdsl.data import joined, load_data
    from robdsl.evaluation import evaluate, keep_report

    if split not in ("test", "val", "train"):
        raise typer.BadParameter(f"`{split}` is not one of test, val, train", param_hint="--split")
    if (source is None) != (source_weights is None):
        raise typer.BadParameter("a source is a net with its weights: give both", param_hint="--source")
    chosen = _chosen(attacks, eps, step_size, restarts, precision)
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
        made_on, other = None, None
        if source is not None and source_weights is not None:
            made_on = net_for(source, None, set_, images)
            other = _model(made_on, source_weights, place, frozen=frozen)
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
            err.print(replayed(graphs, place), markup=False)
    show_findings(report.findings)
    if as_json:
        show_json({**beside, **report.to_json(), "report": str(kept)})
    else:
        show_report(found, report, per_class=per_class, source=made_on)
        out.print(f"report: {kept}", markup=False)


def _chosen(
    names: str, eps: str | None, step_size: str | None, restarts: int, precision: str
) -> tuple[Attack, ...]:
    """The attacks with their settings; a usage error, at its option, where one makes no sense."""
    from robdsl.attacks import L2_EPS, Precision, parse_attacks

    try:
        kinds = parse_attacks(names)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--attack") from None
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise typer.BadParameter(f"`{precision}` is not one of {known}", param_hint="--precision")
    # A pixel moves by no more than 1; many of them together may.
    largest = 1 if any(each.norm == "linf" for each in kinds) else None
    options: dict[str, object] = {"precision": precision, "restarts": restarts}
    for name, text in (("eps", eps), ("step_size", step_size)):
        if text is not None:
            options[name] = amount(text, "--" + name.replace("_", "-"), largest)
    chosen = parse_attacks(names, **options)
    return tuple(replace(each, eps=L2_EPS) if each.eps is None else each for each in chosen)


def _model(net: Net, weights: Path, device: torch.device, *, frozen: bool) -> nn.Module:
    import robdsl

    model = robdsl.compile(net)
    robdsl.load_weights(model, weights)
    model = model.to(device).eval()
    return robdsl.freeze(model) if frozen else model


def _behind(backend: str, attack: Attack) -> Attack:
    """The same attack in another library's hands."""
    from robdsl.attacks.backends import MissingBackendError, UnsupportedAttackError, get_backend

    try:
        return get_backend(backend).adapt(attack)
    except MissingBackendError as error:
        raise typer.Exit(fail(str(error))) from None
    except (UnsupportedAttackError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--backend") from None
