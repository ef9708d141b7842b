"""``robdsl tune``"""

from __future__ import annotations

from typing import Annotated

import typer

from .console import fail, out, plural, show_json


def tune(
    images: Annotated[int, typer.Option(min=1, help="Images in the batch to measure with.")] = 512,
    kernel: Annotated[
        list[str] | None, typer.Option(help="Only this kernel; may be given more than once.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each configuration is timed.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Measure the kernels' tiles on this machine's GPU, and use the fastest from now on.

    What is found is kept for this model of GPU in the user's cache, and used by every later run; remove the file to
    go back to the tiles that robdsl comes with.

    Example: robdsl tune --images 512
    """
    import torch

    from robdsl.kernels.cases import KERNELS, cases
    from robdsl.kernels.configurations import device_key, user_table, write_user_table
    from robdsl.kernels.tune import NoGPUError
    from robdsl.kernels.tune import tune as measured

    unknown = set(kernel or ()) - set(KERNELS)
    if unknown:
        raise typer.BadParameter(f"there is no kernel {sorted(unknown)[0]!r}; there are {', '.join(KERNELS)}")
    chosen = [
        case
        for case in cases(images)
        if case.dtype == torch.float32 and (not kernel or case.kernel in kernel)
    ]
    # A table has one entry a kernel and shape; of several terms the first, a single one, decides.
    chosen = list({(case.kernel, case.shape): case for case in reversed(chosen)}.values())[::-1]
    found = {}
    try:
        for each in measured(chosen, repeats):
            found[each.key] = each
            if not as_json:
                gain = each.before / each.milliseconds
                out.print(f"{each.key}: {each.milliseconds:.3f} ms, {gain:.2f} x the committed tiles")
    except NoGPUError as error:
        raise typer.Exit(fail(str(error))) from error
    key = device_key(torch.device("cuda"))
    table = user_table(key) | {name: each.best for name, each in found.items()}
    versions = {"torch": str(torch.__version__)}
    path = write_user_table(key, table, versions)
    if as_json:
        show_json(
            {
                "device": key,
                "table": str(path),
                "measured": {
                    name: {"milliseconds": each.milliseconds, "before": each.before, "use": vars(each.best)}
                    for name, each in found.items()
                },
            }
        )
    else:
        out.print(f"{plural(len(found), 'configuration')} in {path}")
