"""Operations on direct and on skip edges: what one more of each goes with (Figure 6a)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.alpha import AlphaMatrix
from robdsl.analysis.groups import MOST, SHARE, extremes
from robdsl.analysis.resampling import RESAMPLES, percentiles, resampled
from robdsl.analysis.results import Estimate, Floats, TooFew, lacking, points

if TYPE_CHECKING:
    import pandas as pd

NEED = 40


@dataclass(frozen=True)
class OperationEffect:
    """One operation on one kind of edge.

    Attributes:
        direct: on edges to the next node; else on the others (skip edges).
        best, worst: how many of it a cell has on average, in the best and in the worst architectures.
        effect: the change of accuracy that goes with one more of it in each cell, the others held as they are.
    """

    operation: str
    direct: bool
    best: float
    worst: float
    effect: Estimate

    @property
    def name(self) -> str:
        """``skip, direct edges``"""
        return f"{self.operation}, {'direct' if self.direct else 'skip'} edges"


@dataclass(frozen=True, eq=False)
class OperationEffects:
    """All operations, each on direct and on skip edges.

    Attributes:
        explained: the share of the variance of accuracy that their numbers account for (R squared).
        tangled: whether their numbers depend on each other linearly, so that effects cannot be told apart.
        n: the number of architectures.
    """

    effects: tuple[OperationEffect, ...]
    explained: float
    tangled: bool
    n: int

    @property
    def sentence(self) -> str:
        clear = [each for each in self.effects if each.effect.clear]
        said = f"{self.n:,} architectures; numbers of operations account for {100 * self.explained:.0f}% of the variance"
        if self.tangled:
            return f"The numbers of operations depend on each other here, so what each one does cannot be told ({said})."
        if not clear:
            return f"No operation's effect can be told from chance ({said})."
        top = max(clear, key=lambda each: abs(each.effect.value))
        sign = "more" if top.effect.value > 0 else "less"
        return (
            f"One more {top.operation} on a {'direct' if top.direct else 'skip'} edge of each cell goes with "
            f"{points(abs(top.effect.value))} {sign} robust accuracy, the largest effect "
            f"({top.effect.spelled(100, '.1f', '')}; {len(clear)} of {len(self.effects)} effects are clear of zero; {said})."
        )

    def frame(self) -> pd.DataFrame:
        """A row an effect: ``operation``, ``direct``, ``best``, ``worst``, ``effect``, ``low``, ``high``."""
        import pandas as pd

        return pd.DataFrame(
            [
                (e.operation, e.direct, e.best, e.worst, e.effect.value, e.effect.low, e.effect.high)
                for e in self.effects
            ],
            columns=["operation", "direct", "best", "worst", "effect", "low", "high"],
        )


def operation_effects(
    alpha: AlphaMatrix,
    accuracy: ArrayLike,
    *,
    share: float = SHARE,
    most: int = MOST,
    need: int = NEED,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OperationEffects | TooFew:
    """Least squares of accuracy on the number of each operation on direct and on skip edges a cell (Figure 6a).

    Numbers are per pick: for shared cells those of the cell, else means over the cells.
    """
    values = np.asarray(accuracy, dtype=np.float64)
    known = np.isfinite(values)
    values, alpha = values[known], alpha.rows(known)
    if few := lacking(need, values):
        return few
    kinds = [(name, direct) for name in alpha.operations for direct in (True, False)]
    counts = np.stack([alpha.count([name], direct) for name, direct in kinds], axis=1)
    varying = np.ptp(counts, axis=0) > 0
    kinds = [kind for kind, varies in zip(kinds, varying, strict=True) if varies]
    counts = counts[:, varying]
    if not kinds:
        return TooFew(0, 1, "operations of which architectures have different numbers")
    design = np.column_stack([np.ones(len(values)), counts])
    rank, width = int(np.linalg.matrix_rank(design)), design.shape[1]
    slopes = _slopes(design, values)
    rows = (row for block in resampled(len(values), resamples, seed) for row in block)
    spread = np.array([_slopes(design[row], values[row]) for row in rows])
    groups = extremes(values, share, most)
    effects = tuple(
        OperationEffect(
            name,
            direct,
            float(counts[groups.best, place].mean()),
            float(counts[groups.worst, place].mean()),
            Estimate(float(slopes[place + 1]), *percentiles(spread[:, place + 1])),
        )
        for place, (name, direct) in enumerate(kinds)
    )
    explained = 1 - float(np.var(values - design @ slopes) / np.var(values))
    return OperationEffects(effects, explained, rank < width, len(values))


def _slopes(design: Floats, values: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0])
