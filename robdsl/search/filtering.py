"""Which architectures FSP rejects before anything is spent on them (section 3.4, the cell-free setting).

The distance between the flows of clean and adversarial images grows towards the end of a network that is not robust,
so the deeper cells are compared: the mean distance over the last share of a net's cells. The threshold is a value, or
the quantile of all that the study had drawn when it was first asked for; from then on it stays, as finished trials do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def flow_score(distances: Sequence[float], deeper: float) -> float:
    """The mean FSP distance over the deepest cells.

    Args:
        distances: one for each cell, in the net's order.
        deeper: the share of the cells that counts, in (0, 1]; at least one does.
    """
    count = max(1, round(deeper * len(distances)))
    return float(np.mean(np.asarray(distances, dtype=np.float64)[-count:]))


def threshold_at(scores: Sequence[float], quantile: float) -> float:
    """The score above which the worst part is rejected.

    Args:
        scores: of all architectures; those that are no numbers are above every threshold.
        quantile: the part that is rejected, in [0, 1).
    """
    ordered = np.sort(np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=np.inf, posinf=np.inf))
    kept = len(ordered) - int(quantile * len(ordered))
    return float(ordered[kept - 1])


def is_rejected(score: float, threshold: float) -> bool:
    """Whether a score is above the threshold; one that is no number is."""
    return not score <= threshold
