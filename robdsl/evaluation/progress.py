"""How far an evaluation is and how long it will take."""

from __future__ import annotations

from dataclasses import dataclass

from robdsl.evaluation.accuracy import Accuracy
from robdsl.evaluation.journal import Entry


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


class Tally:
    """Running sums for the progress of one process."""

    def __init__(self, names: list[str], batches: int, known: list[Entry]) -> None:
        self._batches = batches
        self._sums = {name: _Sums() for name in names}
        for entry in known:
            self._sums[entry.attack].add(entry)

    def add(self, entry: Entry) -> EvaluationProgress:
        """Count an entry and say where things stand."""
        same = self._sums[entry.attack]
        same.add(entry)
        return EvaluationProgress(
            batch=entry.batch,
            attack=entry.attack,
            done=sum(sums.batches for sums in self._sums.values()),
            total=self._batches * len(self._sums),
            accuracy=Accuracy(same.correct, same.count),
            images_per_second=entry.count / max(entry.seconds, 1e-9),
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

    def add(self, entry: Entry) -> None:
        self.batches += 1
        self.count += entry.count
        self.correct += int(entry.mask().sum())
        self.seconds += entry.seconds
