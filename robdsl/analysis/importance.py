"""Which edges matter: the share of the variance of accuracy that each edge's choice explains (fANOVA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from robdsl.analysis.alpha import AlphaMatrix
from robdsl.analysis.resampling import spearman
from robdsl.analysis.results import Floats, Places, TooFew, lacking

if TYPE_CHECKING:
    import pandas as pd

NEED = 100
REPEATS = 10
_TREES = 100

#: How many architectures a marginal is the mean over.
_BACKGROUND = 200


@dataclass(frozen=True)
class Edge:
    """An open edge of a pick."""

    pick: str
    source: str
    target: str

    @property
    def name(self) -> str:
        """``x0 → n1``"""
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, eq=False)
class EdgeImportance:
    """How much of the variance of accuracy each edge explains.

    Attributes:
        edges: in the order of alpha.
        importance: the share of the variance of a forest's answers that each edge explains by itself, in [0, 1]
            (what is left is interaction); means over forests that each saw a random half of the architectures.
        low, high: the least and the greatest share over those halves.
        predictive: how well a forest foretells architectures that it has not seen: R squared, out of bag. Near
            or below zero the shares mean nothing.
        stability: the mean rank correlation between the shares found in one half and in the other.
        n: the number of architectures.
    """

    edges: tuple[Edge, ...]
    importance: Floats
    low: Floats
    high: Floats
    predictive: float
    stability: float
    n: int

    @property
    def reliable(self) -> bool:
        """Whether the forest foretells something and halves agree about the order."""
        return self.predictive > 0.05 and self.stability > 0.3

    @property
    def sentence(self) -> str:
        figures = (
            f"a forest explains {max(0.0, 100 * self.predictive):.0f}% of the variance of unseen architectures, and the "
            f"orders found in random halves agree with Spearman's ρ = {self.stability:.2f}; {self.n:,} architectures"
        )
        if not self.reliable:
            return f"Which edges matter cannot be told from chance: {figures}."
        order = np.argsort(-self.importance, kind="stable")[:3]
        several = len({edge.pick for edge in self.edges}) > 1
        named = [
            f"{self.edges[i].name}{f' in pick {self.edges[i].pick}' if several else ''} ({100 * self.importance[i]:.0f}%)"
            for i in order
        ]
        return f"The edges that matter most are {', '.join(named)}: {figures}."

    def frame(self) -> pd.DataFrame:
        """A row an edge: ``pick``, ``source``, ``target``, ``importance``, ``low``, ``high``."""
        import pandas as pd

        frame = pd.DataFrame(
            [(edge.pick, edge.source, edge.target) for edge in self.edges],
            columns=["pick", "source", "target"],
        )
        return frame.assign(importance=self.importance, low=self.low, high=self.high)


def edge_importance(
    alpha: AlphaMatrix, accuracy: ArrayLike, *, need: int = NEED, repeats: int = REPEATS, seed: int = 0
) -> EdgeImportance | TooFew:
    """fANOVA's main effects (Hutter et al. 2014) of the edges' choices on accuracy, in a scikit-learn forest.

    It is computed on random halves of the architectures, ``repeats`` in all: their spread and agreement say how
    far to trust it. It takes at least as many architectures as there are edges.
    """
    values = np.asarray(accuracy, dtype=np.float64)
    known = np.isfinite(values)
    values, alpha = values[known], alpha.rows(known)
    edges, columns = edges_of(alpha)
    if few := lacking(max(need, len(edges)), values):
        return few
    bits = alpha.values.astype(np.float64)
    if not np.ptp(bits, axis=0).any():
        return TooFew(0, 1, "edges on which architectures differ")
    rng = np.random.default_rng(seed)
    halves: list[tuple[Floats, Floats]] = []
    for number in range(max(1, repeats // 2)):
        order = rng.permutation(len(values))
        parts = order[: len(order) // 2], order[len(order) // 2 :]
        first, second = (fanova(bits[part], columns, values[part], seed + number) for part in parts)
        halves.append((first, second))
    shares = np.array([share for pair in halves for share in pair])
    agreement = [float(spearman(first[None], second[None])[0]) for first, second in halves]
    return EdgeImportance(
        edges,
        shares.mean(axis=0),
        shares.min(axis=0),
        shares.max(axis=0),
        _predictive(bits, values, seed),
        float(np.nan_to_num(np.mean(agreement))),
        len(values),
    )


def edges_of(alpha: AlphaMatrix) -> tuple[tuple[Edge, ...], tuple[tuple[int, ...], ...]]:
    """The edges, and the columns of each."""
    places: dict[tuple[str, int], list[int]] = {}
    for index, column in enumerate(alpha.columns):
        places.setdefault((column.pick, column.place), []).append(index)
    firsts = [alpha.columns[each[0]] for each in places.values()]
    return (
        tuple(Edge(each.pick, each.source, each.target) for each in firsts),
        tuple(tuple(each) for each in places.values()),
    )


def fanova(bits: Floats, edges: Sequence[Sequence[int]], values: Floats, seed: int = 0) -> Floats:
    """The share of the variance of a forest's answers that the choice on each edge explains by itself.

    The marginal of a choice is the forest's mean answer over the architectures with that choice put in: exact
    under the distribution that they were drawn from, where Optuna's evaluator takes all choices as equally likely.

    Args:
        bits: (architectures, columns).
        edges: the columns of each edge.
        values: what the forest learns to foretell.
        seed: of the forest, and of which architectures marginals are means over.
    """
    model = forest(seed).fit(bits, values)
    background = np.random.default_rng(seed).permutation(len(bits))[:_BACKGROUND]
    whole = float(np.var(model.predict(bits)))
    return np.array([_marginal_variance(model, bits, background, each) for each in edges]) / (whole or 1.0)


def forest(seed: int, **options: object) -> Any:
    """Trees that are not grown down to single architectures, whose accuracies are noisy."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(_TREES, min_samples_leaf=3, max_features=0.5, random_state=seed, **options)


def _marginal_variance(model: Any, bits: Floats, background: Places, edge: Sequence[int]) -> float:
    """The variance, over the choices made on one edge, of the mean answer with that choice."""
    choices, times = np.unique(bits[:, edge], axis=0, return_counts=True)
    if len(choices) < 2:
        return 0.0
    changed = np.repeat(bits[background][None], len(choices), axis=0)
    changed[:, :, edge] = choices[:, None, :]
    answers = model.predict(changed.reshape(-1, bits.shape[1])).reshape(len(choices), -1).mean(axis=1)
    weights = times / times.sum()
    return float(weights @ (answers - weights @ answers) ** 2)


def _predictive(bits: Floats, values: Floats, seed: int) -> float:
    return float(forest(seed, oob_score=True).fit(bits, values).oob_score_)
