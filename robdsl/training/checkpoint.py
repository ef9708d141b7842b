"""Checkpoints: tensors as safetensors beside their description as JSON; nothing pickled or half written.

A checkpoint is two files, ``EPOCH-BATCH.safetensors`` and ``EPOCH-BATCH.json``. The second is written last
and holds the first one's sha256 and its own, so that it vouches for both: a checkpoint without it was never
finished and is passed over. The newest and the one before it are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from robdsl.files import file_hash, write_atomic

FORMAT = 1
_LARGEST_JSON = 1 << 26
_NAME = re.compile(r"\d{6}-\d{8}\.json")


class _Refusal(Exception):
    """Why a checkpoint cannot be used."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A point of a run to go on from.

    Attributes:
        epoch: the epoch to go on with, from 0.
        batch: the batch of it to go on with, from 0.
        facts: plain data of the run, ``epoch`` and ``batch`` among them.
        tensors: by name, on the CPU.
    """

    epoch: int
    batch: int
    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


class CheckpointFolder:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Nothing is read or written yet.

        Args:
            folder: where the files are.
            identity: plain data that must be equal in a checkpoint and in the run that goes on from it.
        """
        self.folder = folder
        self._identity = json.loads(json.dumps(identity))
        self._newest: str | None = None

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and remove those older than the one before it.

        Returns:
            The path of its description.

        Raises:
            DiskFullError: there is no room; the earlier checkpoints are as they were.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{checkpoint.epoch:06d}-{checkpoint.batch:08d}.json"
        tensors = {name: plain_tensor(tensor) for name, tensor in checkpoint.tensors.items()}
        # An older description of the same name must not vouch for new tensors if this stops in between.
        path.unlink(missing_ok=True)
        weights = path.with_suffix(".safetensors")
        write_atomic(weights, safetensors.torch.save(tensors))
        description = {
            "format": FORMAT,
            "epoch": checkpoint.epoch,
            "batch": checkpoint.batch,
            "sha256": file_hash(weights),
            "identity": self._identity,
            "facts": dict(checkpoint.facts),
        }
        write_atomic(path, json.dumps({**description, "checksum": _checksum(description)}).encode())
        self._remove_older_than(self._newest or path.stem)
        self._newest = path.stem
        return path

    def load(
        self,
        expected: Callable[[str], Tensor | None],
        required: Iterable[str],
        understood: Callable[[Mapping[str, Any]], bool],
        refused: Callable[[Path, str], None],
    ) -> tuple[Path, Checkpoint] | None:
        """The newest checkpoint that can be used.

        Args:
            expected: by a tensor's name, one of the same type and shape; None for one that no such run has.
            required: the names of tensors that every checkpoint of this run has.
            understood: whether the run can make sense of a checkpoint's facts.
            refused: called with the path and the reason for each newer one that cannot be used.

        Returns:
            None where there is no checkpoint that could be used.
        """
        for path in self._newest_first():
            try:
                checkpoint = self._read(path, expected, frozenset(required))
                if not understood(checkpoint.facts):
                    raise _Refusal("what it says of the run makes no sense")
                self._newest = path.stem
                return path, checkpoint
            except _Refusal as refusal:
                refused(path, str(refusal))
        return None

    def _newest_first(self) -> Iterator[Path]:
        if not self.folder.is_dir():
            return iter(())
        names = (path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))
        return iter(sorted(names, key=lambda path: path.name, reverse=True))

    def _remove_older_than(self, stem: str) -> None:
        for path in [*self.folder.glob("*.json"), *self.folder.glob("*.safetensors")]:
            if path.stem < stem:
                path.unlink(missing_ok=True)

    def _read(
        self, path: Path, expected: Callable[[str], Tensor | None], required: frozenset[str]
    ) -> Checkpoint:
        description = _read_description(path)
        differing = _differences(self._identity, description["identity"])
        if differing:
            raise _Refusal(f"it belongs to another run ({differing})")
        weights = path.with_suffix(".safetensors")
        if not weights.is_file():
            raise _Refusal(f"{weights.name} is missing")
        _check_layout(weights, expected, required)
        place = (description["epoch"], description["batch"])
        if (description["facts"].get("epoch"), description["facts"].get("batch")) != place:
            raise _Refusal("what it says of the run makes no sense")
        if file_hash(weights) != description["sha256"]:
            raise _Refusal(f"{weights.name} is not what was written (its sha256 differs)")
        tensors = safetensors.torch.load_file(weights)
        return Checkpoint(description["epoch"], description["batch"], description["facts"], tensors)


def plain_tensor(tensor: Tensor) -> Tensor:
    """A copy that safetensors takes: on the CPU, in the plain memory order, sharing memory with nothing."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _read_description(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST_JSON:
        raise _Refusal("it is too large to be a checkpoint")
    try:
        description = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _Refusal("it is torn or not JSON") from error
    kinds = {"format": int, "epoch": int, "batch": int, "sha256": str, "identity": dict, "facts": dict}
    if not isinstance(description, dict) or any(
        not isinstance(description.get(name), kind) for name, kind in kinds.items()
    ):
        raise _Refusal("it is no description of a checkpoint")
    checksum = description.pop("checksum", None)
    if description["format"] != FORMAT:
        raise _Refusal(f"its format is {description['format']}, and this version reads {FORMAT}")
    if checksum != _checksum(description):
        raise _Refusal("it is not what was written (its checksum differs)")
    if path.stem != f"{description['epoch']:06d}-{description['batch']:08d}":
        raise _Refusal("its name is not that of its epoch and batch")
    return description


def _checksum(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _check_layout(weights: Path, expected: Callable[[str], Tensor | None], required: frozenset[str]) -> None:
    """Compare names, types and shapes before any tensor is read into memory."""
    try:
        with safetensors.safe_open(weights, framework="pt") as file:
            names = list(file.keys())
            missing = sorted(required.difference(names))
            if missing:
                raise _Refusal(f"{weights.name} lacks {missing[0]}")
            for name in names:
                like = expected(name)
                part = file.get_slice(name)
                if like is None:
                    raise _Refusal(f"{weights.name} holds {name}, which this run has not")
                same_type = part.get_dtype() == _dtype_name(like.dtype)
                if not same_type or tuple(part.get_shape()) != tuple(like.shape):
                    raise _Refusal(f"{weights.name}: {name} has another shape or type")
    except (safetensors.SafetensorError, OSError) as error:
        raise _Refusal(f"{weights.name} is torn or no safetensors file ({error})") from error


def _dtype_name(dtype: torch.dtype) -> str:
    return {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int16: "I16",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
    }[dtype]


def _differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    names = sorted(set(here) | set(there))
    parts = []
    for name in names:
        mine, other = here.get(name), there.get(name)
        if mine == other:
            continue
        if isinstance(mine, dict) and isinstance(other, dict):
            parts.append(_differences(mine, other))
        else:
            parts.append(f"{name} is {_short(other)} there and {_short(mine)} here")
    return ", ".join(parts)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:16]}…"
