"""The edges of a cell as its text has them: one for each source and target, with their names and choices.

Nothing here depends on arguments or shapes, so every instance of a cell has the same open edges.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from robdsl.graph.cell import OpenEdge
from robdsl.graph.cell_form import first_mentions
from robdsl.graph.names import choice_of
from robdsl.graph.program import Bound
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_operation


@dataclass(frozen=True, eq=False)
class WrittenEdge:
    """One source and target of an edge statement.

    Attributes:
        key: its name in weights' keys, unique in its cell.
        choice: what there is to choose, where the edge is open.
        labels: the names of the alternatives in weights' keys, unique on the edge.
        opens: the place of this edge in alpha; None for a closed edge.
    """

    source: str
    target: str
    statement: nodes.Edge
    key: str
    choice: nodes.Choice | None
    labels: tuple[str, ...]
    opens: int | None


@lru_cache(maxsize=64)
def written_edges(cell: Bound) -> tuple[WrittenEdge, ...]:
    """The edges of a cell in the order of the text."""
    definition = cell.definition
    assert isinstance(definition, nodes.CellDefinition)
    index = {name: place for place, name in enumerate(first_mentions(definition))}
    written = [
        (source.name, target.name, statement, choice)
        for statement in definition.body
        if isinstance(statement, nodes.Edge)
        for choice in (choice_of(statement.operation, cell.file),)
        for source in statement.sources
        for target in statement.targets
    ]
    opened = [place for place, (_, _, _, choice) in enumerate(written) if choice is not None]
    opened.sort(key=lambda place: (index[written[place][1]], index[written[place][0]], place))
    opens = {place: number for number, place in enumerate(opened)}
    keys = _Keys(taken=set(index))
    return tuple(
        WrittenEdge(
            source,
            target,
            statement,
            keys.new(f"{source}_to_{target}"),
            choice,
            ("",) if choice is None else labels_of(choice),
            opens.get(place),
        )
        for place, (source, target, statement, choice) in enumerate(written)
    )


@lru_cache(maxsize=64)
def open_edges(cell: Bound) -> tuple[OpenEdge, ...]:
    """The open edges of a cell, in the order of alpha."""
    definition = cell.definition
    assert isinstance(definition, nodes.CellDefinition)
    index = {name: place for place, name in enumerate(first_mentions(definition))}
    opens: dict[int, OpenEdge] = {}
    for edge in written_edges(cell):
        if edge.choice is not None and edge.opens is not None:
            none = [isinstance(each, nodes.Nothing) for each in edge.choice.alternatives]
            opens[edge.opens] = OpenEdge(
                edge.source,
                edge.target,
                edge.choice.kind,
                names_of(edge.choice),
                none.index(True) if any(none) else None,
                index[edge.target] == index[edge.source] + 1,
            )
    return tuple(opens[number] for number in range(len(opens)))


class _Keys:
    """Makes names that differ."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._counts: Counter[str] = Counter()

    def new(self, name: str) -> str:
        """``name``, else ``name_2``, ``name_3``, ..."""
        self._counts[name] += 1
        key = name if self._counts[name] == 1 else f"{name}_{self._counts[name]}"
        while key in self._taken:
            self._counts[name] += 1
            key = f"{name}_{self._counts[name]}"
        self._taken.add(key)
        return key


def names_of(choice: nodes.Choice) -> tuple[str, ...]:
    """What the alternatives are called in a long-form choice: by name, else token for token."""
    return tuple(_own_name(choice, each) or show_operation(each) for each in choice.alternatives)


def labels_of(choice: nodes.Choice) -> tuple[str, ...]:
    """Names for the alternatives in weights' keys, the same whatever is chosen."""
    named = [_own_name(choice, each) for each in choice.alternatives]
    keys = _Keys(taken={name for name in named if name is not None})
    return tuple(name or keys.new(f"alternative_{index}") for index, name in enumerate(named))


def _own_name(choice: nodes.Choice, alternative: nodes.Op) -> str | None:
    """The name of the operation that an alternative calls, when no other one calls it."""
    calls = [each.callee.name for each in choice.alternatives if isinstance(each, nodes.Call)]
    if isinstance(alternative, nodes.Call) and calls.count(alternative.callee.name) == 1:
        return alternative.callee.name
    return None
