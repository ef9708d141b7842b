"""Checkpoints that `torch.save` wrote, old or new, read without running anything that is in them.

A pickle is a program. Before torch's own reader (``weights_only=True``) sees it, its instructions are listed,
and one that calls anything but the few functions that make tensors ends the matter.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from robdsl.weights.errors import BrokenWeightsError, UnsafeWeightsError, printable
from robdsl.weights.stored import Described

#: How large an old checkpoint (which is read whole) may be, and how many files may be in a new one (a zip).
MAX_WHOLE = 8 << 30
MAX_RECORDS = 200_000

#: The pickles that begin an old checkpoint: a magic number, a version, the machine, the object, its storages.
_OLD_PICKLES = 5

#: The pickle protocol that `torch.save` writes.
_PROTOCOL = 2

#: The key under which training programs keep the weights, beside the optimizer's state and the like.
_STATE = "state_dict"

_BROKEN = (
    *(pickle.UnpicklingError, struct.error, zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError),
    *(TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, MemoryError, ImportError),
)  # fmt: skip


@dataclass(frozen=True)
class PickledWeights:
    """The weights of a checkpoint, in memory."""

    tensors: Mapping[str, Described]
    values: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def read(self, key: str) -> Tensor:
        """The values of one tensor, on the CPU."""
        return self.values[key]


def read_pickle(path: Path, *, zipped: bool) -> PickledWeights:
    """The weights of a checkpoint: its ``state_dict``, or all of it when it is one itself.

    Raises:
        UnsafeWeightsError: it calls what no weights need.
        BrokenWeightsError: it is damaged, too large, or holds no weights.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what readers warn of in a damaged file says nothing to its user
            if zipped:
                _check_zip(path)
            else:
                _check_old(path)
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except _BROKEN as error:
        raise BrokenWeightsError(f"{path} cannot be read as a checkpoint: {_reason(error)}") from error
    return _weights_in(path, loaded)


def _reason(error: BaseException) -> str:
    """The first line of what is wrong, without torch's advice to load it in spite of that."""
    return printable(str(error).rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0])


def _weights_in(path: Path, loaded: object) -> PickledWeights:
    state = loaded.get(_STATE, loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not any(isinstance(each, Tensor) for each in state.values()):
        raise BrokenWeightsError(
            f"{path} holds no weights: it is no `state_dict`, and has none under `{_STATE}`"
        )
    if not all(isinstance(key, str) for key in state):
        raise BrokenWeightsError(f"{path} holds no weights: not all of its keys are names")
    return PickledWeights({key: _described(value) for key, value in state.items()}, state)


def _described(value: object) -> Described:
    if not isinstance(value, Tensor):
        return Described((), None)
    plain = value.layout is torch.strided and not value.is_quantized and value.device.type == "cpu"
    return Described(tuple(value.shape), value.dtype if plain else None)


# --- what is looked at before torch reads a file


def _check_zip(path: Path) -> None:
    """A zip must hold what it claims, uncompressed as `torch.save` writes it, and harmless pickles."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        names = {each.filename.rpartition("/")[2] for each in records}
        if "constants.pkl" in names or "data.pkl" not in names:
            what = "a TorchScript program" if "constants.pkl" in names else "a zip without a checkpoint"
            raise BrokenWeightsError(f"{path} is {what}, not weights")
        if any(each.compress_type != zipfile.ZIP_STORED for each in records):
            raise BrokenWeightsError(f"{path} is a compressed zip, which torch.save does not write")
        if len(records) > MAX_RECORDS or sum(each.file_size for each in records) > path.stat().st_size:
            raise BrokenWeightsError(f"{path} claims to hold more than it does")
        for record in records:
            if record.filename.endswith(".pkl"):
                with archive.open(record) as file:
                    _check_pickle(path, file)


def _check_old(path: Path) -> None:
    size = path.stat().st_size
    if size > MAX_WHOLE:
        raise BrokenWeightsError(
            f"{path} has {size:,} bytes; at most {MAX_WHOLE:,} are accepted in the old format"
        )
    with path.open("rb") as file:
        for _ in range(_OLD_PICKLES):
            _check_pickle(path, file)


def _check_pickle(path: Path, file: IO[bytes]) -> None:
    """Looks through the pickle that starts here.

    Raises:
        UnsafeWeightsError: it calls what no weights need.
        BrokenWeightsError: it is written in a form that `torch.save` does not use.
    """
    protocol: object = _PROTOCOL
    recent: list[str] = []
    for instruction, argument, _ in pickletools.genops(file):
        called = None
        match instruction.name:
            case "GLOBAL" | "INST":
                called = str(argument).replace(" ", ".", 1)
            case "STACK_GLOBAL":
                called = ".".join(recent[-2:]) or "a function without a name"
            case "EXT1" | "EXT2" | "EXT4":
                called = f"extension {argument}"
            case "PROTO":
                protocol = argument
            case _ if isinstance(argument, str):
                recent = [*recent[-1:], argument]
        if called is not None and called not in _harmless():
            raise UnsafeWeightsError(
                f"{path} was refused: it wants to call `{printable(called)}`, which weights never need, and "
                "nothing of it was run. If it comes from someone you trust, save its state_dict alone, anew"
            )
    if protocol != _PROTOCOL:
        raise BrokenWeightsError(
            f"{path} is a pickle of protocol {protocol}; torch.save writes protocol {_PROTOCOL}"
        )


@cache
def _harmless() -> frozenset[str]:
    """The names that tensors, parameters and the dicts around them are pickled with."""
    made = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
    kinds = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
    return frozenset(
        {
            *("collections.OrderedDict", "torch.Size", "torch.device", "torch.nn.parameter.Parameter"),
            *(f"torch._utils.{each}" for each in made),
            *(f"{module}.{kind}Storage" for module in ("torch", "torch.cuda") for kind in kinds),
            *("torch.storage.UntypedStorage", "torch.serialization._get_layout"),
            *(str(each) for each in vars(torch).values() if isinstance(each, torch.dtype)),
        }
    )
