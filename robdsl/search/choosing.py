"""Which architectures are worth more: to be finetuned, to be trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from robdsl.search.settings import Targets
from robdsl.search.study import Trial


def chosen_for_finetuning(trials: Sequence[Trial], targets: Targets) -> list[Trial]:
    """The trials that are finetuned, or are already, in the order in which they come.

    Args:
        trials: all; those that were rejected, failed or repeat an earlier one are never chosen.
        targets: how many, and by what.
    """
    known = [
        each
        for each in trials
        if "hash" in each.facts and each.duplicate_of is None and each.state not in ("rejected", "failed")
    ]
    if targets.choose == "best":
        known.sort(key=lambda each: standing(each.facts, each.number, ("inherited",)))
    return known[: targets.finetune]


def standing(facts: Mapping[str, Any], number: int, whens: Sequence[str]) -> tuple[Any, ...]:
    """A key by which the best comes first: robust accuracy, then natural, of the first of ``whens`` that is known."""
    for place, when in enumerate(whens):
        robust, natural = facts.get(f"robust_{when}"), facts.get(f"natural_{when}")
        if robust is not None and natural is not None:
            return (place, -robust, -natural, number)
    return (len(whens), 0.0, 0.0, number)


def ranked(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The evaluated rows of a bank, the best first: by finetuned accuracy, or inherited where nothing was finetuned."""
    judged = [each for each in rows if each["state"] == "evaluated"]
    return sorted(judged, key=lambda each: standing(each, each["trial"], ("finetuned", "inherited")))


def ranked_as_inherited(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All that was measured with inherited weights, rejected or not, the best first."""
    measured = [each for each in rows if each.get("robust_inherited") is not None]
    return sorted(measured, key=lambda each: standing(each, each["trial"], ("inherited",)))


def around_median(ranking: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """The ``count`` in the middle of a ranking."""
    first = max(0, (len(ranking) - count) // 2)
    return list(ranking[first : first + count])


def spread(ranking: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """``count`` of a ranking, evenly spaced over it; one is the median."""
    if count >= len(ranking):
        return list(ranking)
    return [ranking[int((place + 0.5) * len(ranking) / count)] for place in range(count)]
