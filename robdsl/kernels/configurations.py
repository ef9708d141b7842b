"""Which tiles a kernel works in: chosen by shape from a table, never by trying things out in the first step.

The committed table is ``configurations.json``; what `robdsl tune` measured on a user's GPU lies beside the user's other
caches and is asked first. Values that a table may hold are bounded, because a table is a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from robdsl.files import write_atomic

COMMITTED = Path(__file__).with_name("configurations.json")


class TableError(ValueError):
    """A table of configurations that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Configuration:
    """How one kernel cuts its work.

    Attributes:
        rows: positions a tile holds, a power of two of at least 16.
        block_c, block_o: input and output channels a block holds, powers of two of at least 16.
        blocks: blocks of output channels that a tile makes from one depthwise block.
        warps: groups of 32 threads a tile is worked by.
        stages: loads in flight in pipelined loops.
    """

    rows: int = 128
    block_c: int = 16
    block_o: int = 16
    blocks: int = 1
    warps: int = 4
    stages: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or not 1 <= value <= 4096:
                raise TableError(f"{field.name} must be a whole number from 1 to 4096, not {value!r}")
        for name in ("rows", "block_c", "block_o"):
            value = getattr(self, name)
            if value < 16 or value & (value - 1):
                raise TableError(f"{name} must be a power of two of at least 16, not {value}")
        if self.warps not in (1, 2, 4, 8, 16, 32):
            raise TableError(f"warps must be 1, 2, 4, 8, 16 or 32, not {self.warps}")
        if self.blocks > 64 or self.stages > 8:
            raise TableError("blocks must be at most 64 and stages at most 8")


@dataclass(frozen=True)
class Shape:
    """What a kernel's configuration depends on: maps of `height` x `width`, `channels` in and `outputs` out."""

    height: int
    width: int
    channels: int
    outputs: int
    stride: int = 1

    @property
    def key(self) -> str:
        """``16x16:72-72/1``: how tables of measurements name the shape."""
        return f"{self.height}x{self.width}:{self.channels}-{self.outputs}/{self.stride}"


_forced: dict[str, Configuration] = {}


@contextmanager
def using(kernel: str, configuration: Configuration) -> Iterator[None]:
    """Inside, `kernel` works in `configuration` whatever its shape: for measuring, by one thread at a time."""
    before = _forced.get(kernel)
    _forced[kernel] = configuration
    try:
        yield
    finally:
        del _forced[kernel]
        if before is not None:
            _forced[kernel] = before


def entry(kernel: str, shape: Shape, kind: str) -> str:
    """``gram 16x16:72-72/1 bf16``: how tables of measurements name what they measured.

    The kind of tile (`robdsl.kernels.precision.tile_kind`) is part of it: a tile that is fast in bfloat16 may not
    even fit on the chip in float32.
    """
    return f"{kernel} {shape.key} {kind}"


def configure(kernel: str, shape: Shape, kind: str, device: torch.device | None = None) -> Configuration:
    """The configuration of `kernel` for `shape`: the user's measured one for this GPU, else the committed one."""
    if kernel in _forced:
        return _forced[kernel]
    if device is not None and device.type == "cuda":
        measured = user_table(device_key(device)).get(entry(kernel, shape, kind))
        if measured is not None:
            return measured
    return committed(kernel, shape, kind)


def committed(kernel: str, shape: Shape, kind: str) -> Configuration:
    """The committed table's: the first rule of the kernel that is for the kind and whose bounds the shape keeps within."""
    for rule in _committed_rules()[kernel]:
        if rule.holds(shape, kind):
            return rule.use
    raise TableError(f"{COMMITTED.name} has no rule of {kernel} for {shape.key} in {kind}")


@dataclass(frozen=True)
class _Rule:
    """Of the committed table: a configuration, for shapes within bounds and for some kinds of tile; None for all."""

    use: Configuration
    at_most: dict[str, int]
    kinds: tuple[str, ...] | None

    def holds(self, shape: Shape, kind: str) -> bool:
        return (self.kinds is None or kind in self.kinds) and all(
            getattr(shape, name) <= bound for name, bound in self.at_most.items()
        )


@lru_cache(maxsize=1)
def _committed_rules() -> dict[str, list[_Rule]]:
    read = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return {
        kernel: [
            _Rule(
                Configuration(**rule["use"]),
                rule.get("at_most", {}),
                tuple(rule["kinds"]) if "kinds" in rule else None,
            )
            for rule in rules
        ]
        for kernel, rules in read["kernels"].items()
    }


def kernels() -> tuple[str, ...]:
    """The names of all kernels that have configurations."""
    return tuple(_committed_rules())


def device_key(device: torch.device) -> str:
    """A GPU's model, as a file name: ``nvidia-h200``."""
    name = torch.cuda.get_device_name(device)
    return "".join(each if each.isalnum() else "-" for each in name.lower()).strip("-")


def user_table_path(key: str) -> Path:
    """Where `robdsl tune` keeps what it measured: ``$XDG_CACHE_HOME`` or ``~/.cache``, ``robdsl/kernels/<GPU>.json``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "robdsl" / "kernels" / f"{key}.json"


@lru_cache(maxsize=16)
def user_table(key: str) -> dict[str, Configuration]:
    """What was measured on this GPU, by `entry`; empty where nothing was.

    Raises:
        TableError: the file is there but is no table.
    """
    path = user_table_path(key)
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > 1 << 20:
            raise TableError("it is larger than 1 MiB")
        read: Any = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): Configuration(**use) for name, use in read["measured"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise TableError(
            f"{path} is no table of configurations ({error}): remove it, or run robdsl tune again"
        ) from error


def write_user_table(key: str, measured: dict[str, Configuration], versions: dict[str, str]) -> Path:
    """Put measured configurations where `configure` finds them, whole or not at all; returns where."""
    path = user_table_path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"device": key, "versions": versions, "measured": {k: asdict(v) for k, v in measured.items()}}
    write_atomic(path, (json.dumps(content, indent=1) + "\n").encode())
    user_table.cache_clear()
    return path
