"""A picture as DOT, with every place pinned: ``dot -Knop2 -Tpdf picture.dot`` draws it as it is laid out here.

Nodes and edges are those of the graph, named and labelled; decoration is named ``_0``, ``_1``, ... and has the class
``mark``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pydot

from robdsl.viz.bezier import dashes
from robdsl.viz.lettering import shown, width
from robdsl.viz.picture import Box, Curve, Picture, Point, Spline, Stroke, Text
from robdsl.viz.svg import arrowhead

_FONT = "Arial,Liberation Sans,Helvetica"  # all of one width; the first is what most machines map to another


def dot(picture: Picture, *, exact: bool = False) -> str:
    """The picture as DOT.

    Args:
        picture: what to write down.
        exact: draw dashes as strokes of their own, because Graphviz knows only one pattern of dashes and one of dots.
    """
    height = picture.height
    graph = pydot.Dot(
        graph_name="robdsl",
        graph_type="digraph",
        bb=quoted(f"0,0,{_n(picture.width)},{_n(height)}"),
        fontname=quoted(_FONT),
        outputorder="nodesfirst",
        bgcolor=quoted("white"),
        pad="0",
        comment=quoted(shown(picture.title)),
    )
    fresh = (f"_{number}" for number in count())
    for corner in ((0, 0), (picture.width, height)):  # Graphviz draws no more than what there is
        graph.add_node(_point(next(fresh), corner, height))
    for mark in picture.marks:
        match mark:
            case Box():
                graph.add_node(_box(mark, mark.id or next(fresh), height))
            case Text():
                graph.add_node(_text(mark, next(fresh), height))
            case Curve():
                ends = mark.source, mark.target
                if not mark.source:  # decoration; DOT knows no line without nodes
                    ends = next(fresh), next(fresh)
                    graph.add_node(_point(ends[0], mark.splines[0][0], height))
                    graph.add_node(_point(ends[1], mark.splines[-1][-1], height))
                graph.add_edge(_curve(mark, ends, height, exact=exact))
    text: str = graph.to_string()
    return text


def quoted(text: str) -> str:
    """A DOT string that Graphviz shows as it is: no escapes, no entities, no markup."""
    plain = shown(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def _label(text: str) -> str:
    """As `quoted`, for what is shown: there Graphviz reads entities, and a backslash twice."""
    lines = (
        shown(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
        for line in text.split("\n")
    )
    return '"' + "\\n".join(lines) + '"'


def _n(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def _inches(points: float) -> str:
    return _n(points / 72) if points else "0"


def _node(name: str, sort: str, **attributes: str) -> pydot.Node:
    node = pydot.Node(quoted(name))
    node.set("class", quoted(sort))
    for key, value in attributes.items():
        node.set(key, value)
    return node


def _box(box: Box, name: str, height: float) -> pydot.Node:
    rounded = box.radius >= 2
    round_ends = box.radius * 2 >= min(box.width, box.height) - 1
    dot_like = round_ends and abs(box.width - box.height) < 1
    style = "filled" if dot_like or not rounded else "rounded,filled"
    return _node(
        name,
        box.sort,
        shape="ellipse" if dot_like else "box",
        style=quoted(style if box.fill else style.replace("filled", "solid")),
        fillcolor=quoted(box.fill or "white"),
        color=quoted(box.stroke.colour),
        penwidth=_n(box.stroke.width),
        pos=quoted(f"{_n(box.x)},{_n(height - box.y)}"),
        width=_inches(box.width),
        height=_inches(box.height),
        fixedsize="true",
        margin="0",
        label=_label(box.label),
        fontsize=_n(box.size * (0.8 if "\n" in box.label else 1)),  # one size for all its lines
        fontname=quoted(f"{_FONT} Bold" if box.bold else _FONT),
        fontcolor=quoted(box.colour),
        tooltip=_label(_said(box)),
    )


def _text(text: Text, name: str, height: float) -> pydot.Node:
    wide = width(text.text, text.size, bold=text.bold)
    middle = text.x + {"start": wide / 2, "middle": 0, "end": -wide / 2}[text.anchor]
    return _node(
        name,
        "mark",
        shape="plaintext",
        pos=quoted(f"{_n(middle)},{_n(height - text.y)}"),
        width=_inches(wide),
        height=_inches(text.size * 1.2),
        fixedsize="true",
        margin="0",
        label=_label(text.text)[:-1] + {"start": r"\l", "middle": "", "end": r"\r"}[text.anchor] + '"',
        fontsize=_n(text.size),
        fontname=quoted(f"{_FONT} Bold" if text.bold else _FONT),
        fontcolor=quoted(text.colour),
    )


def _point(name: str, at: Point, height: float) -> pydot.Node:
    """A place that is not seen."""
    return _node(
        name,
        "mark",
        shape="point",
        style="invis",
        width="0",
        height="0",
        fixedsize="true",
        label=quoted(""),
        pos=quoted(f"{_n(at[0])},{_n(height - at[1])}"),
    )


def _curve(curve: Curve, ends: tuple[str, str], height: float, *, exact: bool) -> pydot.Edge:
    splines = list(curve.splines)
    tip = ""
    if curve.arrow:
        x, y = splines[-1][-1]
        splines[-1], _ = arrowhead(splines[-1], curve.arrow)
        tip = f"e,{_n(x)},{_n(height - y)} "
    stroke = curve.stroke
    if exact and stroke.dash:
        cut = [part for spline in splines for part in dashes(spline, stroke.dash)]
        if tip:
            cut[-1:] = [cut[-1], _stub(splines[-1])]
        splines = cut
    parts = [_spline(spline, height) for spline in splines]
    parts[-1] = tip + parts[-1]
    attributes = {
        "id": quoted(curve.id),
        "comment": _label(curve.label),
        "tooltip": _label(_said(curve) or curve.label),
        "color": quoted(stroke.colour),
        "penwidth": _n(stroke.width),
        "style": "solid" if exact else _style(stroke),
        "arrowhead": "normal" if curve.arrow else "none",
        "arrowsize": _n(curve.arrow / 10),
        "pos": quoted(";".join(parts)),
    }
    edge = pydot.Edge(quoted(ends[0]), quoted(ends[1]))
    edge.set("class", quoted(curve.sort))
    for key, value in attributes.items():
        edge.set(key, value)
    return edge


def _stub(spline: Spline) -> Spline:
    """The last bit of a line, for the arrowhead to sit on."""
    (x0, y0), (x1, y1) = spline[-2], spline[-1]
    whole = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    start = x1 - (x1 - x0) / whole * 0.3, y1 - (y1 - y0) / whole * 0.3
    return (start, start, spline[-1], spline[-1])


def _style(stroke: Stroke) -> str:
    if not stroke.dash:
        return "solid"
    return "dotted" if stroke.dash[0] <= 3 else "dashed"


def _spline(spline: Sequence[tuple[float, float]], height: float) -> str:
    return " ".join(f"{_n(x)},{_n(height - y)}" for x, y in spline)


def _said(mark: Box | Curve) -> str:
    return "\n".join(f"{name}: {value}" for name, value in mark.facts.items())
