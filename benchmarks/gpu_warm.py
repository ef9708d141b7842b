"""Compiles all kernels that `bench_gpu` measures, in many processes: one after the other they take minutes."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from benchmarks.gpu_forms import Forms, fused, training_kernels
from robdsl.compiler.freezing import freeze
from robdsl.compiler.fused_modules import SeparablePair, SeparableSum
from robdsl.compiler.passes import KERNEL_PIPELINE
from robdsl.kernels.cases import Case


def compile_all(forms: Forms, cases: Sequence[Case], most: int) -> list[dict[str, Any]]:
    """Puts every kernel into Triton's cache; rows that say how long that took, and what cannot be compiled.

    Args:
        forms: of the net whose kernels they are.
        cases: kernels on their own.
        most: processes at most.
    """
    workers = min(most, os.cpu_count() or 1)
    context = torch.multiprocessing.get_context("spawn")
    began = time.perf_counter()
    with context.Pool(workers) as pool:
        shares = [(replace(forms), list(cases), place, workers) for place in range(workers)]
        failed = pool.starmap(compile_share, shares)
    rows = [{"what": "compiling kernels", "processes": workers, "s": time.perf_counter() - began}]
    return [*rows, *({"what": what, "error": said} for share in failed for what, said in share)]


def compile_share(forms: Forms, cases: Sequence[Case], place: int, workers: int) -> list[tuple[str, str]]:
    """Launches every `workers`-th kernel from `place` on; what failed, and how."""
    torch.set_num_threads(1)
    work: dict[str, Callable[[], object]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes = [tuple(each.shape[1:]) for each in inputs]
        for dtype in (torch.float32, torch.bfloat16):
            work.setdefault(
                f"{module} {shapes} {dtype}", partial(_launch, module, shapes, forms.device, dtype)
            )

    for pipeline in (KERNEL_PIPELINE, fused(tf32=True), fused(pairs=256)):
        frozen = freeze(forms.plain, pipeline)
        for module in frozen.modules():
            if isinstance(module, SeparableSum | SeparablePair):
                module.register_forward_hook(note)
        with torch.no_grad():
            frozen(torch.rand(1, *forms.net.image))
    for name, arguments in training_operations(forms):
        for dtype in (torch.float32, torch.bfloat16):
            work.setdefault(
                f"{name} {_shapes(arguments)} {dtype}", partial(_call, name, arguments, forms.device, dtype)
            )
    for case in cases if forms.device == "cuda" else ():
        work[case.label] = partial(_start, replace(case, images=16))
    failed: list[tuple[str, str]] = []
    for what, action in list(work.items())[place::workers]:
        try:
            action()
            if forms.device == "cuda":
                torch.cuda.synchronize()
        except Exception as error:  # noqa: BLE001  whatever a compiler raises is what the row says
            failed.append((what, f"{type(error).__name__}: {str(error).strip()[:500]}"))
            if "CUDA error" in str(error):
                break
    return failed


# Sixteen images, because numbers that 16 divides are compiled apart, and batches are such numbers.


def _launch(module: nn.Module, shapes: Sequence[tuple[int, ...]], device: str, dtype: torch.dtype) -> None:
    """A fused operation and its gradient, on images that show nothing."""
    module = copy.deepcopy(module)
    module._forward_hooks.clear()
    maps = [torch.zeros(16, *shape, device=device, dtype=dtype, requires_grad=True) for shape in shapes]
    module.to(device, dtype)(*maps).sum().backward()


class _Noting(TorchDispatchMode):
    """Notes what operations of robdsl.kernels are given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "robdsl":
            self.calls.append((func.name().removeprefix("robdsl::"), args))
        return func(*args, **(kwargs or {}))


def training_operations(forms: Forms) -> list[tuple[str, tuple[Any, ...]]]:
    """The operations of a step of training, each with what it is given, on the device "meta": nothing is computed."""
    found: list[tuple[str, tuple[Any, ...]]] = []
    for tf32 in (False, True):
        model = training_kernels(replace(forms, device="cpu"), tf32=tf32).to("meta").train()
        with _Noting() as noting:
            model(torch.rand(16, *forms.net.image, device="meta")).sum().backward()
        found += noting.calls
    return found


def _shapes(arguments: tuple[Any, ...]) -> str:
    return str(tree_map(lambda each: tuple(each.shape) if isinstance(each, Tensor) else each, arguments))


def _call(name: str, arguments: tuple[Any, ...], device: str, dtype: torch.dtype) -> None:
    """An operation on maps that show nothing; what is no map is float32, or bits."""

    def made(each: Any) -> Any:
        if not isinstance(each, Tensor):
            return each
        kind = dtype if each.is_floating_point() and each.dim() == 4 else each.dtype
        maps = torch.zeros(each.shape, device=device, dtype=kind)
        return maps.contiguous(memory_format=torch.channels_last) if maps.dim() == 4 else maps

    getattr(torch.ops.robdsl, name)(*tree_map(made, arguments))


def _start(case: Case) -> None:
    case.prepare(torch.device("cuda"))()
