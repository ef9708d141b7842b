"""Figures 4 and 6 and the importance of edges, as plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robdsl.analysis.budgets import Budgets
from robdsl.analysis.embedding import Embedding
from robdsl.analysis.importance import EdgeImportance
from robdsl.analysis.operations import OperationEffects
from robdsl.analysis.results import TooFew
from robdsl.analysis.separation import Separation
from robdsl.viz.report.look import BLUE, INK, SERIES, SOFT, Plot, blank, cloud, plain, some
from robdsl.viz.report.plots import ROBUST

#: How many edges are drawn at most, the most important first.
_MOST_EDGES = 20

_BUDGET_NAMES = {"small": "small (≤ 7 a cell)", "medium": "medium (≤ 10)", "large": "large (> 10)"}


def embedding_plots(found: Embedding, name: str) -> list[Plot]:
    """Figure 4a: the best and the worst in the plane."""
    figure = blank(400, "", "")
    figure.update_xaxes(showticklabels=False, ticks="", showgrid=False)
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False, scaleanchor="x")
    for chosen, (colour, symbol, _), what in (
        (found.best, SERIES[0], "best"),
        (~found.best, SERIES[1], "worst"),
    ):
        points = found.points[chosen]
        label = f"the {len(points):,} {what}"
        accuracy = found.accuracy[chosen]
        hover = f"{what}: %{{customdata:.1%}}"
        figure.add_trace(cloud(points[:, 0], points[:, 1], colour, symbol, label, hover, customdata=accuracy))
    caption = (
        "The alphas of the best and of the worst architectures, laid out by t-SNE: "
        "near each other are those that chose alike."
    )
    return [Plot(name, figure, caption)]


def separation_plots(found: Separation, name: str, colours: Mapping[str, str] | None = None) -> list[Plot]:
    """Figure 4b: a row an edge, a mark an operation. For several picks, means over them without intervals."""
    import plotly.graph_objects as go

    by_edge = found.by_edge()
    edges = list(dict.fromkeys(zip(by_edge["source"], by_edge["target"], strict=True)))
    operations = list(dict.fromkeys(by_edge["operation"]))
    intervals = len(by_edge) == len(found.weights)
    figure = blank(110 + 26 * len(edges), "weight (right: for the best)", "")
    figure.add_vline(x=0, line={"color": SOFT, "width": 1.5, "dash": "dash"})
    for number, operation in enumerate(operations):
        colour, symbol, _ = SERIES[number % len(SERIES)]
        colour = (colours or {}).get(operation, colour)
        rows = by_edge[by_edge["operation"] == operation]
        places = [edges.index(each) for each in zip(rows["source"], rows["target"], strict=True)]
        shift = 0.0 if len(operations) == 1 else 0.36 * (number / (len(operations) - 1) - 0.5)
        weights = np.asarray(rows["weight"])
        error: dict[str, Any] = {}
        if intervals:
            at = rows.index.to_numpy()
            ends = {"array": found.high[at] - weights, "arrayminus": weights - found.low[at]}
            error["error_x"] = {"type": "data", **ends, "color": colour, "thickness": 1.5, "width": 0}
        figure.add_trace(
            go.Scatter(
                x=weights,
                y=np.array(places) + shift,
                mode="markers",
                name=plain(operation),
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": 9,
                    "line": {"width": 1.5, "color": colour},
                },
                customdata=[
                    plain(f"{operation} on {source} → {target}")
                    for source, target in zip(rows["source"], rows["target"], strict=True)
                ],
                hovertemplate="%{customdata}: %{x:.2f}<extra></extra>",
                **error,
            )
        )
    _label_rows(figure, [f"{source} → {target}" for source, target in edges])
    kind = "with 95% intervals over resampled architectures" if intervals else "means over all picks"
    return [Plot(name, figure, f"The classifier's weight of each operation on each edge, {kind}.")]


def effect_plots(found: OperationEffects, name: str) -> list[Plot]:
    """Figure 6a: what one more of an operation goes with, with intervals."""
    import plotly.graph_objects as go

    effects = found.effects
    figure = blank(
        90 + 44 * len(effects),
        "points of robust accuracy for one more",
        "",
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": SOFT, "width": 1.5, "dash": "dash"})
    values = 100 * np.array([each.effect.value for each in effects])
    low, high = (100 * np.array([getattr(each.effect, end) for each in effects]) for end in ("low", "high"))
    figure.add_trace(
        go.Scatter(
            x=values,
            y=np.arange(len(effects)),
            mode="markers",
            marker={
                "color": BLUE,
                "size": 10,
                "symbol": ["circle" if e.direct else "diamond-open" for e in effects],
                "line": {"width": 2, "color": BLUE},
            },
            error_x={
                "type": "data",
                "array": high - values,
                "arrayminus": values - low,
                "color": BLUE,
                "width": 4,
            },
            customdata=[
                f"{each.best:.2f} a cell in the best, {each.worst:.2f} in the worst" for each in effects
            ],
            hovertemplate="%{x:+.2f} points; %{customdata}<extra></extra>",
        )
    )
    _label_rows(figure, [each.name for each in effects])
    caption = (
        "Least-squares effect of one more of each operation on direct (dots) and on skip edges (diamonds), "
        "with 95% intervals."
    )
    return [Plot(name, figure, caption)]


def budget_plots(found: Budgets, name: str) -> list[Plot]:
    """Figure 6b: accuracy against the share of direct convolutions, a colour and symbol a budget."""
    import plotly.graph_objects as go

    figure = blank(420, "convolutions on direct edges, of all", ROBUST)
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(tickformat=".0%")
    for each, (colour, symbol, dash) in zip(found.budgets, SERIES, strict=True):
        if not each.n:
            continue
        drawn = some(each.n)
        label = f"{_BUDGET_NAMES[each.name]}: {each.n:,}"
        hover = f"{each.name}: %{{x:.0%}} direct, %{{y:.1%}}"
        figure.add_trace(cloud(each.direct[drawn], each.accuracy[drawn], colour, symbol, label, hover))
        if not isinstance(each.spearman, TooFew):
            ends = np.array([each.direct.min(), each.direct.max()])
            slope, start = np.polyfit(each.direct, each.accuracy, 1)
            line = {"color": INK if symbol == "circle" else colour, "width": 2.5, "dash": dash}
            figure.add_trace(
                go.Scatter(
                    x=ends,
                    y=slope * ends + start,
                    mode="lines",
                    line=line,
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
    caption = (
        "Robust accuracy against the share of convolutions that stand on direct edges, by budget; "
        "lines by least squares."
    )
    return [Plot(name, figure, caption)]


def importance_plots(found: EdgeImportance, name: str) -> list[Plot]:
    """Bars, the most important edge first."""
    import plotly.graph_objects as go

    order = np.argsort(-found.importance, kind="stable")[:_MOST_EDGES]
    several = len({edge.pick for edge in found.edges}) > 1
    figure = blank(
        90 + 24 * len(order),
        "share of variance explained",
        "",
        showlegend=False,
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    shares = found.importance[order]
    figure.add_trace(
        go.Bar(
            x=shares,
            y=np.arange(len(order)),
            orientation="h",
            width=0.6,
            marker={"color": BLUE},
            error_x={
                "type": "data",
                "array": found.high[order] - shares,
                "arrayminus": shares - found.low[order],
                "color": INK,
                "thickness": 1.5,
                "width": 4,
            },
            hovertemplate="%{x:.1%}<extra></extra>",
        )
    )
    _label_rows(
        figure, [f"{f'{found.edges[i].pick}: ' if several else ''}{found.edges[i].name}" for i in order]
    )
    few = (
        f"the {len(order)} most important of {len(found.edges)} edges"
        if len(order) < len(found.edges)
        else "each edge"
    )
    caption = (
        f"The importance of {few}: the share of the variance of a forest's answers that it explains by itself; "
        "whiskers span what random halves of the architectures gave."
    )
    return [Plot(name, figure, caption)]


def _label_rows(figure: Any, labels: list[str]) -> None:
    """Rows from the top down, with names."""
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(labels))),
        ticktext=[plain(each) for each in labels],
        range=[len(labels) - 0.5, -0.5],
        ticks="",
        title=None,
    )
