"""What a study is doing, what it has found so far, how long the rest will take; from inside and from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from robdsl.evaluation import Json
from robdsl.search.choosing import chosen_for_finetuning, ranked
from robdsl.search.correlation import Correlation, between_stages
from robdsl.search.heritage import TRAINING
from robdsl.search.study import Study, Trial


@dataclass(frozen=True)
class Found:
    """An architecture that was judged.

    Attributes:
        trial: its number.
        robust, natural: accuracies in [0, 1], as `when` has them.
        when: inherited, finetuned or scratch.
        examples: on how many held-out images.
        params: its parameters.
    """

    trial: int
    robust: float
    natural: float
    when: str
    examples: int
    params: int


@dataclass(frozen=True)
class SupernetTraining:
    """How far a supernet's training is.

    Attributes:
        epoch: from 0.
        epochs: how many there are.
        seconds_left: an estimate.
    """

    epoch: int
    epochs: int
    seconds_left: float


@dataclass(frozen=True)
class Status:
    """A study as it stands.

    Attributes:
        name, url: of the study.
        supernet: whether it is trained.
        training: how far its training is, where some worker is at it and has said so.
        target: how many architectures shall be drawn.
        drawn, duplicates: how many were, and how many of these repeat an earlier one.
        measured: how many are, with inherited weights.
        states: architectures by state (see `robdsl.search.bank`).
        failures: why architectures failed, and how many for each reason.
        to_finetune: how many shall be finetuned, so far as is known.
        working: what is being done now, by whom.
        seconds_left: an estimate for the workers that there are now (for one, where there is none); None where nothing is
            known yet.
        best: the best architecture so far.
        correlations: of robust accuracy, see `between_stages`.
        finished: whether nothing is left to do.
    """

    name: str
    url: str
    supernet: bool
    training: SupernetTraining | None
    target: int
    drawn: int
    duplicates: int
    measured: int
    states: Mapping[str, int]
    failures: Mapping[str, int]
    to_finetune: int
    working: Mapping[str, str]
    seconds_left: float | None
    best: Found | None
    correlations: Mapping[str, Correlation]
    finished: bool

    def to_json(self) -> dict[str, Json]:
        """As plain data."""
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "states": dict(self.states),
            "failures": dict(self.failures),
            "working": dict(self.working),
            "best": None if self.best is None else vars(self.best) | {},
            "training": None if self.training is None else vars(self.training) | {},
            "correlations": {name: each.to_json() for name, each in self.correlations.items()},
        }


def status_of(study: Study, *, with_correlations: bool = True) -> Status:
    """Look at a study.

    Args:
        study: may be open for reading only, and others may work on it.
        with_correlations: they take a second or two.
    """
    trials, targets = study.trials(), study.targets()
    drawn = [each for each in trials if "hash" in each.facts]
    known = [each for each in drawn if each.duplicate_of is None]
    states: dict[str, int] = {}
    for each in known:
        states[each.state] = states.get(each.state, 0) + 1
    chosen = chosen_for_finetuning(trials, targets)
    working, attributes = study.leases.held(), study.attributes()
    unmeasured = [each for each in known if not each.measured and not each.finished]
    unjudged = [each for each in chosen if not each.finished and each.state in ("sampled", "finetuned")]
    rows = study.rows()
    adaptive = study.settings.adaptive
    finished = len(drawn) >= targets.trials and not unmeasured and not unjudged
    if adaptive:
        finished = len(drawn) >= targets.trials and all(each.finished for each in known)
    return Status(
        name=study.name,
        url=study.url,
        supernet="supernet" in attributes,
        training=_training(attributes) if "supernet" in working else None,
        target=targets.trials,
        drawn=len(drawn),
        duplicates=len(drawn) - len(known),
        measured=sum(each.measured for each in known),
        states=states,
        failures=Counter(str(each.facts["failure"]) for each in known if "failure" in each.facts),
        to_finetune=0 if study.settings.finetune is None else len(chosen),
        working=working,
        seconds_left=_seconds_left(known, unmeasured, unjudged, targets.trials - len(drawn), len(working)),
        best=best_of(rows),
        correlations=between_stages(rows) if with_correlations else {},
        finished=finished,
    )


def _training(attributes: Mapping[str, Any]) -> SupernetTraining | None:
    try:
        said = attributes[TRAINING]
        return SupernetTraining(int(said["epoch"]), int(said["epochs"]), float(said["seconds_left"]))
    except (KeyError, TypeError, ValueError):
        return None  # nothing is said yet, or nothing that we would have


def best_of(rows: Sequence[Mapping[str, Any]]) -> Found | None:
    """The best of a bank's rows: of those evaluated, or, before there are any, with inherited weights."""
    judged = ranked(rows) or sorted(
        (row for row in rows if row.get("robust_inherited") is not None and row["state"] != "rejected"),
        key=lambda row: (-row["robust_inherited"], -row["natural_inherited"], row["trial"]),
    )
    if not judged:
        return None
    row = judged[0]
    when = "finetuned" if row.get("robust_finetuned") is not None else "inherited"
    return Found(
        trial=row["trial"],
        robust=row[f"robust_{when}"],
        natural=row[f"natural_{when}"],
        when=when,
        examples=row["examples"],
        params=row["params"],
    )


def _seconds_left(
    known: Sequence[Trial], unmeasured: Sequence[Trial], unjudged: Sequence[Trial], undrawn: int, workers: int
) -> float | None:
    """What is left, at the mean cost of each kind of work so far."""
    left = 0.0
    for count, names in (
        (len(unmeasured) + undrawn, ("measure_seconds",)),
        (len(unjudged) + (undrawn if unjudged else 0), ("finetune_seconds", "evaluate_seconds")),
    ):
        for name in names:
            took = [each.facts[name] for each in known if name in each.facts]
            if count and took:
                left += count * mean(took)
            elif count and name == "measure_seconds":
                return None
    return left / max(1, workers)
