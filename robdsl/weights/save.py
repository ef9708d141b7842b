"""Saving the weights of a model."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from torch import nn

from robdsl.files import DiskFullError, write_atomic
from robdsl.weights.errors import WeightsError
from robdsl.weights.identity import net_of, unwrapped

#: The keys of the facts that a file carries.
NAME, HASH = "robdsl.net", "robdsl.hash"


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Saves a compiled model's weights as safetensors, with the name and the hash of its architecture.

    The file is written whole or not at all; one that was there before stays until then.

    Args:
        model: from `robdsl.compile`, perhaps wrapped by `DistributedDataParallel` or `torch.compile`.
        path: where to; its folder must be there.

    Raises:
        WeightsError: the file cannot be written there.
        DiskFullError: there is no room.
    """
    model = unwrapped(model)
    net = net_of(model)
    metadata = {"format": "pt"} | ({} if net is None else {NAME: net.name, HASH: net.hash})
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    try:
        write_atomic(Path(path), safetensors.torch.save(tensors, metadata))
    except DiskFullError:
        raise
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror}") from error
