"""``robdsl lift``: a PyTorch model as a .rob file with its weights."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robdsl.files import write_atomic
from robdsl.graph.shapes import show
from robdsl.graph.values import is_name

from .console import fail, number, out, show_json, working

if TYPE_CHECKING:
    from torch import nn

_IMAGE = re.compile(r"(\d{1,5})x(\d{1,5})x(\d{1,5})")
_WORDS = {"none": None, "true": True, "false": False}


def lift(
    factory: Annotated[
        str,
        typer.Argument(metavar="MODULE:FACTORY", help="What makes the model. It is run.", show_default=False),
    ],
    arguments: Annotated[
        list[str] | None, typer.Option("--arg", metavar="NAME=VALUE", help="An argument of the factory.")
    ] = None,
    image: Annotated[
        str, typer.Option("--input", metavar="CxHxW", help="The shape of its images.")
    ] = "3x224x224",
    state: Annotated[
        Path | None,
        typer.Option(help="A checkpoint of its state_dict.", show_default="the weights it is made with"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write.", show_default="FACTORY.rob")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the net is called.", show_default="FACTORY")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Turn a PyTorch model into a readable .rob file that computes the same, with its weights beside it.

    Example: robdsl lift torchvision.models:resnet18 --input 3x64x64 -o resnet18.rob
    """
    shape = _IMAGE.fullmatch(image)
    if shape is None:
        raise typer.BadParameter(f"`{image}` is no shape such as 3x224x224", param_hint="--input")
    called = name or factory.rpartition(":")[2].rpartition(".")[2]
    if not is_name(called):
        raise typer.BadParameter(f"`{called}` is no name: letters, digits and `_`", param_hint="--name")
    with working(f"lifting {factory}"):
        from robdsl.compiler import compile
        from robdsl.lift import LiftError
        from robdsl.lift import lift as lifted
        from robdsl.weights.save import weights_file

        model = _model(factory, arguments or [], state)
        try:
            found = lifted(model, (int(shape[1]), int(shape[2]), int(shape[3])), name=called, about=factory)
        except (LiftError, ValueError) as error:
            raise typer.Exit(fail(str(error))) from None
    target = output or Path(f"{called}.rob")
    weights = target.with_suffix(".safetensors")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(weights, weights_file(compile(found.net, seed=0), found.weights))
    write_atomic(target, found.text.encode())
    if as_json:
        facts = {"params": found.net.cost.params, "difference": found.difference, "notes": list(found.notes)}
        show_json({"net": str(target), "weights": str(weights), **facts})
        return
    out.print(
        f"[bold]{called}[/]: {show(found.net.image)} -> {found.net.classes}, {found.net.cost.params:,} parameters"
    )
    out.print(
        f"  the same function in eval mode: logits differ by {found.difference:.1e} of the largest, in float64"
    )
    for note in found.notes:
        out.print(f"  note: {note}", markup=False)
    out.print(f"wrote {target} and {weights}", markup=False)


def _model(factory: str, arguments: list[str], state: Path | None) -> nn.Module:
    from torch import nn

    from robdsl.weights.errors import WeightsError
    from robdsl.weights.stored import opened

    make = _factory(factory)
    given = dict(_argument(each) for each in arguments)
    try:
        model = make(**given)
    except Exception as error:  # noqa: BLE001 - their code, which fails in its own ways
        raise typer.Exit(fail(f"{factory} failed: {type(error).__name__}: {error}")) from None
    if not isinstance(model, nn.Module):
        raise typer.Exit(fail(f"{factory} gives {type(model).__name__}, and no torch.nn.Module"))
    if state is not None:
        try:
            with opened(state) as stored:
                model.load_state_dict(
                    {key.removeprefix("module."): stored.read(key) for key in stored.tensors}
                )
        except (WeightsError, RuntimeError) as error:
            raise typer.Exit(fail(str(error))) from None
    return model


def _factory(name: str) -> Callable[..., Any]:
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise typer.BadParameter(f"`{name}` is not MODULE:FACTORY", param_hint="MODULE:FACTORY")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as error:
        hint = "; install it with pip install 'robdsl[data]'" if error.name == "torchvision" else ""
        raise typer.Exit(fail(f"cannot import {module}: {error}{hint}")) from None
    except AttributeError:
        raise typer.Exit(fail(f"{module} has no {attribute}")) from None
    except Exception as error:  # noqa: BLE001 - their code, which fails in its own ways
        raise typer.Exit(fail(f"importing {module} failed: {type(error).__name__}: {error}")) from None
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise typer.Exit(fail(f"{name} cannot be called"))
    made: Callable[..., Any] = found
    return made


def _argument(given: str) -> tuple[str, object]:
    """``weights=none`` and ``num_classes=10``; what is no number, boolean or none is a string."""
    name, equals, text = given.partition("=")
    if not equals or not name.isidentifier():
        raise typer.BadParameter(f"`{given}` is not NAME=VALUE", param_hint="--arg")
    if text.lower() in _WORDS:
        return name, _WORDS[text.lower()]
    found = number(text)
    return name, text if found is None else found
