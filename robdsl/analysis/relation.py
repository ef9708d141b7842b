"""How one number goes with another: density with accuracy (Figure 5), accuracy before with after finetuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.resampling import bootstrap, kendall, pearson, spearman
from robdsl.analysis.results import Estimate, Floats, TooFew, lacking, percent, together

if TYPE_CHECKING:
    import pandas as pd

NEED = 20

#: Kendall's tau is computed one resample after another.
_RANK_RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class DensityTrend:
    """Density and robust accuracy of architectures.

    Attributes:
        density, accuracy: in [0, 1], a number an architecture.
        pearson, spearman: their correlations.
        slope, intercept: the least-squares line, accuracy = slope density + intercept.
    """

    density: Floats
    accuracy: Floats
    pearson: Estimate
    spearman: Estimate
    slope: float
    intercept: float

    @property
    def n(self) -> int:
        return len(self.density)

    @property
    def sentence(self) -> str:
        figures = f"Pearson's r = {self.pearson}; Spearman's ρ = {self.spearman}; {self.n:,} architectures"
        if self.pearson.clear and self.spearman.clear and self.pearson.value * self.spearman.value > 0:
            which = "Denser" if self.pearson.value > 0 else "Sparser"
            return f"{which} architectures are more robust: {figures}."
        return f"Whether density and robust accuracy go together cannot be told from chance: {figures}."

    def frame(self) -> pd.DataFrame:
        """A row an architecture: ``density``, ``accuracy``."""
        import pandas as pd

        return pd.DataFrame({"density": self.density, "accuracy": self.accuracy})


def density_trend(
    density: ArrayLike, accuracy: ArrayLike, *, need: int = NEED, seed: int = 0
) -> DensityTrend | TooFew:
    """The correlation of density with robust accuracy (Figure 5)."""
    x, y = together(density, accuracy)
    if few := lacking(need, y, (x, "different densities")):
        return few
    slope, intercept = np.polyfit(x, y, 1)
    return DensityTrend(
        x,
        y,
        bootstrap(pearson, x, y, seed=seed),
        bootstrap(spearman, x, y, seed=seed),
        float(slope),
        float(intercept),
    )


@dataclass(frozen=True, eq=False)
class RankAgreement:
    """Whether one accuracy puts architectures into the same order as another.

    Attributes:
        first, second: in [0, 1], a number an architecture.
        names: what the two are called.
        tau: Kendall's tau-b.
        kept: the share of the best tenth by ``second`` that is among the best tenth by ``first``; 0.1 is chance.
    """

    first: Floats
    second: Floats
    names: tuple[str, str]
    tau: Estimate
    kept: float

    @property
    def n(self) -> int:
        return len(self.first)

    @property
    def sentence(self) -> str:
        before, after = self.names
        figures = f"Kendall's τ = {self.tau}, {self.n:,} architectures"
        best = f"{percent(self.kept)} of the best tenth {after} were in the best tenth {before}"
        if not self.tau.clear:
            says = f"Whether the order {before} says anything about the order {after}"
            return f"{says} cannot be told from chance: {figures}; {best}."
        return f"The order {before} {self._strength} the order {after}: {figures}; {best}."

    @property
    def _strength(self) -> str:
        for bound, said in ((0.7, "foretells"), (0.3, "partly foretells"), (0.0, "weakly foretells")):
            if self.tau.value >= bound:
                return said
        return "is contrary to"

    def frame(self) -> pd.DataFrame:
        """A row an architecture, columns called like `names`."""
        import pandas as pd

        return pd.DataFrame(dict(zip(self.names, (self.first, self.second), strict=True)))


def rank_agreement(
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str] = ("before finetuning", "after finetuning"),
    need: int = NEED,
    seed: int = 0,
) -> RankAgreement | TooFew:
    """Kendall's tau-b of two accuracies of the same architectures."""
    x, y = together(first, second)
    if few := lacking(need, y, (x, f"different accuracies {names[0]}")):
        return few
    tau = bootstrap(kendall, x, y, resamples=_RANK_RESAMPLES, seed=seed)
    tenth = max(1, len(x) // 10)
    best = [set(np.argsort(-each, kind="stable")[:tenth].tolist()) for each in (x, y)]
    return RankAgreement(x, y, names, tau, len(best[0] & best[1]) / tenth)
