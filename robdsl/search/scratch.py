"""The last word on an architecture: training it from scratch, with nothing inherited."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from robdsl.compiler import compile as compile_net
from robdsl.data import derive_seed
from robdsl.graph.writer import format_net
from robdsl.search.bench import Place
from robdsl.search.events import Listener, StageDone, StageProgress, Training, TrialDone
from robdsl.search.examine import Examiner
from robdsl.search.leases import LeaseLostError
from robdsl.search.pieces import POLL
from robdsl.search.study import Study
from robdsl.training import FolderTakenError, Recipe, train


def retrain(
    study: Study,
    place: Place,
    recipe: Recipe,
    rows: Sequence[Mapping[str, Any]],
    tell: Listener,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Train architectures from scratch and judge them as the study judges, on held-out training images.

    Weights and history stay in ``scratch/NUMBER/`` of the study's folder; the same call goes on after any
    interruption, and several workers share the rows. No epoch is chosen on the held-out images: the last one's
    weights are judged.

    Args:
        study: open for writing.
        place: data and device.
        recipe: of all of them; each has a seed of its own, from the study's and the architecture's hash.
        rows: of the study's bank.
        tell: takes events.
        wanted: asked between two architectures; this ends when it says no.

    Raises:
        TrainingError: as `robdsl.training.train`.
    """
    examiner = Examiner(study.settings, place.held, place.device, place.readers)
    while wanted():
        done = study.scratch()
        todo = [row for row in rows if row["trial"] not in done]
        tell(StageProgress("retrain", len(rows) - len(todo), len(rows)))
        if not todo:
            tell(StageDone("retrain"))
            return
        if not [row for row in todo if _one(study, place, recipe, row, examiner, tell)]:
            time.sleep(POLL)


def _one(
    study: Study, place: Place, recipe: Recipe, row: Mapping[str, Any], examiner: Examiner, tell: Listener
) -> bool:
    number = int(row["trial"])
    with study.leases.claimed(f"retrain/{number}") as claim, suppress(LeaseLostError, FolderTakenError):
        if claim is None or number in study.scratch():
            return False
        net = study.space.net(row["alpha"])
        seed = derive_seed(study.settings.seed, "scratch", net.hash)
        model = compile_net(net, seed=seed)
        model.to(place.device)
        train(
            model, place.train, None, replace(recipe, seed=seed), study.folder / "scratch" / str(number),
            architecture=format_net(net), command="robdsl search retrain", workers=place.readers,
            events=lambda event: tell(Training(f"trial {number} from scratch", event)),
            before_batch=lambda _epoch, _batch: claim.notice(),
        )  # fmt: skip
        facts: dict[str, Any] = {
            **examiner.examine(model, net.hash, "scratch").facts("scratch"),
            "scratch_seed": seed,
        }
        facts["scratch_recipe"] = recipe.describe()
        study.set_scratch(number, facts, claim)
        tell(TrialDone("retrain", number, facts))
        return True
    return False  # another worker has it now, or one that was thought dead still holds its folder
