"""A net as drawings see it: its cells beside what each might have been, in one set of styles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import networkx as nx

from robdsl.diagnostics.source import Span
from robdsl.graph.choices import pick_name
from robdsl.graph.net import Net, Space
from robdsl.syntax import nodes
from robdsl.viz.cell_picture import CellLayout, Drawn, EdgeName, Standing, cell_layout, headings
from robdsl.viz.lettering import shown
from robdsl.viz.spine import Metrics
from robdsl.viz.styles import Styles, styles_for

#: Weights of the edges of one pick: by source, target and operation.
EdgeWeights = Mapping[tuple[str, str, str], float]


@dataclass(frozen=True)
class Overlay:
    """What a study has found, to be drawn over a net.

    Attributes:
        edges: by pick, how much each edge with each operation matters, in [-1, 1].
        cells: by the number of the cell, its mean FSP distance.
        title: where it comes from.
        notes: what a reader must know about how sure it is.
    """

    edges: Mapping[str, EdgeWeights]
    cells: Mapping[int, float]
    title: str
    notes: tuple[str, ...] = ()

    @property
    def largest(self) -> float:
        """The largest magnitude of a weight in any pick: pictures of cells have one scale."""
        return (
            max((abs(weight) for each in self.edges.values() for weight in each.values()), default=0.0) or 1.0
        )


@dataclass(frozen=True, eq=False)
class Subject:
    """One net to draw.

    Attributes:
        faint: whether what its space offers and it did not choose is drawn too.
    """

    net: Net
    faint: bool = False
    overlay: Overlay | None = None
    _layouts: dict[object, CellLayout] = field(default_factory=dict)

    @classmethod
    def of(cls, what: Net | Space, *, faint: bool = False, overlay: Overlay | None = None) -> Subject:
        """A net, or of a space the net that has everything."""
        return cls(what.supernet() if isinstance(what, Space) else what, faint, overlay)

    @cached_property
    def cells(self) -> tuple[nx.MultiDiGraph[str], ...]:
        return self.net.cells

    @cached_property
    def offered(self) -> tuple[nx.MultiDiGraph[str], ...]:
        """The same cells with every alternative of every open edge."""
        space = self.net.space
        return self.cells if space is None or self.net.whole else space.supernet().cells

    @cached_property
    def styles(self) -> Styles:
        return styles_for(self.offered)

    @cached_property
    def densities(self) -> dict[str, float]:
        """The density of each pick that chose; none in a supernet."""
        return {} if self.net.whole else {each.pick: each.density for each in self.net.stats().choices}

    def one(self, number: int) -> frozenset[int]:
        """The open edges of a cell that take exactly one alternative."""
        name = self.cells[number].graph["pick"]
        if self.net.whole or self.faint:
            return frozenset()
        opens = next((pick.opens for pick in self.net.layout.picks if pick.name == name), ())
        return frozenset(place for place, edge in enumerate(opens) if edge.kind == "one")

    def layout(self, number: int, metrics: Metrics) -> CellLayout:
        """Where everything in a cell lies; the same for all cells that offer the same."""
        cell, one = self.offered[number], self.one(number)
        operations = tuple((*name, cell.edges[name]["op"]) for name in cell.edges(keys=True))
        key = cell.graph["order"], operations, one, metrics
        if key not in self._layouts:
            self._layouts[key] = cell_layout(cell, self.styles, metrics, one)
        return self._layouts[key]

    def drawn(self, number: int) -> tuple[nx.MultiDiGraph[str], Drawn]:
        """What is drawn of a cell, and how its edges stand."""
        cell, offered = self.cells[number], self.offered[number]
        standing: dict[EdgeName, Standing] = {}
        if self.faint:
            standing = {name: "faint" for name in offered.edges(keys=True) if not cell.has_edge(*name)}
        whole = offered if self.faint else cell
        weights = self._weights(number, whole)
        largest = 1.0 if self.overlay is None else self.overlay.largest
        written = self._written(cell.graph["pick"])
        return whole, Drawn(standing, weights, largest, f"{cell.graph['name']}/", written)

    def _written(self, pick: str | None) -> Span | None:
        """Where the net's text says what it chose."""
        body = self.net.definition.body if self.net.definition is not None else ()
        for each in body:
            if isinstance(each, nodes.PickBits | nodes.PickEdges) and pick_name(each) == pick:
                return each.span
        return None

    def _weights(self, number: int, cell: nx.MultiDiGraph[str]) -> dict[EdgeName, float] | None:
        if self.overlay is None:
            return None
        found = self.overlay.edges.get(self.cells[number].graph["pick"], {})
        return {
            (source, target, key): found[source, target, edge["op"]]
            for source, target, key, edge in cell.edges(keys=True, data=True)
            if (source, target, edge["op"]) in found
        }

    def facts(self, number: int) -> list[str]:
        """What distinguishes a cell: its density, and its FSP distance where a study measured it."""
        pick = self.cells[number].graph["pick"]
        said = [f"density {self.densities[pick]:.3f}"] if pick in self.densities else []
        if self.overlay is not None and number in self.overlay.cells:
            said.append(f"FSP {self.overlay.cells[number]:.3g}")
        return said

    def heading(self, number: int) -> tuple[str, str]:
        """The title and detail of a cell drawn alone."""
        title, detail = headings(self.cells[number])
        name = shown(self.net.name)
        return f"{name}, cell {number}: {title}", " · ".join([detail, *self.facts(number)])

    def cell_number(self, name: str) -> int:
        """The number of a cell that is asked for by number or by its stage's name.

        Raises:
            ValueError: there is no such cell.
        """
        names = [cell.graph["name"] for cell in self.cells]
        if name in names:
            return names.index(name)
        if name.isdecimal() and len(name) < 10 and int(name) < len(names):
            return int(name)
        if not names:
            raise ValueError(f"{self.net.name} has no cells")
        listed = ", ".join(names[:6]) + (", ..." if names[6:] else "")
        raise ValueError(
            f"{self.net.name} has no cell `{shown(name)}`: they are numbered 0 to {len(names) - 1} and called {listed}"
        )
