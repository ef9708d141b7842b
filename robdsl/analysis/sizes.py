"""Accuracy against size, with nets to compare with (Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.resampling import bootstrap, spearman
from robdsl.analysis.results import Estimate, Flags, Floats, TooFew, lacking, percent, together

if TYPE_CHECKING:
    import pandas as pd

NEED = 10


@dataclass(frozen=True)
class Reference:
    """A net to compare with, attacked as the architectures were.

    Attributes:
        params: learned numbers.
        accuracy: under attack, in [0, 1].
    """

    name: str
    params: int
    accuracy: float


@dataclass(frozen=True, eq=False)
class SizeTrend:
    """Parameters and robust accuracy of architectures.

    Attributes:
        params, accuracy: a number an architecture.
        front: whether no other architecture is at least as small and as robust, and better in one of the two.
        spearman: the rank correlation.
        references: nets to compare with.
    """

    params: Floats
    accuracy: Floats
    front: Flags
    spearman: Estimate
    references: tuple[Reference, ...]

    @property
    def n(self) -> int:
        return len(self.params)

    @property
    def sentence(self) -> str:
        best = int(np.argmax(self.accuracy))
        top = f"the best has {percent(self.accuracy[best])} with {int(self.params[best]):,} parameters"
        figures = f"Spearman's ρ = {self.spearman}, {self.n:,} architectures"
        if not self.spearman.clear:
            trend = "Whether size goes with robustness cannot be told from chance"
        else:
            trend = f"{'Larger' if self.spearman.value > 0 else 'Smaller'} architectures are more robust"
        return f"{trend} ({figures}); {top}{self._compared}."

    @property
    def _compared(self) -> str:
        if not self.references:
            return ""
        beaten = sum(
            bool(np.any((self.params <= each.params) & (self.accuracy > each.accuracy)))
            for each in self.references
        )
        return f", and {beaten} of {len(self.references)} reference nets are beaten by something no larger"

    def frame(self) -> pd.DataFrame:
        """Architectures, then reference nets (only these have a ``name``): ``params``, ``accuracy``, ``front``."""
        import pandas as pd

        found = pd.DataFrame(
            {"name": "", "params": self.params, "accuracy": self.accuracy, "front": self.front}
        )
        others = pd.DataFrame(
            [(each.name, float(each.params), each.accuracy, False) for each in self.references],
            columns=list(found.columns),
        )
        return pd.concat([found, others], ignore_index=True) if len(others) else found


def size_trend(
    params: ArrayLike,
    accuracy: ArrayLike,
    references: Sequence[Reference] = (),
    *,
    need: int = NEED,
    seed: int = 0,
) -> SizeTrend | TooFew:
    """Robust accuracy against parameters, and the architectures that nothing smaller beats (Figure 1)."""
    x, y = together(params, accuracy)
    if few := lacking(need, y, (x, "different sizes")):
        return few
    return SizeTrend(x, y, front(x, y), bootstrap(spearman, x, y, seed=seed), tuple(references))


def front(cost: Floats, gain: Floats) -> Flags:
    """The Pareto front: which points no other is at least as good as in both, and better in one."""
    order = np.lexsort((-gain, cost))
    best, best_cost = -np.inf, np.nan
    chosen = np.zeros(len(cost), dtype=np.bool_)
    for place in order:
        # Ordered by cost, then by gain: what comes first among equals tells whether the others are as good.
        if gain[place] > best or (gain[place] == best and cost[place] == best_cost):
            chosen[place] = True
            best, best_cost = gain[place], cost[place]
    return chosen
