"""How far an evaluation is and how long it will take."""

from __future__ import annotations

from collections.abc import Mapping
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
        seconds_left: an estimate; None until there is something to reckon with.
        at_most: whether that counts on all passes that attacks not timed yet can make; some stop far earlier.
    """

    batch: int
    attack: str
    done: int
    total: int
    accuracy: Accuracy
    images_per_second: float
    seconds_left: float | None
    at_most: bool


class Tally:
    """Running sums for the progress of one process."""

    def __init__(self, passes: Mapping[str, int | None], batches: int, known: list[Entry]) -> None:
        """Nothing is timed yet.

        Args:
            passes: for each attack, the most passes that it can make with a batch, where that is known.
            batches: that this process examines.
            known: entries of earlier runs.
        """
        self._batches = batches
        self._passes = passes
        self._sums = {name: _Sums() for name in passes}
        for entry in known:
            self._sums[entry.attack].add(entry)

    def add(self, entry: Entry) -> EvaluationProgress:
        """Count an entry and say where things stand."""
        same = self._sums[entry.attack]
        same.add(entry)
        left, at_most = self._seconds_left()
        return EvaluationProgress(
            batch=entry.batch,
            attack=entry.attack,
            done=sum(sums.batches for sums in self._sums.values()),
            total=self._batches * len(self._sums),
            accuracy=Accuracy(same.correct, same.count),
            images_per_second=entry.count / max(entry.seconds, 1e-9),
            seconds_left=left,
            at_most=at_most,
        )

    def _seconds_left(self) -> tuple[float | None, bool]:
        left, at_most = 0.0, False
        for name, sums in self._sums.items():
            if sums.batches:
                seconds = sums.seconds / sums.batches
            else:
                passes = self._passes[name]
                if passes is None:
                    return None, False
                seconds, at_most = passes * self._seconds_a_pass(), True
            left += (self._batches - sums.batches) * seconds
        return left, at_most

    def _seconds_a_pass(self) -> float:
        """What a pass takes. Forward and backward passes count alike: without gradients of weights they cost alike."""
        timed = self._sums.values()
        return sum(sums.seconds for sums in timed) / max(sum(sums.passes for sums in timed), 1)


@dataclass
class _Sums:
    batches: int = 0
    count: int = 0
    correct: int = 0
    seconds: float = 0.0
    passes: int = 0

    def add(self, entry: Entry) -> None:
        self.batches += 1
        self.count += entry.count
        self.correct += int(entry.mask().sum())
        self.seconds += entry.seconds
        self.passes += entry.forward + entry.backward
