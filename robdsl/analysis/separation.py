"""What tells the best architectures from the worst: weights of a linear classifier by edge (Figure 4b)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.alpha import AlphaMatrix, Column
from robdsl.analysis.groups import MOST, SHARE, extremes
from robdsl.analysis.resampling import percentiles, wilson
from robdsl.analysis.results import Estimate, Flags, Floats, TooFew, lacking, percent

if TYPE_CHECKING:
    import pandas as pd

NEED = 60
FOLDS = 10
_REFITS = 200


@dataclass(frozen=True, eq=False)
class Separation:
    """A linear classifier of the best against the worst.

    Attributes:
        columns: what the weights are of.
        weights: positive where an alternative speaks for the best; their squares add up to 1.
        low, high: the 95% interval of each weight over resampled architectures.
        training: the accuracy on the architectures that it was fitted to, in [0, 1].
        held_out: the accuracy on architectures that it was not fitted to (ten-fold cross-validation).
        group: how many best, and how many worst.
    """

    columns: tuple[Column, ...]
    weights: Floats
    low: Floats
    high: Floats
    training: float
    held_out: Estimate
    group: int

    @property
    def sentence(self) -> str:
        figures = (
            f"{percent(self.held_out.value)} of held-out architectures ({self.held_out.spelled(100, '.1f', '%')}) and "
            f"{percent(self.training)} of those that it was fitted to; {self.group:,} best, {self.group:,} worst"
        )
        if self.held_out.low <= 0.5:
            cannot = "A linear classifier of alpha does not tell the best from the worst beyond chance"
            return f"{cannot}: it is right on {figures}."
        clear = np.where((self.low > 0) | (self.high < 0), np.abs(self.weights), 0)
        top = int(np.argmax(clear))
        if clear[top] == 0:
            return (
                f"A linear classifier of alpha is right on {figures}; no single weight can be told from zero."
            )
        side = "for" if self.weights[top] > 0 else "against"
        column = self.columns[top]
        where = f" in pick {column.pick}" if len({each.pick for each in self.columns}) > 1 else ""
        return (
            f"A linear classifier of alpha is right on {figures}; the clearest sign is "
            f"{column.operation} on {column.edge}{where}, which speaks {side} robustness."
        )

    def frame(self) -> pd.DataFrame:
        """A row a column of alpha: its names, ``direct``, ``weight``, ``low``, ``high``."""
        import pandas as pd

        frame = pd.DataFrame(
            [(c.pick, c.source, c.target, c.operation, c.direct) for c in self.columns],
            columns=["pick", "source", "target", "operation", "direct"],
        )
        return frame.assign(weight=self.weights, low=self.low, high=self.high)

    def by_edge(self) -> pd.DataFrame:
        """As `frame`, the weights averaged over picks: ``source``, ``target``, ``operation``, ``direct``, ``weight``."""
        keys = ["source", "target", "operation", "direct"]
        return self.frame().groupby(keys, sort=False)["weight"].mean().reset_index()


def separation(
    alpha: AlphaMatrix,
    accuracy: ArrayLike,
    *,
    share: float = SHARE,
    most: int = MOST,
    folds: int = FOLDS,
    need: int = NEED,
    seed: int = 0,
) -> Separation | TooFew:
    """Fits a linear SGDClassifier to the alphas of the best and the worst (Figure 4b).

    The paper's accuracy is that on the training data; held-out accuracy says whether the weights mean anything.
    What lies between the best and the worst is left out, so both are higher than for any two architectures.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    values = np.asarray(accuracy, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(values))
    if few := lacking(need, values[known]):
        return few
    groups = extremes(values[known], share, most)
    bits, best = alpha.values[known[groups.both]].astype(np.float64), groups.is_best
    distinct = len(np.unique(bits, axis=0))
    if distinct < 2:
        return TooFew(distinct, 2, "different architectures")
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    predicted = cross_val_predict(classifier(seed), bits, best, cv=split)
    fitted = classifier(seed).fit(bits, best)
    refitted = _refits(bits, best, seed)
    bounds = np.array([percentiles(each) for each in refitted.T])
    return Separation(
        alpha.columns,
        _direction(fitted),
        bounds[:, 0],
        bounds[:, 1],
        float(fitted.score(bits, best)),
        wilson(int((predicted == best).sum()), len(best)),
        len(groups.best),
    )


def classifier(seed: int) -> Any:
    """scikit-learn's SGDClassifier as it is (a linear SVM), its weights averaged over steps so that they are steady."""
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(average=True, random_state=seed)


def _direction(fitted: Any) -> Floats:
    """Weights of length 1: only their direction decides, and their length depends on how long they were learned."""
    weights = np.asarray(fitted.coef_[0], dtype=np.float64)
    return weights / (np.linalg.norm(weights) or 1.0)


def _refits(bits: Floats, best: Flags, seed: int) -> Floats:
    """Weights fitted to architectures drawn with replacement within each group: (refits, columns)."""
    rng = np.random.default_rng(seed)
    half = len(best) // 2
    weights = []
    for _ in range(_REFITS):
        rows = np.concatenate([rng.integers(0, half, half), half + rng.integers(0, half, half)])
        weights.append(_direction(classifier(seed).fit(bits[rows], best[rows])))
    return np.array(weights)
