"""Alpha of the best and the worst architectures, laid out in the plane by t-SNE (Figure 4a)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.alpha import AlphaMatrix
from robdsl.analysis.groups import MOST, SHARE, extremes
from robdsl.analysis.results import Flags, Floats, Places, TooFew, lacking, percent

if TYPE_CHECKING:
    import pandas as pd

NEED = 60
NEIGHBOURS = 5
_PERMUTATIONS = 999

#: How many different architectures there must be: fewer have no layout worth the name.
_DISTINCT = 10


@dataclass(frozen=True, eq=False)
class Embedding:
    """The best and the worst architectures as points.

    Attributes:
        points: (architectures, 2); the axes mean nothing, only who is near whom.
        best: whether each is one of the best (else one of the worst).
        accuracy: of each, in [0, 1].
        places: of each among the architectures that were given.
        agreement: the mean share of an architecture's five nearest neighbours, by differing alternatives, that
            belong to the same group; counted in alpha itself, not in the picture. Half is chance.
        chance: how often shuffled groups agree as much (permutation test).
    """

    points: Floats
    best: Flags
    accuracy: Floats
    places: Places
    agreement: float
    chance: float

    @property
    def sentence(self) -> str:
        size = int(self.best.sum())
        who = f"the {size:,} best and the {size:,} worst"
        near = f"{percent(self.agreement)} of nearest neighbours in alpha are of the same group, where chance gives 50%"
        if self.chance < 0.05:
            return f"Alpha keeps {who} apart: {near} (p = {self.chance:.3f}, permutation test)."
        return f"Alpha does not visibly keep {who} apart: {near} (p = {self.chance:.2f}, permutation test)."

    def frame(self) -> pd.DataFrame:
        """A row an architecture: ``place``, ``x``, ``y``, ``best``, ``accuracy``."""
        import pandas as pd

        x, y = self.points.T
        return pd.DataFrame(
            {"place": self.places, "x": x, "y": y, "best": self.best, "accuracy": self.accuracy}
        )


def embedding(
    alpha: AlphaMatrix,
    accuracy: ArrayLike,
    *,
    share: float = SHARE,
    most: int = MOST,
    need: int = NEED,
    seed: int = 0,
) -> Embedding | TooFew:
    """t-SNE (van der Maaten & Hinton 2008) of the alphas of the best and the worst (Figure 4a).

    Args:
        alpha: what architectures chose.
        accuracy: of each, in [0, 1]; one that lacks it is left out.
        share: the best and the worst are this share on each side.
        most: at most so many on each side.
        need: from how many architectures on there is a result.
        seed: of the layout and the permutations.
    """
    from sklearn.manifold import TSNE

    values = np.asarray(accuracy, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(values))
    if few := lacking(need, values[known]):
        return few
    groups = extremes(values[known], share, most)
    places, best = known[groups.both], groups.is_best
    bits = alpha.values[places].astype(np.float64)
    distinct = len(np.unique(bits, axis=0))
    if distinct < _DISTINCT:
        return TooFew(distinct, _DISTINCT, "different architectures")
    perplexity = min(30.0, (len(bits) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(bits)
    agreement, chance = neighbour_agreement(bits, best, seed=seed)
    return Embedding(points.astype(np.float64), best, values[places], places, agreement, chance)


def neighbour_agreement(
    bits: Floats, best: Flags, *, neighbours: int = NEIGHBOURS, seed: int = 0
) -> tuple[float, float]:
    """The mean share of nearest neighbours in the same group, and how often shuffled groups reach it."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute", metric="manhattan").fit(bits)
    near = search.kneighbors(return_distance=False)
    rng = np.random.default_rng(seed)
    observed = float((best[near] == best[:, None]).mean())
    shuffled = [
        float((group[near] == group[:, None]).mean())
        for group in (rng.permutation(best) for _ in range(_PERMUTATIONS))
    ]
    reached = sum(each >= observed for each in shuffled)
    return observed, (reached + 1) / (_PERMUTATIONS + 1)
