"""What is done to one trial: measured with inherited weights, finetuned, attacked."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

import torch
from optuna.trial import TrialState
from torch import fx

from robdsl.compiler import compile as compile_net
from robdsl.data import Data, derive_seed
from robdsl.graph.net import Net
from robdsl.graph.writer import format_net
from robdsl.search.errors import SearchError
from robdsl.search.examine import Examiner
from robdsl.search.heritage import Heritage
from robdsl.search.leases import Claim
from robdsl.search.study import Study, Trial
from robdsl.search.supernet.connected import is_connected
from robdsl.training import FolderTakenError, NonFiniteError, train
from robdsl.weights import load_weights, save_weights


@dataclass(frozen=True)
class Place:
    """What a worker needs beside the study.

    Attributes:
        train: the training images.
        held: the held-out ones.
        device: where to compute.
        readers: reading processes for data that stays on disk.
        keep_weights: keep the weights of every finetuned net, in ``finetuned/``.
    """

    train: Data
    held: Data
    device: torch.device
    readers: int = 4
    keep_weights: bool = False


@dataclass(frozen=True)
class Bench:
    """Does it, and writes what it finds; what it finds depends on the study and the architecture alone."""

    study: Study
    place: Place

    @cached_property
    def examiner(self) -> Examiner:
        """Of all models of the study."""
        return Examiner(self.study.settings, self.place.held, self.place.device, self.place.readers)

    @cached_property
    def heritage(self) -> Heritage:
        """The supernet's weights."""
        return Heritage(self.study, self.place)

    def measure(self, trial: Trial, claim: Claim) -> dict[str, Any]:
        """Accuracies and FSP distances with inherited weights; a net that does not look at images is a failed trial."""
        began = time.perf_counter()
        net = self.study.net(trial)
        if not is_connected(net):
            facts: dict[str, Any] = {"state": "failed", "failure": "its answer does not depend on the image"}
            self.study.finish(trial, TrialState.FAIL, facts, claim)
            return facts
        self.study.begin(trial, claim)
        facts = self.heritage.measure(net, self.examiner)
        facts["measure_seconds"] = time.perf_counter() - began
        self.study.set_facts(trial, facts, claim)
        return facts

    def finetune(self, trial: Trial, claim: Claim, *, then_evaluate: bool) -> dict[str, Any]:
        """A few adversarial epochs on inherited weights; a net that breaks down is a failed trial.

        Args:
            trial: that is measured, or need not be.
            claim: on it.
            then_evaluate: attack it at once, so that its weights need not be kept.
        """
        began = time.perf_counter()
        recipe, net = self.study.settings.finetune, self.study.net(trial)
        assert recipe is not None
        self.study.begin(trial, claim)
        model = self.heritage.model(net)
        seed = derive_seed(self.study.settings.seed, "finetune", net.hash)
        folder = self.study.folder / "work" / str(trial.number)
        facts: dict[str, Any] = {"finetune_seed": seed}

        def run(folder: Path) -> None:
            train(
                model, self.place.train, None, replace(recipe, seed=seed), folder,
                architecture=format_net(net), command="robdsl search", workers=self.place.readers,
                before_batch=lambda _epoch, _batch: claim.notice(),
            )  # fmt: skip

        try:
            try:
                run(folder)
            except FolderTakenError:
                # Whoever had this trial before was silent for too long, but is not gone: begin anew, apart from it.
                run(folder.with_name(f"{trial.number}-{token_hex(4)}"))
        except NonFiniteError as error:
            facts |= {"state": "failed", "failure": str(error)}
            self.study.finish(trial, TrialState.FAIL, facts, claim)
        else:
            facts["finetune_seconds"] = time.perf_counter() - began
            claim.check()
            if self.place.keep_weights or not then_evaluate:
                save_weights(model, self._weights(trial))
            if then_evaluate:
                facts = self._judged(trial, claim, net, model, facts)
            else:
                facts["state"] = "finetuned"
                self.study.set_facts(trial, facts, claim)
        for each in (folder, *folder.parent.glob(f"{trial.number}-*")):
            shutil.rmtree(each, ignore_errors=True)
        return facts

    def evaluate(self, trial: Trial, claim: Claim) -> dict[str, Any]:
        """Attack a net whose finetuned weights were kept.

        Raises:
            SearchError: they are not here.
        """
        weights = self._weights(trial)
        if not weights.is_file():
            raise SearchError(
                f"trial {trial.number} was finetuned elsewhere: bring {weights} here, or evaluate where it is"
            )
        net = self.study.net(trial)
        model = compile_net(net)
        load_weights(model, weights)
        model.to(self.place.device)
        facts = self._judged(trial, claim, net, model, {})
        if not self.place.keep_weights:
            weights.unlink(missing_ok=True)
        return facts

    def accept(self, trial: Trial, claim: Claim) -> dict[str, Any]:
        """Let what was measured with inherited weights be the last word."""
        self.study.finish(trial, TrialState.COMPLETE, {"state": "evaluated"}, claim)
        return {**trial.facts, "state": "evaluated"}

    def _judged(
        self, trial: Trial, claim: Claim, net: Net, model: fx.GraphModule, facts: dict[str, Any]
    ) -> dict[str, Any]:
        began = time.perf_counter()
        counts = self.examiner.examine(model, net.hash, "finetuned")
        found = {
            **facts,
            **counts.facts("finetuned"),
            "evaluate_seconds": time.perf_counter() - began,
            "state": "evaluated",
        }
        self.study.finish(trial, TrialState.COMPLETE, found, claim)
        return found

    def _weights(self, trial: Trial) -> Path:
        folder = self.study.folder / "finetuned"
        folder.mkdir(exist_ok=True)
        return folder / f"{trial.number}.safetensors"
