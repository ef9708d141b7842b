"""Conditions that tell the instances of a class apart where they are built of different things.

Those of the text are tried first. Where a constructor cannot say them (they may speak of heights), the simplest ones that
hold for exactly the instances in question are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from robdsl.compiler.emit.python.amounts import Amount, constant, literal, same
from robdsl.compiler.emit.python.environment import Environment


@dataclass(frozen=True)
class Condition:
    """Code that is true for some of the instances that get here.

    Attributes:
        new: whether it is the name of a parameter that is still to be made.
    """

    code: str
    holds: tuple[bool, ...]
    new: bool = False


def split(
    environment: Environment, variants: Sequence[int], entering: Amount
) -> list[tuple[int, str]] | None:
    """Conditions for variants, to be tried in order; that of the last one is "".

    Args:
        environment: what a condition can speak of.
        variants: which one each instance that gets here is.
        entering: the channels of the value that enters.

    Returns:
        Variants with conditions, or None when no simple conditions tell them apart.
    """
    left = list(dict.fromkeys(variants))
    found: list[tuple[int, str]] = []
    while len(left) > 1:
        places = [place for place, each in enumerate(variants) if each in left]
        kinds = [variants[place] for place in places]
        told = _told(environment.at(places), kinds, entering.at(places))
        if told is None:
            return None
        found.append(told)
        left.remove(told[0])
    return [*found, (left[0], "")]


def _told(environment: Environment, kinds: Sequence[int], entering: Amount) -> tuple[int, str] | None:
    """A variant, and code that is true for exactly those of the instances here that are of it."""
    spoken = list(_spoken(environment, entering))
    for conditions in (spoken, list(_pairs(spoken))):
        for variant in dict.fromkeys(kinds):
            wanted = tuple(kind == variant for kind in kinds)
            for condition in conditions:
                if condition.holds == wanted:
                    return variant, environment.use(condition.code)
    for variant in dict.fromkeys(kinds):
        wanted = tuple(kind == variant for kind in kinds)
        inside = [place for place, each in enumerate(wanted) if each]
        simple = list(_simple(environment, inside))
        for condition in (*_flags(environment), *simple, *_sizes(environment), *_pairs(simple)):
            if condition.holds == wanted:
                code = environment.add(condition.code, condition.holds) if condition.new else condition.code
                return variant, environment.use(code)
    return None


def _spoken(environment: Environment, entering: Amount) -> Iterator[Condition]:
    """The conditions of the text."""
    for expression in environment.text.conditions if environment.text else ():
        said = environment.said(expression, entering)
        flags = tuple(value for value in said.values if isinstance(value, bool)) if said else ()
        if said and len(flags) == len(said.values):
            yield Condition(said.code, flags)


def _flags(environment: Environment) -> Iterator[Condition]:
    """Parameters that are true or false."""
    for name, values in environment.known.items():
        flags = tuple(value for value in values if isinstance(value, bool))
        if len(flags) == len(values):
            yield Condition(name, flags)


def _simple(environment: Environment, inside: Sequence[int]) -> Iterator[Condition]:
    """Comparisons of a parameter of the text that hold for all of the instances inside: ``stride == 1``."""
    for name, values in environment.known.items():
        first = values[inside[0]]
        if name not in environment.words or isinstance(first, bool):
            continue
        if constant([values[place] for place in inside]):
            yield Condition(f"{name} == {literal(first)}", tuple(same([value], [first]) for value in values))


def _sizes(environment: Environment) -> Iterator[Condition]:
    """Flags of our own that say whether the maps of one input are larger than those of another."""
    for name, heights in environment.heights.items():
        for others in environment.heights.values():
            larger = tuple(heights[place] > others[place] for place in environment.places)
            known = [each for each, values in environment.known.items() if same(values, larger)]
            yield Condition(known[0], larger) if known else Condition(f"{name}_larger", larger, new=True)


def _pairs(conditions: Sequence[Condition]) -> Iterator[Condition]:
    """Two conditions at once."""
    for place, first in enumerate(conditions):
        for second in conditions[place + 1 :]:
            holds = tuple(a and b for a, b in zip(first.holds, second.holds, strict=True))
            codes = (f"({each.code})" if " or " in each.code else each.code for each in (first, second))
            yield Condition(" and ".join(codes), holds)
