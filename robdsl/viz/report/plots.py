"""Figures 1, 3, 5 and 7, and the agreement of ranks, as plots."""

from __future__ import annotations

import numpy as np

from robdsl.analysis.accuracy import FinetuningShift
from robdsl.analysis.flow import FlowTrend
from robdsl.analysis.relation import DensityTrend, RankAgreement
from robdsl.analysis.sizes import SizeTrend
from robdsl.viz.report.look import (
    BLUE,
    INK,
    ORANGE,
    RED,
    SOFT,
    Plot,
    blank,
    cloud,
    log_axis,
    plain,
    some,
    thinned,
)  # fmt: skip

ROBUST = "robust accuracy"


def finetuning_plots(found: FinetuningShift, name: str) -> list[Plot]:
    """Figure 3: two histograms over the same bins."""
    import plotly.graph_objects as go

    figure = blank(380, ROBUST, "architectures", barmode="overlay", bargap=0)
    figure.update_xaxes(tickformat=".0%")
    centres, widths = (found.edges[1:] + found.edges[:-1]) / 2, np.diff(found.edges)
    for counts, colour, pattern, what, median in (
        (found.before, ORANGE, "/", "before finetuning", found.median_before),
        (found.after, BLUE, "", "after finetuning", found.median_after),
    ):
        marker = {"color": colour, "opacity": 0.75, "line": {"width": 1, "color": colour}}
        if pattern:
            marker["pattern"] = {
                "shape": pattern,
                "bgcolor": colour,
                "fgcolor": INK,
                "fgopacity": 0.45,
                "size": 6,
                "solidity": 0.2,
            }
        figure.add_trace(
            go.Bar(
                x=centres,
                y=counts,
                width=widths,
                name=f"{what} (median {median:.1%})",
                marker=marker,
                hovertemplate=f"%{{x:.1%}}: %{{y}} architectures {what}<extra></extra>",
            )
        )
        figure.add_vline(x=median, line={"color": INK, "width": 1.5, "dash": "dot" if pattern else "solid"})
    caption = (
        f"Histograms of the robust accuracy of {found.n:,} architectures in {len(centres)} bins, "
        "before finetuning (hatched) and after; lines mark the medians."
    )
    return [Plot(name, figure, caption)]


def size_plots(found: SizeTrend, name: str) -> list[Plot]:
    """Figure 1: accuracy against parameters; a line joins what nothing smaller beats."""
    import plotly.graph_objects as go

    figure = blank(420, "parameters", ROBUST)
    figure.update_yaxes(tickformat=".0%")
    sizes = np.array([*found.params, *(each.params for each in found.references)])
    figure.update_xaxes(tickformat="~s", **log_axis(sizes))
    drawn = some(found.n)
    hover = "%{x:,} parameters, %{y:.1%}"
    figure.add_trace(
        cloud(found.params[drawn], found.accuracy[drawn], BLUE, "circle", "architectures", hover)
    )
    order = np.flatnonzero(found.front)[np.argsort(found.params[found.front], kind="stable")]
    figure.add_trace(
        go.Scatter(
            x=found.params[order],
            y=found.accuracy[order],
            mode="lines+markers",
            name="nothing smaller is better",
            line={"color": INK, "width": 1.5, "shape": "hv"},
            marker={"color": INK, "size": 6},
            hovertemplate=f"{hover}<extra></extra>",
        )
    )
    if found.references:
        figure.add_trace(
            go.Scatter(
                x=[each.params for each in found.references],
                y=[each.accuracy for each in found.references],
                text=[plain(each.name, 24) for each in found.references],
                mode="markers+text",
                textposition="top center",
                textfont={"size": 12},
                cliponaxis=False,
                name="reference nets",
                marker={"color": RED, "size": 10, "symbol": "diamond"},
                hovertemplate=f"%{{text}}: {hover}<extra></extra>",
            )
        )
    caption = f"Robust accuracy of {found.n:,} architectures against their parameters.{thinned(found.n)}"
    return [Plot(name, figure, caption)]


def density_plots(found: DensityTrend, name: str) -> list[Plot]:
    """Figure 5: accuracy against density, with the least-squares line."""
    import plotly.graph_objects as go

    figure = blank(400, "density (chosen over possible operations)", ROBUST, showlegend=False)
    figure.update_yaxes(tickformat=".0%")
    drawn = some(found.n)
    hover = "density %{x:.3f}, %{y:.1%}"
    figure.add_trace(
        cloud(found.density[drawn], found.accuracy[drawn], BLUE, "circle", "architectures", hover)
    )
    ends = np.array([found.density.min(), found.density.max()])
    figure.add_trace(
        go.Scatter(
            x=ends,
            y=found.slope * ends + found.intercept,
            mode="lines",
            line={"color": INK, "width": 2},
            hoverinfo="skip",
        )
    )
    caption = f"Robust accuracy of {found.n:,} architectures against density, and the least-squares line.{thinned(found.n)}"
    return [Plot(name, figure, caption)]


def flow_plots(found: FlowTrend, name: str) -> list[Plot]:
    """Figure 7: each cell's correlation with the gap, and the last cell's points."""
    return [_by_cell(found, f"{name}_cells"), _last_cell(found, f"{name}_last")]


def _by_cell(found: FlowTrend, name: str) -> Plot:
    import plotly.graph_objects as go

    figure = blank(320, "cell, from the image to the result", "Spearman's ρ with the gap", showlegend=False)
    values = np.array([each.value for each in found.cells])
    low, high = (np.array([getattr(each, end) for each in found.cells]) for end in ("low", "high"))
    figure.add_trace(
        go.Scatter(
            x=np.arange(len(values)),
            y=values,
            mode="markers",
            marker={"color": BLUE, "size": 9},
            error_y={
                "type": "data",
                "array": high - values,
                "arrayminus": values - low,
                "color": BLUE,
                "width": 4,
            },
            hovertemplate="cell %{x}: ρ = %{y:.2f}<extra></extra>",
        )
    )
    figure.add_hline(y=0, line={"color": SOFT, "width": 1.5, "dash": "dash"})
    figure.update_xaxes(dtick=max(1, len(values) // 10))
    caption = "The rank correlation of each cell's FSP distance with the accuracy gap, with 95% intervals."
    return Plot(name, figure, caption)


def _last_cell(found: FlowTrend, name: str) -> Plot:
    figure = blank(380, "FSP distance of the last cell", "natural − robust accuracy", showlegend=False)
    figure.update_yaxes(tickformat=".0%")
    drawn = some(found.n)
    last = found.fsp[drawn, -1]
    figure.update_xaxes(**log_axis(found.fsp[:, -1]))
    figure.add_trace(cloud(last, found.gap[drawn], BLUE, "circle", "", "FSP %{x:.3g}, gap %{y:.1%}"))
    caption = f"The accuracy gap of {found.n:,} architectures against the FSP distance of their last cell.{thinned(found.n)}"
    return Plot(name, figure, caption)


def rank_plots(found: RankAgreement, name: str) -> list[Plot]:
    """One accuracy against the other; the line is where they are equal."""
    import plotly.graph_objects as go

    before, after = found.names
    figure = blank(420, f"{ROBUST} {before}", f"{ROBUST} {after}", showlegend=False)
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(tickformat=".0%")
    drawn = some(found.n)
    figure.add_trace(
        cloud(
            found.first[drawn],
            found.second[drawn],
            BLUE,
            "circle",
            "",
            f"{before} %{{x:.1%}}, {after} %{{y:.1%}}",
        )
    )
    low = max(found.first.min(), found.second.min())
    high = min(found.first.max(), found.second.max())
    if low < high:
        line = {"color": SOFT, "width": 1.5, "dash": "dash"}
        figure.add_trace(go.Scatter(x=[low, high], y=[low, high], mode="lines", line=line, hoverinfo="skip"))
    drawn_of = f"for {found.n:,} architectures; dashed: equal.{thinned(found.n)}"
    caption = f"Robust accuracy {after} against that {before}, {drawn_of}"
    return [Plot(name, figure, caption)]
