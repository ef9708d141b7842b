"""What the commands that run networks share: the net for a data set, its device, its weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robdsl.graph.load import load
from robdsl.graph.net import Net
from robdsl.graph.shapes import show

from .console import fail, find, plural, settings, show_diagnostics
from .info import net_name

if TYPE_CHECKING:
    import torch

    from robdsl.attacks.core.graphed import StepGraphs
    from robdsl.data import Data

File = Annotated[str, typer.Argument(help="A file, or the name of a shipped net.", show_default=False)]
NetOption = Annotated[str | None, typer.Option("--net", help="Which net, where the file defines several.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A parameter's value; `classes` follows the data by itself."
    ),
]
DataOption = Annotated[
    str, typer.Option("--data", help="digits, cifar10, cifar100, svhn, tiny_imagenet or imagenet.")
]
RootOption = Annotated[
    Path | None, typer.Option("--data-root", help="Where data lie.", show_default="$ROBDSL_DATA, else data")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Such as cpu or cuda:1.", show_default="a GPU if there is one")
]


def _seed(seed: int) -> int:
    if not 0 <= seed < 1 << 63:
        raise typer.BadParameter(f"{seed} is not between 0 and 2^63 - 1")
    return seed


SeedOption = Annotated[int, typer.Option("--seed", help="Of every random draw.", callback=_seed)]
LoadersOption = Annotated[
    int, typer.Option("--workers", help="Reading processes for data that stay on disk.", min=0)
]
MethodOption = Annotated[str, typer.Option("--method", help="pgd, trades, free, fast or natural.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", help="Passes over the training images.")]
BatchOption = Annotated[int | None, typer.Option("--batch", help="Images in a batch, over all processes.")]
RateOption = Annotated[
    float | None, typer.Option("--lr", help="Learning rate, for the recipe's own batch size.")
]
StepsOption = Annotated[int | None, typer.Option("--steps", help="Steps of the training attack.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
GraphsOption = Annotated[
    bool,
    typer.Option(
        "--cuda-graphs",
        help="Replay the steps of PGD, BIM and C&W as one CUDA graph each: for small batches, bound by launches.",
    ),
]


def amount(text: str, option: str, largest: int | None = 1) -> Fraction:
    """The exact fraction that the text of an option means; a usage error where it is none, or above ``largest``."""
    from robdsl.attacks import to_fraction

    try:
        found = to_fraction(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if largest is not None and found > largest:
        hint = "" if "/" in text else f"; did you mean {text}/255?"
        raise typer.BadParameter(f"images are in [0, {largest}], not {text} wide{hint}", param_hint=option)
    return found


def replayed(graphs: StepGraphs, device: torch.device) -> str:
    """What `--cuda-graphs` came to."""
    if device.type != "cuda":
        return f"--cuda-graphs: there is no graph on {device.type}; steps were taken one by one"
    said = f"--cuda-graphs: {plural(graphs.replays, 'step')} replayed, {graphs.plain:,} taken one by one"
    return said if graphs.reason is None else f"{said}; a step could not be recorded: {graphs.reason}"


def net_for(file: str, net: str | None, set_: list[str] | None, data: Data) -> Net:
    """The net of a file with as many classes as a data set has; leaves with 1 when the two do not fit."""
    path = find(file)
    given = settings(set_ or [])
    found = load(path, net_name(file, path, net), **given)
    facts, classes = data.facts, len(data.classes)
    if found.classes != classes and "classes" in found.parameters and "classes" not in given:
        found = load(path, net_name(file, path, net), **given, classes=classes)
    show_diagnostics(found.warnings)
    if found.image != tuple(facts.shape):
        raise typer.Exit(
            fail(
                f"{found.name} takes images of {show(found.image)}, and those of {facts.name} are {show(facts.shape)}"
            )
        )
    if len(found.layout.stages[-1].shape) != 1 or found.classes != classes:
        gives = show(found.layout.stages[-1].shape)
        raise typer.Exit(fail(f"{found.name} gives {gives}, and {facts.name} has {classes} classes"))
    return found


def check_method(method: str) -> None:
    """A usage error where there is no such way to train."""
    from robdsl.training import METHODS

    if method not in METHODS:
        raise typer.BadParameter(f"`{method}` is not one of {', '.join(METHODS)}", param_hint="--method")


def device_of(asked: str | None) -> torch.device:
    """The device to run on; under torchrun each process takes its own GPU. Leaves with 1 where it is not there."""
    import torch

    if asked is None:
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise typer.BadParameter(f"`{asked}` is no device", param_hint="--device") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise typer.Exit(fail(f"--device {asked}: PyTorch sees no GPU here"))
        if ":" not in asked:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if device.index >= torch.cuda.device_count():
            raise typer.Exit(fail(f"--device {asked}: there are {torch.cuda.device_count()} GPUs"))
    return device


def is_first() -> bool:
    """Whether this process is the one that prints."""
    return os.environ.get("RANK", "0") == "0"


def clock(seconds: float | None) -> str:
    """``1:02:03``"""
    if seconds is None:
        return "?"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


@contextmanager
def reported() -> Iterator[None]:
    """Turns the library's own errors into one line and exit status 1."""
    from robdsl.data import DataError
    from robdsl.training import TrainingError
    from robdsl.weights import WeightsError

    try:
        yield
    except (DataError, TrainingError, WeightsError) as error:
        raise typer.Exit(fail(str(error))) from None


def command_line() -> str:
    """This command, as it can be typed again."""
    import shlex
    import sys

    return shlex.join(["robdsl", *sys.argv[1:]])
