"""Pieces of work: claimed, looked at again, done, one after the other, together with other workers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from robdsl.search.events import Listener, StageDone, StageProgress, TrialDone
from robdsl.search.leases import Claim, LeaseLostError
from robdsl.search.study import Study, Trial

#: Seconds between two looks at what other workers are doing.
POLL = 0.5

Do = Callable[[Trial, Claim], dict[str, Any]]


@dataclass(frozen=True)
class Pieces:
    """The pieces of work of one worker.

    Attributes:
        study: open for writing.
        tell: takes events.
        wanted: asked between two pieces; no more are begun when it says no.
    """

    study: Study
    tell: Listener
    wanted: Callable[[], bool]

    def through(
        self,
        stage: str,
        candidates: Callable[[list[Trial]], list[Trial]],
        is_open: Callable[[Trial], bool],
        do: Do,
    ) -> None:
        """Do what is open, and wait for what others have, until nothing is left.

        Args:
            stage: its name, part of what is claimed.
            candidates: picks from all trials those that the stage is about.
            is_open: whether a trial still needs it.
            do: does one and writes what it found.
        """
        while self.wanted():
            about = candidates(self.study.trials())
            todo = [each for each in about if is_open(each)]
            done = len(about) - len(todo)
            self.tell(StageProgress(stage, done, len(about)))
            if not todo:
                self.tell(StageDone(stage))
                return
            # Each worker has an order of its own, so that they seldom want the same piece.
            random.Random(self.study.leases.owner).shuffle(todo)
            before = done
            for trial in todo:
                if not self.wanted():
                    return
                if self.first_of([trial], stage, is_open, do):
                    done += 1
                    self.tell(StageProgress(stage, done, len(about)))
            if done == before:
                time.sleep(POLL)

    def first_of(self, trials: Iterable[Trial], stage: str, is_open: Callable[[Trial], bool], do: Do) -> bool:
        """Do the first of some trials that no other worker has; whether there was one."""
        for trial in trials:
            with self.study.leases.claimed(f"{stage}/{trial.number}") as claim:
                if claim is None:
                    continue
                now = self.study.trial(trial)
                if not is_open(now):
                    continue  # done between the look at all trials and the claim
                try:
                    facts = do(now, claim)
                except LeaseLostError:
                    continue
                except OSError:
                    # Whoever took the work over, because this worker was silent for too long, clears up after it.
                    if not claim.holds():
                        continue
                    raise
                self.tell(TrialDone(stage, trial.number, facts))
                return True
        return False
