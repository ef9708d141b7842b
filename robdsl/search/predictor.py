"""Robust accuracy guessed from alpha."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

_TREES = 100


def features(alphas: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Alphas of one space as rows of numbers: the digits of every code (for an edge with one of many: its index)."""
    return np.array(
        [[int(digit) for code in alpha for digit in _digits(code)] for alpha in alphas], dtype=np.float64
    )


class Predictor:
    """A random forest on alpha, trained anew as results come in."""

    def __init__(self, seed: int) -> None:
        """Nothing is learnt yet.

        Args:
            seed: of the forest.
        """
        self._forest = RandomForestRegressor(n_estimators=_TREES, random_state=seed, n_jobs=1)

    def fit(self, alphas: Sequence[Sequence[str]], values: Sequence[float]) -> None:
        """Learn from architectures and what they reached."""
        self._forest.fit(features(alphas), np.asarray(values))

    def predict(self, alphas: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """What architectures are expected to reach: the mean of the trees."""
        return np.asarray(self._forest.predict(features(alphas)), dtype=np.float64)

    def hopes(self, alphas: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """What they may reach: the mean of the trees and one standard deviation (an upper confidence bound)."""
        rows = features(alphas)
        trees = np.stack([tree.predict(rows) for tree in self._forest.estimators_])
        hopes: NDArray[np.float64] = trees.mean(axis=0) + trees.std(axis=0)
        return hopes


def _digits(code: str) -> list[str]:
    return [digit for edge in code.replace("|", " ").split() for digit in edge]
