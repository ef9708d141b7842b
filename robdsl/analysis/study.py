"""All figures of one bank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robdsl.analysis.accuracy import CountingNoise, counting_noise, finetuning_shift
from robdsl.analysis.bank import ACCURACIES, Bank
from robdsl.analysis.budgets import budgets
from robdsl.analysis.embedding import embedding
from robdsl.analysis.flow import flow_trend
from robdsl.analysis.importance import edge_importance
from robdsl.analysis.operations import operation_effects
from robdsl.analysis.relation import density_trend, rank_agreement
from robdsl.analysis.results import Finding, TooFew
from robdsl.analysis.separation import separation
from robdsl.analysis.sizes import Reference, size_trend

#: Figures by name, in the order of a report, with what each is about.
TITLES: Mapping[str, str] = {
    "figure_1": "Robust accuracy against size",
    "figure_3": "Before and after finetuning",
    "figure_4a": "The best and the worst, laid out by alpha",
    "figure_4b": "What tells the best from the worst",
    "figure_5": "Density and robust accuracy",
    "figure_6a": "Operations on direct and skip edges",
    "figure_6b": "Budgets and direct convolutions",
    "figure_7": "FSP distance and the accuracy gap",
    "importance": "Which edges matter",
    "ranks": "Does the order survive finetuning?",
    "ranks_scratch": "Does the order survive training from scratch?",
}


@dataclass(frozen=True, eq=False)
class Analysis:
    """What one bank shows.

    Attributes:
        judged: the column that counts as robust accuracy.
        noise: how much of its spread is the luck of counting.
        findings: by figure, in the order of `TITLES`.
        seed: of resampling, folds, layouts and forests.
    """

    bank: Bank
    judged: str
    noise: CountingNoise | TooFew
    findings: Mapping[str, Finding | TooFew]
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Sentences and what is missing, as plain data."""
        return {
            "space": self.bank.space.name,
            "architectures": len(self.bank),
            "states": self.bank.states,
            "left_out": self.bank.left_out,
            "accuracy": self.judged,
            "seed": self.seed,
            "noise": _plain(self.noise),
            "figures": {
                name: {"title": TITLES[name], **_plain(each)} for name, each in self.findings.items()
            },
        }


def _plain(finding: Finding | TooFew) -> dict[str, Any]:
    if isinstance(finding, TooFew):
        return {"sentence": finding.sentence, "have": finding.have, "need": finding.need, "of": finding.what}
    return {"sentence": finding.sentence}


def analyze(
    bank: Bank,
    *,
    accuracy: str | None = None,
    references: Sequence[Reference] = (),
    seed: int = 0,
    events: Callable[[str], None] | None = None,
) -> Analysis:
    """Makes every figure that there are enough architectures for.

    Args:
        bank: the architectures.
        accuracy: the column that counts as robust accuracy; by default `Bank.judged`.
        references: nets for Figure 1.
        seed: of every draw.
        events: is told the name of each figure before it is made.

    Raises:
        ValueError: there is no such accuracy.
    """
    judged = accuracy or bank.judged
    if judged not in ACCURACIES or not judged.startswith("robust_"):
        raise ValueError(
            f"{judged!r} is none of {', '.join(n for n in ACCURACIES if n.startswith('robust_'))}"
        )
    robust = bank.column(judged)
    natural = bank.column(judged.replace("robust_", "natural_"))
    before, after, scratch = (bank.column(f"robust_{each}") for each in ("inherited", "finetuned", "scratch"))
    makers: dict[str, Callable[[], Finding | TooFew]] = {
        "figure_1": lambda: size_trend(bank.column("params"), robust, references, seed=seed),
        "figure_3": lambda: finetuning_shift(before, after, seed=seed),
        "figure_4a": lambda: embedding(bank.alpha, robust, seed=seed),
        "figure_4b": lambda: separation(bank.alpha, robust, seed=seed),
        "figure_5": lambda: density_trend(bank.column("density"), robust, seed=seed),
        "figure_6a": lambda: operation_effects(bank.alpha, robust, seed=seed),
        "figure_6b": lambda: budgets(bank.alpha, robust, seed=seed),
        "figure_7": lambda: flow_trend(bank.fsp(), natural, robust, seed=seed),
        "importance": lambda: edge_importance(bank.alpha, robust, seed=seed),
        "ranks": lambda: rank_agreement(before, after, seed=seed),
    }
    if np.isfinite(scratch).any():
        names = ("after finetuning", "from scratch")
        makers["ranks_scratch"] = lambda: rank_agreement(after, scratch, names=names, seed=seed)
    findings: dict[str, Finding | TooFew] = {}
    for name, make in makers.items():
        if events is not None:
            events(name)
        findings[name] = make()
    return Analysis(bank, judged, counting_noise(robust, bank.column("examples"), seed=seed), findings, seed)
