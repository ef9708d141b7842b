"""A cell drawn alone: what it chose, what it might have chosen, and how much each edge weighs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import networkx as nx

from robdsl.viz.cell_picture import (
    Drawn,
    EdgeName,
    Standing,
    cell_layout,
    cell_picture,
    headings,
    legend,
    restyled,
)
from robdsl.viz.lettering import shown
from robdsl.viz.picture import Picture, framed, stacked
from robdsl.viz.spine import LARGE
from robdsl.viz.styles import Styles, styles_for


def cell_drawing(
    cell: nx.MultiDiGraph[str],
    *,
    offered: nx.MultiDiGraph[str] | None = None,
    one: Collection[int] = (),
    faint: bool = False,
    weights: Mapping[tuple[str, str, str], float] | None = None,
    styles: Styles | None = None,
    title: str | None = None,
    detail: str | None = None,
) -> Picture:
    """A picture of one cell with its legend; ``.svg()`` is its SVG.

    Args:
        cell: one of ``net.cells`` (`robdsl.graph.views`).
        offered: the same cell with every alternative, one of ``net.space.supernet().cells``: each edge is then where it
            is in every other choice.
        one: the open edges that take exactly one alternative, by their place in alpha.
        faint: draw also what is offered and was not chosen, faintly.
        weights: a number for (source, target, operation): the larger its magnitude, the thicker the line; its sign
            stands on the line. Scaled so that the largest magnitude is 1.
        styles: colours and lines by operation (`styles_for`), so that several pictures agree.
        title: instead of the stage's name.
        detail: instead of the cell's call and sizes.
    """
    whole = offered if offered is not None else cell
    styles = styles_for([whole]) if styles is None else styles
    layout = cell_layout(whole, styles, LARGE, () if faint else one)
    standing: dict[EdgeName, Standing] = {}
    drawn = cell
    if faint and offered is not None:
        standing = {name: "faint" for name in layout.slots if not cell.has_edge(*name)}
        drawn = offered
    heading = headings(cell)
    heading = (
        shown(title) if title is not None else heading[0],
        shown(detail) if detail is not None else heading[1],
    )
    scaled = None if weights is None else _scaled(weights, drawn)
    picture = cell_picture(drawn, layout, Drawn(standing, scaled), heading)
    used = restyled(styles, [drawn])
    joins = bool(layout.places.rails)
    below = legend(used, LARGE, max(picture.width, 420), joins=joins)
    return framed(replace(stacked([picture, below], picture.title), title=picture.title))


def _scaled(
    weights: Mapping[tuple[str, str, str], float], cell: nx.MultiDiGraph[str]
) -> dict[EdgeName, float]:
    """Weights by edge as networkx names it, the largest magnitude 1."""
    largest = max(map(abs, weights.values()), default=0.0) or 1.0
    return {
        (source, target, key): weights[source, target, edge["op"]] / largest
        for source, target, key, edge in cell.edges(keys=True, data=True)
        if (source, target, edge["op"]) in weights
    }
