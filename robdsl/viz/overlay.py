"""What a study found, fitted to a net: how much each edge matters, and how much noise each cell passes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robdsl.graph.net import Net, Space
from robdsl.viz.lettering import shown
from robdsl.viz.subject import Overlay

_KEY = "The thicker a line, the more its edge matters; + goes with more robust accuracy, − with less."
_KEY_CELLS = " The darker a cell, the larger its mean FSP distance."


class OverlayError(ValueError):
    """A study cannot be laid over a net; the message says why."""


def read_overlay(path: str | Path, net: Net | Space, seed: int = 0) -> Overlay:
    """Edges by importance and cells by FSP, from a study's folder or its exported bank.

    An edge's weight is its share of the variance of robust accuracy (fANOVA, `robdsl.analysis.edge_importance`), and its
    sign for an operation that of the operation's correlation with robust accuracy. A cell's FSP is the mean over the
    architectures of which it was measured.

    Args:
        path: what `robdsl.search.read_bank` reads.
        net: a net or space with the same picks as the space of the study.
        seed: of the forests behind fANOVA.

    Raises:
        OverlayError: the study is about other picks, or there is too little in it.
        StudyError: the table is no bank.
        SearchError: there is no bank, or it is damaged.
    """
    from robdsl.analysis import TooFew, bank, edge_importance
    from robdsl.search import read_bank

    study = bank(read_bank(path), Space(net.layout) if net.layout.spaces else None)
    if study.space.picks != net.layout.picks:
        raise OverlayError(
            f"the study is about {study.space.name}, and what {net.name} chooses is not what that space has to choose"
        )
    accuracy = study.column(study.judged)
    found = edge_importance(study.alpha, accuracy, seed=seed)
    if isinstance(found, TooFew):
        raise OverlayError(f"nothing can be said of edges yet. {found.sentence}")
    share = {
        (edge.pick, edge.source, edge.target): float(value)
        for edge, value in zip(found.edges, found.importance, strict=True)
    }
    signs = _signs(study.alpha.values.astype(float), accuracy)
    edges: dict[str, dict[tuple[str, str, str], float]] = {}
    for column, sign in zip(study.alpha.columns, signs, strict=True):
        weight = float(sign) * share[column.pick, column.source, column.target]
        edges.setdefault(column.pick, {})[column.source, column.target, column.operation] = weight
    cells = _cells(study.fsp())
    notes = (_KEY + (_KEY_CELLS if cells else ""), found.sentence)
    return Overlay(edges, cells, f"over {found.n:,} architectures of {shown(study.space.name)}", notes)


def _signs(bits: NDArray[np.float64], accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sign of the correlation of each column with accuracy, 0 for one that does not vary."""
    known = np.isfinite(accuracy)
    bits, accuracy = bits[known], accuracy[known]
    covariance = (bits - bits.mean(axis=0)).T @ (accuracy - accuracy.mean())
    return np.sign(np.where(np.abs(covariance) < 1e-12, 0.0, covariance))


def _cells(distances: NDArray[np.float64]) -> dict[int, float]:
    """The mean FSP distance of each cell that was measured."""
    found = {}
    for number, column in enumerate(distances.T):
        measured = column[np.isfinite(column)]
        if len(measured):
            found[number] = float(measured.mean())
    return found
