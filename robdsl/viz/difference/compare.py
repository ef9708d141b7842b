"""The difference between two nets as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import networkx as nx

from robdsl.graph.canonical import TooSymmetric
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation
from robdsl.graph.values import show_value
from robdsl.graph.views import show
from robdsl.viz.difference.pairing import pairs

#: Source, target and operation.
Edge = tuple[str, str, str]


@dataclass(frozen=True)
class Change:
    """A quantity in the one net and in the other; None where it has none."""

    before: int | float | str | None
    after: int | float | str | None


@dataclass(frozen=True)
class CellDifference:
    """Two cells in the same place that differ, or one that has no partner.

    Attributes:
        before, after: the numbers of the cells in ``net.cells``, from 0; None for none.
        names: of their stages.
        cell: the names of their definitions.
        added, removed: edges with their operations.
        kept: how many edges with the same operation both have.
        nodes_added, nodes_removed: names of nodes.
        params, macs, density: of the whole cell; density is that of its choice.
        shape: what it gives.
    """

    before: int | None
    after: int | None
    names: Change
    cell: Change
    added: tuple[Edge, ...]
    removed: tuple[Edge, ...]
    kept: int
    nodes_added: tuple[str, ...]
    nodes_removed: tuple[str, ...]
    params: Change
    macs: Change
    density: Change
    shape: Change

    @property
    def wiring(self) -> tuple[Any, ...]:
        """What is the same for cells that differ alike."""
        return (
            self.cell,
            self.added,
            self.removed,
            self.kept,
            self.nodes_added,
            self.nodes_removed,
            self.density,
        )

    @property
    def rewired(self) -> bool:
        """Whether edges, operations or nodes differ, and not only sizes."""
        return bool(self.added or self.removed or self.nodes_added or self.nodes_removed)


@dataclass(frozen=True)
class Difference:
    """What differs between two nets.

    Attributes:
        before, after: their names.
        same_function: whether both compute the same function of images and weights (`Net.hash`); None where that is
            too hard to say.
        sizes: ``params``, ``macs``, ``depth``, ``density``, ``cells``: all of them, also those that are equal.
        parameters: values of the text's parameters that differ.
        cells: the cells that differ, in order.
        equal: how many cells are the same.
        stages: stages that are no cells and differ, as text; None where the other net has none in that place.
    """

    before: str
    after: str
    same_function: bool | None
    sizes: dict[str, Change]
    parameters: dict[str, Change]
    cells: tuple[CellDifference, ...]
    equal: int
    stages: tuple[Change, ...]

    @property
    def differs(self) -> bool:
        """Whether there is any difference in what is compared."""
        sizes = any(each.before != each.after for each in self.sizes.values())
        return bool(sizes or self.parameters or self.cells or self.stages) or self.same_function is False

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"differs": self.differs, **asdict(self)}


def compare(before: Net, after: Net) -> Difference:
    """What differs between two nets, cell by cell.

    Cells in the same place are compared by their edges and operations; names of nets, comments and meta do not count.
    """
    cells: list[CellDifference] = []
    stages: list[Change] = []
    equal = 0
    graphs = _graphs(before), _graphs(after)
    densities = _densities(before), _densities(after)
    for ours, theirs in pairs(before, after):
        left = None if ours is None else graphs[0].get(ours)
        right = None if theirs is None else graphs[1].get(theirs)
        if left is not None or right is not None:
            cell = _cell(left, right, densities)
            if cell is None:
                equal += 1
            else:
                cells.append(cell)
        else:
            change = Change(_stage(before, ours), _stage(after, theirs))
            if change.before != change.after:
                stages.append(change)
    return Difference(
        before.name,
        after.name,
        _same_function(before, after),
        _sizes(before, after),
        _parameters(before, after),
        tuple(cells),
        equal,
        tuple(stages),
    )


_Cell = tuple[int, "nx.MultiDiGraph[str]"]


def _graphs(net: Net) -> dict[int, _Cell]:
    """The number and the graph of each cell, by its stage's number."""
    places = [n for n, stage in enumerate(net.stages) if isinstance(stage.operation, CellOperation)]
    return dict(zip(places, enumerate(net.cells), strict=True))


def _densities(net: Net) -> dict[str, float]:
    return {} if net.whole else {each.pick: each.density for each in net.stats().choices}


def _cell(
    left: _Cell | None, right: _Cell | None, densities: tuple[dict[str, float], dict[str, float]]
) -> CellDifference | None:
    """How two cells differ; None where they do not."""
    graphs = left[1] if left else None, right[1] if right else None
    ours, theirs = (Counter(_edges(graph)) for graph in graphs)
    nodes = [set(graph.nodes) if graph is not None else set() for graph in graphs]
    found = CellDifference(
        left[0] if left else None,
        right[0] if right else None,
        _of(graphs, "name"),
        _of(graphs, "cell"),
        tuple(sorted((theirs - ours).elements())),
        tuple(sorted((ours - theirs).elements())),
        (ours & theirs).total(),
        tuple(sorted(nodes[1] - nodes[0])),
        tuple(sorted(nodes[0] - nodes[1])),
        _of(graphs, "params"),
        _of(graphs, "macs"),
        Change(
            *(
                None if g is None else known.get(g.graph["pick"])
                for g, known in zip(graphs, densities, strict=True)
            )
        ),
        Change(*(None if g is None else " × ".join(map(str, g.graph["shape"])) for g in graphs)),
    )
    quantities = (found.params, found.macs, found.shape)
    if left and right and not found.rewired and all(each.before == each.after for each in quantities):
        return None
    return found


def _edges(graph: nx.MultiDiGraph[str] | None) -> Iterator[Edge]:
    if graph is not None:
        for source, target, edge in graph.edges(data=True):
            yield source, target, graph.nodes[target]["join"] if edge["place"] is not None else edge["op"]


def _of(graphs: tuple[nx.MultiDiGraph[str] | None, nx.MultiDiGraph[str] | None], name: str) -> Change:
    return Change(*(None if graph is None else graph.graph[name] for graph in graphs))


def _stage(net: Net, number: int | None) -> str | None:
    """A stage that is no cell, as what it does and gives."""
    if number is None:
        return None
    stage = net.stages[number]
    return f"{show(stage.operation)}, {' × '.join(map(str, stage.shape))}, {stage.operation.cost.params:,} parameters"


def _same_function(before: Net, after: Net) -> bool | None:
    try:
        return before.hash == after.hash
    except TooSymmetric:
        return None


def _sizes(before: Net, after: Net) -> dict[str, Change]:
    stats = before.stats(), after.stats()
    names = ("params", "macs", "depth", "density")
    return {
        **{name: Change(*(getattr(each, name) for each in stats)) for name in names},
        "cells": Change(len(before.cells), len(after.cells)),
    }


def _parameters(before: Net, after: Net) -> dict[str, Change]:
    ours, theirs = ({n: show_value(v) for n, v in net.layout.parameters} for net in (before, after))
    return {
        name: Change(ours.get(name), theirs.get(name))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    }
