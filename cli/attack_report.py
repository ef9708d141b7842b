"""The report of an evaluation on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from .console import err, out, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from robdsl.attacks import Finding
    from robdsl.evaluation import Accuracy, AttackReport, Report
    from robdsl.graph.net import Net


def show_findings(findings: Iterable[Finding]) -> None:
    """What makes the figures doubtful, on stderr."""
    for finding in findings:
        color = "red" if finding.level == "error" else "yellow"
        err.print(f"[bold {color}]{finding.level}[/]", end="")
        err.print(f"[{finding.code}]: {finding.title}: {finding.detail}", markup=False)
        err.print(f"  = help: {finding.help}", markup=False)


def show_report(net: Net, report: Report, *, per_class: bool, source: Net | None) -> None:
    """A table on stdout: natural accuracy, that under each attack and the worst case; then the paper's row.

    Args:
        net: that was attacked.
        report: what was found.
        per_class: whether every class has a table of its own.
        source: the net that the images were made on, where it is another one.
    """
    made_on = "" if source is None else f", adversarial images made on {source.name}"
    images = plural(report.natural.total, "image")
    out.print(f"[bold]{net.name}[/] on {report.data} ({report.split}, {images}){made_on}")
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
        table.add_column(name, justify="right", min_width=len(name))
    for place, label in enumerate(classes):
        table.add_row(label, *(_per_cent(accuracies[place]) for _, accuracies in columns))
    return table


def _per_cent(accuracy: Accuracy) -> str:
    """A share with one decimal; a dash where nothing was counted."""
    return f"{100 * accuracy.share:.1f}%" if accuracy.total else "-"
