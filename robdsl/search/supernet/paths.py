"""Which sub-network each batch of a supernet's training trains."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Literal, get_args

from robdsl.data import derive_seed
from robdsl.graph.density import DensityCounter
from robdsl.graph.net import Net, Space
from robdsl.graph.operations import Choice
from robdsl.graph.sampling import Counter, RandomSource, uniform_below
from robdsl.search.supernet.connected import connects

PathName = Literal["uniform", "density", "sandwich"]
PATHS: tuple[PathName, ...] = get_args(PathName)

#: How many batches a turn of the sandwich has: the densest, the sparsest, and random ones (Yu and Huang 2019, section 3.1).
SANDWICH = 4
#: After how many nets that are cut off from the image, one after the other, a sampler gives up.
_MOST_DRAWS = 1000


class PathSampler:
    """Sub-networks for the batches of a training run: a pure function of seed, epoch and batch.

    All processes of a run thus draw the same one, and a run that is resumed the same ones as before.

    Nets whose logits do not depend on the image (`is_connected`) are passed over: they have nothing to learn. The
    distributions below are those of the rest.

    Args:
        space: what to draw from; its rules are obeyed.
        paths: the distribution.

            - ``uniform``: over all choices; on an edge ``any { a, b }`` each of the four subsets is equally likely,
              given the rules.
            - ``density``: how many operations the net puts on edges is drawn first, uniformly over all numbers that
              there are; then a choice, uniformly over those with that number. Sparse and dense nets, which
              ``uniform`` hardly ever meets, get their share.
            - ``sandwich``: of each four batches the first trains one of the densest nets, the second one of the
              sparsest (uniformly, where there are several), the others uniform ones.
        seed: of the draws.

    Raises:
        ValueError: the distribution is unknown, or no net of the space obeys its rules.
        Uncountable: the rules cannot be counted.
    """

    def __init__(self, space: Space, paths: PathName = "uniform", seed: int = 0) -> None:
        if paths not in PATHS:
            raise ValueError(f"paths must be one of {', '.join(PATHS)}, not {paths!r}")
        self.space = space
        self.paths = paths
        self.seed = seed
        self._counter = Counter(space.layout)
        if not self._counter.total:
            raise ValueError(f"no net of the space `{space.name}` obeys its rules")
        self._ends: dict[int, int] = {}
        if paths != "uniform":
            self._densities = DensityCounter(space.layout)
            self._levels = tuple(self._densities.totals)
        if paths == "sandwich":
            self._ends = {0: self._end(reversed(self._levels)), 1: self._end(self._levels)}

    def at(self, epoch: int, batch: int) -> tuple[Choice, ...]:
        """The choice for each pick that a batch trains.

        Args:
            epoch: from 0.
            batch: of the epoch, from 0.
        """
        return self.draw(derive_seed(self.seed, "paths", epoch, batch), batch)

    def net(self, epoch: int, batch: int) -> Net:
        """The sub-network that a batch trains."""
        return self.space.choose(self.at(epoch, batch))

    def draw(self, rng: RandomSource | int | None = None, batch: int = 0) -> tuple[Choice, ...]:
        """A choice for each pick from the distribution.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`; a seed; None for a fresh one.
            batch: its number, which matters to ``sandwich`` alone.

        Raises:
            ValueError: hardly any net of the space lets the image through.
        """
        rng = random.Random(rng) if rng is None or isinstance(rng, int) else rng
        below = uniform_below(rng)
        turn = batch % SANDWICH if self.paths == "sandwich" else -1
        for _ in range(_MOST_DRAWS):
            if turn in self._ends:
                drawn = self._densities.draw(self._ends[turn], below)
            elif self.paths == "density":
                drawn = self._densities.draw(self._levels[below(len(self._levels))], below)
            else:
                drawn = self._counter.draw(rng)
            if connects(self.space.layout, drawn):
                return drawn
        raise ValueError(
            f"the image reaches the logits in none of {_MOST_DRAWS} nets drawn from `{self.space.name}`: "
            "add a rule that keeps nets connected"
        )

    def _end(self, levels: Iterable[int]) -> int:
        """The first of some levels at which nets let the image through."""
        below = uniform_below(0)
        for level in levels:
            for _ in range(_MOST_DRAWS):
                if connects(self.space.layout, self._densities.draw(level, below)):
                    return level
        raise ValueError(f"the image reaches the logits in no net of the space `{self.space.name}`")
