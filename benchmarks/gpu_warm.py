"""Compiles all kernels that `bench_gpu` measures, in many processes: one after the other they take minutes."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from benchmarks.gpu_forms import Forms, fused, training_kernels
from robdsl.compiler.freezing import freeze
from robdsl.compiler.passes import KERNEL_PIPELINE
from robdsl.kernels.cases import Case

#: Numbers that 16 divides are compiled apart, and batches are such numbers.
_IMAGES = 16


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
    for call in operations(forms):
        for dtype in (torch.float32, torch.bfloat16):
            work.setdefault(f"{call} {dtype}", partial(call.launch, forms.device, dtype))
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


@dataclass(frozen=True)
class Call:
    """An operation of robdsl.kernels and what it is given, on the device "meta".

    Attributes:
        frozen: whether its weights become bfloat16 with the maps, as a frozen model's do; under autocast they stay.
    """

    name: str
    arguments: tuple[Any, ...]
    frozen: bool

    def __str__(self) -> str:
        given = tree_map(lambda each: tuple(each.shape) if isinstance(each, Tensor) else each, self.arguments)
        return f"{self.name} {given} {self.frozen}"

    def launch(self, device: str, dtype: torch.dtype) -> None:
        """Starts it on tensors that show nothing."""

        def made(each: Any) -> Any:
            if not isinstance(each, Tensor):
                return each
            is_map = each.dim() == 4 and len(each) == _IMAGES
            kind = dtype if each.is_floating_point() and (is_map or self.frozen) else each.dtype
            given = torch.zeros(each.shape, device=device, dtype=kind)
            return given.contiguous(memory_format=torch.channels_last) if is_map else given

        getattr(torch.ops.robdsl, self.name)(*tree_map(made, self.arguments))


class _Noting(TorchDispatchMode):
    """Notes what operations of robdsl.kernels are given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "robdsl":
            self.calls.append((func.name().removeprefix("robdsl::"), args))
        return func(*args, **(kwargs or {}))


def operations(forms: Forms) -> list[Call]:
    """The operations of a step of PGD, frozen, and of one of training: nothing is computed."""
    found: list[Call] = []
    frozen = [freeze(forms.plain, each) for each in (KERNEL_PIPELINE, fused(tf32=True), fused(pairs=256))]
    trained = [training_kernels(replace(forms, device="cpu"), tf32=tf32).train() for tf32 in (False, True)]
    for model in (*frozen, *trained):
        images = torch.rand(_IMAGES, *forms.net.image, device="meta", requires_grad=True)
        with _Noting() as noting:
            copy.deepcopy(model).to("meta")(images).sum().backward()
        found += [Call(name, given, model in frozen) for name, given in noting.calls]
    return found


def _start(case: Case) -> None:
    case.prepare(torch.device("cuda"))()
