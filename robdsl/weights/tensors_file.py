"""Safetensors: opened by their own library, after a look at what their header claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from robdsl.weights.errors import BrokenWeightsError
from robdsl.weights.stored import Described

#: How long a header may be. That of the largest net here, with its 4,000 keys, is half a megabyte.
MAX_HEADER = 32 << 20

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
}


class SafetensorsFile:
    """An open safetensors file; only what `read` is asked for is read."""

    def __init__(self, path: Path, handle: Any) -> None:
        self._path, self._handle = path, handle

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """Facts that the file carries."""
        return dict(self._handle.metadata() or {})

    @cached_property
    def tensors(self) -> Mapping[str, Described]:
        """What there is, by key."""
        found = {}
        for key in self._handle.keys():  # noqa: SIM118  the handle is no mapping
            part = self._handle.get_slice(key)
            found[key] = Described(tuple(part.get_shape()), _DTYPES.get(part.get_dtype()))
        return found

    def read(self, key: str) -> Tensor:
        """The values of one tensor, on the CPU."""
        with _readable(self._path):
            tensor: Tensor = self._handle.get_tensor(key)
            return tensor


@contextmanager
def open_safetensors(path: Path) -> Iterator[SafetensorsFile]:
    """Opens a file; raises `BrokenWeightsError` when it is cut short or its header is not sound."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > size - 8:
        raise BrokenWeightsError(
            f"{path} is cut short: its header alone should be {header:,} bytes, and the file has {size:,}"
        )
    if header > MAX_HEADER:
        raise BrokenWeightsError(
            f"{path} has a header of {header:,} bytes; at most {MAX_HEADER:,} are accepted"
        )
    with _readable(path):
        handle = safetensors.safe_open(path, framework="pt", device="cpu")
    with handle as entered:
        yield SafetensorsFile(path, entered)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise BrokenWeightsError(f"{path} is damaged or cut short: {error}") from error
