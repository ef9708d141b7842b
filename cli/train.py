"""``robdsl train``: natural and adversarial training."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from .console import err, out, show_json
from .progress import Line, show_training
from .running import (
    BatchOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    File,
    GraphsOption,
    JsonOption,
    LoadersOption,
    MethodOption,
    NetOption,
    RateOption,
    RootOption,
    SeedOption,
    SetOption,
    StepsOption,
    amount,
    check_method,
    command_line,
    device_of,
    is_first,
    net_for,
    replayed,
    reported,
)
from .stopping import TrainingKept, stoppable


def train(
    file: File,
    data: DataOption = "digits",
    method: MethodOption = "pgd",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run's folder.", show_default="runs/NET-DATA-METHOD"),
    ] = None,
    epochs: EpochsOption = None,
    batch: BatchOption = None,
    lr: RateOption = None,
    eps: Annotated[str | None, typer.Option(help="The attack's budget, such as 8/255.")] = None,
    step_size: Annotated[str | None, typer.Option(help="The attack's step, such as 2/255.")] = None,
    steps: StepsOption = None,
    cutout: Annotated[
        int | None, typer.Option(help="Side of a square of zeros in each training image, even.")
    ] = None,
    average: Annotated[float | None, typer.Option(help="Decay of a moving average of the weights.")] = None,
    clip: Annotated[float | None, typer.Option(help="The largest norm of the gradient.")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute under autocast to bfloat16.")] = False,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Keep channels last in memory.")
    ] = False,
    checkpoint_batches: Annotated[
        int | None, typer.Option(help="Batches between checkpoints inside an epoch; 0 for one an epoch.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights to start from.", show_default="fresh ones")
    ] = None,
    cuda_graphs: GraphsOption = False,
    net: NetOption = None,
    set_: SetOption = None,
    data_root: RootOption = None,
    workers: LoadersOption = 4,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard scalars beside the history.")
    ] = False,
    device: DeviceOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a net; the same command goes on after any interruption.

    The recipe is the published one of the RobNets, but for digits, which need far less. On several GPUs:
    torchrun --nproc-per-node 8 -m robdsl train robnet_free --data cifar10

    Example: robdsl train robnet_small --set width=8 --set layers=4 --data digits --epochs 10
    """
    import robdsl
    from robdsl.attacks.core.graphed import graphed_steps
    from robdsl.data import joined, load_data
    from robdsl.training import Event, Started, TensorBoard, recipe_for, tell
    from robdsl.training import train as run

    check_method(method)
    place = device_of(device)
    with reported(), joined(place):
        train_data = load_data(data, data_root, "train")
        val_data = load_data(data, data_root, "val")
        found = net_for(file, net, set_, train_data)
        changes = {
            "epochs": epochs, "batch": batch, "lr": lr, "steps": steps, "cutout": cutout,
            "eps": None if eps is None else amount(eps, "--eps"),
            "step_size": None if step_size is None else amount(step_size, "--step-size"),
            "average": average, "clip": clip, "checkpoint_batches": checkpoint_batches,
        }  # fmt: skip
        try:
            recipe = recipe_for(
                train_data.facts.name,
                method=method,
                bf16=bf16,
                channels_last=channels_last,
                seed=seed,
                **{name: value for name, value in changes.items() if value is not None},
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        text = robdsl.format(found)
        folder = output or Path("runs") / f"{found.name}-{train_data.facts.name}-{method}"
        model = robdsl.compile(found, seed=seed)
        if weights is not None:
            robdsl.load_weights(model, weights)
        model.to(place)

        def keep_text(event: Event) -> None:
            if isinstance(event, Started):  # from now on whatever weights there are can be attacked
                robdsl.files.write_atomic(folder / "net.rob", text.encode())

        board = TensorBoard(folder / "tensorboard") if tensorboard and is_first() else None
        kept = TrainingKept(recipe.checkpoint_batches)
        with (
            stoppable(kept),
            Line() as line,
            graphed_steps() if cuda_graphs else nullcontext() as graphs,
        ):
            result = run(
                model,
                train_data,
                val_data,
                recipe,
                folder,
                events=tell(kept.hear, keep_text, lambda event: show_training(line, event), board),
                architecture=text,
                command=command_line(),
                workers=workers,
            )
        if is_first():
            if graphs is not None:
                err.print(replayed(graphs, place), markup=False)
            _show(
                result.best,
                folder,
                dict(result.history[-1]),
                result.best_epoch,
                train_data.facts.name,
                as_json,
            )


def _show(
    best: Path, folder: Path, last: dict[str, object], best_epoch: int, data: str, as_json: bool
) -> None:
    if as_json:
        show_json({"folder": str(folder), "best": str(best), "best_epoch": best_epoch, "last_epoch": last})
        return
    out.print(f"best weights (epoch {best_epoch + 1}): {best}", markup=False)
    out.print(f"attack them: robdsl attack {folder / 'net.rob'} --weights {best} --data {data}", markup=False)
