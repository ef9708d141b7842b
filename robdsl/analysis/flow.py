"""FSP distance of each cell against the gap between natural and robust accuracy (Figure 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.resampling import bootstrap, spearman
from robdsl.analysis.results import Estimate, Floats, TooFew, lacking

if TYPE_CHECKING:
    import pandas as pd

NEED = 20


@dataclass(frozen=True, eq=False)
class FlowTrend:
    """FSP distances of cells and accuracy gaps of architectures.

    Attributes:
        fsp: (architectures, cells), not negative, cells in the net's order.
        gap: natural minus robust accuracy, a number an architecture.
        cells: for each cell Spearman's rho of its distance with the gap; NaN where the distance does not vary.
    """

    fsp: Floats
    gap: Floats
    cells: tuple[Estimate, ...]

    @property
    def n(self) -> int:
        return len(self.gap)

    @property
    def strongest(self) -> int:
        """The cell whose distance goes most closely with the gap."""
        return int(np.nanargmax([abs(each.value) for each in self.cells]))

    @property
    def sentence(self) -> str:
        clear = sum(each.clear for each in self.cells)
        last = self.cells[-1]
        count = f"{self.n:,} architectures; {clear} of {len(self.cells)} cells are clear of zero"
        figures = f"Spearman's ρ = {last} in the last cell; {count}"
        if not last.clear:
            what = "Whether the FSP distance of the last cell goes with the accuracy gap"
            return f"{what} cannot be told from chance: {figures}."
        goes = "larger" if last.value > 0 else "smaller"
        gap = f"a {goes} gap between natural and robust accuracy"
        return f"A larger FSP distance in the last cell goes with {gap}: {figures}."

    def frame(self) -> pd.DataFrame:
        """A row an architecture: ``gap``, ``cell_0``, ``cell_1``, and so on."""
        import pandas as pd

        return pd.DataFrame({"gap": self.gap} | {f"cell_{i}": column for i, column in enumerate(self.fsp.T)})


def flow_trend(
    fsp: ArrayLike, natural: ArrayLike, robust: ArrayLike, *, need: int = NEED, seed: int = 0
) -> FlowTrend | TooFew:
    """The rank correlation of each cell's FSP distance with the accuracy gap (Figure 7).

    Args:
        fsp: (architectures, cells); a row that is not finite is left out.
        natural: accuracies in [0, 1].
        robust: those under attack.
        need: from how many architectures on there is a result.
        seed: of resampling.

    Raises:
        ValueError: ``fsp`` has not two dimensions, or not as many rows as the accuracies.
    """
    distances = np.asarray(fsp, dtype=np.float64)
    gaps = np.asarray(natural, dtype=np.float64) - np.asarray(robust, dtype=np.float64)
    if distances.ndim != 2 or len(distances) != len(gaps):
        raise ValueError(f"fsp is {distances.shape}, and there are {len(gaps)} accuracies")
    known = np.isfinite(distances).all(axis=1) & np.isfinite(gaps)
    distances, gaps = distances[known], gaps[known]
    what = "architectures with FSP and accuracy"
    if len(gaps) < need:
        return TooFew(len(gaps), need, what)
    if few := lacking(need, gaps, (distances.ravel(), "different FSP distances")):
        return few
    cells = tuple(_cell(column, gaps, seed) for column in distances.T)
    if not any(np.isfinite(each.value) for each in cells):
        return TooFew(0, 1, "cells whose FSP distance differs between architectures")
    return FlowTrend(distances, gaps, cells)


def _cell(distance: Floats, gap: Floats, seed: int) -> Estimate:
    if np.ptp(distance) == 0:
        return Estimate(np.nan, np.nan, np.nan)
    return bootstrap(spearman, distance, gap, seed=seed)
