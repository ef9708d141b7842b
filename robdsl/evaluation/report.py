"""The result of an evaluation as data, as JSON and as a row of the paper's table."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from robdsl.attacks import Finding
from robdsl.evaluation.accuracy import Accuracy
from robdsl.evaluation.manifest import Json, Manifest

PAPER_COLUMNS = ("fgsm", "pgd20", "pgd100", "deepfool", "mi_fgsm")
"""The attacks of the paper's Table 1, in its order."""


@dataclass(frozen=True)
class AttackReport:
    """What one attack did.

    Attributes:
        name: the attack's.
        robust: examples right both clean and under the attack. A clean image lies within every budget, so
            that one that is wrong already is not robust, whatever the attack makes of it.
        adversarial: examples right under the attack alone, which is what most papers print; never less.
        per_class: ``robust`` for each class, in the order of the labels.
        forward: forward passes of the model over all batches.
        backward: gradient computations.
        seconds: the time all processes spent on it, together.
    """

    name: str
    robust: Accuracy
    adversarial: Accuracy
    per_class: tuple[Accuracy, ...]
    forward: int
    backward: int
    seconds: float

    def to_json(self) -> dict[str, Json]:
        """The report as plain data."""
        return {
            "name": self.name,
            "robust": self.robust.to_json(),
            "adversarial": self.adversarial.to_json(),
            "per_class": [part.to_json() for part in self.per_class],
            "forward_passes": self.forward,
            "backward_passes": self.backward,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Report:
    """An evaluation.

    Attributes:
        data: the data set's name.
        split: of which split.
        classes: the names, in the order of the labels.
        natural: right answers on clean images.
        natural_per_class: the same for each class.
        attacks: in the order they were asked for.
        worst_case: examples right clean and under every attack.
        worst_case_per_class: the same for each class.
        findings: what the checks found that makes the figures doubtful; see `robdsl.attacks.CHECKS`.
        manifest: what the figures came from.
    """

    data: str
    split: str
    classes: tuple[str, ...]
    natural: Accuracy
    natural_per_class: tuple[Accuracy, ...]
    attacks: tuple[AttackReport, ...]
    worst_case: Accuracy
    worst_case_per_class: tuple[Accuracy, ...]
    findings: tuple[Finding, ...]
    manifest: Manifest

    def attack(self, name: str) -> AttackReport:
        """The report of one attack.

        Raises:
            KeyError: it was not run.
        """
        for report in self.attacks:
            if report.name == name:
                return report
        raise KeyError(name)

    def to_json(self) -> dict[str, Json]:
        """The report as plain data, manifest included."""
        return {
            "data": self.data,
            "split": self.split,
            "classes": self.classes,
            "natural": self.natural.to_json(),
            "natural_per_class": [part.to_json() for part in self.natural_per_class],
            "attacks": [report.to_json() for report in self.attacks],
            "worst_case": self.worst_case.to_json(),
            "worst_case_per_class": [part.to_json() for part in self.worst_case_per_class],
            "findings": [asdict(finding) for finding in self.findings],
            "manifest": self.manifest.to_json(),
        }

    def paper_row(self, parameters: int) -> dict[str, float | None]:
        """The row of the paper's Table 1: millions of parameters, then accuracies in per cent.

        Attacks that were not run are None. As in the paper, an attack's figure counts the adversarial
        images that the model gets right (:attr:`AttackReport.adversarial`).

        Args:
            parameters: of the model.
        """
        row: dict[str, float | None] = {
            "params_M": round(parameters / 1e6, 2),
            "natural": round(100 * self.natural.share, 2),
        }
        run = {report.name: report for report in self.attacks}
        for column in PAPER_COLUMNS:
            row[column] = round(100 * run[column].adversarial.share, 2) if column in run else None
        return row
