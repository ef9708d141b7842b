"""The supernet's weights, and what its sub-networks are worth with them."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx

from robdsl.data import Data, open_loader
from robdsl.files import file_hash, write_atomic
from robdsl.graph.net import Net
from robdsl.search.errors import SearchError
from robdsl.search.events import Listener, Training
from robdsl.search.examine import Examiner
from robdsl.search.leases import BEAT
from robdsl.search.settings import read_settings
from robdsl.search.study import Study
from robdsl.search.supernet.fsp import fsp_distances
from robdsl.search.supernet.inherit import inherit
from robdsl.search.supernet.norms import recompute_batch_norm
from robdsl.search.supernet.paths import PathName
from robdsl.search.supernet.supernet import Supernet
from robdsl.search.supernet.training import train_supernet
from robdsl.training import BatchDone
from robdsl.training import Event as TrainingEvent
from robdsl.weights import MisfitError, load_weights

if TYPE_CHECKING:
    from robdsl.search.bench import Place

_WEIGHTS = "last.safetensors"

#: The study's attribute with how far the training of the supernet is.
TRAINING = "supernet_training"


def make_heritage(study: Study, place: Place, tell: Listener) -> dict[str, Any]:
    """Train the supernet, or go on with it; what the study shall know of it.

    Args:
        study: in whose folder, under ``supernet/``.
        place: data and device.
        tell: takes the events of the training run.
    """
    began = time.perf_counter()
    result = train_supernet(
        study.space,
        place.train,
        study.settings.supernet,
        study.folder / "supernet",
        paths=cast("PathName", study.settings.paths),
        device=place.device,
        events=_Told(study, tell),
        command="robdsl search",
        workers=place.readers,
    )
    return {"weights": file_hash(result.last), "seconds": time.perf_counter() - began}


class _Told:
    """Passes on what a training run tells, and notes how far it is with the trials, for who looks from outside."""

    def __init__(self, study: Study, tell: Listener) -> None:
        self._study, self._tell = study, tell
        self._noted = -BEAT

    def __call__(self, event: TrainingEvent) -> None:
        self._tell(Training("supernet", event))
        if isinstance(event, BatchDone) and time.monotonic() - self._noted >= BEAT:
            self._noted = time.monotonic()
            facts = {"epoch": event.epoch, "epochs": event.epochs, "seconds_left": event.seconds_left}
            self._study.set_attribute(TRAINING, facts)


def adopt_heritage(study: Study, other: Path) -> None:
    """Take the supernet of another study, as a cell-based study may that of a cell-free one; nothing if it has its own.

    Args:
        study: open for writing; its settings name the other's recipe.
        other: the other study's folder; its supernet is trained.

    Raises:
        SearchError: there is no supernet, it is one of other stages, or it was trained on other images, of which
            some may be held out here.
    """
    source = other / "supernet" / _WEIGHTS
    if "supernet" in study.attributes():
        return
    if not source.is_file():
        raise SearchError(f"{other} has no trained supernet: there is no {source}")
    theirs = read_settings(other / "study.json").data_hashes
    if theirs.get("train") != study.settings.data_hashes.get("train"):
        raise SearchError(
            f"the supernet of {other} was trained on other images: take the same data and the same share held out"
        )
    with study.leases.claimed("supernet") as claim:
        if claim is None or "supernet" in study.attributes():
            return
        try:
            load_weights(Supernet(study.space, 0), source)
        except MisfitError as error:
            raise SearchError(f"the supernet of {other} is one of other stages: {error}") from None
        target = study.folder / "supernet" / _WEIGHTS
        target.parent.mkdir(exist_ok=True)
        write_atomic(target, source.read_bytes())
        study.set_attribute(
            "supernet", {"weights": file_hash(target), "seconds": 0.0, "from": str(other)}, claim
        )


class Heritage:
    """The trained supernet of a study."""

    def __init__(self, study: Study, place: Place) -> None:
        """Find the weights.

        Raises:
            SearchError: they are not here, or not those that the study was begun with.
        """
        self._study, self._place = study, place
        self._path = study.folder / "supernet" / _WEIGHTS
        known = study.attributes().get("supernet")
        if known is None:
            raise SearchError(f"{study.folder} has no supernet yet: train it with `robdsl search supernet`")
        if not self._path.is_file():
            raise SearchError(f"the supernet was trained elsewhere: bring {self._path} here")
        if file_hash(self._path) != known["weights"]:
            raise SearchError(f"{self._path} is not the supernet that this study was begun with")

    def model(self, net: Net) -> fx.GraphModule:
        """A sub-network alone, with its inherited weights and batch-norm statistics of its own."""
        model = inherit(self._path, net)
        model.to(self._place.device)
        if self._study.settings.supernet.channels_last:
            model.to(memory_format=torch.channels_last)
        recompute_batch_norm(model, self._norm_images)
        return model

    def measure(self, net: Net, examiner: Examiner) -> dict[str, Any]:
        """Accuracies with inherited weights, and the FSP distance of every cell between the images of just that attack."""
        model = self.model(net)
        sums: list[Tensor] = []
        counts = examiner.examine(
            model,
            net.hash,
            "inherited",
            lambda clean, attacked: sums.append(fsp_distances(model, clean, attacked) * len(clean)),
        )
        distances = torch.stack(sums).sum(dim=0) / counts.examples
        return {**counts.facts("inherited"), "fsp": distances.tolist()}

    @cached_property
    def _norm_images(self) -> list[Tensor]:
        """The training images that statistics are recomputed on, in batches."""
        settings = self._study.settings
        sample: Data = self._place.train.take(settings.norm_images)
        loader = open_loader(
            sample,
            self._place.device,
            channels_last=settings.supernet.channels_last,
            workers=self._place.readers,
        )
        size = min(settings.batch, len(sample))
        whole = torch.arange(len(sample) // size * size).split(size)
        return [images for images, _ in loader.batches(list(whole))]
