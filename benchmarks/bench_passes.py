"""How much faster passes make a step of an attack (forward and the gradient to the images) and a step of training.

    python -m benchmarks.bench_passes attack --write passes_attack

``attack``: RobNet-free in the form in which it was published (every edge a module, `x * 0` for empty ones, Python's `sum`, a
ReLU for every edge) against `robdsl.compile` and `robdsl.freeze`, with images as they come (NCHW) and channels last.
``training``: the same in a step of training. ``nets``: the other nets that are shipped, plain, compiled and frozen.
``inductor``: `torch.compile` of each distinct cell of the frozen model, compiled anew. ``cells``: what the passes for
it are worth in single cells. ``profile``: where the time of a frozen step goes. ``concatenations``: what a frozen step
would win if no concatenation had to be written.

All variants of a table run in turn, in one process; ratios are medians of each round's. Memory is kept by the allocator
(`MALLOC_MMAP_THRESHOLD_` and `MALLOC_TRIM_THRESHOLD_`), or page faults distort everything; the program starts itself again
with them.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._inductor.utils import fresh_cache
from torch.nn import functional as F

import robdsl
from benchmarks.published_form import PublishedRobNet
from benchmarks.record import in_turn, ratio, seconds_of, write
from robdsl.compiler.passes import FOLDING, INDUCTOR_PIPELINE, Pass, stages_of, writing
from robdsl.compiler.passes.positions import SkipPositions

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
#: Every net that is shipped, and the images in a step.
NETS: Mapping[str, int] = {
    "robnet_small": 32,
    "robnet_medium": 32,
    "robnet_large": 32,
    "robnet_large_denoise": 32,
    "robnet_free": 32,
    "robnet_densenet_pattern": 32,
    "robnet_resnet_pattern": 32,
    "resnet18": 32,
    "resnet18_denoise": 32,
    "resnet50": 32,
    "densenet121": 32,
    "wrn28_10": 8,
    "robnet_large_imagenet": 4,
    "resnet18_imagenet": 4,
    "resnet50_imagenet": 4,
    "densenet121_imagenet": 4,
    "robnet_large_v2": 4,
}

#: What there is to measure; without a word the first three.
PARTS = ("attack", "training", "nets", "inductor", "cells", "profile", "concatenations")

Results = dict[str, Any]


def main() -> None:
    options = _options()
    if not options.inner and any(os.environ.get(key) != value for key, value in ALLOCATOR.items()):
        command = [sys.executable, "-m", "benchmarks.bench_passes", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ALLOCATOR})  # noqa: S606  it is this program
    parts: Mapping[str, Callable[[argparse.Namespace, int], Results]] = {
        "attack": _attack,
        "training": _training,
        "nets": _nets,
        "inductor": _inductor,
        "cells": _cells,
        "profile": _profile,
        "concatenations": _concatenations,
    }
    for part in options.parts or PARTS[:3]:
        runs = []
        for threads in options.threads:
            torch.set_num_threads(threads)
            runs.append({"threads": threads, **parts[part](options, threads)})
    if options.write:
        path = write(options.write, {"rounds": options.rounds, "allocator": ALLOCATOR, "runs": runs})
        print(f"written to {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"{', '.join(PARTS)} (the first three)",
    )
    parser.add_argument("--batch", type=int, default=32, help="images in a step of RobNet-free (32)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (1 2)")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS, help="of which nets (all shipped)")
    parser.add_argument("--write", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    parser.add_argument("--inner", action="store_true", help="do not set the allocator up")
    options = parser.parse_args()
    if unknown := [each for each in options.parts if each not in PARTS]:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    if options.write and len(options.parts) != 1:
        parser.error("--write keeps one part: name it")
    return options


def _images(net: robdsl.Net, batch: int, *, last: bool) -> Tensor:
    x = torch.rand(batch, *net.image, generator=torch.Generator().manual_seed(0))
    return x.to(memory_format=torch.channels_last) if last else x


def _laid_out(model: nn.Module, *, last: bool) -> nn.Module:
    """A copy in eval mode for attacks, channels last or not."""
    made = copy.deepcopy(model).eval().requires_grad_(False)
    return made.to(memory_format=torch.channels_last) if last else made


def _step(model: nn.Module, x: Tensor) -> Tensor:
    """The gradient to the images, as one step of PGD needs it."""
    x = x.detach().requires_grad_()
    loss = F.cross_entropy(model(x), torch.zeros(len(x), dtype=torch.int64))
    return torch.autograd.grad(loss, x)[0]


def _train_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(x), torch.zeros(len(x), dtype=torch.int64)).backward()
    optimizer.step()


def _attack(options: argparse.Namespace, threads: int) -> Results:
    batch = options.batch
    net = robdsl.load("robnet_free")
    compiled = robdsl.compile(net, seed=0)
    plain = robdsl.compile(net, seed=0, passes=())
    started = time.perf_counter()
    frozen = robdsl.freeze(compiled)
    ready = time.perf_counter() - started
    published = PublishedRobNet(net.alpha)
    first, last = (_images(net, batch, last=each) for each in (False, True))
    work: dict[str, Callable[[], object]] = {"frozen": partial(_step, frozen, first)}
    for name, model in (("published", published), ("plain", plain), ("compile", compiled)):
        work[name] = partial(_step, _laid_out(model, last=False), first)
        work[f"{name}, channels last"] = partial(_step, _laid_out(model, last=True), last)
    seconds = _measured(work, options.rounds)
    print(f"\nRobNet-free, batch {batch}, threads {threads}; frozen in {ready:.1f} s")
    _show(seconds, "published")
    over = {name: ratio(seconds, name, "frozen") for name in work if name != "frozen"}
    print(f"  frozen over published: {over['published']:.2f} (at least 1.9 is the aim at two threads)")
    print(f"  and over it channels last: {over['published, channels last']:.2f} (1.45)")
    return {"batch": batch, "ready": ready, "seconds": _medians(seconds), "frozen_over": over}


def _training(options: argparse.Namespace, threads: int) -> Results:
    batch = options.batch
    net = robdsl.load("robnet_free")
    models = {
        "published": PublishedRobNet(net.alpha),
        "plain": robdsl.compile(net, seed=0, passes=()),
        "compile": robdsl.compile(net, seed=0),
    }
    x = _images(net, batch, last=False)
    work = {}
    for name, model in models.items():
        optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.01)
        work[name] = partial(_train_step, model, optimizer, x)
    seconds = _measured(work, options.rounds)
    print(f"\nRobNet-free, a training step, batch {batch}, threads {threads}")
    _show(seconds, "published")
    over = ratio(seconds, "published", "compile")
    print(f"  compile over published: {over:.2f} (at least 1.15 is the aim)")
    return {"batch": batch, "seconds": _medians(seconds), "compile_over_published": over}


def _nets(options: argparse.Namespace, threads: int) -> Results:
    return {"nets": [_net(name, options.rounds, threads) for name in options.nets]}


def _net(name: str, rounds: int, threads: int) -> Results:
    net, batch = robdsl.load(name), NETS[name]
    compiled = robdsl.compile(net, seed=0)
    plain = robdsl.compile(net, seed=0, passes=())
    x, last = (_images(net, batch, last=each) for each in (False, True))
    work = {
        "plain": partial(_step, _laid_out(plain, last=False), x),
        "plain, channels last": partial(_step, _laid_out(plain, last=True), last),
        "compile": partial(_step, _laid_out(compiled, last=False), x),
        "frozen": partial(_step, robdsl.freeze(compiled), x),
    }
    seconds = _measured(work, rounds)
    print(f"\n{name}, batch {batch}, threads {threads}")
    _show(seconds, "plain")
    over = {each: ratio(seconds, each, "frozen") for each in work if each != "frozen"}
    return {"net": name, "batch": batch, "seconds": _medians(seconds), "frozen_over": over}


def _inductor(options: argparse.Namespace, threads: int) -> Results:
    """`torch.compile` of each distinct cell: cells of one code are compiled once, and nothing is cached before."""
    net, batch = robdsl.load("robnet_free"), options.batch
    compiled = robdsl.compile(net, seed=0)
    fused = robdsl.freeze(compiled, INDUCTOR_PIPELINE)
    for each in stages_of(fused):
        each.compile(fullgraph=True)
    first, last = (_images(net, batch, last=each) for each in (False, True))
    with fresh_cache():
        ready = seconds_of(partial(_step, fused, first))
        published = PublishedRobNet(net.alpha)
        work = {
            "published": partial(_step, _laid_out(published, last=False), first),
            "published, channels last": partial(_step, _laid_out(published, last=True), last),
            "frozen": partial(_step, robdsl.freeze(compiled), first),
            "frozen, torch.compile": partial(_step, fused, first),
        }
        seconds = _measured(work, options.rounds)
    print(f"\nRobNet-free, torch.compile of each distinct cell, threads {threads}, ready after {ready:.0f} s")
    _show(seconds, "published, channels last")
    over = {name: ratio(seconds, name, "frozen, torch.compile") for name in work}
    print(
        f"  over published, channels last: {over['published, channels last']:.2f} (at least 1.7 is the aim)"
    )
    return {"batch": batch, "ready": ready, "seconds": _medians(seconds), "compiled_over": over}


#: What a cell of a frozen net is before `torch.compile`: as usual, and without one of the passes that are for it.
BEFORE_INDUCTOR: Mapping[str, Sequence[Pass]] = {
    "torch.compile of the usual pipeline": (*FOLDING, SkipPositions(), *writing(channels_last=True)),
    "of INDUCTOR_PIPELINE without keep-signs": INDUCTOR_PIPELINE[:-1],
    "of INDUCTOR_PIPELINE without forget-inputs": (*INDUCTOR_PIPELINE[:-2], INDUCTOR_PIPELINE[-1]),
    "of INDUCTOR_PIPELINE": INDUCTOR_PIPELINE,
}


def _cells(options: argparse.Namespace, threads: int) -> Results:
    """What each pass for `torch.compile` is worth, by cells of the three sizes of map."""
    net = robdsl.load("robnet_free")
    compiled = robdsl.compile(net, seed=0)
    models = {"frozen": robdsl.freeze(compiled)}
    models |= {name: robdsl.freeze(compiled, passes) for name, passes in BEFORE_INDUCTOR.items()}
    results: Results = {}
    for name in ("robnet_cell_2", "robnet_cell_9", "robnet_cell_17"):
        maps = _maps(models["frozen"], name, _images(net, options.batch, last=False))
        work = {}
        for form, model in models.items():
            cell = model.get_submodule(name)
            if form != "frozen":
                cell.compile(fullgraph=True)
            work[form] = partial(_cell_step, cell, maps)
        seconds = _measured(work, options.rounds)
        print(f"\n{name} of RobNet-free, batch {options.batch}, threads {threads}")
        _show(seconds, "frozen")
        results[name] = _medians(seconds)
    return {"batch": options.batch, "cells": results}


def _maps(model: nn.Module, name: str, x: Tensor) -> tuple[Tensor, ...]:
    """What one stage of a net is given."""
    given: list[tuple[Tensor, ...]] = []
    hook = model.get_submodule(name).register_forward_pre_hook(lambda _, maps: given.append(maps))
    with torch.no_grad():
        model(x)
    hook.remove()
    return given[0]


def _cell_step(cell: nn.Module, maps: Sequence[Tensor]) -> Sequence[Tensor]:
    """The gradients to what one cell is given."""
    maps = [each.detach().requires_grad_() for each in maps]
    made = cell(*maps)
    return torch.autograd.grad(made, maps, torch.ones_like(made))


def _profile(options: argparse.Namespace, threads: int) -> Results:
    """The time within each kind of library function, as torch's profiler tells it."""
    net = robdsl.load("robnet_free")
    step = partial(_step, robdsl.freeze(robdsl.compile(net, seed=0)), _images(net, options.batch, last=False))
    for _ in range(3):
        step()  # until the allocator has what a step needs
    with torch.profiler.profile(record_shapes=True) as profile:
        for _ in range(options.rounds):
            step()
    seconds: dict[str, float] = defaultdict(float)
    for event in profile.key_averages(group_by_input_shape=True):
        seconds[_kind(event.key, event.input_shapes)] += event.self_cpu_time_total / 1e6 / options.rounds
    whole = sum(seconds.values())
    shares = {name: each / whole for name, each in sorted(seconds.items(), key=lambda each: -each[1])}
    print(
        f"\nRobNet-free frozen, batch {options.batch}, threads {threads}, {1000 * whole:.0f} ms under the profiler"
    )
    for name, share in shares.items():
        print(f"  {name:26} {share:6.1%}")
    return {"batch": options.batch, "seconds": whole, "shares": shares}


class _Unwritten(torch.autograd.Function):
    """A concatenation that is not computed: whatever memory holds, with the gradients of a true one."""

    @staticmethod
    def forward(ctx: Any, memory: Tensor, *parts: Tensor) -> Tensor:
        ctx.sizes = [each.shape[1] for each in parts]
        return memory.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *gradients[0].split(ctx.sizes, 1))


def _concatenations(options: argparse.Namespace, threads: int) -> Results:
    """A bound on what parts that are written in place could win: results are wrong, the work else is the same."""
    net = robdsl.load("robnet_free")
    frozen, x = robdsl.freeze(robdsl.compile(net, seed=0)), _images(net, options.batch, last=False)
    true_cat = torch.cat
    memory: list[Tensor] = []

    def prepared(parts: Sequence[Tensor], dim: int) -> Tensor:
        memory.append(true_cat(list(parts), dim).detach())
        return memory[-1]

    with mock.patch.object(torch, "cat", prepared):
        frozen(x)

    def unwritten() -> Tensor:
        places = iter(memory)
        fake = lambda parts, dim: _Unwritten.apply(next(places), *parts)  # noqa: E731  it lives for this step
        with mock.patch.object(torch, "cat", fake):
            return _step(frozen, x)

    seconds = _measured(
        {"frozen": partial(_step, frozen, x), "nothing concatenated": unwritten}, options.rounds
    )
    print(f"\nRobNet-free frozen, {len(memory)} concatenations, batch {options.batch}, threads {threads}")
    _show(seconds, "frozen")
    bound = ratio(seconds, "frozen", "nothing concatenated")
    return {"batch": options.batch, "seconds": _medians(seconds), "bound": bound}


def _kind(name: str, shapes: Sequence[Sequence[int]]) -> str:
    """What a library function does in a frozen net."""
    if name in ("aten::mkldnn_convolution", "aten::convolution_backward"):
        way, weight = ("forward", shapes[1]) if "mkldnn" in name else ("back", shapes[2])
        kind = "pointwise" if weight[2] == 1 else "depthwise" if weight[1] == 1 else "other"
        return f"{kind} convolutions, {way}"
    for kind, names in (
        ("sums", ("add", "add_")),
        ("ReLUs", ("relu", "relu_", "clamp_min", "clamp_min_", "threshold_backward")),
        ("concatenations", ("cat",)),
        ("copies and zeros", ("copy_", "fill_", "zero_")),
    ):
        if name.removeprefix("aten::") in names:
            return kind
    return "other"


def _measured(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    for function in work.values():
        function()  # the first call fills caches
    return in_turn(work, rounds)


def _medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(each) for name, each in seconds.items()}


def _show(seconds: Mapping[str, list[float]], base: str) -> None:
    for name, each in seconds.items():
        print(f"  {name:44} {1000 * statistics.median(each):8.0f} ms   {ratio(seconds, base, name):5.2f}")


if __name__ == "__main__":
    main()
