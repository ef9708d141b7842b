"""What a figure came from: a manifest beside every result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from robdsl.data import Data, Ranks
from robdsl.evaluation.placement import model_device

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
"""Plain data that JSON can hold."""

_LIBRARIES = ("robdsl", "torch", "numpy", "torchvision", "safetensors", "scikit-learn")


@dataclass(frozen=True)
class Manifest:
    """Everything that is needed to make a figure again.

    Attributes:
        kind: what made the result: "evaluation" or "training".
        seed: of every random draw.
        settings: what was done, amounts as the text of their fractions ("8/255").
        architecture: the text of the net, or None where the caller had none.
        architecture_hash: sha256 of that text.
        weights_hash: see :func:`weights_hash`.
        data: name, split, hash and number of images of each split that took part.
        versions: of Python and the libraries.
        device: what it ran on, and on how many processes and threads.
        command: the command line.
    """

    kind: str
    seed: int
    settings: Mapping[str, Json]
    architecture: str | None
    architecture_hash: str | None
    weights_hash: str
    data: Sequence[Json]
    versions: Mapping[str, Json]
    device: Mapping[str, Json]
    command: str

    def to_json(self) -> dict[str, Json]:
        """The manifest as plain data."""
        return asdict(self)


def make_manifest(
    kind: str,
    *,
    seed: int,
    settings: Mapping[str, Json],
    model: nn.Module,
    data: list[Data],
    architecture: str | None,
    command: str | None,
    ranks: Ranks,
    weights: str | None = None,
) -> Manifest:
    """Gather a manifest.

    Args:
        kind: "evaluation" or "training".
        seed: of the run.
        settings: the run's own.
        model: whose weights and device are meant.
        data: the splits that took part.
        architecture: the net's text.
        command: the command line; this process's own where None.
        ranks: the processes that took part.
        weights: the weights' hash, where it is known already.
    """
    return Manifest(
        kind=kind,
        seed=seed,
        settings=dict(settings),
        architecture=architecture,
        architecture_hash=None if architecture is None else text_hash(architecture),
        weights_hash=weights or weights_hash(model.state_dict()),
        data=[describe_data(part) for part in data],
        versions=_versions(),
        device=_device(model, ranks),
        command=command if command is not None else shlex.join(sys.argv),
    )


def text_hash(text: str) -> str:
    """The sha256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """sha256 over name, type, shape and bytes of every tensor of a ``state_dict``, in the order of the names.

    Neither the file format, the device nor the memory order of the tensors has a part in it.
    """
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        total.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def describe_data(data: Data) -> Mapping[str, Json]:
    """Name, split, hash and number of images."""
    return {"name": data.facts.name, "split": data.split, "hash": data.split_hash, "images": len(data)}


def _versions() -> Mapping[str, Json]:
    found: dict[str, Json] = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            found[library] = None
    return found


def _device(model: nn.Module, ranks: Ranks) -> Mapping[str, Json]:
    device = model_device(model)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "type": device.type,
        "name": name or platform.machine(),
        "processes": ranks.world,
        "threads": torch.get_num_threads(),
        "float32_products": torch.backends.cuda.matmul.fp32_precision,
    }
