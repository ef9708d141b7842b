"""Black-box transfer: images made on one model, shown to others (the paper's Table 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from robdsl.attacks.core.guard import undisturbed
from robdsl.attacks.core.interface import Attack
from robdsl.attacks.core.query import Query, device_of, misclassified


@dataclass(frozen=True)
class TransferMatrix:
    """How many examples each target still gets right when they were made on each source.

    Attributes:
        sources, targets, attacks: names, in the order given.
        total: how many examples there were.
        natural: for each target, how many clean examples it gets right.
        correct: for (source, target, attack), how many adversarial examples the target gets right. Where
            source and target are the same model, that is the white-box case.
        robust: the same, of those that the target gets right when clean.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    attacks: tuple[str, ...]
    total: int = 0
    natural: dict[str, int] = field(default_factory=dict)
    correct: dict[tuple[str, str, str], int] = field(default_factory=dict)
    robust: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def accuracy(self, source: str, target: str, attack: str) -> float:
        """The share of adversarial examples that `target` gets right; not a number if there are none."""
        return self.correct[source, target, attack] / self.total if self.total else float("nan")

    def rows(self) -> list[dict[str, str | int | float]]:
        """One record for each cell, for tables and JSON."""
        return [
            {
                "source": source,
                "target": target,
                "attack": attack,
                "total": self.total,
                "natural": self.natural[target],
                "correct": self.correct[source, target, attack],
                "robust": self.robust[source, target, attack],
                "accuracy": self.accuracy(source, target, attack),
            }
            for source in self.sources
            for target in self.targets
            for attack in self.attacks
        ]


def transfer_matrix(
    sources: Mapping[str, nn.Module],
    targets: Mapping[str, nn.Module],
    attacks: Sequence[Attack],
    data: Iterable[tuple[Tensor, Tensor]],
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> TransferMatrix:
    """Attack every source with every attack and show the images to every target, in one pass over the data.

    An adversarial batch is made once for all targets. Its draws come from a generator of its own, seeded by
    `seed`, the source's name, the attack and the number of the batch, so that a cell does not depend on which
    others are computed.

    Args:
        sources: models that images are made on; independently trained copies, or other architectures.
        targets: models that are shown them. A model may be both.
        attacks: the attacks; their names must differ.
        data: batches of images (N, ...) in [0, 1] and labels (N,), on any device.
        seed: of all draws.
        progress: called with the number of examples done, after each batch.

    Raises:
        ValueError: there is no source, target or attack, or two attacks have one name.
    """
    names = tuple(attack.name for attack in attacks)
    if not (sources and targets and attacks) or len(set(names)) < len(names):
        raise ValueError("a transfer matrix needs sources, targets, and attacks with different names")
    total = 0
    natural = dict.fromkeys(targets, 0)
    cells = [(source, target, name) for source in sources for target in targets for name in names]
    correct, robust = dict.fromkeys(cells, 0), dict.fromkeys(cells, 0)
    for number, (images, labels) in enumerate(data):
        total += len(images)
        clean = {target: _right(model, images, labels) for target, model in targets.items()}
        for target in targets:
            natural[target] += int(clean[target].sum())
        for source, model in sources.items():
            for attack in attacks:
                generator = _generator(seed, source, attack.name, number)
                where = device_of(model) or images.device
                made = attack(model, images.to(where), labels.to(where), generator=generator).images
                for target, judge in targets.items():
                    right = _right(judge, made, labels)
                    correct[source, target, attack.name] += int(right.sum())
                    robust[source, target, attack.name] += int((right & clean[target]).sum())
        if progress is not None:
            progress(total)
    return TransferMatrix(tuple(sources), tuple(targets), names, total, natural, correct, robust)


def _right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Which images the model gives their labels in evaluation mode, (N,) bool on the CPU."""
    where = device_of(model) or images.device
    if not len(images):
        return torch.zeros(0, dtype=torch.bool)
    with undisturbed(model, "eval"):
        logits = Query(model).logits(images.to(where))
    return ~misclassified(logits, labels.to(where)).cpu()


def _generator(seed: int, *parts: str | int) -> torch.Generator:
    """A generator for one cell and batch, on the CPU so that it draws the same on every device."""
    text = "/".join(str(part) for part in (seed, *parts))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
