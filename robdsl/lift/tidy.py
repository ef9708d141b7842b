"""Values as a person would write them: long sums in one, and a growing concatenation layer by layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from robdsl.lift.values import Traced, Value, needed


def tidy(traced: Traced) -> Traced:
    """The same function: ``(a + b) + c`` -> ``a + b + c``, ``cat(a)`` -> ``a``, and where ``cat(a, b)`` is there,
    ``cat(a, b, c)`` -> ``cat(cat(a, b), c)``, which is how a dense block grows.
    """
    return replace(traced, values=_grown(_summed(traced.values)))


def _summed(values: tuple[Value, ...]) -> tuple[Value, ...]:
    uses = Counter(each for value in values for each in value.inputs)
    made: list[Value] = []
    for value in values:
        if value.kind == "sum":
            inner = made[value.inputs[0]]
            if (
                inner.kind == "sum" and uses[value.inputs[0]] == 1
            ):  # only the first: the order of adding stays
                value = replace(value, inputs=(*inner.inputs, *value.inputs[1:]))
        made.append(value)
    return needed(made)


def _grown(values: tuple[Value, ...]) -> tuple[Value, ...]:
    known: dict[tuple[int, ...], int] = {}
    same: dict[int, int] = {}
    made: list[Value] = []
    for place, value in enumerate(values):
        inputs = tuple(same.get(each, each) for each in value.inputs)
        if value.kind == "concat" and len(inputs) == 1:
            same[place] = inputs[0]
        elif value.kind == "concat":
            whole = inputs
            for length in range(len(whole) - 1, 1, -1):
                if whole[:length] in known:
                    inputs = (known[whole[:length]], *whole[length:])
                    break
            known.setdefault(whole, place)
        made.append(replace(value, inputs=inputs))
    last = len(made) - 1
    if last in same:
        made = made[: same[last] + 1]
    return needed(made)
