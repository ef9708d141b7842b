"""``robdsl tune``"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .console import fail, out, plural, show_json

if TYPE_CHECKING:
    from robdsl.kernels.cases import Case


def tune(
    images: Annotated[int, typer.Option(min=1, help="Images in the batch to measure with.")] = 512,
    kernel: Annotated[
        list[str] | None, typer.Option(help="Only this kernel; may be given more than once.")
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            help="float32, bfloat16 or float16; may be given more than once.",
            show_default="float32 and bfloat16",
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of products of float32: tf32x3, tf32, ieee or bf16.")
    ] = "tf32x3",
    repeats: Annotated[int, typer.Option(min=1, help="How often each configuration is timed.")] = 20,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin no measurement after so long.", show_default="no end")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure anew what the table holds already.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be measured; needs no GPU.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Measure the kernels' tiles on this machine's GPU, and use the fastest from now on.

    What is found is kept for this model of GPU in the user's cache, each as soon as it is measured, and used by every
    later run; the same command goes on after an interruption. Remove the file to go back to robdsl's own tiles.

    Example: robdsl tune --dtype bfloat16 --kernel separable_forward --plan
    """
    from robdsl.kernels import available
    from robdsl.kernels.tune import tunable

    chosen = tunable(_cases(images, kernel or [], dtype or ["float32", "bfloat16"], precision))
    if plan:
        _show_plan(chosen, as_json)
        return
    found = available()
    if not found:
        raise typer.Exit(
            fail(f"there is nothing to tune on: {found.reason} (--plan shows what would be measured)")
        )
    _measure(chosen, repeats, minutes, again=again, as_json=as_json)


def _cases(images: int, only: list[str], names: list[str], precision: str) -> list[Case]:
    import torch

    from robdsl.kernels.cases import KERNELS, cases
    from robdsl.kernels.precision import check_precision

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if unknown := sorted(set(only) - set(KERNELS)):
        raise typer.BadParameter(
            f"there is no kernel `{unknown[0]}`; there are {', '.join(KERNELS)}", param_hint="--kernel"
        )
    if unknown := sorted(set(names) - set(dtypes)):
        raise typer.BadParameter(f"`{unknown[0]}` is not one of {', '.join(dtypes)}", param_hint="--dtype")
    try:
        check_precision(precision)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--precision") from None
    found = cases(images, [dtypes[name] for name in dict.fromkeys(names)], precision)
    return [case for case in found if not only or case.kernel in only]


def _show_plan(chosen: list[Case], as_json: bool) -> None:
    from robdsl.kernels.configurations import committed
    from robdsl.kernels.tune import MOST_TRIED, key_of

    if as_json:
        show_json(
            {"plan": {key_of(case): asdict(committed(case.kernel, case.shape, case.kind)) for case in chosen}}
        )
        return
    for case in chosen:
        use = committed(case.kernel, case.shape, case.kind)
        out.print(f"{key_of(case)}: begins at {use.rows} rows, {plural(use.warps, 'warp')}", markup=False)
    out.print(f"{len(chosen)} entries, at most {MOST_TRIED} configurations each")


def _measure(chosen: list[Case], repeats: int, minutes: float | None, *, again: bool, as_json: bool) -> None:
    import torch

    from robdsl.kernels.configurations import TableError, device_key, user_table, write_user_table
    from robdsl.kernels.tune import Tuned, key_of
    from robdsl.kernels.tune import tune as measured

    key = device_key(torch.device("cuda"))
    try:
        table = dict(user_table(key))
    except TableError as error:
        raise typer.Exit(fail(str(error))) from None
    known = set() if again else set(table)
    left = [case for case in chosen if key_of(case) not in known]
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    versions = {"torch": str(torch.__version__)}
    found: list[Tuned] = []
    path = write_user_table(key, table, versions)
    for number, each in enumerate(measured(left, repeats), start=1):
        found.append(each)
        table[each.key] = each.best
        write_user_table(key, table, versions)
        if not as_json:
            gain = each.before / each.milliseconds
            said = f"{each.key}: {each.milliseconds:.3f} ms, {gain:.2f} x the committed tiles"
            out.print(f"{number}/{len(left)} {said}", markup=False)
        if time.monotonic() >= end:
            break
    if as_json:
        results = {
            each.key: {"milliseconds": each.milliseconds, "before": each.before, "use": asdict(each.best)}
            for each in found
        }
        show_json({"device": key, "table": str(path), "measured": results, "left": len(left) - len(found)})
        return
    rest = len(left) - len(found)
    out.print(
        f"{plural(len(found), 'configuration')} measured, {len(chosen) - len(left)} known before, {rest} left; in {path}",
        markup=False,
    )
