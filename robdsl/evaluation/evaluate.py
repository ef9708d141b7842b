"""Natural and robust accuracy, exactly counted on any number of processes, resumable at any moment."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from robdsl.attacks import Finding, check_results, parse_attack, preflight
from robdsl.compiler.frozen_module import FrozenModule
from robdsl.data import Data, Ranks, evaluation_batches, generator, open_loader, own_batches
from robdsl.evaluation.accuracy import Accuracy
from robdsl.evaluation.examine import Attacker, right, right_under
from robdsl.evaluation.journal import Entry, Journal
from robdsl.evaluation.manifest import Json, make_manifest, text_hash, weights_hash
from robdsl.evaluation.placement import model_device, model_dtype
from robdsl.evaluation.progress import EvaluationProgress, Tally
from robdsl.evaluation.report import AttackReport, Report

NATURAL = "natural"
CHECKED_IMAGES = 64
"""How many images a model is checked with before it is believed."""


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
        DiskFullError: an entry could not be kept.
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
        "frozen": isinstance(model, FrozenModule),
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
    entries = work.run(ranks)
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
    correct, costs = _merge(entries, names, data, batch, ranks, model_device(model))
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
        findings=_check(model, source, data, workers, ranks) + _compare(chosen, correct, source),
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

    def run(self, ranks: Ranks) -> list[Entry]:
        """Examine this process's batches, but for what is in the journal."""
        batches = evaluation_batches(len(self.data), self.batch)
        own = own_batches(len(batches), ranks.rank, ranks.world)
        names = [NATURAL, *(attack.name for attack in self.attacks)]
        known = {
            (number, name): entry
            for number in own
            for name in names
            if (entry := self.journal.get(number, name, len(batches[number]))) is not None
        }
        open_batches = [number for number in own if any((number, name) not in known for name in names)]
        loader = open_loader(
            self.data, model_device(self.model), dtype=model_dtype(self.model), workers=self.workers
        )
        passes = {NATURAL: 1} | {attack.name: _sum(attack.most_passes) for attack in self.attacks}
        tally = Tally(passes, len(own), list(known.values()))
        loaded = loader.batches([batches[number] for number in open_batches])
        for number, (images, labels) in zip(open_batches, loaded, strict=True):
            for place, name in enumerate(names):
                if (number, name) in known:
                    continue
                entry = self._examine(number, None if place == 0 else self.attacks[place - 1], images, labels)
                known[number, name] = entry
                self.journal.add(entry)
                progress = tally.add(entry)
                if self.events is not None:
                    self.events(progress)
        return list(known.values())

    def _examine(self, number: int, attack: Attacker | None, images: Tensor, labels: Tensor) -> Entry:
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
        return Entry.of(number, name, mask, forward, backward, time.perf_counter() - started)


def _sum(passes: tuple[int, int] | None) -> int | None:
    return None if passes is None else sum(passes)


def _merge(
    entries: list[Entry], names: list[str], data: Data, batch: int, ranks: Ranks, device: torch.device
) -> tuple[Tensor, list[list[float]]]:
    """Over all processes: which examples are right under what, (names, N) bool, and the passes, seconds."""
    correct = torch.zeros(len(names), len(data), dtype=torch.int64)
    costs = torch.zeros(len(names), 3, dtype=torch.float64)
    for entry in entries:
        row = names.index(entry.attack)
        start = entry.batch * batch
        correct[row, start : start + entry.count] = entry.mask().long()
        costs[row] += torch.tensor([entry.forward, entry.backward, entry.seconds], dtype=torch.float64)
    everyone = ranks.sum(correct.to(device)).cpu()
    return everyone.bool(), ranks.sum(costs.to(device)).cpu().tolist()


def _check(
    model: nn.Module, source: nn.Module | None, data: Data, workers: int, ranks: Ranks
) -> tuple[Finding, ...]:
    """What the checks find about the models, as the first process sees it."""
    device = model_device(model)
    found: list[dict[str, str]] = []
    if ranks.is_first:
        sample = data.take(CHECKED_IMAGES)
        loader = open_loader(sample, device, dtype=model_dtype(model), workers=min(workers, 1))
        for images, labels in loader.batches(evaluation_batches(len(sample), CHECKED_IMAGES)):
            found += [asdict(finding) for finding in preflight(model, images, labels)]
            if source is not None:
                for finding in preflight(source, images, labels):
                    found.append(asdict(replace(finding, detail=f"the source: {finding.detail}")))
    return tuple(Finding(**finding) for finding in ranks.broadcast_json(found, device))


def _compare(attacks: Sequence[Attacker], correct: Tensor, source: nn.Module | None) -> tuple[Finding, ...]:
    """What the outcomes of the attacks, beside each other, say about the model; ``correct`` as from `_merge`."""
    clean = correct[0]
    fooled = {attack.name: ~mask[clean] for attack, mask in zip(attacks, correct[1:], strict=True)}
    black_box = [attack.name for attack in attacks if source is not None or attack.gradient_free]
    return check_results(fooled, black_box=black_box)


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
