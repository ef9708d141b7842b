"""A difference as a picture: each pair of cells that differ laid over each other, with ``+`` and ``−`` on what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import networkx as nx

from robdsl.graph.net import Net
from robdsl.viz.cell_picture import (
    ADDED,
    REMOVED,
    Drawn,
    EdgeName,
    Standing,
    cell_layout,
    cell_picture,
    legend,
    restyled,
)
from robdsl.viz.difference.compare import CellDifference, Change, compare
from robdsl.viz.difference.words import grouped, heading, moved
from robdsl.viz.lettering import shown, width
from robdsl.viz.picture import Box, Mark, Picture, Stroke, Text, framed, stacked
from robdsl.viz.spine import LARGE
from robdsl.viz.styles import INK, SOFT, styles_for

_MOST_PICTURES = 40


def difference_picture(before: Net, after: Net) -> Picture:
    """The cells of two nets that differ, those that differ alike once, under what differs in the whole."""
    difference = compare(before, after)
    unions = [
        (group, *_union(before, after, group[0])) for group in grouped(difference.cells) if group[0].rewired
    ]
    title = f"{difference.before} → {difference.after}"
    notes: tuple[str, ...] = ()
    if len(unions) > _MOST_PICTURES:
        notes = (f"{len(unions)} kinds of cells differ; the first {_MOST_PICTURES} are drawn",)
        unions = unions[:_MOST_PICTURES]
    styles = styles_for([cell for _, cell, _ in unions])
    pictures = [_words(title, _facts(difference.sizes, difference.equal, len(difference.cells)), notes)]
    for number, (group, cell, standing) in enumerate(unions):
        layout = cell_layout(cell, styles)
        first = group[0]
        said = [f"density {_arrow(first.density)}"] if first.density.before is not None else []
        if len(group) == 1:
            said.append(f"parameters {_arrow(first.params)}")
        head = shown(heading(group)).replace("->", "→"), " · ".join(said)
        pictures.append(cell_picture(cell, layout, Drawn(standing, prefix=f"{number}/"), head))
    if unions:
        wide = max(560.0, *(each.width for each in pictures))
        joins = any(edge["place"] is not None for _, cell, _ in unions for *_, edge in cell.edges(data=True))
        pictures.append(_signs(difference.before, difference.after))
        pictures.append(legend(restyled(styles, [cell for _, cell, _ in unions]), LARGE, wide, joins=joins))
    return framed(stacked(pictures, title, 18, notes))


def _facts(sizes: Mapping[str, Change], equal: int, differing: int) -> str:
    said = [
        f"{name} {_arrow(sizes[key])}" for key, name in (("params", "parameters"), ("macs", "multiply-adds"))
    ]
    if sizes["density"].before is not None or sizes["density"].after is not None:
        said.append(f"mean density {_arrow(sizes['density'])}")
    said.append(f"{differing} of {equal + differing} cells differ" if differing else "no cell differs")
    return " · ".join(said)


def _arrow(change: Change) -> str:
    return moved(change).replace("->", "→")


def _words(title: str, detail: str, notes: tuple[str, ...]) -> Picture:
    marks = [Text(0, 11, shown(title), 17, bold=True), Text(0, 30, shown(detail), 12, colour=SOFT)]
    marks += [Text(0, 48 + 16 * number, shown(note), 12, bold=True) for number, note in enumerate(notes)]
    wide = max(width(each.text, each.size, bold=each.bold) for each in marks)
    return Picture(wide, 40 + 16 * len(notes), tuple(marks), title)


def _signs(before: str, after: str) -> Picture:
    """What the signs mean."""
    marks: list[Mark] = []
    for number, (sign, colour, name) in enumerate((("−", REMOVED, before), ("+", ADDED, after))):
        y = 9 + 19 * number
        marks.append(Box("", 9, y, 13, 13, "mark", "#ffffff", Stroke(colour, 1), sign, 11, colour, True, 6.5))
        marks.append(Text(24, y, f"only in {shown(name)}{'' if number else ' (removed)'}", 11.5, colour=INK))
    marks.append(Text(24, 47, "faint: in both", 11.5, colour=INK))
    return Picture(24 + 8 * (len(max(before, after, key=len)) + 18), 56, tuple(marks), "signs")


def _union(
    before: Net, after: Net, cell: CellDifference
) -> tuple[nx.MultiDiGraph[str], dict[EdgeName, Standing]]:
    """Both cells in one graph, and how each edge stands."""
    graphs = [
        None if number is None else net.cells[number]
        for net, number in ((before, cell.before), (after, cell.after))
    ]
    present = [graph for graph in graphs if graph is not None]
    whole: nx.MultiDiGraph[str] = nx.MultiDiGraph(**present[-1].graph)
    whole.graph["order"] = _merged([graph.graph["order"] for graph in present])
    inputs = dict.fromkeys(name for graph in present for name in graph.graph["inputs"])
    whole.graph["inputs"] = tuple(name for name in whole.graph["order"] if name in inputs)
    whole.graph["sources"] = ("",) * len(whole.graph["inputs"])
    for graph in present:
        whole.add_nodes_from((name, known) for name, known in graph.nodes(data=True) if name not in whole)
    standing: dict[EdgeName, Standing] = {}
    counts = [Counter(each for each, _ in _edges(graph)) for graph in graphs]
    for place, graph in enumerate(graphs):
        seen: Counter[tuple[str, str, str]] = Counter()
        for each, known in _edges(graph):
            seen[each] += 1
            shared = seen[each] <= min(counts[0][each], counts[1][each])
            if shared and place == 1:
                continue
            key = f"{each[0]}_to_{each[1]}.{each[2]}.{seen[each]}" + ("" if shared else "-+"[place])
            whole.add_edge(each[0], each[1], key=key, **known)
            standing[each[0], each[1], key] = "faint" if shared else "added" if place else "removed"
    return whole, standing


def _edges(graph: nx.MultiDiGraph[str] | None) -> Iterator[tuple[tuple[str, str, str], dict[str, object]]]:
    if graph is not None:
        for source, target, edge in graph.edges(data=True):
            yield (source, target, "join" if edge["place"] is not None else edge["op"]), edge


def _merged(orders: list[tuple[str, ...]]) -> tuple[str, ...]:
    """One order for the nodes of both: those that only the second has stand before what follows them there."""
    order = list(orders[0])
    for names in orders[1:]:
        known = set(order)
        waiting: list[str] = []
        for name in names:
            if name in known:
                at = order.index(name)
                order[at:at] = waiting
                waiting = []
            else:
                waiting.append(name)
        order.extend(waiting)
    return tuple(order)
