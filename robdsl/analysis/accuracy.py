"""Accuracy before and after finetuning (Figure 3), and how much of its spread is only the luck of counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.resampling import bootstrap, mean
from robdsl.analysis.results import Estimate, Floats, Places, TooFew, percent, points, together

if TYPE_CHECKING:
    import pandas as pd

NEED = 20
_MOST_BINS = 40


@dataclass(frozen=True, eq=False)
class FinetuningShift:
    """Accuracies of the same architectures before and after finetuning.

    Attributes:
        edges: of the bins, ascending, one more than bins; the last bin holds its upper edge.
        before, after: how many architectures fall into each bin.
        median_before, median_after: in [0, 1].
        gain: the mean of after - before.
        n: the number of architectures.
    """

    edges: Floats
    before: Places
    after: Places
    median_before: float
    median_after: float
    gain: Estimate
    n: int

    @property
    def sentence(self) -> str:
        change = f"from {percent(self.median_before)} to {percent(self.median_after)} in the median"
        sure = f"{self.gain.spelled(100, '.1f', '')}, {self.n:,} architectures"
        if not self.gain.clear:
            mean = f"mean change {points(self.gain.value)}, {sure}"
            return f"Finetuning moves robust accuracy {change}; whether it helps cannot be told from chance ({mean})."
        does = "raises" if self.gain.value > 0 else "lowers"
        by = f"by {points(abs(self.gain.value))} on average (change: {sure})"
        return f"Finetuning {does} robust accuracy {change}, {by}."

    def frame(self) -> pd.DataFrame:
        """A row a bin: ``from``, ``to``, ``before``, ``after``."""
        import pandas as pd

        return pd.DataFrame(
            {"from": self.edges[:-1], "to": self.edges[1:], "before": self.before, "after": self.after}
        )


def finetuning_shift(
    before: ArrayLike, after: ArrayLike, *, bins: int | None = None, need: int = NEED, seed: int = 0
) -> FinetuningShift | TooFew:
    """The histograms of accuracies, in [0, 1], before and after finetuning, over common bins (Figure 3).

    Args:
        before: of each architecture, as it comes from the supernet; one that lacks it is left out.
        after: of each architecture, finetuned; one that lacks it is left out.
        bins: how many; by default as `numpy.histogram_bin_edges` thinks fit, at most 40.
        need: from how many architectures on there is a result.
        seed: of resampling.
    """
    first, second = together(before, after)
    if len(first) < need:
        return TooFew(len(first), need)
    both = np.concatenate([first, second])
    edges = np.histogram_bin_edges(both, bins or "auto")
    if bins is None and len(edges) - 1 > _MOST_BINS:
        edges = np.histogram_bin_edges(both, _MOST_BINS)
    return FinetuningShift(
        edges,
        np.histogram(first, edges)[0],
        np.histogram(second, edges)[0],
        float(np.median(first)),
        float(np.median(second)),
        bootstrap(mean, second - first, seed=seed),
        len(first),
    )


@dataclass(frozen=True)
class CountingNoise:
    """How far accuracies of equally good architectures would spread, counted on so few images.

    Attributes:
        observed: the standard deviation of the accuracies.
        chance: the standard deviation that counting alone gives.
        beyond: the share of the variance that is more than chance, in [0, 1]; it bounds every correlation:
            the square of a correlation with accuracy can hardly exceed it.
        n: the number of architectures.
    """

    observed: float
    chance: float
    beyond: Estimate
    n: int

    @property
    def sentence(self) -> str:
        return (
            f"Robust accuracies spread by {points(self.observed)} (standard deviation), of which counting on so few images "
            f"alone gives {points(self.chance)}: {percent(self.beyond.value)} of the variance is more than chance "
            f"({self.beyond.spelled(100, '.0f', '%')}, {self.n:,} architectures)."
        )

    def frame(self) -> pd.DataFrame:
        """One row."""
        import pandas as pd

        row = {"observed": self.observed, "chance": self.chance, "beyond": self.beyond.value}
        return pd.DataFrame([row | {"low": self.beyond.low, "high": self.beyond.high, "n": self.n}])


def counting_noise(
    accuracy: ArrayLike, examples: ArrayLike, *, need: int = NEED, seed: int = 0
) -> CountingNoise | TooFew:
    """Compares the variance of accuracies, in [0, 1], with that of binomial counts on ``examples`` images.

    All architectures see the same images, which makes their counts agree more than independent ones would: the
    share beyond chance is, if anything, too low.
    """
    shares, counts = together(accuracy, examples)
    shares, counts = shares[counts > 0], counts[counts > 0]
    if len(shares) < need:
        return TooFew(len(shares), need)
    noise = shares * (1 - shares) / counts
    return CountingNoise(
        float(shares.std(ddof=1)),
        float(np.sqrt(noise.mean())),
        bootstrap(_beyond, shares, noise, seed=seed),
        len(shares),
    )


def _beyond(accuracy: Floats, noise: Floats) -> Floats:
    variance = accuracy.var(axis=-1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, np.clip(1 - noise.mean(axis=-1) / variance, 0, 1), 0.0)
