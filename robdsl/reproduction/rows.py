"""The nets of the tables: as the paper has them, and small enough for handwritten digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from robdsl.graph.load import load
from robdsl.graph.net import Net


@dataclass(frozen=True)
class Row:
    """One net of the tables.

    Attributes:
        net: the name of a shipped net.
        tables: the tables of the paper that it is a row of.
        parameters: values for the net's parameters.
        recipe: what its training has different from the data set's recipe.
    """

    net: str
    tables: frozenset[int]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def load(self, classes: int) -> Net:
        """The net, with a head for so many classes."""
        return load(self.net, classes=classes, **self.parameters)


def _row(net: str, tables: str, recipe: Mapping[str, Any] | None = None, **parameters: Any) -> Row:
    return Row(net, frozenset(map(int, tables)), parameters, recipe or {})


#: The rows of Tables 1, 2 and 4 in the paper's order, at the paper's sizes.
PAPER_ROWS: tuple[Row, ...] = (
    _row("resnet18", "124"),
    _row("resnet50", "12"),
    _row("wrn28_10", "12"),
    _row("densenet121", "12"),
    _row("robnet_small", "1"),
    _row("robnet_medium", "1"),
    _row("robnet_large", "124", {"cutout": 16}),
    _row("robnet_large_v2", "1", {"batch": 1024}),
    _row("robnet_free", "12"),
    _row("resnet18_denoise", "4"),
    _row("robnet_large_denoise", "4", {"cutout": 16}),
)

#: The same rows a hundred to a thousand times smaller: the digits version of the tables, not the paper's.
DIGITS_ROWS: tuple[Row, ...] = (
    _row("resnet18", "124", width=8),
    _row("resnet50", "12", width=4),
    _row("wrn28_10", "12", widen=1),
    _row("densenet121", "12", growth=4),
    _row("robnet_small", "1", width=4, layers=5),
    _row("robnet_medium", "1", width=4, layers=5),
    _row("robnet_large", "124", width=4, layers=5),
    _row("robnet_large_v2", "1", width=6, layers=8),
    _row("robnet_free", "12", width=4),
    _row("resnet18_denoise", "4", width=8),
    _row("robnet_large_denoise", "4", width=4, layers=5),
)


def rows_for(data: str) -> tuple[Row, ...]:
    """The rows for a data set."""
    return DIGITS_ROWS if data == "digits" else PAPER_ROWS
