"""How plots look: colours that all can tell apart, symbols and patterns that say the same in grey, one template."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from robdsl.analysis.results import Floats, Places

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Okabe and Ito ("Color universal design", 2008); BLUE is dark and ORANGE light in grey too.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
INK, SOFT, GRID = "#1a1a1a", "#5c5c5c", "#e4e4e4"

#: Colour, symbol and line of the first, the second and the third of something.
SERIES = ((BLUE, "circle", "solid"), (RED, "diamond-open", "dash"), (GREEN, "square", "dot"))

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif"

#: How many points of a scatter are drawn: a page must stay light, and more lie over each other.
MOST_POINTS = 2000


@dataclass(frozen=True)
class Plot:
    """One plot of a figure.

    Attributes:
        name: unique in a report; names its files.
        caption: what it shows, in words, for those who cannot see it.
    """

    name: str
    figure: go.Figure
    caption: str


def blank(height: int, x: str, y: str, **layout: Any) -> go.Figure:
    """An empty plot with titled axes."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": SOFT,
        "ticks": "outside",
        "tickcolor": SOFT,
        "automargin": True,
        "title": {"font": {"size": 14}, "standoff": 8},
    }
    template = {
        "layout": {
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 16, "r": 16, "t": 16, "b": 16},
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "title": {"text": ""},
            },
            "hoverlabel": {"bgcolor": "#ffffff", "font": {"family": FONT, "size": 13, "color": INK}},
            "dragmode": False,
        }
    }
    figure = go.Figure(layout={"template": template, "height": height, **layout})
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y)
    return figure


def plain(text: str, most: int = 60) -> str:
    """Text as a plot shows it: plotly reads some of HTML, and a name is no markup."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def some(count: int) -> Places:
    """Places of the points that are drawn, of so many: all, or a fixed random choice."""
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:MOST_POINTS])


def thinned(count: int) -> str:
    """What a caption says when not all points are drawn."""
    return "" if count <= MOST_POINTS else f" Drawn are {MOST_POINTS:,} of {count:,}, chosen at random."


def cloud(x: Floats, y: Floats, colour: str, symbol: str, name: str, hover: str, **more: Any) -> Any:
    """Points of a scatter."""
    import plotly.graph_objects as go

    marker = {
        "color": colour,
        "symbol": symbol,
        "size": 7,
        "opacity": 0.65,
        "line": {"width": 1, "color": colour},
    }
    return go.Scatter(
        x=x, y=y, mode="markers", name=name, marker=marker, hovertemplate=f"{hover}<extra></extra>", **more
    )


def log_axis(values: Floats) -> dict[str, Any]:
    """A logarithmic axis with round ticks, where values are better told apart on one; else nothing."""
    low, high = float(values.min()), float(values.max())
    if low <= 0 or high <= 8 * low:
        return {}
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    steps = (1, 2, 5) if high < 2000 * low else (1,)
    ticks = [step * 10.0**each for each in decades for step in steps if low <= step * 10.0**each <= high]
    return {"type": "log", "tickvals": ticks, "ticktext": [amount(each) for each in ticks]}


def amount(value: float) -> str:
    """``50``, ``20k``, ``0.002``"""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
