"""One colour and one kind of line for each operation.

The colours are those of Okabe and Ito ("Color universal design", 2008), which people with any colour vision tell apart;
the lines differ too, so that a picture printed in grey says the same. What has weights is drawn as long strokes and
arches above the spine, what has none as short strokes and hangs below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import networkx as nx

from robdsl.viz.picture import Stroke

INK = "#1a1a1a"
SOFT = "#5c5c5c"
PALE = "#b5b5b5"

_LEARNED = (
    ("#0072b2", ()),
    ("#009e73", (13, 4)),
    ("#cc79a7", (10, 3, 2, 3)),
    ("#56b4e9", (16, 3, 2, 3, 2, 3)),
    ("#7f5f00", (20, 4)),
    ("#1a1a1a", (8, 3)),
)
_FREE = (
    ("#d55e00", (5, 4)),
    ("#e69f00", (2, 3)),
    ("#1a1a1a", (6, 3, 2, 3)),
    ("#009e73", (3, 5)),
    ("#0072b2", (6, 3, 2, 3, 2, 3)),
    ("#cc79a7", (4, 2)),
)
#: Operations that pass on what they get: always drawn alike, whatever they are called.
_PASSING = ("skip", "skip_connect", "identity")


@dataclass(frozen=True)
class Style:
    """How an operation is drawn: its line, and whether it arches above the spine."""

    stroke: Stroke
    above: bool


JOIN = Style(Stroke(PALE, 1.3), above=False)

Styles = Mapping[str, Style]


def styles_for(cells: Iterable[nx.MultiDiGraph[str]]) -> dict[str, Style]:
    """A style for every operation on an edge of some cells, in the order in which choices offer them.

    An operation that has weights on every edge it can be on is drawn as one that has.
    """
    learned: dict[str, bool] = {}
    offered: dict[str, tuple[int, int]] = {}
    for cell in cells:
        for _, _, edge in cell.edges(data=True):
            if edge["op"] == "join" and edge["place"] is not None:
                continue
            learned[edge["op"]] = learned.get(edge["op"], True) and edge["params"] > 0
            place = (1, 0) if edge["choice"] is None else (0, edge["choice"][1])
            offered[edge["op"]] = min(place, offered.get(edge["op"], place))
    names = sorted(learned, key=lambda name: (offered[name], name not in _PASSING, name))
    above = [name for name in names if learned[name]]
    below = sorted((name for name in names if not learned[name]), key=lambda name: name not in _PASSING)
    first = 0 if below and below[0] in _PASSING else 1  # the first is kept for them
    numbers = {
        **{name: n for n, name in enumerate(above)},
        **{name: n for n, name in enumerate(below, first)},
    }
    return {name: _style(learned[name], numbers[name]) for name in names}


def _style(above: bool, number: int) -> Style:
    table = _LEARNED if above else _FREE
    # After the last one colours and lines go out of step, so that no two of many operations are alike.
    colour = table[number % len(table)][0]
    dash = table[(number + number // len(table)) % len(table)][1]
    return Style(Stroke(colour, 2.4 if above else 2.0, tuple(map(float, dash))), above)


def mixed(colour: str, share: float) -> str:
    """A colour mixed with white: 1 is the colour, 0 is white."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)


def faint(stroke: Stroke) -> Stroke:
    """The same line, as what might be there."""
    return replace(stroke, colour=mixed(stroke.colour, 0.3), width=stroke.width * 0.5)
