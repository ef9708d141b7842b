"""Saving the weights of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from robdsl.files import DiskFullError, write_atomic
from robdsl.weights.errors import WeightsError
from robdsl.weights.identity import net_of, unwrapped

#: The keys of the facts that a file carries.
NAME, HASH = "robdsl.net", "robdsl.hash"


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Saves a compiled model's weights as safetensors, with the name and the hash of its architecture.

    The file is written whole or not at all; one that was there before stays until then. The same weights of
    the same architecture make the same bytes.

    Args:
        model: from `robdsl.compile`, perhaps wrapped by `DistributedDataParallel` or `torch.compile`.
        path: where to; its folder must be there.

    Raises:
        WeightsError: the file cannot be written there.
        DiskFullError: there is no room.
    """
    model = unwrapped(model)
    try:
        write_atomic(Path(path), weights_file(model, model.state_dict()))
    except DiskFullError:
        raise
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror}") from error


def weights_file(model: nn.Module, state: Mapping[str, Tensor]) -> bytes:
    """The file that `save_weights` writes, with a state that the model need not be in (an earlier epoch's).

    Args:
        model: says which net the weights belong to; one that is not from `robdsl.compile` is named nowhere.
        state: all of the model's tensors, by the names of its ``state_dict``.
    """
    net = net_of(unwrapped(model))
    metadata = {"format": "pt"} | ({} if net is None else {NAME: net.name, HASH: net.hash})
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    return _ordered(safetensors.torch.save(tensors, metadata))


def _ordered(file: bytes) -> bytes:
    """A safetensors file with its facts in order, which its library writes in any."""
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # the numbers begin at a multiple of 8
    return b"".join([len(text).to_bytes(8, "little"), text, file[8 + length :]])
