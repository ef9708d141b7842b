"""What a search will cost on this machine: throughput is measured, the rest is arithmetic."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch

from robdsl.data import FACTS, DataFacts, ImageData, derive_seed
from robdsl.evaluation import Json
from robdsl.graph.net import Net, Space
from robdsl.search.errors import SearchError
from robdsl.search.examine import Examiner
from robdsl.search.settings import Settings, Targets
from robdsl.search.supernet.connected import is_connected
from robdsl.search.supernet.fsp import fsp_distances
from robdsl.search.supernet.inherit import inherit
from robdsl.search.supernet.norms import recompute_batch_norm
from robdsl.search.supernet.paths import PathName
from robdsl.search.supernet.supernet import Supernet
from robdsl.search.supernet.training import train_supernet
from robdsl.training import Recipe, train

#: Training images of each data set, held-out ones included (of digits: without the test fifth).
TRAINING_IMAGES = {
    "digits": 1438,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "svhn": 73_257,
    "tiny_imagenet": 100_000,
    "imagenet": 1_281_167,
}


@dataclass(frozen=True)
class Throughput:
    """Measured on one device, in images a second, over random sub-networks.

    Attributes:
        supernet: training of the supernet, attack included.
        finetune: training of one net, attack included.
        evaluate: natural and attacked.
        norms: recomputing batch-norm statistics.
        flows: FSP distances.
        draw: architectures a second, hash and sizes included.
    """

    supernet: float
    finetune: float
    evaluate: float
    norms: float
    flows: float
    draw: float


@dataclass(frozen=True)
class Plan:
    """The cost of each stage on one device.

    Attributes:
        throughput: what it rests on.
        images, held: how many are trained on, and how many held out.
        seconds: by stage.
        formulas: the same in words.
    """

    throughput: Throughput
    images: int
    held: int
    seconds: Mapping[str, float]
    formulas: Mapping[str, str]

    @property
    def total(self) -> float:
        """Seconds of one device for everything."""
        return sum(self.seconds.values())

    def on(self, devices: int) -> float:
        """Seconds from start to end on several equal devices: every stage shares evenly but drawing, which takes one."""
        shared = sum(seconds for stage, seconds in self.seconds.items() if stage != "sample")
        return self.seconds["sample"] + shared / devices

    def to_json(self) -> dict[str, Json]:
        """As plain data."""
        return {
            "images_per_second": {
                name: value for name, value in vars(self.throughput).items() if name != "draw"
            },
            "draws_per_second": self.throughput.draw,
            "images": self.images,
            "held": self.held,
            "seconds": dict(self.seconds),
            "formulas": dict(self.formulas),
            "total": self.total,
        }


def make_plan(
    throughput: Throughput, settings: Settings, targets: Targets, scratch: int, recipe: Recipe
) -> Plan:
    """The cost of a search.

    Args:
        throughput: measured.
        settings: of the search.
        targets: how far it is taken; where FSP rejects a quantile, only the rest is finetuned.
        scratch: how many nets are trained from scratch in the end.
        recipe: of these.

    Raises:
        SearchError: nobody knows how many images the data set has.
    """
    if settings.data not in TRAINING_IMAGES:
        raise SearchError(f"no plan for {settings.data}: known are {', '.join(TRAINING_IMAGES)}")
    known = TRAINING_IMAGES[settings.data]
    held = min(settings.images, round(settings.val_fraction * known))
    images = known - round(settings.val_fraction * known)
    drawn = targets.trials
    left = drawn - int(settings.threshold * drawn) if settings.filter == "quantile" else drawn
    tuned = (
        0
        if settings.finetune is None
        else min(left, targets.finetune if targets.finetune is not None else left)
    )
    epochs = 0 if settings.finetune is None else settings.finetune.epochs
    norms = min(settings.norm_images, images)
    t = throughput
    measure = norms / t.norms + held * (1 / t.evaluate + 1 / t.flows)
    seconds = {
        "supernet": settings.supernet.epochs * images / t.supernet,
        "sample": drawn / t.draw,
        "filter": drawn * measure,
        "finetune": tuned * (epochs * images / t.finetune + norms / t.norms),
        "evaluate": tuned * held / t.evaluate,
        "scratch": scratch * recipe.epochs * images / t.finetune,
    }
    formulas = {
        "supernet": f"{settings.supernet.epochs:,} epochs x {images:,} images / supernet",
        "sample": f"{drawn:,} architectures / draw",
        "filter": f"{drawn:,} x ({norms:,} / norms + {held:,} / evaluate + {held:,} / flows)",
        "finetune": f"{tuned:,} x ({epochs} epochs x {images:,} / finetune + {norms:,} / norms)",
        "evaluate": f"{tuned:,} x {held:,} / evaluate",
        "scratch": f"{scratch:,} x {recipe.epochs:,} epochs x {images:,} / finetune",
    }
    return Plan(throughput, images, held, seconds, formulas)


def measure_throughput(
    space: Space, settings: Settings, device: torch.device, *, batches: int = 4, nets: int = 3, seed: int = 0
) -> Throughput:
    """Measure this machine, on random images of the data set's size.

    Args:
        space: to be searched.
        settings: of the search.
        device: where it would run.
        batches: how many of each kind are timed, after as many that are not.
        nets: over how many random sub-networks.
        seed: which ones.
    """
    facts = FACTS[settings.data]
    chosen = _nets(space, nets, seed)
    supernet = Supernet(space, 0).to(device)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = _noise(facts, settings.supernet.batch * batches, supernet)
        paths = cast("PathName", settings.paths)
        result = train_supernet(
            space,
            data,
            _twice(settings.supernet),
            place / "supernet",
            paths=paths,
            supernet=supernet,
            workers=0,
        )
        training = float(cast("float", result.history[-1]["images_per_second"]))
        recipe = settings.finetune or settings.supernet
        data = _noise(facts, recipe.batch * batches, supernet)
        tuning = []
        for number, net in enumerate(chosen):
            model = inherit(supernet.state_dict(), net)
            result = train(model, data, None, _twice(recipe), place / str(number), workers=0)
            tuning.append(1 / float(cast("float", result.history[-1]["images_per_second"])))
    held = _noise(facts, settings.batch, supernet)
    examiner = Examiner(settings, held, device)
    images = (held.images[: settings.batch].float() / 255).to(device)
    if settings.supernet.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    judged, norms, flows, drawn = [], [], [], []
    weights = supernet.state_dict()
    for number, net in enumerate(chosen):
        model = inherit(weights, net)
        if settings.supernet.channels_last:
            model.to(memory_format=torch.channels_last)
        norms.append(_seconds(partial(recompute_batch_norm, model, images), device))
        judged.append(_seconds(partial(examiner.examine, model, net.hash, "inherited"), device))
        flows.append(_seconds(partial(fsp_distances, model, images, images), device))
        drawn.append(_seconds(partial(_draw, space, number), device))
    each = settings.batch * len(chosen)
    return Throughput(
        supernet=training,
        finetune=len(tuning) / sum(tuning),
        evaluate=each / sum(judged),
        norms=each / sum(norms),
        flows=each / sum(flows),
        draw=len(chosen) / sum(drawn),
    )


def _twice(recipe: Recipe) -> Recipe:
    """Two epochs: the first finds its way, the second is timed."""
    return replace(recipe, epochs=2, warmup_epochs=0)


def _nets(space: Space, count: int, seed: int) -> list[Net]:
    found: list[Net] = []
    number = 0
    while len(found) < count:
        net = space.sample(random.Random(derive_seed(seed, "plan", number)))
        number += 1
        if is_connected(net):
            found.append(net)
    return found


def _draw(space: Space, number: int) -> tuple[str, int]:
    net = space.sample(number)
    return net.hash, net.cost.params


def _noise(facts: DataFacts, count: int, supernet: Supernet) -> ImageData:
    """Random images with random labels."""
    draws = torch.Generator().manual_seed(0)
    classes = supernet.space.layout.stages[-1].shape[0]
    images = torch.randint(0, 256, (count, *facts.shape), dtype=torch.uint8, generator=draws)
    labels = torch.randint(0, classes, (count,), generator=draws)
    names = tuple(str(each) for each in range(classes))
    return ImageData(facts, "train", names, images, labels, torch.arange(count))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long a piece of work takes the second time."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
