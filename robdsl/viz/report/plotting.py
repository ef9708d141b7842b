"""From findings to plots and drawings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from robdsl.analysis.bank import Bank
from robdsl.analysis.results import TooFew
from robdsl.analysis.separation import Separation
from robdsl.analysis.study import Analysis
from robdsl.viz.cells import cell_drawing
from robdsl.viz.picture import Picture
from robdsl.viz.report.alpha_plots import (
    budget_plots,
    effect_plots,
    embedding_plots,
    importance_plots,
    separation_plots,
)  # fmt: skip
from robdsl.viz.report.look import Plot
from robdsl.viz.report.plots import density_plots, finetuning_plots, flow_plots, rank_plots, size_plots
from robdsl.viz.styles import styles_for

_MAKERS: Mapping[str, Callable[[Any, str], list[Plot]]] = {
    "figure_1": size_plots,
    "figure_3": finetuning_plots,
    "figure_4a": embedding_plots,
    "figure_5": density_plots,
    "figure_6a": effect_plots,
    "figure_6b": budget_plots,
    "figure_7": flow_plots,
    "importance": importance_plots,
    "ranks": rank_plots,
    "ranks_scratch": rank_plots,
}


def plots_of(analysis: Analysis) -> dict[str, list[Plot]]:
    """The plots of each figure; none where there is too little to draw."""
    cells = analysis.bank.space.supernet().cells
    colours = {operation: style.stroke.colour for operation, style in styles_for(cells).items()}
    made: dict[str, list[Plot]] = {}
    for name, found in analysis.findings.items():
        if isinstance(found, TooFew):
            made[name] = []
        elif isinstance(found, Separation):
            made[name] = separation_plots(found, name, colours)  # as on the drawing of the cell
        else:
            made[name] = _MAKERS[name](found, name)
    return made


def drawings_of(analysis: Analysis) -> dict[str, Picture]:
    """The drawings of figures: the classifier's weights on the cell."""
    found = analysis.findings.get("figure_4b")
    drawn = None if not isinstance(found, Separation) else weights_on_cell(found, analysis.bank)
    return {} if drawn is None else {"figure_4b": drawn}


def weights_on_cell(found: Separation, bank: Bank) -> Picture | None:
    """The first cell that is open to choice with everything it offers, lines as thick as weights; None without a cell."""
    cells = [each for each in bank.space.supernet().cells if each.graph["pick"] is not None]
    if not cells:
        return None
    by_edge = found.by_edge()
    weights = {
        (row.source, row.target, row.operation): float(row.weight) for row in by_edge.itertuples(index=False)
    }
    several = len(bank.alpha.picks) > 1
    return cell_drawing(
        cells[0],
        weights=weights,
        title="What speaks for (+) and against (−) robustness",
        detail=f"{'mean ' if several else ''}weights of the classifier · the thicker the line, the larger the weight",
    )
