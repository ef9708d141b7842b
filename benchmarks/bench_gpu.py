"""One PGD step and one training step on a GPU: published form, cleaned, Inductor's and our kernels, in one run.

    python -m benchmarks.bench_gpu            # RobNet-free at 32 x 32, batches of 512 and 32
    python -m benchmarks.bench_gpu --net robnet_large --batch 512 --write

Of each kernel it shows the time, the share of the memory bandwidth and of the arithmetic that its work must take at the
least (its roofline). Without a GPU it says so and measures nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

import robdsl
from benchmarks.record import write
from robdsl.attacks import pgd
from robdsl.attacks.core.graphed import graphed_steps
from robdsl.compiler.freezing import freeze
from robdsl.compiler.passes import CUDA_PIPELINE, KERNEL_PIPELINE
from robdsl.kernels import available
from robdsl.kernels.cases import cases
from robdsl.kernels.tune import milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="robnet_free")
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 32])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--skip-inductor", action="store_true", help="leave torch.compile out: it takes minutes"
    )
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args()
    found = available()
    if not found:
        print(f"nothing was measured: bench_gpu needs a GPU that kernels run on. {found.reason}.")
        return
    print(found.reason)
    rows: list[dict[str, Any]] = []
    for batch in options.batch:
        rows += list(steps(options.net, batch, options.repeats, not options.skip_inductor))
        rows += list(training(options.net, batch, options.repeats))
    rows += list(rooflines(options.batch[0], options.repeats))
    for row in rows:
        print("  ".join(f"{key} {_shown(value)}" for key, value in row.items()))
    if options.write:
        print(write("gpu", {"device": torch.cuda.get_device_name(), "rows": rows}, ("torch", "triton")))


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def batch_of(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(size, 3, 32, 32, generator=generator).cuda()
    return images, torch.randint(10, (size,), generator=generator).cuda()


def variants(name: str, inductor: bool) -> Iterator[tuple[str, Callable[[], nn.Module], bool]]:
    """What is compared: its name, what makes the model, whether it runs under bfloat16 autocast."""

    def plain() -> fx.GraphModule:
        model = robdsl.compile(robdsl.load(name), seed=0, passes=())
        return model.cuda().eval().requires_grad_(False)

    yield "published form, eager", plain, False
    yield "cleaned, library calls", lambda: freeze(plain(), CUDA_PIPELINE), False
    if inductor:
        yield "torch.compile max-autotune", lambda: _tuned(plain()), False
    yield "kernels", lambda: freeze(plain(), KERNEL_PIPELINE), False
    yield "kernels, bf16", lambda: freeze(plain().bfloat16(), KERNEL_PIPELINE), True


def _tuned(model: nn.Module) -> nn.Module:
    compiled: Any = torch.compile(model, mode="max-autotune")
    return compiled  # type: ignore[no-any-return]  # torch.compile gives back what kind it was given


def measured(action: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Median milliseconds, and the memory at the peak, in MB."""
    torch.cuda.reset_peak_memory_stats()
    taken = milliseconds(action, repeats)
    return {"ms": taken, "peak MB": torch.cuda.max_memory_allocated() / 2**20}


def steps(name: str, batch: int, repeats: int, inductor: bool) -> Iterator[dict[str, Any]]:
    """PGD steps of each variant, plain and as one CUDA graph; ratios to the published form."""
    images, labels = batch_of(batch)
    slowest = None
    for what, make, half in variants(name, inductor):
        model = make()
        x = images.bfloat16() if half else images

        def attack(model: nn.Module = model, x: Tensor = x) -> object:
            return pgd(model, x, labels, steps=10, random_start=False)

        for graphed in (False, True):
            if graphed:
                with graphed_steps():
                    found = measured(attack, repeats)
            else:
                found = measured(attack, repeats)
            slowest = slowest or found["ms"]
            yield {
                "what": what, "batch": batch, "graph": graphed, "PGD-10 ms": found["ms"],
                "times published": slowest / found["ms"], "peak MB": found["peak MB"],
            }  # fmt: skip
        del model
        torch.cuda.empty_cache()


def training(name: str, batch: int, repeats: int) -> Iterator[dict[str, Any]]:
    """A training step on clean images: published form and the passes that hold in training."""
    images, labels = batch_of(batch)
    slowest = None
    for what, passes in (("published form", ()), ("train-safe passes", None)):
        model = robdsl.compile(robdsl.load(name), seed=0, passes=passes).cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def step(model: nn.Module = model, optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()

        found = measured(step, repeats)
        slowest = slowest or found["ms"]
        yield {
            "what": f"training, {what}", "batch": batch, "graph": False, "step ms": found["ms"],
            "times published": slowest / found["ms"], "peak MB": found["peak MB"],
        }  # fmt: skip


def rooflines(batch: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Each kernel against what its traffic and its products must take on this GPU, both measured here."""
    big = torch.empty(2**28, dtype=torch.float32, device="cuda")
    copied = torch.empty_like(big)
    bandwidth = 2 * big.nbytes / (milliseconds(partial(copied.copy_, big), repeats) * 1e-3)
    del big, copied
    arithmetic = {}
    for dtype in (torch.float32, torch.bfloat16):
        square = torch.randn(8192, 8192, device="cuda", dtype=dtype)
        torch.backends.cuda.matmul.allow_tf32 = True
        product = milliseconds(lambda square=square: square @ square, repeats)  # type: ignore[misc]  # bound in the loop
        torch.backends.cuda.matmul.allow_tf32 = False
        arithmetic[dtype] = 2 * 8192**3 / (product * 1e-3)
    for case in cases(batch):
        taken = milliseconds(case.prepare(torch.device("cuda")), repeats) * 1e-3
        passes = 3 if case.dtype == torch.float32 else 1  # tf32x3 makes three products of one
        yield {
            "what": case.label, "batch": batch, "graph": False, "ms": taken * 1e3,
            "share of bandwidth": case.bytes_moved() / bandwidth / taken,
            "share of arithmetic": passes * case.flops() / arithmetic[case.dtype] / taken,
        }  # fmt: skip


if __name__ == "__main__":
    main()
