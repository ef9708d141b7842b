"""Alpha as a matrix: a row an architecture, a column an alternative of an open edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from robdsl.analysis.results import Floats
from robdsl.graph.cell import OpenEdge
from robdsl.graph.choices import Pick

if TYPE_CHECKING:
    import pandas as pd


class AlphaError(ValueError):
    """A code does not fit the pick that it is for."""


@dataclass(frozen=True)
class Column:
    """One alternative of one open edge.

    Attributes:
        pick: the pick's name.
        place: the place of the edge in alpha.
        source, target: node names.
        operation: the alternative's name.
        direct: whether the edge goes to the next node.
    """

    pick: str
    place: int
    source: str
    target: str
    operation: str
    direct: bool

    @property
    def edge(self) -> str:
        """``x0 → n1``"""
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, eq=False)
class AlphaMatrix:
    """What architectures of one space chose.

    Attributes:
        values: (architectures, columns), 1 where the alternative was taken; ``none`` has no column.
        columns: in the order of alpha.
    """

    values: NDArray[np.int8]
    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> AlphaMatrix:
        """Some of the architectures."""
        return AlphaMatrix(self.values[which], self.columns)

    @cached_property
    def picks(self) -> tuple[str, ...]:
        """The names of the picks."""
        return tuple(dict.fromkeys(column.pick for column in self.columns))

    @cached_property
    def operations(self) -> tuple[str, ...]:
        """The names of the alternatives."""
        return tuple(dict.fromkeys(column.operation for column in self.columns))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: ``x0 → n1: skip``, with the pick before it where there are several."""
        several = len(self.picks) > 1
        return tuple(
            f"{f'{each.pick}: ' if several else ''}{each.edge}: {each.operation}" for each in self.columns
        )

    def count(self, operations: Iterable[str], direct: bool | None = None) -> Floats:
        """How often each architecture took one of these, per pick: on all, direct or skip edges."""
        wanted = set(operations)
        chosen = [
            place
            for place, each in enumerate(self.columns)
            if each.operation in wanted and direct in (None, each.direct)
        ]
        return np.asarray(self.values[:, chosen].sum(axis=1) / max(len(self.picks), 1), dtype=np.float64)

    def frame(self) -> pd.DataFrame:
        """The matrix with named columns."""
        import pandas as pd

        return pd.DataFrame(self.values, columns=list(self.names))


def alpha_matrix(alphas: Sequence[Sequence[str]], picks: Sequence[Pick]) -> AlphaMatrix:
    """Reads the alphas of architectures of one space.

    Args:
        alphas: for each architecture a code for each pick (`Net.alpha`).
        picks: those of the space (`Space.picks`).

    Raises:
        AlphaError: a code does not fit its pick; rules are not checked.
    """
    columns = tuple(
        Column(pick.name, place, edge.source, edge.target, name, edge.direct)
        for pick in picks
        for place, edge in enumerate(pick.opens)
        for index, name in enumerate(edge.names)
        if index != edge.empty
    )
    read: dict[tuple[int, str], NDArray[np.int8]] = {}
    values = np.zeros((len(alphas), len(columns)), dtype=np.int8)
    for row, codes in enumerate(alphas):
        if len(codes) != len(picks):
            raise AlphaError(f"row {row}: alpha has {len(codes)} codes, and the space has {len(picks)} picks")
        start = 0
        for number, (pick, code) in enumerate(zip(picks, codes, strict=True)):
            if (number, code) not in read:
                read[number, code] = _read(pick, code, row)
            bits = read[number, code]
            values[row, start : start + len(bits)] = bits
            start += len(bits)
    return AlphaMatrix(values, columns)


def _read(pick: Pick, text: str, row: int) -> NDArray[np.int8]:
    groups = [group.split() for group in text.split("|")]
    if [len(group) for group in groups] != [len(edges) for _, edges in pick.groups]:
        raise AlphaError(f"row {row}: {_short(text)} has not one code for each open edge of `{pick.cell}`")
    codes = [code for group in groups for code in group]
    return np.concatenate(
        [np.zeros(0, dtype=np.int8)]
        + [_bits(edge, code, row) for edge, code in zip(pick.opens, codes, strict=True)]
    )


def _bits(edge: OpenEdge, code: str, row: int) -> NDArray[np.int8]:
    taken = np.zeros(len(edge.names), dtype=np.int8)
    if edge.kind == "one" and code in map(str, range(len(edge.names))):
        taken[int(code)] = 1
    elif edge.kind == "any" and len(code) == len(edge.names) and set(code) <= {"0", "1"}:
        taken[:] = [bit == "1" for bit in code]
    else:
        raise AlphaError(f"row {row}: {_short(code)} is no code for the edge {edge}")
    return taken if edge.empty is None else np.delete(taken, edge.empty)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
