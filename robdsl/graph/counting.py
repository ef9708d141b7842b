"""Exact counts of the choices of one pick, by the sums that rules speak of.

Rules see choices through sums over open edges, so choices with equal sums need not be told apart. A table holds, edge
by edge, in how many ways each vector of sums comes about; drawing walks it backwards with the counts as
weights, so that every choice has the same chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import add, sub
from typing import Protocol

from robdsl.graph.choices import Pick
from robdsl.graph.operations import Choice
from robdsl.graph.rules import Rule, Term

#: How many states the tables of one group of picks may have, and how many steps counting them may take.
MAX_STATES = 1_000_000
MAX_STEPS = 30_000_000

#: A uniform integer from 0 to n - 1.
Below = Callable[[int], int]
Vector = tuple[int, ...]
#: What is chosen on one open edge: the indices of alternatives.
Chosen = tuple[int, ...]
#: What each alternative of each open edge adds to measures of the whole net.
Costs = tuple[tuple[Vector, ...], ...]


class Uncountable(Exception):
    """The rules of a space tie choices together in a way that cannot be counted with bounded work."""


def weighted(weights: Iterable[int], total: int, below: Below) -> int:
    """An index, drawn with chances in proportion to integer weights whose sum is ``total``."""
    rest = below(total)
    for index, weight in enumerate(weights):
        rest -= weight
        if rest < 0:
            return index
    raise AssertionError("the weights do not sum to their total")


class Constraint(Protocol):
    """What choices must satisfy, seen through sums over them and measures of the whole net."""

    @property
    def terms(self) -> tuple[Term, ...]:
        """The sums that it looks at."""

    @property
    def picks(self) -> frozenset[int]:
        """The picks that it looks at, apart from measures of the whole net."""

    @property
    def whole(self) -> frozenset[str]:
        """The measures of the whole net that it looks at."""

    def holds(self, terms: Sequence[int], whole: Mapping[str, int]) -> bool:
        """Whether it holds for the values of its terms and the measures of the whole net."""


@dataclass(frozen=True)
class Level:
    """That one sum over several picks has a given value.

    Attributes:
        terms: one for each pick.
        value: of their sum.
    """

    terms: tuple[Term, ...]
    value: int
    whole: frozenset[str] = frozenset()

    @property
    def picks(self) -> frozenset[int]:
        return frozenset(term.pick for term in self.terms)

    def holds(self, terms: Sequence[int], whole: Mapping[str, int]) -> bool:
        """See `Constraint`."""
        return sum(terms) == self.value


@dataclass(frozen=True)
class RuleConstraint:
    """A rule for one binding of the cells that it names.

    Attributes:
        terms: the sums that it needs.
    """

    rule: Rule
    binding: Mapping[str, int]
    terms: tuple[Term, ...]

    @property
    def picks(self) -> frozenset[int]:
        """See `Constraint`."""
        return frozenset(term.pick for term in self.terms)

    @property
    def whole(self) -> frozenset[str]:
        """See `Constraint`."""
        return self.rule.whole

    def holds(self, terms: Sequence[int], whole: Mapping[str, int]) -> bool:
        """See `Constraint`."""
        by_term = {id(term): value for term, value in zip(self.terms, terms, strict=True)}
        return self.rule.holds(_Sums(by_term, whole), self.binding)


@dataclass(frozen=True)
class _Sums:
    """Measures as running sums give them."""

    terms: Mapping[int, int]
    wholes: Mapping[str, int]

    def term(self, term: Term) -> int:
        return self.terms[id(term)]

    def whole(self, name: str) -> int:
        return self.wholes[name]


@dataclass(frozen=True, eq=False)
class Sums:
    """What is summed over the open edges of a pick.

    Attributes:
        terms: the sums that rules speak of. Their weights matter, not the pick that they name.
        costs: what alternatives add to measures of the whole net; these sums come after the terms.
        width: how many sums there are.
    """

    pick: Pick
    terms: tuple[Term, ...]
    costs: Costs
    width: int

    @property
    def likeness(self) -> tuple[object, ...]:
        """Equal where the same is summed over the same open edges."""
        return (
            self.pick.opens,
            tuple((term.weights, term.once) for term in self.terms),
            self.costs,
            self.width,
        )

    def on(self, edge: int) -> dict[Vector, list[Chosen]]:
        """What can be chosen on an open edge, by what it adds."""
        options: dict[Vector, list[Chosen]] = {}
        for chosen in self.pick.opens[edge].options:
            sums = [term.on_edge(edge, chosen) for term in self.terms]
            for place in range(self.width - len(self.terms)):
                sums.append(sum(self.costs[edge][index][place] for index in chosen))
            options.setdefault(tuple(sums), []).append(chosen)
        return options

    def too_many(self) -> Uncountable:
        """What to raise when a table gets too large."""
        return Uncountable(
            f"rules tell more than {MAX_STATES:,} kinds of choices apart in `pick {self.pick.name}`"
        )


#: Sums before an edge: in how many ways each leads on, and what it is, with what is then chosen on the edge.
_Before = tuple[list[int], list[tuple[Vector, list[Chosen]]]]


class PickTable:
    """The choices of one pick, counted by the sums that they give.

    Attributes:
        counts: how many choices give each vector of sums.

    Raises:
        Uncountable: a bound was hit.
    """

    def __init__(self, sums: Sums) -> None:
        self._edges = [sums.on(edge) for edge in range(len(sums.pick.opens))]
        self._layers: list[dict[Vector, int]] = [{(0,) * sums.width: 1}]
        states = 0
        for options in self._edges:
            layer: dict[Vector, int] = {}
            for vector, count in self._layers[-1].items():
                for added, chosen in options.items():
                    reached = tuple(map(add, vector, added))
                    layer[reached] = layer.get(reached, 0) + count * len(chosen)
            states += len(layer)
            if states > MAX_STATES:
                raise sums.too_many()
            self._layers.append(layer)
        self.counts: Mapping[Vector, int] = self._layers[-1]
        self._known: list[dict[Vector, _Before]] = [{} for _ in self._edges]

    def draw(self, sums: Vector, below: Below) -> Choice:
        """A choice that gives ``sums``, uniformly among all that do."""
        drawn: list[Chosen] = []
        for edge in range(len(self._edges) - 1, -1, -1):
            weights, before = self._before(edge, sums)
            sums, chosen = before[weighted(weights, self._layers[edge + 1][sums], below)]
            drawn.append(chosen[below(len(chosen))] if len(chosen) > 1 else chosen[0])
        return tuple(reversed(drawn))

    def _before(self, edge: int, sums: Vector) -> _Before:
        """The sums before an edge from which it leads to given ones, with what is chosen on it and in how many ways."""
        known = self._known[edge]
        if sums not in known:
            before = [(tuple(map(sub, sums, added)), chosen) for added, chosen in self._edges[edge].items()]
            before = [each for each in before if each[0] in self._layers[edge]]
            known[sums] = [self._layers[edge][vector] * len(chosen) for vector, chosen in before], before
        return known[sums]


class FreePick:
    """A pick that no rule looks at.

    Attributes:
        total: how many choices there are.
    """

    def __init__(self, pick: Pick) -> None:
        self._edges = [(edge.kind, len(edge.names)) for edge in pick.opens]
        self.total = 1
        for kind, count in self._edges:
            self.total *= count if kind == "one" else 2**count

    def draw(self, below: Below) -> tuple[Choice, ...]:
        """A choice, uniformly."""
        return (tuple(self._option(kind, count, below) for kind, count in self._edges),)

    @staticmethod
    def _option(kind: str, count: int, below: Below) -> Chosen:
        if kind == "one":
            return (below(count),)
        code = below(2**count)
        return tuple(index for index in range(count) if code >> index & 1)
