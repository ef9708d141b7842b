"""One cell as a picture: its nodes in a row, a line for every operation on every edge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import networkx as nx

from robdsl.diagnostics.source import Span
from robdsl.graph.views import IMAGE
from robdsl.viz.bezier import interrupted
from robdsl.viz.lettering import amount, cut, shown, sizes, where, width, wrapped
from robdsl.viz.picture import Box, Curve, Mark, Picture, Spline, Stroke, Text
from robdsl.viz.spine import LARGE, Layout, Metrics, Slot, display_order, lay_out
from robdsl.viz.styles import INK, JOIN, SOFT, Style, Styles, faint, mixed, styles_for

Cell = nx.MultiDiGraph
#: An edge of a cell: source, target and key, as networkx names it.
EdgeName = tuple[str, str, str]
#: ``strong`` is there, ``faint`` is only offered or was there before and after, ``added`` and ``removed`` in a difference.
Standing = Literal["strong", "faint", "added", "removed"]

_NOTHING = 0.02  # a share of the largest weight of which the sign says nothing
ADDED, REMOVED = "#006b4b", "#a23e00"


@dataclass(frozen=True)
class CellLayout:
    """Where everything in a cell lies, with the same places for all choices that the cell can make.

    Attributes:
        cell: the cell with every edge that has a place.
        one: the open edges of which exactly one alternative is chosen: those on one side of the spine share a place.
        slots: the place of each edge.
    """

    cell: nx.MultiDiGraph[str]
    styles: Styles
    metrics: Metrics
    one: Collection[int]
    places: Layout
    slots: Mapping[EdgeName, Slot]


def cell_layout(
    cell: nx.MultiDiGraph[str],
    styles: Styles | None = None,
    metrics: Metrics = LARGE,
    one: Collection[int] = (),
) -> CellLayout:
    """Places for all nodes and edges of a cell (`robdsl.graph.views`)."""
    styles = styles_for([cell]) if styles is None else styles
    slots: dict[EdgeName, Slot] = {}
    counts: dict[tuple[str, str, bool], int] = defaultdict(int)
    shared: dict[tuple[int, bool], Slot] = {}
    order = {name: number for number, name in enumerate(styles)}
    edges = [(s, t, k, d) for s, t, k, d in cell.edges(keys=True, data=True) if d["place"] is None]
    for source, target, key, edge in sorted(edges, key=lambda each: order[each[3]["op"]]):
        above = styles[edge["op"]].above
        alone = edge["choice"] is not None and edge["choice"][0] in one
        slot = shared.get((edge["choice"][0], above)) if alone else None
        if slot is None:
            slot = Slot(source, target, above, counts[source, target, above])
            counts[source, target, above] += 1
            if alone:
                shared[edge["choice"][0], above] = slot
        slots[source, target, key] = slot
    joins = [(source, target) for source, target, edge in cell.edges(data=True) if edge["place"] is not None]
    places = lay_out(display_order(cell), list(dict.fromkeys(slots.values())), joins, metrics)
    return CellLayout(cell, styles, metrics, one, places, slots)


@dataclass(frozen=True)
class Drawn:
    """What is drawn on a layout.

    Attributes:
        standing: for edges that are not simply there.
        weights: for each edge a number: its line is as thick as that, and its sign stands on it.
        largest: the magnitude at which a line is thickest.
        prefix: of all ids.
        pick: where the choice is written, if it is.
        x, y: the left end of the spine.
    """

    standing: Mapping[EdgeName, Standing] = field(default_factory=dict)
    weights: Mapping[EdgeName, float] | None = None
    largest: float = 1.0
    prefix: str = ""
    pick: Span | None = None
    x: float = 0
    y: float = 0


def cell_marks(cell: nx.MultiDiGraph[str], on: CellLayout, drawn: Drawn | None = None) -> Iterator[Mark]:
    """The nodes and edges of a cell on a layout that has a place for each of them."""
    drawn = drawn or Drawn()
    for source, target, edge in cell.edges(data=True):
        if edge["place"] is not None:
            yield from _join(source, target, edge, on, drawn)
    names = sorted(
        (each for each in cell.edges(keys=True) if each in on.slots),
        key=lambda each: (drawn.standing.get(each) != "faint", on.slots[each].rank),
    )
    for name in names:
        yield from _edge(name, cell.edges[name], on, drawn)
    for name in on.places.order:
        yield from _node(name, cell, on, drawn)


def _join(source: str, target: str, edge: Mapping[str, Any], on: CellLayout, drawn: Drawn) -> Iterator[Curve]:
    sizes = on.metrics
    path = on.places.rails.get((source, target))
    if path is None:  # an operand twice, or one with an edge of its own beside it
        return
    stroke = replace(JOIN.stroke, width=JOIN.stroke.width * max(sizes.stroke, 0.45))
    yield Curve(
        f"{drawn.prefix}{source}->{target}[{edge['place']}]",
        drawn.prefix + source,
        drawn.prefix + target,
        (path,),
        stroke,
        "join",
        "join",
        sizes.arrow * 0.8,
        {"joins": f"{source} into {target}", **where((edge["span"],))},
        (edge["span"],),
    ).moved(drawn.x, drawn.y)


def _edge(name: EdgeName, edge: Mapping[str, Any], on: CellLayout, drawn: Drawn) -> Iterator[Mark]:
    source, target, key = name
    sizes = on.metrics
    standing = drawn.standing.get(name, "strong")
    style = on.styles[edge["op"]]
    stroke = _scaled(style, sizes)
    weight = None if drawn.weights is None else drawn.weights.get(name)
    badge = {"added": "+", "removed": "−"}.get(standing, "")
    if standing == "faint":
        stroke = faint(stroke)
    elif weight is not None:
        share = min(abs(weight) / drawn.largest, 1.0)
        stroke = replace(
            stroke,
            width=stroke.width * (0.35 + 1.9 * share),
            colour=mixed(stroke.colour, 0.25 + 0.75 * share),
        )
        badge = "" if share < _NOTHING else "−" if weight < 0 else "+"
    elif drawn.weights is not None:
        stroke = faint(stroke)
    path: Spline = on.places.paths[on.slots[name]]
    splines: tuple[Spline, ...] = (path,)
    if badge:
        splines, (x, y) = interrupted(path, _badge_size(sizes), _badge_place(name, on))
        yield from _badge(badge, x + drawn.x, y + drawn.y, standing, sizes)
    spans: tuple[Span, ...] = (edge["span"],)
    if drawn.pick is not None and edge["choice"] is not None and standing != "faint":
        spans += (drawn.pick,)
    facts = {
        "operation": edge["op"],
        "edge": f"{source} → {target}",
        "shape": _shape(edge["shape"]),
        "parameters": f"{edge['params']:,}",
        "multiply-adds": f"{edge['macs']:,}",
        **({"importance": f"{weight:+.3f}"} if weight is not None else {}),
        **({"change": standing} if standing in ("added", "removed") else {}),
        **({"chosen": "no"} if standing == "faint" else {}),
        **where(spans),
    }
    yield Curve(
        f"{drawn.prefix}{key}",
        drawn.prefix + source,
        drawn.prefix + target,
        splines,
        stroke,
        "edge",
        edge["op"],
        sizes.arrow * (0.7 if standing == "faint" else 1),
        facts,
        spans,
    ).moved(drawn.x, drawn.y)


def _scaled(style: Style, sizes: Metrics) -> Stroke:
    stroke = style.stroke
    dash = tuple(each * max(sizes.stroke, 0.42) for each in stroke.dash)
    return Stroke(stroke.colour, stroke.width * sizes.stroke, dash)


def _badge_place(name: EdgeName, on: CellLayout) -> float:
    """How far along its line a sign stands, clear of rails and of the signs on parallel lines of the spine."""
    slot = on.slots[name]
    (_, y0), (_, y1), *_, (_, y3) = on.places.paths[slot]
    if y0 == y1 == y3:
        return 0.5 if slot.rank == 0 and slot.above else 0.28 if slot.rank % 2 == 0 else 0.7
    span = on.places.order.index(slot.target) - on.places.order.index(slot.source)
    return (
        0.5 if slot.above or span % 2 else 0.42
    )  # the middle of an even span is under a node, where rails run


def _badge_size(sizes: Metrics) -> float:
    return max(13 * sizes.stroke, 6.5)


def _badge(sign: str, x: float, y: float, standing: Standing, sizes: Metrics) -> Iterator[Mark]:
    colour = {"added": ADDED, "removed": REMOVED}.get(standing, INK)
    side = _badge_size(sizes) - 1.5
    size = side * 0.95
    yield Box(
        "", x, y, side, side, "mark", "#ffffff", Stroke(colour, 0.9), sign, size, colour, True, side / 2
    )


def _node(name: str, cell: nx.MultiDiGraph[str], on: CellLayout, drawn: Drawn) -> Iterator[Mark]:
    sizes = on.metrics
    node = cell.nodes[name]
    role = node["role"]
    tall = sizes.tall * (0.8 if role == "input" and sizes.font else 1)
    fill = {"input": "#ffffff", "node": "#f1f1f1", "join": "#dedede"}[role]
    label = cut(shown(name), sizes.font, sizes.node - 4, bold=role != "input") if sizes.font else ""
    two = node["join"] is not None and sizes.font >= LARGE.font
    facts = {
        "node": name,
        "is": {"input": "an input", "node": "the sum of its edges"}.get(role, f"{node['join']} of its edges"),
        "shape": _shape(node["shape"]),
        **where((node["span"],)),
    }
    if role == "input":
        feeding = dict(zip(cell.graph["inputs"], cell.graph["sources"], strict=True))
        facts["from"] = feeding[name]
    yield Box(
        drawn.prefix + name,
        on.places.x[name] + drawn.x,
        drawn.y,
        sizes.node,
        tall,
        role,
        fill if sizes.font else {"input": "#ffffff", "node": "#8a8a8a", "join": INK}[role],
        Stroke(INK if sizes.font else SOFT, max(1.1 * sizes.stroke, 0.6)),
        f"{label}\n{node['join']}" if two else label,
        sizes.font or 6,
        INK,
        role != "input",
        tall / 2 if role == "input" or not sizes.font else 5 * sizes.stroke,
        facts,
        (node["span"],),
    )


def _shape(shape: tuple[int, ...]) -> str:
    return sizes(shape)


# --- the whole picture


def cell_picture(
    cell: nx.MultiDiGraph[str],
    on: CellLayout,
    drawn: Drawn | None = None,
    heading: tuple[str, str] | None = None,
    room: tuple[float, float] | None = None,
) -> Picture:
    """A cell under its heading.

    Args:
        cell: its nodes and edges.
        on: where they lie.
        drawn: how they stand; None for simply there.
        heading: a title and a line of detail; None for the cell's own.
        room: how much is kept free above and below the spine, so that pictures can be aligned.
    """
    places, metrics = on.places, on.metrics
    above, below = room or (places.above, places.below)
    title, detail = heading if heading is not None else headings(cell)
    size = {LARGE: 15.0}.get(metrics, 9.5)
    small = size * 0.8
    marks: list[Mark] = []
    top = 0.0
    side = metrics.stroke * 4
    wide = places.width + 2 * side
    if title:
        wide = max(wide, width(title, size, bold=True))
        marks.append(Text(0, size * 0.6, title, size, bold=True))
        top = size * 1.35
    for text in _lines(detail, small, max(wide, 200 if metrics is LARGE else wide)):
        marks.append(Text(0, top + small * 0.6, text, small, colour=SOFT))
        top += small * 1.3
    spine = top + above + 6 * metrics.stroke
    marks.extend(cell_marks(cell, on, replace(drawn or Drawn(), x=side, y=spine)))
    height = spine + below + 3
    return Picture(wide, height, tuple(marks), f"{title} ({detail})")


def _lines(text: str, size: float, room: float) -> list[str]:
    """A detail in lines, broken at its dots."""
    lines: list[str] = []
    for part in filter(None, text.split(" · ")):
        joined = f"{lines[-1]} · {part}" if lines else part
        if lines and width(joined, size) <= room:
            lines[-1] = joined
        else:
            lines.append(cut(part, size, room))
    return lines


def headings(cell: nx.MultiDiGraph[str]) -> tuple[str, str]:
    """The name of a cell's stage, and what it is in short."""
    facts = cell.graph
    arguments = ", ".join(f"{name}={value}" for name, value in facts["arguments"].items())
    call = f"{facts['cell']}({arguments})" if arguments else facts["cell"]
    inputs = zip(facts["inputs"], facts["sources"], strict=True)
    feeding = ", ".join(f"{name} is {_source(source)}" for name, source in inputs)
    detail = f"{call} · {_shape(facts['shape'])} · {amount(facts['params'])} parameters · {feeding}"
    return shown(facts["name"]), shown(detail)


def _source(stage: str) -> str:
    return "the image" if stage == IMAGE else stage


def legend(styles: Styles, metrics: Metrics, room: float, *, joins: bool = True) -> Picture:
    """A sample of each line with the operation that it stands for, in as many columns as fit."""
    scale = 1.0 if metrics is LARGE else 0.82
    size, sample = 11.5 * scale, 46 * scale
    entries = [
        *((shown(name), style) for name, style in styles.items()),
        *([("joined (concat, sum, mul)", JOIN)] if joins else []),
    ]
    widest = max((width(name, size) for name, _ in entries), default=0)
    column = min(sample + 10 + widest + 22, room)
    columns = max(1, min(len(entries), int(room // column)))
    rows = -(-len(entries) // columns)
    marks: list[Mark] = []
    for number, (name, style) in enumerate(entries):
        x, y = number // rows * column, (number % rows + 0.5) * size * 1.55
        stroke = style.stroke
        path = ((x, y), (x + sample / 3, y), (x + 2 * sample / 3, y), (x + sample, y))
        marks.append(Curve("", "", "", (path,), stroke, "mark", arrow=6 * scale))
        marks.append(Text(x + sample + 8, y, cut(name, size, column - sample - 12), size))
    return Picture(columns * column, rows * size * 1.55, tuple(marks), "legend")


def noted(notes: Sequence[str], room: float, size: float = 11) -> Picture:
    """Sentences, broken into lines."""
    said = [line for note in notes for line in wrapped(shown(note), size, room)]
    marks = tuple(
        Text(0, (number + 0.5) * size * 1.35, line, size, colour=INK) for number, line in enumerate(said)
    )
    return Picture(room, len(said) * size * 1.35, marks, "notes")


def restyled(styles: Styles, cells: Collection[nx.MultiDiGraph[str]]) -> Styles:
    """Only the styles that these cells use."""
    used = {edge["op"] for cell in cells for *_, edge in cell.edges(data=True) if edge["place"] is None}
    return {name: style for name, style in styles.items() if name in used}
