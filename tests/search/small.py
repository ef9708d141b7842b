"""A space, data and studies so small that a search of them takes seconds; and processes that work on one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from robdsl.graph.load import load_space
from robdsl.graph.net import Space
from robdsl.search.bench import Place
from robdsl.search.events import Event, Listener
from robdsl.search.settings import Settings, Targets
from robdsl.search.space_file import plain_parameters
from robdsl.search.study import Study, create_study, open_study
from robdsl.search.work import STAGES, StageName, Worker
from robdsl.training import Recipe
from tests.training.workers import blobs as blobs

TEXT = """
op conv_3x3 = relu | conv(3) | batch_norm(affine=false)

cell small_cell(width) {
    in x
    x      -> a   : any { identity, conv_3x3 }
    x, a   -> b   : any { identity, conv_3x3 }
    out = concat(a, b)
}

space small_space(width=2) {
    input 3 x 8 x 8
    conv(3, width) | batch_norm
    pick small_cell(width)
    max_pool(2)
    pick small_cell(2*width)
    global_avg_pool | flatten | linear(4)
    require indegree(small_cell.a) > 0  # so that the image reaches the logits
}

space wide_space(width=3) {
    input 3 x 8 x 8
    conv(3, width) | batch_norm
    pick small_cell(width)
    global_avg_pool | flatten | linear(4)
    require indegree(small_cell.a) > 0
}

space shared_space(width=2) {
    input 3 x 8 x 8
    pick c : small_cell
    conv(3, width) | batch_norm
    c(width)
    max_pool(2)
    c(2*width)
    global_avg_pool | flatten | linear(4)
    require density(c) > 0
}
"""
OPERATION = "conv_3x3"


@cache
def space(name: str = "small_space") -> Space:
    return load_space(TEXT, name)


def recipe(**changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "epochs": 1, "batch": 16, "lr": 0.05, "lr_batch": 16, "warmup_epochs": 0, "steps": 1, "clip": 5.0,
    }  # fmt: skip
    return Recipe(**{**given, **changes})


def settings(searched: str = "small_space", **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "space": searched,
        "parameters": plain_parameters(space(searched)),
        "data": "blobs",
        "data_hashes": {each.split: each.split_hash for each in (blobs(), blobs(24, 1))},
        "supernet": recipe(epochs=2),
        "finetune": recipe(),
        "norm_images": 32,
        "attack": "pgd2",
        "images": 24,
        "batch": 24,
        "operation": OPERATION,
    }
    return Settings(**{**given, **changes})


def begin(
    folder: Path,
    trials: int = 6,
    *,
    storage: str | None = None,
    name: str | None = None,
    finetune: int | None = None,
    choose: Any = "first",
    grace: float = 60.0,
    searched: str = "small_space",
    **changes: Any,
) -> Study:
    if "recipe_for_finetuning" in changes:
        changes["finetune"] = changes.pop("recipe_for_finetuning")
    targets = Targets(trials=trials, finetune=finetune, choose=choose)
    return create_study(
        folder, settings(searched, **changes), space(searched), targets, storage, name, grace=grace
    )


def work(
    study: Study,
    stages: tuple[StageName, ...] = STAGES,
    keep_weights: bool = False,
    tell: Listener = lambda event: None,
) -> list[Event]:
    """Work in this process; what was told."""
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        tell(event)

    place = Place(blobs(), blobs(24, 1), torch.device("cpu"), 0, keep_weights)
    Worker(study, place, listen).run(stages)
    return told


def work_alone(folder: Path, storage: str | None, name: str | None, grace: float) -> None:
    """What a worker process does."""
    with open_study(folder, storage, name, read_only=False, beat=grace / 4, grace=grace) as study:
        work(study)


def outcome(study: Study) -> dict[int, dict[str, Any]]:
    """All facts of all trials, but for what tells the time."""
    return {
        each.number: {name: value for name, value in each.facts.items() if not name.endswith("_seconds")}
        for each in study.trials()
    }
