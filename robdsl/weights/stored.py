"""What a file of weights holds, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from robdsl.weights.errors import BrokenWeightsError


@dataclass(frozen=True)
class Described:
    """A tensor in a file, without its values.

    Attributes:
        dtype: None for a type of number that no weights have (or for what is no tensor).
    """

    shape: tuple[int, ...]
    dtype: torch.dtype | None


class Stored(Protocol):
    """An open file of weights."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Facts that the file carries; none in a pickle."""

    @property
    def tensors(self) -> Mapping[str, Described]:
        """What there is, by key."""

    def read(self, key: str) -> Tensor:
        """The values of one tensor, on the CPU."""


@contextmanager
def opened(path: Path) -> Iterator[Stored]:
    """The weights in a file; its content, not its name, says which format it has.

    Raises:
        BrokenWeightsError: it is not there, cannot be read, or is no whole file of weights.
        UnsafeWeightsError: it is a pickle that does more than weights need.
    """
    from robdsl.weights.pickled import read_pickle
    from robdsl.weights.tensors_file import open_safetensors

    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for a writer
        raise BrokenWeightsError(f"{path} is no file of weights: it is not a regular file")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise BrokenWeightsError(f"cannot read {path}: {error.strerror}") from error
    # The first byte of safetensors is part of a length and may be any; the ninth opens its header.
    if start[8:9] != b"{" and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80"):
        yield read_pickle(path, zipped=start[:1] != b"\x80")
    elif start[8:] == b"{":
        with open_safetensors(path) as stored:
            yield stored
    else:
        raise BrokenWeightsError(
            f"{path} is no file of weights: neither safetensors nor a checkpoint that torch.save wrote"
        )
