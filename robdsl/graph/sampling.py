"""How many nets a space has, and nets drawn from it: exactly uniform over all that obey the rules.

Picks that no rule ties together are independent, so a space is counted as a product over groups of picks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, TypeAlias

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.counting import Below, Uncountable
from robdsl.graph.groups import Counted, count_group, likeness, tied_groups
from robdsl.graph.layout import Layout
from robdsl.graph.operations import Choice
from robdsl.graph.values import Fault

if TYPE_CHECKING:
    import numpy as np

RandomSource: TypeAlias = "random.Random | np.random.Generator"


class Counter:
    """The choices of a space that obey its rules: how many they are, and uniform draws from them.

    The first use counts; draws are quick after it.

    Attributes:
        total: the exact number of choices.

    Raises:
        Uncountable: the rules tie too much together to count it with bounded work.
        RobError: a rule is no condition for some choice (it divides by zero, say).
    """

    def __init__(self, layout: Layout) -> None:
        try:
            self._groups = _solved(layout)
        except Fault as fault:
            raise RobError([fault.diagnostic]) from None
        self._picks = len(layout.picks)
        self._name = layout.spaces[-1].name if layout.spaces else layout.bound.name
        self.total = 1
        for group in self._groups:
            self.total *= group.counted.total

    def draw(self, rng: RandomSource | int | None = None) -> tuple[Choice, ...]:
        """One choice for each pick, uniform over all choices that obey the rules.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`; a seed; None for a fresh one.

        Raises:
            ValueError: no choice obeys the rules.
        """
        if not self.total:
            raise ValueError(f"no net of the space `{self._name}` obeys its rules")
        below = uniform_below(rng)
        drawn: list[Choice] = [()] * self._picks
        for group in self._groups:
            for pick, choice in zip(group.picks, group.counted.draw(below), strict=True):
                drawn[pick] = choice
        return tuple(drawn)


def uniform_below(rng: RandomSource | int | None) -> Below:
    """A function that gives exactly uniform integers from 0 to n - 1, for n of any size.

    Args:
        rng: where the randomness comes from; a seed; None for a fresh one.

    Raises:
        TypeError: it is none of these.
    """
    given: object = rng
    if given is None or isinstance(given, Integral):
        given = random.Random(None if given is None else int(given))
    if isinstance(given, random.Random):
        return given.randrange
    draw: Callable[[int], bytes] | None = getattr(given, "bytes", None)  # numpy is not imported for this
    if draw is None:
        wanted = "a seed (an integer), a `random.Random` or a `numpy.random.Generator`"
        raise TypeError(f"randomness comes from {wanted}, not from {rng!r} ({type(rng).__name__})")

    def below(n: int) -> int:
        bits = (n - 1).bit_length()
        size = -(-bits // 8)
        while True:  # each turn succeeds with a chance of more than a half
            drawn = int.from_bytes(draw(size), "little") >> (8 * size - bits)
            if drawn < n:
                return drawn

    return below


@dataclass(frozen=True)
class _Group:
    """Picks that rules tie together, in the order of the net."""

    picks: tuple[int, ...]
    counted: Counted


def _solved(layout: Layout) -> list[_Group]:
    """The groups of picks, each counted; those that look alike share one count."""
    known: dict[tuple[object, ...], Counted] = {}
    groups = []
    for picks, tied in tied_groups(layout):
        key = likeness(layout, picks, tied)
        if key not in known:
            known[key] = count_group(layout, picks, tied)
        groups.append(_Group(picks, known[key]))
    return groups


__all__ = ["Counter", "RandomSource", "Uncountable", "uniform_below"]
