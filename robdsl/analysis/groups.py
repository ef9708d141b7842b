"""The best and the worst architectures, as Figure 4 takes them: 300 of 1,000 on each side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robdsl.analysis.results import Floats, Places

SHARE = 0.3
MOST = 300


@dataclass(frozen=True, eq=False)
class Extremes:
    """Places of the best and of the worst architectures, equally many, each from the best to the worst."""

    best: Places
    worst: Places

    @property
    def both(self) -> Places:
        return np.concatenate([self.best, self.worst])

    @property
    def is_best(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which of `both` are the best."""
        return np.repeat([True, False], [len(self.best), len(self.worst)])


def extremes(accuracy: Floats, share: float = SHARE, most: int = MOST) -> Extremes:
    """The best and the worst ``share``, at most ``most`` of each; among equals the earlier counts as better."""
    size = min(most, int(share * len(accuracy) + 1e-9))
    order = np.argsort(-accuracy, kind="stable").astype(np.int64)
    return Extremes(order[:size], order[len(order) - size :])
