"""Compiles what a launch would compile, for a GPU that need not be here, and says what it costs there.

A launch is recorded by calling the code that launches with tensors of the device "meta", so what is compiled is
what runs. Needs Triton, and no GPU: Triton's wheel brings the assembler.
"""

from __future__ import annotations

import importlib
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_MODULES = ("separable", "weight_gradients", "pair", "nodes", "norms", "pgd", "fsp", "pointwise")
_TYPES = {
    torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.uint8: "u8", torch.int32: "i32",
}  # fmt: skip
#: Shared memory that one program can have, in bytes, by compute capability.
SHARED_LIMIT = {80: 166_912, 90: 232_448}


@dataclass(frozen=True)
class Launch:
    """One recorded launch: a kernel, what it was given, and the options it is compiled with."""

    kernel: Any
    arguments: tuple[Any, ...]
    constants: dict[str, Any]
    options: dict[str, int]
    grid: tuple[int, ...]

    @property
    def name(self) -> str:
        return str(self.kernel.__name__)


@dataclass(frozen=True)
class Resources:
    """What a compiled kernel takes: registers a thread, spilled bytes a thread, shared bytes a program."""

    registers: int
    spills: int
    shared: int


class _Recorder:
    """Stands in for a kernel: notes launches instead of making them."""

    def __init__(self, kernel: Any, launches: list[Launch]) -> None:
        self._kernel, self._launches = kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def note(*arguments: Any, **named: Any) -> None:
            options = {name: named.pop(name) for name in ("num_warps", "num_stages")}
            self._launches.append(Launch(self._kernel, arguments, named, options, tuple(grid)))

        return note


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Inside, launches are noted in the list and nothing runs. For one thread at a time."""
    from triton.runtime.jit import KernelInterface

    launches: list[Launch] = []
    replaced: list[tuple[Any, str, Any]] = []
    for module in (importlib.import_module(f"robdsl.kernels.device.{name}") for name in _MODULES):
        for name, value in list(vars(module).items()):
            if isinstance(value, KernelInterface):
                replaced.append((module, name, value))
    try:
        for module, name, value in replaced:
            if value.__module__ == module.__name__:
                setattr(module, name, _Recorder(value, launches))
        yield launches
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)


def assembled(launch: Launch, capability: int) -> Resources:
    """Compiles a recorded launch for a compute capability: 80 or 90.

    Raises:
        RuntimeError: kernels were decorated for the interpreter in this process.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    if os.environ.get("TRITON_INTERPRET", "0") == "1":
        raise RuntimeError("kernels cannot be compiled under TRITON_INTERPRET=1")
    names = launch.kernel.arg_names
    signature: dict[str, Any] = dict.fromkeys(launch.constants, "constexpr")
    constants: dict[Any, Any] = {(names.index(name),): value for name, value in launch.constants.items()}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    for place, (name, value) in enumerate(zip(names, launch.arguments, strict=False)):
        signature[name] = _type(value, (place,), constants, attributes)
    source = ASTSource(launch.kernel, {name: signature[name] for name in names}, constants, attributes)
    log = io.StringIO()
    # Without these Triton may take the kernel from its cache, and then says nothing about it.
    with _environment(TRITON_ALWAYS_COMPILE="1", TRITON_DUMP_PTXAS_LOG="1"), redirect_stdout(log):
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=launch.options)
    return Resources(*_usage(log.getvalue()), int(compiled.metadata.shared))


def _type(
    value: Any, place: tuple[int, ...], constants: dict[Any, Any], attributes: dict[tuple[int, ...], Any]
) -> Any:
    """The type of an argument as Triton's own launcher sees it, multiples of 16 and ones told apart."""
    if isinstance(value, tuple):
        return tuple(_type(each, (*place, i), constants, attributes) for i, each in enumerate(value))
    if isinstance(value, Tensor):
        attributes[place] = [["tt.divisibility", 16]]
        return "*" + _TYPES[value.dtype]
    if isinstance(value, float):
        return "fp32"
    if value == 1:
        constants[place] = 1
        return "constexpr"
    if value % 16 == 0:
        attributes[place] = [["tt.divisibility", 16]]
    return "i32" if -(2**31) <= value < 2**31 else "i64"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _usage(log: str) -> tuple[int, int]:
    """Registers and spilled bytes from what the assembler says."""
    registers = re.findall(r"Used (\d+) registers", log)
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    if not registers or not spills:
        raise RuntimeError(f"the assembler did not say what the kernel uses: {log.strip() or 'no output'}")
    return max(map(int, registers)), max(int(each) for pair in spills for each in pair)
