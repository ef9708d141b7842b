"""Counting choices by the longest paths that they leave, for rules that speak of `depth`.

The longest path is no sum over edges. But a cell touches the rest of a net at its inputs alone, so of its choice only
the longest path from each input to ``out`` matters (`Cell.paths`), and of the stages before it only how deep those
outputs are that are still to be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add

from robdsl.graph.cell import Cell, CellEdge
from robdsl.graph.counting import MAX_STATES, Below, Chosen, Sums, Vector, weighted
from robdsl.graph.layout import Stage
from robdsl.graph.operations import (
    CellOperation,
    ChainOperation,
    Choice,
    Operation,
    SumOperation,
    picked,
)

#: A longest path from one input of a cell that a pick closes: the pick, which of its cells, which input.
PathSlot = tuple[int, int, int]
#: A path as a number: 0 for none, else one more than its length.
_Path = int


@dataclass(frozen=True, eq=False)
class StageDepth:
    """How deep the output of a stage is.

    Attributes:
        picks: the picks that it depends on.
        inputs: the stages before it; -1 is the image.
        paths: which paths it depends on.
        of: its depth, given the depths of its inputs and the paths (as `PathTable` counts them).
    """

    picks: frozenset[int]
    inputs: tuple[int, ...]
    paths: frozenset[PathSlot]
    of: Callable[[Sequence[int], Mapping[PathSlot, int]], int]


class PathCells:
    """The cells of a space that picks close; those that have the same paths for every choice count as one."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._number: dict[tuple[int, int], int] = {}
        self._cells: dict[int, dict[tuple[object, ...], Cell]] = {}
        for stage in stages:
            for used in picked(stage.operation):
                assert used.pick is not None
                cells = self._cells.setdefault(used.pick, {})
                key = wiring(used.cell)
                cells.setdefault(key, used.cell)
                self._number[used.pick, id(used.cell)] = list(cells).index(key)
        self.stages = tuple(self._stage(stage) for stage in stages)

    def of(self, pick: int) -> tuple[Cell, ...]:
        """The cells that a pick closes, one for each kind."""
        return tuple(self._cells.get(pick, {}).values())

    def _stage(self, stage: Stage) -> StageDepth:
        operation = stage.operation
        used = list(picked(operation))
        slots = frozenset(slot for each in used for slot in self._slots(each))
        picks = frozenset(slot[0] for slot in slots)

        def of(before: Sequence[int], paths: Mapping[PathSlot, int]) -> int:
            through: Sequence[_Path]
            if not isinstance(operation, CellOperation):
                through = [1 + self._depth(operation, paths)]
            elif operation.pick is None:
                through = [0 if path is None else 1 + path for path in operation.cell.paths(operation.choice)]
            else:
                through = [paths[slot] for slot in self._slots(operation)]
            return max(
                (start + path - 1 for start, path in zip(before, through, strict=True) if path), default=0
            )

        return StageDepth(picks, stage.inputs, slots, of)

    def _slots(self, used: CellOperation) -> list[PathSlot]:
        assert used.pick is not None
        number = self._number[used.pick, id(used.cell)]
        return [(used.pick, number, place) for place in range(len(used.cell.inputs))]

    def _depth(self, operation: Operation, paths: Mapping[PathSlot, int]) -> int:
        """The longest path through an operation with one input."""
        match operation:
            case CellOperation(pick=int()):
                return max(0, *(paths[slot] - 1 for slot in self._slots(operation)))
            case ChainOperation():
                return sum(self._depth(part, paths) for part in operation.parts)
            case SumOperation():
                return max(self._depth(part, paths) for part in operation.parts)
        return operation.cost.depth


def wiring(cell: Cell) -> tuple[object, ...]:
    """Equal for cells whose longest paths are the same for every choice."""
    joins = tuple((name, node.is_input, node.join, node.operands) for name, node in cell.nodes.items())
    edges = tuple((each.source, each.target, each.opens, _depths(each)) for each in cell.edges)
    return cell.order, cell.inputs, joins, edges


def _depths(edge: CellEdge) -> tuple[int | None, ...]:
    return tuple(None if each is None else each.cost.depth for each in edge.alternatives)


#: Sums, and for each cell the longest path to ``out`` from each node and whether the node at hand is still empty.
_State = tuple[Vector, tuple[tuple[tuple[_Path, ...], bool], ...]]
#: A state, and what is chosen on an edge to come there (or, in a table of where states came from, to leave it).
_Move = tuple[_State, list[Chosen]]


class PathTable:
    """The choices of one pick, counted by sums and by the longest paths through the cells that it closes.

    Nodes are taken from ``out`` back to the inputs, and on the way the longest path from each node is known.

    Args:
        cells: of the same definition, so that they have the same open edges.

    Attributes:
        counts: how many choices give each vector: the sums, then the path from each input of each cell (0 for none,
            else one more than its length).

    Raises:
        Uncountable: a bound was hit.
    """

    def __init__(self, sums: Sums, cells: Sequence[Cell]) -> None:
        self._cells = cells
        self._edges: list[int | None] = []
        self._layers: list[dict[_State, list[_Move]]] = []
        start = tuple((tuple(int(name == "out") for name in cell.nodes), True) for cell in cells)
        self._ways: list[dict[_State, int]] = [{((0,) * sums.width, start): 1}]
        states = 0
        for edge, moves in self._moves(sums):
            came: dict[_State, list[_Move]] = {}
            ways: dict[_State, int] = {}
            for state, count in self._ways[-1].items():
                for reached, chosen in moves(state):
                    came.setdefault(reached, []).append((state, chosen))
                    ways[reached] = ways.get(reached, 0) + count * len(chosen)
                    states += 1
            if states > MAX_STATES:
                raise sums.too_many()
            self._edges.append(edge)
            self._layers.append(came)
            self._ways.append(ways)
        self._last = {self._vector(state): state for state in self._ways[-1]}
        self.counts: Mapping[Vector, int] = {
            vector: self._ways[-1][state] for vector, state in self._last.items()
        }

    def _moves(self, sums: Sums) -> Iterator[tuple[int | None, Callable[[_State], list[_Move]]]]:
        """What happens in turn: open edges are chosen, and nodes all of whose edges are known are left."""
        places = {name: place for place, name in enumerate(self._cells[0].nodes)}
        for name in reversed(self._cells[0].order):
            for each in self._cells[0].entering[name]:
                if each.opens is not None:
                    yield each.opens, self._choosing(sums, each.opens, places)
            yield None, self._leaving(name, places)

    def _choosing(self, sums: Sums, edge: int, places: Mapping[str, int]) -> Callable[[_State], list[_Move]]:
        opens = sums.pick.opens[edge]
        source, target = places[opens.source], places[opens.target]
        depths = [next(_depths(each) for each in cell.edges if each.opens == edge) for cell in self._cells]
        adds = {chosen: added for added, options in sums.on(edge).items() for chosen in options}
        kinds: dict[tuple[Vector, tuple[int | None, ...]], list[Chosen]] = {}
        for chosen in opens.options:
            longest = tuple(
                max((depth for index in chosen if (depth := each[index]) is not None), default=None)
                for each in depths
            )
            kinds.setdefault((adds[chosen], longest), []).append(chosen)

        def moves(state: _State) -> list[_Move]:
            reached = []
            for (added, longest), options in kinds.items():
                cells = tuple(
                    (paths, empty) if depth is None else (_longer(paths, source, target, depth), False)
                    for (paths, empty), depth in zip(state[1], longest, strict=True)
                )
                reached.append(((tuple(map(add, state[0], added)), cells), options))
            return reached

        return moves

    def _leaving(self, name: str, places: Mapping[str, int]) -> Callable[[_State], list[_Move]]:
        place = places[name]
        links = [_closed_links(cell, name, places) for cell in self._cells]
        node = self._cells[0].nodes[name]
        first = places[self._cells[0].inputs[0]]

        def left(
            paths: tuple[_Path, ...], empty: bool, closed: Sequence[tuple[int, int]]
        ) -> tuple[tuple[_Path, ...], bool]:
            for source, depth in closed:
                paths = _longer(paths, source, place, depth)
            if node.is_input:
                return paths, True
            if empty and not closed:
                paths = _longer(paths, first, place, 0)
            return (*paths[:place], 0, *paths[place + 1 :]), True

        def moves(state: _State) -> list[_Move]:
            cells = tuple(left(*each, closed) for each, closed in zip(state[1], links, strict=True))
            return [((state[0], cells), [()])]

        return moves

    def _vector(self, state: _State) -> Vector:
        paths = [
            paths[list(cell.nodes).index(name)]
            for cell, (paths, _) in zip(self._cells, state[1], strict=True)
            for name in cell.inputs
        ]
        return (*state[0], *paths)

    def draw(self, vector: Vector, below: Below) -> Choice:
        """A choice that gives ``vector``, uniformly among all that do."""
        state = self._last[vector]
        drawn: dict[int, Chosen] = {}
        for edge, came, ways in zip(
            reversed(self._edges), reversed(self._layers), reversed(self._ways[:-1]), strict=True
        ):
            weights = [ways[before] * len(options) for before, options in came[state]]
            state, options = came[state][weighted(weights, sum(weights), below)]
            if edge is not None:
                drawn[edge] = options[below(len(options))]
        return tuple(drawn[edge] for edge in range(len(drawn)))


def _closed_links(cell: Cell, name: str, places: Mapping[str, int]) -> list[tuple[int, int]]:
    """What a node is made of without any choice: places of nodes, and how deep what lies between is."""
    links = [(places[operand], 0) for operand in cell.nodes[name].operands]
    for edge in cell.entering[name]:
        (depth, *_) = _depths(edge)
        if edge.opens is None and depth is not None:
            links.append((places[edge.source], depth))
    return links


def _longer(paths: tuple[_Path, ...], source: int, target: int, depth: int) -> tuple[_Path, ...]:
    """The longest paths, knowing of one more link."""
    if not paths[target] or paths[source] >= paths[target] + depth:
        return paths
    return (*paths[:source], paths[target] + depth, *paths[source + 1 :])
