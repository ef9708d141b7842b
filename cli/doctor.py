"""``robdsl doctor``: what is there, what is missing, what to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from .console import out, show_json, working
from .running import JsonOption, RootOption

if TYPE_CHECKING:
    from robdsl.doctor import Finding, Report

_STYLES = {"ok": "green", "missing": "yellow", "broken": "red"}


def doctor(data_root: RootOption = None, as_json: JsonOption = False) -> None:
    """Show versions, devices, kernels, extras and data sets found, and what to install for what is missing.

    Exit status 1 if something is broken that robdsl cannot do without.

    Example: robdsl doctor --json
    """
    from robdsl.doctor import examine

    with working("looking around"):
        report = examine(data_root)
    if as_json:
        show_json(report.to_json())
    else:
        _show(report)
    if not report.healthy:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for title, found in (
        ("needed", report.needed),
        ("devices", report.devices),
        ("extras", report.extras),
        ("programs", report.programs),
        (f"data in {report.root}", report.data),
    ):
        table.add_row(Text(title, style="bold"))
        for each in found:
            table.add_row(*_row(each))
    out.print(table)
    if any(each.state == "missing" for each in report.data):
        out.print("docs/data.md says which files of a data set go where; digits needs none")
    for remedy in report.remedies:
        out.print(f"to install: {remedy}", markup=False)


def _row(found: Finding) -> tuple[Text, Text, Text]:
    from robdsl.doctor import EXTRAS

    detail = found.detail
    if found.state != "ok" and found.name in EXTRAS:
        detail = f"{detail} (for {EXTRAS[found.name]})"
    return Text(f"  {found.name}"), Text(found.state, style=_STYLES[found.state]), Text(detail)
