"""The three budgets, and the share of convolutions that stand on direct edges (Figure 6b)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.alpha import AlphaMatrix
from robdsl.analysis.resampling import bootstrap, mean, spearman
from robdsl.analysis.results import Estimate, Floats, TooFew, lacking, percent

if TYPE_CHECKING:
    import pandas as pd

NEED = 20

#: Convolutions a cell: small at most 7, medium at most 10, large more.
BOUNDS = (7.0, 10.0)
NAMES = ("small", "medium", "large")


@dataclass(frozen=True, eq=False)
class Budget:
    """The architectures of one budget.

    Attributes:
        direct: for each, the share of its convolutions that stand on direct edges, in [0, 1].
        accuracy: of each, in [0, 1].
        mean: the mean accuracy.
        spearman: the rank correlation of the two; or how many are missing.
    """

    name: str
    direct: Floats
    accuracy: Floats
    mean: Estimate | TooFew
    spearman: Estimate | TooFew

    @property
    def n(self) -> int:
        return len(self.accuracy)


@dataclass(frozen=True, eq=False)
class Budgets:
    """The three budgets, from small to large."""

    budgets: tuple[Budget, ...]

    @property
    def n(self) -> int:
        return sum(each.n for each in self.budgets)

    @property
    def sentence(self) -> str:
        said = []
        for each in self.budgets:
            if isinstance(each.spearman, TooFew) or isinstance(each.mean, TooFew):
                few = each.spearman if isinstance(each.spearman, TooFew) else each.mean
                assert isinstance(few, TooFew)
                said.append(f"{each.name}: {few.have:,} of {few.need:,} {few.what}")
                continue
            rho = each.spearman
            goes = "" if rho.clear else ", not clear of chance"
            said.append(
                f"{each.name}: mean {percent(each.mean.value)}, Spearman's ρ = {rho}{goes}, {each.n:,} architectures"
            )
        what = "Robust accuracy by budget, and how it goes with the share of convolutions on direct edges"
        return f"{what}: {'; '.join(said)}."

    def frame(self) -> pd.DataFrame:
        """A row an architecture: ``budget``, ``direct``, ``accuracy``."""
        import pandas as pd

        return pd.DataFrame(
            {
                "budget": np.repeat([each.name for each in self.budgets], [each.n for each in self.budgets]),
                "direct": np.concatenate([each.direct for each in self.budgets]),
                "accuracy": np.concatenate([each.accuracy for each in self.budgets]),
            }
        )


def budgets(
    alpha: AlphaMatrix,
    accuracy: ArrayLike,
    *,
    convolutions: tuple[str, ...] | None = None,
    bounds: tuple[float, float] = BOUNDS,
    need: int = NEED,
    seed: int = 0,
) -> Budgets | TooFew:
    """Splits architectures by their convolutions a cell, and looks at where those stand (Figure 6b).

    Args:
        alpha: what architectures chose.
        accuracy: of each, in [0, 1]; one that lacks it, or has no convolution, is left out.
        convolutions: the alternatives that are convolutions; by default those with ``conv`` in their name.
        bounds: the most convolutions of a small and of a medium cell. Where cells choose for themselves, means
            over cells are held against them.
        need: how many architectures a budget takes; there is a result as soon as one budget has so many.
        seed: of resampling.
    """
    names = [n for n in alpha.operations if "conv" in n] if convolutions is None else list(convolutions)
    if not names:
        return TooFew(0, 1, "alternatives that are convolutions")
    values = np.asarray(accuracy, dtype=np.float64)
    total = alpha.count(names)
    known = np.isfinite(values) & (total > 0)
    values, total = values[known], total[known]
    direct = alpha.rows(known).count(names, direct=True) / total
    # Means of whole numbers over cells: a hair's breadth is no convolution.
    which = np.searchsorted(np.asarray(bounds) + 1e-9, total, side="left")
    found = tuple(
        _budget(name, direct[which == place], values[which == place], need, seed)
        for place, name in enumerate(NAMES)
    )
    most = max(each.n for each in found)
    return Budgets(found) if most >= need else TooFew(most, need, "evaluated architectures of one budget")


def _budget(name: str, direct: Floats, accuracy: Floats, need: int, seed: int) -> Budget:
    if len(accuracy) < need:
        few = TooFew(len(accuracy), need)
        return Budget(name, direct, accuracy, few, few)
    flat = lacking(need, accuracy, (direct, "different shares of direct convolutions"))
    return Budget(
        name,
        direct,
        accuracy,
        bootstrap(mean, accuracy, seed=seed),
        flat or bootstrap(spearman, direct, accuracy, seed=seed),
    )
