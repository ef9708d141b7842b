"""Nets of a space by how dense they are: uniform draws from all that put a given number of operations on edges."""

from __future__ import annotations

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.choices import Pick
from robdsl.graph.counting import Below, Level, weighted
from robdsl.graph.groups import Counted, count_group, likeness, tied_groups
from robdsl.graph.layout import Layout
from robdsl.graph.operations import Choice
from robdsl.graph.rules import Term
from robdsl.graph.values import Fault

#: The choices of one group of picks that obey its rules, by how many operations they put on edges.
_Levels = dict[int, Counted]


class DensityCounter:
    """The choices of a space that obey its rules, counted by how many operations they put on edges (their level).

    Density is the level over the most that there can be. Groups of picks that rules tie together are counted
    level by level, which takes long where a rule ties many picks together.

    Raises:
        Uncountable: the rules tie too much together to count it with bounded work.
        RobError: a rule is no condition for some choice.
    """

    def __init__(self, layout: Layout) -> None:
        known: dict[tuple[object, ...], _Levels] = {}
        self._groups: list[tuple[tuple[int, ...], _Levels]] = []
        self._picks = len(layout.picks)
        try:
            for picks, tied in tied_groups(layout):
                key = likeness(layout, picks, tied)
                if key not in known:
                    terms = tuple(_taken(layout.picks[pick], pick) for pick in picks)
                    most = sum(edge.most for pick in picks for edge in layout.picks[pick].opens)
                    counts = {
                        n: count_group(layout, picks, [*tied, Level(terms, n)]) for n in range(most + 1)
                    }
                    known[key] = {n: counted for n, counted in counts.items() if counted.total}
                self._groups.append((picks, known[key]))
        except Fault as fault:
            raise RobError([fault.diagnostic]) from None
        # In how many ways each group and those after it can have each level together.
        self._ways: list[dict[int, int]] = [{0: 1}]
        for _, levels in reversed(self._groups):
            ways: dict[int, int] = {}
            for own, counted in levels.items():
                for later, count in self._ways[-1].items():
                    ways[own + later] = ways.get(own + later, 0) + counted.total * count
            self._ways.append(ways)
        self._ways.reverse()

    @property
    def totals(self) -> dict[int, int]:
        """How many choices there are at each level that has any, from the least dense on."""
        return dict(sorted(self._ways[0].items()))

    def draw(self, level: int, below: Below) -> tuple[Choice, ...]:
        """One choice for each pick, uniform over all that have a level.

        Args:
            level: one of those in `totals`.
            below: see `robdsl.graph.sampling.uniform_below`.
        """
        drawn: list[Choice] = [()] * self._picks
        for (picks, levels), ways, onward in zip(self._groups, self._ways, self._ways[1:], strict=False):
            weights = [counted.total * onward.get(level - own, 0) for own, counted in levels.items()]
            own = list(levels)[weighted(weights, ways[level], below)]
            for pick, choice in zip(picks, levels[own].draw(below), strict=True):
                drawn[pick] = choice
            level -= own
        return tuple(drawn)


def _taken(pick: Pick, number: int) -> Term:
    """How many operations a pick puts on edges."""
    return Term(
        number,
        tuple(tuple(int(each != edge.empty) for each in range(len(edge.names))) for edge in pick.opens),
    )
