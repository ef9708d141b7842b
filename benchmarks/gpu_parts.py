"""What `bench_gpu` measures: each part by its name, in the process that runs it.

A part gives rows. ``step BATCH VARIANT`` is a step of PGD, ``train BATCH VARIANT`` a step of adversarial training,
``stages BATCH`` a stage in training, ``roofline KERNEL`` the kernels on their own, ``profile BATCH VARIANT`` what the time
goes into.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.gpu_forms import TRAINED, VARIANTS, Forms, Trained, Variant
from benchmarks.gpu_stages import Stage, stages
from benchmarks.gpu_warm import compile_all
from robdsl.attacks import pgd
from robdsl.attacks.core.graphed import graphed_steps
from robdsl.kernels import ahead
from robdsl.kernels.cases import KERNELS, Case, cases
from robdsl.kernels.configurations import Shape
from robdsl.kernels.timing import milliseconds

Row = dict[str, Any]

#: Steps of one attack that is timed, and of the one in a step of adversarial training (the published recipe has 7).
ATTACK_STEPS, TRAINING_STEPS = 5, 7


@dataclass(frozen=True)
class Bench:
    """How to measure.

    Attributes:
        forms: of the net. On a CPU everything but graphs and kernels runs, to try the program itself.
        seconds: how long a thing is repeated, three times at the least.
    """

    forms: Forms
    seconds: float

    @property
    def on_gpu(self) -> bool:
        return self.forms.device == "cuda"

    # --- parts

    def run(self, part: str) -> list[Row]:
        """The rows of a part; memory is given back before."""
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()
        kind, *about = part.split(" ", 2)
        match kind:
            case "warm":
                return compile_all(self.forms, self._cases, most=12 if self.on_gpu else 1)
            case "step":
                return self.steps(int(about[0]), about[1])
            case "train":
                return self.training(int(about[0]), about[1])
            case "roofline":
                return list(self.roofline(about[0]))
            case "stages":
                return list(self.stages(int(about[0])))
            case "profile":
                return list(self.profile(int(about[0]), about[1]))
        raise ValueError(f"there is no part {part!r}")

    def steps(self, batch: int, variant: str) -> list[Row]:
        """A step of PGD plainly and, where it has one, as one CUDA graph; and how exact the logits are."""
        made = VARIANTS[variant](self.forms)
        row: Row = {"what": variant, "logits off by": self._off(made)}
        rows = [row | self._fitting(batch, partial(self._attack, made, graphed=False))]
        if made.graphs:
            rows.append(
                row | self._fitting(batch, partial(self._attack, made, graphed=True)) | {"graph": True}
            )
        return rows

    def _attack(self, made: Variant, batch: int, *, graphed: bool) -> Row:
        images, labels = self.forms.batch(batch)
        x = images.to(made.dtype)
        if made.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        precision: Any = "bf16" if made.autocast else "inherit"

        def attack() -> Tensor:
            return pgd(made.model, x, labels, steps=ATTACK_STEPS, random_start=False, precision=precision)

        around: AbstractContextManager[Any] = graphed_steps() if graphed else nullcontext()
        with around as graphs:
            found = self._measured(attack, ATTACK_STEPS)
            if graphs is not None:
                found["replayed"] = graphs.replays
                if graphs.reason is not None:
                    found["not recorded"] = graphs.reason
        return found

    def training(self, batch: int, variant: str) -> list[Row]:
        """A step of adversarial training: an attack in train mode, then a step of SGD on what it made."""
        made = TRAINED[variant]
        found = self._fitting(batch, partial(self._train, made))
        return [{"what": variant} | found | {"graph": made.graphs}]

    def _train(self, made: Trained, batch: int) -> Row:
        images, labels = self.forms.batch(batch)
        model, autocast = made.make(self.forms).train(), made.autocast
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        precision: Any = "bf16" if autocast else "inherit"

        def step() -> None:
            attacked = pgd(
                model,
                images,
                labels,
                steps=TRAINING_STEPS,
                random_start=False,
                mode="train",
                precision=precision,
            )
            optimizer.zero_grad()
            with torch.autocast(self.forms.device, torch.bfloat16, enabled=autocast):
                loss = F.cross_entropy(model(attacked).float(), labels)
            loss.backward()
            optimizer.step()

        with graphed_steps() if made.graphs else nullcontext():
            return self._measured(step, 1)

    def roofline(self, kernel: str) -> Iterator[Row]:
        """A kernel's cases against what their traffic and their products must take here, both measured here."""
        bandwidth, arithmetic = self._machine
        for case in self._cases:
            if case.kernel != kernel:
                continue
            row: Row = {"what": case.label, "batch": case.images}
            try:
                taken = self._time(case) * 1e-3
            except Exception as error:
                if "CUDA error" in str(error):
                    raise
                yield row | {"error": f"{type(error).__name__}: {str(error).strip()[:500]}"}
                continue
            products = 3 if case.dtype == torch.float32 else 1  # tf32x3 makes three of one
            yield row | {
                "ms": taken * 1e3, "GB/s": case.bytes_moved() / taken * 1e-9,
                "share of bandwidth": case.bytes_moved() / bandwidth / taken,
                "share of arithmetic": products * case.flops() / arithmetic[case.dtype] / taken,
            }  # fmt: skip

    def stages(self, batch: int) -> Iterator[Row]:
        """A stage in training, forward and backward, by torch's modules and by the kernels for training."""
        for name, shape, dtype, stage in stages(self.forms.device):
            yield {
                "what": f"{name} {shape.key} {str(dtype).removeprefix('torch.')}",
                **self._fitting(batch, partial(self._stage, stage, shape, dtype)),
            }

    def _stage(self, stage: Stage, shape: Shape, dtype: torch.dtype, batch: int) -> Row:
        size = batch, shape.channels, shape.height, shape.width
        x = torch.randn(size, device=self.forms.device, dtype=dtype)
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        wanted = [x, *stage.parameters()]
        half = dtype == torch.bfloat16

        def work() -> object:
            # Modules convolve bfloat16 maps under autocast; kernels take the maps as they are.
            with torch.autocast(self.forms.device, torch.bfloat16, enabled=half):
                out = stage(x)
            return torch.autograd.grad(out, wanted, torch.ones_like(out))

        return self._measured(work, 1)

    def profile(self, batch: int, variant: str) -> Iterator[Row]:
        """The kernels that a variant's step spends most time in, by torch's profiler."""
        from torch.profiler import ProfilerActivity, profile

        made = VARIANTS[variant](self.forms)
        images, labels = self.forms.batch(batch)
        attack = partial(pgd, made.model, images.to(made.dtype), labels, random_start=False)
        attack(steps=2)
        activity = ProfilerActivity.CUDA if self.on_gpu else ProfilerActivity.CPU
        with profile(activities=[activity]) as found:
            attack(steps=1)
            self._wait()
        events = found.key_averages()
        times = [
            event.self_device_time_total if self.on_gpu else event.self_cpu_time_total for event in events
        ]
        total = sum(times)
        for taken, event in sorted(zip(times, events, strict=True), key=lambda each: -each[0])[:15]:
            yield {
                "what": event.key[:100], "batch": batch, "calls": event.count, "ms": taken * 1e-3,
                "share": taken / max(total, 1e-9),
            }  # fmt: skip

    def _off(self, made: Variant) -> float | None:
        """How far a variant's logits are from exact, as a share of the largest; None of other weights."""
        if not made.same_weights:
            return None
        with torch.no_grad(), torch.autocast(self.forms.device, torch.bfloat16, enabled=made.autocast):
            found = made.model(self.forms.batch(8)[0].to(made.dtype)).double().cpu()
        return float((found - self.forms.exact).abs().max() / self.forms.exact.abs().max())

    def _fitting(self, batch: int, measure: Callable[[int], Row]) -> Row:
        """What `measure` finds at the largest batch that fits into memory, from `batch` down by halves."""
        size = batch
        while True:
            try:
                found = measure(size)
            except torch.OutOfMemoryError:
                gc.collect()
                torch.cuda.empty_cache()
                if size == 1:
                    raise
                size //= 2
                continue
            return {
                "batch": batch,
                "graph": False,
                "fitting": size,
                "images/s": 1e3 * size / found["ms"],
            } | found

    def _measured(self, action: Callable[[], object], steps: int) -> Row:
        """Median milliseconds of one of the steps that an action takes, and memory at the peak."""
        for _ in range(3):
            action()
        self._wait()
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        times: list[float] = []
        end = time.perf_counter() + self.seconds
        while len(times) < 3 or (time.perf_counter() < end and len(times) < 50):
            started = time.perf_counter()
            action()
            self._wait()
            times.append(time.perf_counter() - started)
        found: Row = {"ms": 1e3 * statistics.median(times) / steps, "times": len(times)}
        if self.on_gpu:
            found["peak MB"] = torch.cuda.max_memory_allocated() / 2**20
        return found

    def _wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    @cached_property
    def _cases(self) -> list[Case]:
        return cases(512 if self.on_gpu else 2)

    def _time(self, case: Case) -> float:
        if self.on_gpu:
            return milliseconds(case.prepare(torch.device("cuda")), 20)
        with ahead.recorded():  # nothing runs: this is for trying the program
            launch = case.prepare(torch.device("meta"))
            started = time.perf_counter()
            launch()
            return 1e3 * (time.perf_counter() - started)

    @cached_property
    def _machine(self) -> tuple[float, dict[torch.dtype, float]]:
        """Bytes a second of a copy, and operations a second of a large product in tf32 and in bfloat16."""
        count, side = (2**28, 8192) if self.on_gpu else (2**16, 64)

        def seconds(action: Callable[[], object]) -> float:
            if self.on_gpu:
                return milliseconds(action, 20) * 1e-3
            started = time.perf_counter()
            action()
            return time.perf_counter() - started

        source = torch.empty(count, dtype=torch.float32, device=self.forms.device)
        bandwidth = 2 * source.nbytes / seconds(partial(torch.empty_like(source).copy_, source))
        arithmetic = {}
        products: Any = torch.backends.cuda.matmul  # torch refuses to mix its older switch with this one
        before, products.fp32_precision = products.fp32_precision, "tf32"
        try:
            for dtype in (torch.float32, torch.bfloat16):
                square = torch.randn(side, side, device=self.forms.device).to(dtype)
                arithmetic[dtype] = 2 * side**3 / seconds(partial(torch.matmul, square, square))
        finally:
            products.fp32_precision = before
        return bandwidth, arithmetic


def parts(batches: Sequence[int], training: int) -> dict[str, float]:
    """Every part with the seconds that it may take, what matters most first and what takes longest last."""
    slow = [name for name in VARIANTS if name.startswith("max-autotune")]
    quick = [name for name in VARIANTS if name not in slow]
    found = {"warm": 150.0}
    for batch in batches:
        found |= {f"step {batch} {name}": 60.0 for name in quick}
    found |= {f"train {training} {name}": 60.0 for name in TRAINED if not name.startswith("max-autotune")}
    found[f"stages {training}"] = 120.0
    found |= {f"roofline {kernel}": 90.0 for kernel in KERNELS}
    found |= {f"profile {batches[0]} {name}": 60.0 for name in ("published", "kernels", "kernels, bf16")}
    # Both batches compile; whatever Inductor has cached by then, a second call of the program need not make again.
    for batch in reversed(batches):
        found |= {f"step {batch} {name}": 420.0 for name in slow}
    found |= {f"train {training} {name}": 420.0 for name in TRAINED if name.startswith("max-autotune")}
    return found
