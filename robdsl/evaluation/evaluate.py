"""Natural and robust accuracy, exactly counted on any number of processes, resumable at any moment."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robdsl.attacks import parse_attack
from robdsl.data import Data, Ranks, evaluation_batches, generator, open_loader, own_batches
from robdsl.evaluation.accuracy import Accuracy
from robdsl.evaluation.examine import Attacker, right, right_under
from robdsl.evaluation.journal import Finding, Journal
from robdsl.evaluation.manifest import Json, make_manifest, text_hash, weights_hash
from robdsl.evaluation.placement import model_device, model_dtype
from robdsl.evaluation.report import AttackReport, Report

NATURAL = "natural"


@dataclass(frozen=True)
class EvaluationProgress:
    """Where an evaluation stands on this process.

    Attributes:
        batch: the batch that was just examined, from 0.
        attack: under which attack; "natural" for none.
        done: examinations (a batch under an attack) behind us, those of earlier runs included.
        total: examinations in all, on this process.
        accuracy: so far under this attack, on this process.
        images_per_second: under this attack.
        seconds_left: an estimate; None until every attack has been timed.
    """

    batch: int
    attack: str
    done: int
    total: int
    accuracy: Accuracy
    images_per_second: float
    seconds_left: float | None


def evaluate(
    model: nn.Module,
    data: Data,
    attacks: Sequence[Attacker | str],
    *,
    source: nn.Module | None = None,
    batch: int = 256,
    seed: int = 0,
    folder: str | Path | None = None,
    events: Callable[[EvaluationProgress], None] | None = None,
    architecture: str | None = None,
    command: str | None = None,
    workers: int = 4,
) -> Report:
    """Evaluate a model.

    Every example is counted once, however many processes take part: whole batches go round them. A batch's
    draws come from the seed, the attack and the batch's number, so that any number of processes, and any
    number of interruptions, give the same report (``seconds`` aside).

    Args:
        model: maps images in [0, 1] to logits; used in evaluation mode and left as it was.
        data: what to evaluate on.
        attacks: attacks, or their names ("fgsm", "pgd20", ...).
        source: make the adversarial images on this model instead (transfer, the paper's Table 2).
        batch: examples in a batch. Part of what the random draws depend on.
        seed: of every draw.
        folder: where to keep what was found, to go on after an interruption; None to keep nothing.
        events: called after every batch under every attack.
        architecture: the net's text, for the manifest.
        command: the command line, for the manifest; this process's own where None.
        workers: reading processes for data that stays on disk.

    Returns:
        The same report on every process.

    Raises:
        UnknownAttackError: an attack's name is not known.
        ValueError: two attacks have one name.
        DiskFullError: a finding could not be kept.
        DataError: data have vanished or are broken.
    """
    chosen = [parse_attack(attack) if isinstance(attack, str) else attack for attack in attacks]
    names = [NATURAL, *(attack.name for attack in chosen)]
    if len(set(names)) < len(names):
        raise ValueError(f"every attack needs a name of its own, not {', '.join(names[1:])}")
    ranks = Ranks.current()
    weights = weights_hash(model.state_dict())
    settings: dict[str, Json] = {
        "attacks": [attack.describe() for attack in chosen],
        "batch": batch,
        "dtype": str(model_dtype(model)),
        "source_weights_hash": None if source is None else weights_hash(source.state_dict()),
        "source_structure": None if source is None else _structure(source),
    }
    identity = {
        **settings,
        "seed": seed,
        "data": data.split_hash,
        "weights": weights,
        "structure": _structure(model),
        "device": model_device(model).type,
    }
    fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    journal = Journal(None if folder is None else Path(folder), fingerprint, ranks.rank)
    ranks.wait()  # nobody writes before everybody has read
    work = _Work(model, source, data, chosen, batch, seed, workers, journal, events)
    findings = work.run(ranks)
    manifest = make_manifest(
        "evaluation",
        seed=seed,
        settings=settings,
        model=model,
        data=[data],
        architecture=architecture,
        command=command,
        ranks=ranks,
        weights=weights,
    )
    correct, costs = _merge(findings, names, data, batch, ranks, model_device(model))
    per_class = _PerClass(data)
    clean = correct[0]
    reports = tuple(
        AttackReport(
            name=name,
            robust=_count(under & clean),
            adversarial=_count(under),
            per_class=per_class(under & clean),
            forward=round(cost[0]),
            backward=round(cost[1]),
            seconds=cost[2],
        )
        for name, under, cost in zip(names[1:], correct[1:], costs[1:], strict=True)
    )
    worst = correct.all(dim=0)
    return Report(
        data=data.facts.name,
        split=data.split,
        classes=data.classes,
        natural=_count(clean),
        natural_per_class=per_class(clean),
        attacks=reports,
        worst_case=_count(worst),
        worst_case_per_class=per_class(worst),
        manifest=manifest,
    )


@dataclass(frozen=True, eq=False)
class _Work:
    model: nn.Module
    source: nn.Module | None
    data: Data
    attacks: Sequence[Attacker]
    batch: int
    seed: int
    workers: int
    journal: Journal
    events: Callable[[EvaluationProgress], None] | None

    def run(self, ranks: Ranks) -> list[Finding]:
        """Examine this process's batches, but for what is in the journal."""
        batches = evaluation_batches(len(self.data), self.batch)
        own = own_batches(len(batches), ranks.rank, ranks.world)
        names = [NATURAL, *(attack.name for attack in self.attacks)]
        known = {
            (number, name): finding
            for number in own
            for name in names
            if (finding := self.journal.get(number, name, len(batches[number]))) is not None
        }
        open_batches = [number for number in own if any((number, name) not in known for name in names)]
        loader = open_loader(
            self.data, model_device(self.model), dtype=model_dtype(self.model), workers=self.workers
        )
        tally = _Tally(names, len(own), list(known.values()))
        loaded = loader.batches([batches[number] for number in open_batches])
        for number, (images, labels) in zip(open_batches, loaded, strict=True):
            for place, name in enumerate(names):
                if (number, name) in known:
                    continue
                finding = self._examine(
                    number, None if place == 0 else self.attacks[place - 1], images, labels
                )
                known[number, name] = finding
                self.journal.add(finding)
                progress = tally.add(finding)
                if self.events is not None:
                    self.events(progress)
        return list(known.values())

    def _examine(self, number: int, attack: Attacker | None, images: Tensor, labels: Tensor) -> Finding:
        started = time.perf_counter()
        forward, backward = 1, 0
        if attack is None:
            correct = right(self.model, images, labels)
        else:
            draws = generator(images.device, self.seed, "evaluate", attack.name, number)
            correct, result = right_under(self.model, images, labels, attack, draws, self.source)
            forward, backward = result.forward_passes, result.backward_passes
        mask = correct.cpu()
        name = NATURAL if attack is None else attack.name
        return Finding.of(number, name, mask, forward, backward, time.perf_counter() - started)


class _Tally:
    """Running sums for the progress of one process."""

    def __init__(self, names: list[str], batches: int, known: list[Finding]) -> None:
        self._batches = batches
        self._sums = {name: _Sums() for name in names}
        for finding in known:
            self._sums[finding.attack].add(finding)

    def add(self, finding: Finding) -> EvaluationProgress:
        """Count a finding and say where things stand."""
        same = self._sums[finding.attack]
        same.add(finding)
        return EvaluationProgress(
            batch=finding.batch,
            attack=finding.attack,
            done=sum(sums.batches for sums in self._sums.values()),
            total=self._batches * len(self._sums),
            accuracy=Accuracy(same.correct, same.count),
            images_per_second=finding.count / max(finding.seconds, 1e-9),
            seconds_left=self._seconds_left(),
        )

    def _seconds_left(self) -> float | None:
        left = 0.0
        for sums in self._sums.values():
            if not sums.batches:
                return None
            left += (self._batches - sums.batches) * sums.seconds / sums.batches
        return left


@dataclass
class _Sums:
    batches: int = 0
    count: int = 0
    correct: int = 0
    seconds: float = 0.0

    def add(self, finding: Finding) -> None:
        self.batches += 1
        self.count += finding.count
        self.correct += int(finding.mask().sum())
        self.seconds += finding.seconds


def _merge(
    findings: list[Finding], names: list[str], data: Data, batch: int, ranks: Ranks, device: torch.device
) -> tuple[Tensor, list[list[float]]]:
    """Over all processes: which examples are right under what, (names, N) bool, and the passes, seconds."""
    correct = torch.zeros(len(names), len(data), dtype=torch.int64)
    costs = torch.zeros(len(names), 3, dtype=torch.float64)
    for finding in findings:
        row = names.index(finding.attack)
        start = finding.batch * batch
        correct[row, start : start + finding.count] = finding.mask().long()
        costs[row] += torch.tensor([finding.forward, finding.backward, finding.seconds], dtype=torch.float64)
    everyone = ranks.sum(correct.to(device)).cpu()
    return everyone.bool(), ranks.sum(costs.to(device)).cpu().tolist()


class _PerClass:
    def __init__(self, data: Data) -> None:
        self._labels = data.labels
        self._classes = len(data.classes)
        self._totals = torch.bincount(data.labels, minlength=self._classes).tolist()

    def __call__(self, mask: Tensor) -> tuple[Accuracy, ...]:
        counts = torch.bincount(self._labels[mask], minlength=self._classes).tolist()
        return tuple(Accuracy(count, total) for count, total in zip(counts, self._totals, strict=True))


def _count(mask: Tensor) -> Accuracy:
    return Accuracy(int(mask.sum()), len(mask))


def _structure(model: nn.Module) -> str:
    """A hash of what a model computes apart from its weights, as far as its code tells."""
    code = getattr(model, "code", None)
    return text_hash(code if isinstance(code, str) else str(model))
