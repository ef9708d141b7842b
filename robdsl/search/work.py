"""What a worker does: the stages of a search, together with any other workers.

A piece of work is claimed (`robdsl.search.leases`), looked at again, done, and its result written; so a trial is paid
for once, and a worker that dies loses only what it was at. What a piece gives depends on the study's seed and the
architecture alone, not on who did it or when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any, Literal, get_args

from optuna.trial import TrialState

from robdsl.data import Ranks
from robdsl.search.bench import Bench, Place
from robdsl.search.choosing import chosen_for_finetuning
from robdsl.search.errors import SearchError
from robdsl.search.events import Listener, StageDone, StageProgress
from robdsl.search.filtering import flow_score, is_rejected, threshold_at
from robdsl.search.heritage import make_heritage
from robdsl.search.leases import Claim, LeaseLostError
from robdsl.search.pieces import POLL, Pieces
from robdsl.search.samplers import Sampler, facts_of, make_sampler, template
from robdsl.search.study import Study, Trial
from robdsl.training import FolderTakenError

StageName = Literal["supernet", "sample", "filter", "finetune", "evaluate"]
STAGES: tuple[StageName, ...] = get_args(StageName)


class Worker:
    """One process that works on a study."""

    def __init__(
        self, study: Study, place: Place, tell: Listener, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Nothing is begun yet.

        Args:
            study: open for writing.
            place: data and device.
            tell: takes the events of `robdsl.search.events`.
            wanted: asked between two pieces of work; the worker ends when it says no.

        Raises:
            SearchError: the data are others than the study's.
        """
        for part in (place.train, place.held):
            if study.settings.data_hashes.get(part.split) != part.split_hash:
                raise SearchError(f"these are not the {part.split} images that {study.folder} was begun with")
        self._study, self._place, self._tell, self._wanted = study, place, tell, wanted
        self._settings = study.settings
        self._bench = Bench(study, place)
        self._pieces = Pieces(study, tell, wanted)

    def run(self, stages: Iterable[StageName] = STAGES) -> None:
        """Work until the stages are done, or nobody wants it any more.

        Raises:
            SearchError: a stage needs one that was left out, or the storage cannot be used.
            TrainingError: training broke down for a reason that is not the architecture's.
        """
        asked = set(stages)
        if Ranks.current().world > 1:
            self._supernet_together(asked)
            return
        if "supernet" in asked:
            self._supernet()
        on_trials = asked - {"supernet"}
        if not on_trials or not self._wanted():
            return
        if self._settings.adaptive:
            if on_trials != {*STAGES[1:]}:
                raise SearchError(
                    f"the {self._settings.sampler} sampler draws by what was found, so its stages cannot be parted: "
                    "run them all, or take the random sampler"
                )
            self._one_after_the_other()
            return
        if "sample" in asked:
            self._sample()
        if "filter" in asked:
            self._filter()
        if "finetune" in asked and self._settings.finetune is not None:
            self._finetune(then_evaluate="evaluate" in asked)
        if "evaluate" in asked:
            self._evaluate()

    # --- the supernet

    def _supernet(self) -> None:
        while self._wanted() and "supernet" not in self._study.attributes():
            # Another may train it on another machine, or be silent, but not gone, and hold its folder.
            taken = suppress(LeaseLostError, FolderTakenError)
            with self._study.leases.claimed("supernet") as claim, taken:
                if claim is not None and "supernet" not in self._study.attributes():
                    facts = make_heritage(self._study, self._place, self._tell)
                    self._study.set_attribute("supernet", facts, claim)
                    self._tell(StageDone("supernet"))
                    return
            time.sleep(POLL)

    def _supernet_together(self, asked: set[StageName]) -> None:
        """Train the supernet on all processes of a torchrun; they work as one, and the first writes."""
        ranks = Ranks.current()
        if asked != {"supernet"}:
            raise SearchError(
                "under torchrun only the supernet is trained, on all processes as one; trials are shared by workers: "
                "start one `robdsl search worker` a device"
            )
        known = ranks.broadcast_json({"known": "supernet" in self._study.attributes()}, self._place.device)
        if known["known"]:
            return
        with ExitStack() as stack:
            claim = stack.enter_context(self._study.leases.claimed("supernet")) if ranks.is_first else None
            have = ranks.broadcast_json({"claimed": claim is not None}, self._place.device)
            if not have["claimed"]:
                raise SearchError("another worker trains the supernet of this study: wait for it")
            facts = make_heritage(self._study, self._place, self._tell)
            if claim is not None:
                self._study.set_attribute("supernet", facts, claim)
            ranks.wait()

    # --- sampling

    def _sample(self) -> None:
        """Let every trial be what the seed says; one worker does it, as it takes no time to speak of."""
        target = self._study.targets().trials
        while self._wanted() and not self._drawn(target):
            with self._study.leases.claimed("sample") as claim:
                if claim is not None:
                    with suppress(LeaseLostError):
                        self._draw_all(target, claim)
                    continue
            time.sleep(POLL)

    def _drawn(self, target: int) -> bool:
        trials = self._study.trials()
        return len(trials) >= target and all(_is_drawn(each) for each in trials)

    def _draw_all(self, target: int, claim: Claim) -> None:
        sampler = make_sampler(self._settings, self._study.space)
        trials = self._study.trials()
        known: dict[str, int] = {}
        for number in range(target):
            if not self._wanted():
                return
            if number < len(trials) and _is_drawn(trials[number]):
                known.setdefault(str(trials[number].facts["hash"]), number)
                continue
            proposal = sampler.propose(number, ())
            facts = facts_of(proposal.net, self._settings)
            facts |= {"draw": number, "duplicate_of": known.get(facts["hash"])}
            known.setdefault(facts["hash"], number)
            if number < len(trials):
                self._study.set_facts(trials[number], facts, claim)
            elif not self._study.add(template(proposal, facts, self._study.space), number, claim):
                return  # somebody else has added one: look again
            self._tell(StageProgress("sample", number + 1, target))
        self._tell(StageDone("sample"))

    # --- filter

    def _filter(self) -> None:
        def is_open(trial: Trial) -> bool:
            return not trial.finished and not trial.measured

        self._pieces.through("filter", _architectures, is_open, self._bench.measure)
        limit = self._limit()
        if limit is not None and self._wanted():
            for trial in _architectures(self._study.trials()):
                if trial.measured and not trial.finished and is_rejected(self._score(trial.facts), limit):
                    self._study.finish(trial, TrialState.PRUNED, {"state": "rejected"})
            self._settle_duplicates()

    def _limit(self) -> float | None:
        """The threshold, which is found once; None where nothing is rejected."""
        if self._settings.filter != "quantile":
            return self._settings.threshold if self._settings.filter == "value" else None
        kept = self._study.attributes().get("filter")
        if kept is None:
            measured = [each for each in _architectures(self._study.trials()) if each.measured]
            scores = [self._score(each.facts) for each in measured]
            if not scores:
                return None
            found = {
                "threshold": threshold_at(scores, self._settings.threshold),
                "architectures": len(scores),
            }
            kept = self._study.attribute_once("filter", found)  # another worker may have found it meanwhile
        return float(kept["threshold"])

    def _score(self, facts: Any) -> float:
        return flow_score(facts["fsp"], self._settings.deeper)

    # --- finetuning and evaluation

    def _finetune(self, then_evaluate: bool) -> None:
        def is_open(trial: Trial) -> bool:
            return not trial.finished and trial.state == "sampled"

        def do(trial: Trial, claim: Claim) -> dict[str, Any]:
            return self._bench.finetune(trial, claim, then_evaluate=then_evaluate)

        self._pieces.through("finetune", self._chosen, is_open, do)

    def _evaluate(self) -> None:
        judged_as_inherited = self._settings.finetune is None

        def is_open(trial: Trial) -> bool:
            return not trial.finished and (judged_as_inherited or trial.state == "finetuned")

        do = self._bench.accept if judged_as_inherited else self._bench.evaluate
        self._pieces.through("evaluate", self._chosen, is_open, do)
        self._settle_duplicates()

    def _chosen(self, trials: list[Trial]) -> list[Trial]:
        return chosen_for_finetuning(trials, self._study.targets())

    def _settle_duplicates(self) -> None:
        """Let draws that repeat an earlier one end as that did, at no cost."""
        ends = {"evaluated": TrialState.COMPLETE, "rejected": TrialState.PRUNED, "failed": TrialState.FAIL}
        trials = {each.number: each for each in self._study.trials()}
        for trial in trials.values():
            twin = None if trial.duplicate_of is None else trials.get(trial.duplicate_of)
            if twin is not None and twin.finished and not trial.finished:
                facts = {
                    name: value for name, value in twin.facts.items() if name not in ("draw", "duplicate_of")
                }
                self._study.finish(trial, ends[twin.state], facts)

    # --- samplers that look at results

    def _one_after_the_other(self) -> None:
        """Finish what is begun, then draw the next, one worker at a time, until there are enough."""
        sampler = make_sampler(self._settings, self._study.space)
        while self._wanted():
            target = self._study.targets().trials
            trials = self._study.trials()
            begun = [each for each in trials if not each.finished]
            self._tell(StageProgress("search", len(trials) - len(begun), target))
            if self._pieces.first_of(begun, "search", lambda now: not now.finished, self._whole):
                continue
            if len(trials) >= target and not begun:
                self._tell(StageDone("search"))
                return
            if len(trials) >= target or not self._draw_next(sampler, target):
                time.sleep(POLL)

    def _draw_next(self, sampler: Sampler, target: int) -> bool:
        with self._study.leases.claimed("sample") as claim:
            if claim is None:
                return False
            trials = self._study.frozen()
            if len(trials) < target:
                proposal = sampler.propose(len(trials), trials)
                facts = {**facts_of(proposal.net, self._settings), "draw": len(trials), "duplicate_of": None}
                with suppress(LeaseLostError):
                    self._study.add(template(proposal, facts, self._study.space), len(trials), claim)
            return True

    def _whole(self, trial: Trial, claim: Claim) -> dict[str, Any]:
        """All that a trial goes through when the next is drawn by its result."""
        facts = dict(trial.facts)
        if not trial.measured:
            facts |= self._bench.measure(trial, claim)
        if facts["state"] == "failed":
            return facts
        limit = self._limit()
        if limit is not None and is_rejected(self._score(facts), limit):
            self._study.finish(trial, TrialState.PRUNED, {"state": "rejected"}, claim)
            return {**facts, "state": "rejected"}
        now = self._study.trial(trial)
        if self._settings.finetune is None:
            return self._bench.accept(now, claim)
        return facts | self._bench.finetune(now, claim, then_evaluate=True)


def _is_drawn(trial: Trial) -> bool:
    return trial.facts.get("draw") == trial.number


def _architectures(trials: list[Trial]) -> list[Trial]:
    """The trials that repeat no earlier one."""
    return [each for each in trials if "hash" in each.facts and each.duplicate_of is None]
