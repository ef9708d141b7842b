"""Where the nodes and edges of a cell lie: nodes in a row, edges along it or in arches over and under it.

Nodes stand in node order, so a direct edge (to the next node) is a straight line and a skip is an arch. An input that
only one node reads, such as those that a RobNet cell first brings to its width, stands right before that node. What
joins nodes runs along a rail below all arches. Arches are nested: none that could avoid another crosses it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx

from robdsl.viz.bezier import line, polyline
from robdsl.viz.picture import Point, Spline

_HIGHEST = 300.0  # points of an arch at scale 1, however far it goes


@dataclass(frozen=True)
class Metrics:
    """The sizes of a cell's drawing, in points.

    Attributes:
        pitch: from node to node.
        node, tall: width and height of a node.
        font: of the nodes' names; 0 for none.
        port: between the ends of arches on a node.
        lines: between parallel lines on the spine.
        base, step: the height of an arch is ``base`` and a ``step`` for each node that it reaches further.
        stroke: scales the widths of lines and lengths of dashes.
        arrow: the length of arrowheads.
        rail: between rails.
    """

    pitch: float
    node: float
    tall: float
    font: float
    port: float
    lines: float
    base: float
    step: float
    stroke: float
    arrow: float
    rail: float


LARGE = Metrics(92, 46, 34, 13, 7.5, 10, 16, 17, 1, 8, 10)
MEDIUM = Metrics(39, 21, 17, 8.5, 2.6, 4.4, 6, 8, 0.5, 3.4, 5)
SMALL = Metrics(23, 9, 9, 0, 1.2, 2.6, 4, 5, 0.42, 0, 3.5)


@dataclass(frozen=True)
class Slot:
    """A place for an edge: ``above`` or below the spine, ``rank`` 0 the innermost of its pair on that side."""

    source: str
    target: str
    above: bool
    rank: int = 0


@dataclass
class Layout:
    """Places, with the spine at ``y`` = 0.

    Attributes:
        order: the nodes from left to right.
        x: the middle of each node.
        paths: the line of each slot.
        rails: the line of each operand of a join, by operand and join.
        above, below: how far the drawing reaches from the spine.
        width: from the first node's left side to the last one's right.
    """

    order: tuple[str, ...]
    x: dict[str, float]
    paths: dict[Slot, Spline] = field(default_factory=dict)
    rails: dict[tuple[str, str], Spline] = field(default_factory=dict)
    above: float = 0
    below: float = 0
    width: float = 0


def display_order(cell: nx.MultiDiGraph[str]) -> tuple[str, ...]:
    """The nodes of a cell (`robdsl.graph.views`) in node order, each prepared input before its reader."""
    order: list[str] = list(cell.graph["order"])
    index = {name: place for place, name in enumerate(order)}
    for name in cell.graph["inputs"]:
        readers = {target for _, target in cell.out_edges(name)}
        if len(readers) != 1 or any(edge["choice"] for *_, edge in cell.out_edges(name, data=True)):
            continue
        reader = readers.pop()
        before = order[order.index(reader) - 1]
        if cell.nodes[reader]["join"] or (before != name and cell.has_edge(before, reader)):
            continue
        if any(index[reader] - index[source] == 1 for source in set(cell.predecessors(reader)) - {name}):
            continue
        order.remove(name)
        order.insert(order.index(reader), name)
    return tuple(order)


def lay_out(
    order: Sequence[str], slots: Sequence[Slot], joins: Sequence[tuple[str, str]], sizes: Metrics
) -> Layout:
    """Places for nodes in a row, for slots between them, and for the operands of joins."""
    place = {name: number for number, name in enumerate(order)}
    x = {name: sizes.node / 2 + number * sizes.pitch for name, number in place.items()}
    layout = Layout(tuple(order), x, width=(len(order) - 1) * sizes.pitch + sizes.node)
    layout.above = layout.below = sizes.tall / 2
    straight: dict[tuple[str, str], list[Slot]] = defaultdict(list)
    arches: list[Slot] = []
    for slot in slots:
        if place[slot.target] - place[slot.source] == 1:
            straight[slot.source, slot.target].append(slot)
        else:
            arches.append(slot)
    for pair, beside in straight.items():
        _lay_straight(layout, pair, beside, sizes)
    _lay_arches(layout, place, arches, sizes)
    _lay_rails(layout, place, [each for each in joins if each not in straight], sizes)
    return layout


def _lay_straight(layout: Layout, pair: tuple[str, str], beside: Sequence[Slot], sizes: Metrics) -> None:
    """Parallel lines from one node to the next: those that would arch above on top."""
    ordered = sorted(beside, key=lambda slot: (not slot.above, -slot.rank if slot.above else slot.rank))
    gap = min(sizes.lines, (sizes.tall - sizes.tall / 5) / max(1, len(ordered) - 1))
    start, end = layout.x[pair[0]] + sizes.node / 2, layout.x[pair[1]] - sizes.node / 2
    for number, slot in enumerate(ordered):
        y = (number - (len(ordered) - 1) / 2) * gap
        layout.paths[slot] = line((start, y), (end, y))


def _lay_arches(layout: Layout, place: dict[str, int], arches: Sequence[Slot], sizes: Metrics) -> None:
    for above in (True, False):
        side = [slot for slot in arches if slot.above == above]
        furthest = max((abs(place[each.target] - place[each.source]) for each in side), default=1)
        beside = 1 + max((slot.rank for slot in side), default=0)
        step = min(max(sizes.step, beside * sizes.port * 1.4), _HIGHEST * sizes.stroke / furthest)
        ports = _ports(side, place, sizes)
        for slot in side:
            span = abs(place[slot.target] - place[slot.source])
            height = sizes.base + step * span + slot.rank * sizes.port * 1.4
            ends = ports[slot, "out"] + layout.x[slot.source], ports[slot, "in"] + layout.x[slot.target]
            layout.paths[slot] = _arch(ends, sizes.tall / 2, height, above)
            reach = sizes.tall / 2 + height
            if above:
                layout.above = max(layout.above, reach)
            else:
                layout.below = max(layout.below, reach)


def _arch(ends: tuple[float, float], foot: float, height: float, above: bool) -> Spline:
    """A curve that leaves and arrives upright and reaches ``height`` over its feet."""
    sign = -1 if above else 1
    y, top = sign * foot, sign * (foot + height * 4 / 3)
    start, end = ends
    return (start, y), (start, top), (end, top), (end, y)


def _ports(side: Sequence[Slot], place: dict[str, int], sizes: Metrics) -> dict[tuple[Slot, str], float]:
    """Where on its nodes each arch starts and ends, from the nodes' middles.

    Arches arrive to the left of those that leave, so that they are nested; below, the middle is left to rails.
    """
    found: dict[tuple[Slot, str], float] = {}
    into: dict[str, list[Slot]] = defaultdict(list)
    out_of: dict[str, list[Slot]] = defaultdict(list)
    for slot in side:
        into[slot.target].append(slot)
        out_of[slot.source].append(slot)
    rails = not all(slot.above for slot in side)
    for name in dict.fromkeys([*into, *out_of]):
        arriving = sorted(into[name], key=lambda slot: (-place[slot.source], slot.rank))
        leaving = sorted(out_of[name], key=lambda slot: (-place[slot.target], -slot.rank))
        middle = [None] if rails else []
        ends = [*((slot, "in") for slot in arriving), *middle, *((slot, "out") for slot in leaving)]
        shift = len(arriving) if middle else (len(ends) - 1) / 2
        gap = min(sizes.port, sizes.node * 0.4 / max(1, shift, len(ends) - 1 - shift))
        for number, end in enumerate(ends):
            if end is not None:
                found[end] = (number - shift) * gap
    return found


def _lay_rails(
    layout: Layout, place: dict[str, int], joins: Sequence[tuple[str, str]], sizes: Metrics
) -> None:
    """Operands of a join: down to a rail under everything, along it, up into the join."""
    y = layout.below
    for join in dict.fromkeys(target for _, target in joins):
        operands = sorted((source for source, target in joins if target == join), key=place.__getitem__)
        far = [name for name in operands if place[join] - place[name] > 1]
        if far:
            y += sizes.rail
        for name in operands:
            if name not in far:
                ends = layout.x[name] + sizes.node / 2, layout.x[join] - sizes.node / 2
                layout.rails[name, join] = line((ends[0], 0), (ends[1], 0))
                continue
            layout.rails[name, join] = rounded(
                [
                    (layout.x[name], sizes.tall / 2),
                    (layout.x[name], y),
                    (layout.x[join], y),
                    (layout.x[join], sizes.tall / 2),
                ],
                sizes.rail * 0.9,
            )
    layout.below = y


def rounded(points: Sequence[Point], radius: float) -> Spline:
    """Lines through points whose directions are along the axes, with round corners."""
    spline: list[Point] = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        entry, leave = _toward(corner, before, radius), _toward(corner, after, radius)
        spline.extend(line(spline[-1], entry)[1:])
        spline.extend((_toward(entry, corner, radius * 0.55), _toward(leave, corner, radius * 0.55), leave))
    spline.extend(polyline([spline[-1], points[-1]])[1:])
    return tuple(spline)


def _toward(start: Point, goal: Point, distance: float) -> Point:
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    whole = abs(dx) + abs(dy)
    part = min(1.0, distance / whole) if whole else 0.0
    return start[0] + dx * part, start[1] + dy * part
