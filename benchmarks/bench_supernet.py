"""What it costs to change a supernet's architecture at every step, and what it saves when sub-networks are evaluated.

    python -m benchmarks.bench_supernet                          the digits-size supernet, some minutes on two cores
    python -m benchmarks.bench_supernet --width 36 --layers 20   that of the paper
    python -m benchmarks.bench_supernet --write                  keep the result in benchmarks/results/

Three comparisons, each side by side in one run, figures being medians over rounds and ratios the median of each
round's ratio:

- A step of adversarial training (PGD, backward, clipped update): drawn, chosen and taken on the supernet, each time with
  another net than before, against the same step on that net, compiled alone beforehand. The two are taken right after each
  other, in turns first, and the ratio is the median over all pairs.
- Sub-networks evaluated per hour as `robdsl search` does it (`Examiner`: the net built, its weights taken from the
  supernet's file, batch-norm statistics, the net frozen, attacked), against the naive way, which attacks the net as it was
  built; and how many images each gets right, which must be the same up to rounding.
- Training on one process and on two, each with one thread. They are started as torchrun would, but in this session:
  torchrun gives each a session of its own, and with it another standing with the system's scheduler.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import robdsl
from benchmarks.record import in_turn, machine, ratio, write
from robdsl.attacks import PGD
from robdsl.data import ImageData, joined, load_data
from robdsl.graph.net import Net, Space
from robdsl.search import (
    PathSampler,
    Supernet,
    inherit,
    recompute_batch_norm,
    supernet_recipe,
    train_supernet,
)
from robdsl.training import make_optimizer

EPS, STEP = "8/255", "2/255"


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    if options.worker is not None:
        _train(options)
        return
    space = _space(options)
    images, labels = _digits(options.batch)
    images, labels = images.to(options.device), labels.to(options.device)
    sampler = PathSampler(space, "uniform", seed=1)
    nets = [sampler.net(0, batch) for batch in range(options.nets)]
    print(
        f"{space.name}, width {options.width}, {options.layers} layers, batch {options.batch} on {machine()}\n"
    )
    results: dict[str, Any] = {
        "space": space.name,
        "parameters": space.parameters,
        "threads": options.threads,
        "device": options.device,
        "nets": options.nets,
        "rounds": options.rounds,
        "step": _steps(space, nets, images, labels, options),
        "evaluation": _evaluations(space, nets, images, labels, options),
    }
    if not options.no_scaling:
        results["scaling"] = _scaling(options)
    if options.write:
        print(
            f"\nwritten to {write(f'supernet_w{options.width}_l{options.layers}_{options.device}', results)}"
        )


def _steps(
    space: Space, nets: Sequence[Net], images: Tensor, labels: Tensor, options: argparse.Namespace
) -> dict[str, float]:
    recipe = supernet_recipe("digits")
    attack = PGD(eps=EPS, step_size=STEP, steps=options.steps, random_start=False, mode="train")

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        attacked = attack.perturb(model, images, labels)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(attacked), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        _wait(options.device)

    supernet = Supernet(space, 0).to(options.device)
    optimizer = make_optimizer(supernet, recipe)
    plain = [inherit(supernet.state_dict(), net) for net in nets]
    alone = [(model, make_optimizer(model, recipe)) for model in plain]
    sampler = PathSampler(space, "uniform", seed=1)

    def change(batch: int) -> None:
        supernet.choose(sampler.net(0, batch))

    def on_supernet(batch: int) -> None:
        change(batch)
        step(supernet, optimizer)

    def on_plain_net(batch: int) -> None:
        step(*alone[batch])

    times: dict[str, list[float]] = {"supernet": [], "plain": [], "change": []}
    for turn in range(-1, options.rounds):
        for batch in range(len(nets)):
            work = {
                "supernet": partial(on_supernet, batch),
                "plain": partial(on_plain_net, batch),
                "change": partial(change, batch),
            }
            if (turn + batch) % 2:
                work = dict(reversed(work.items()))
            for name, (seconds,) in in_turn(work, 1).items():
                if turn >= 0:  # before, momentum and caches are made
                    times[name].append(seconds)
    each = {name: 1e3 * statistics.median(seconds) for name, seconds in times.items()}
    found = {
        "plain_ms": each["plain"],
        "supernet_ms": each["supernet"],
        "change_ms": each["change"],
        "pairs": len(times["plain"]),
        "supernet_over_plain": ratio(times, "supernet", "plain"),
        "change_over_plain": ratio(times, "change", "plain"),
    }
    print(f"a step of the sampled nets alone          {found['plain_ms']:10.2f} ms ({found['pairs']} pairs)")
    print(f"a step of the supernet                    {found['supernet_ms']:10.2f} ms")
    print(
        f"supernet over plain                       {found['supernet_over_plain']:10.3f} (the goal: below 1.02)"
    )
    print(f"to draw and choose, over a plain step     {found['change_over_plain']:10.4f}\n")
    return found


def _evaluations(
    space: Space, nets: Sequence[Net], images: Tensor, labels: Tensor, options: argparse.Namespace
) -> dict[str, Any]:
    attack = PGD(eps=EPS, step_size=STEP, steps=options.steps)
    right: dict[str, list[int]] = {"search": [], "naive": []}

    def examine(way: str, weights: Path) -> None:
        right[way].clear()
        for net in nets:
            model = inherit(weights, net).to(options.device)
            recompute_batch_norm(model, images)
            judged = robdsl.freeze(model) if way == "search" else model.eval()
            draws = torch.Generator(options.device).manual_seed(0)
            attacked = attack.perturb(judged, images, labels, generator=draws)
            with torch.no_grad():
                right[way].append(int(judged(attacked).argmax(1).eq(labels).sum()))

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "supernet.safetensors"
        robdsl.save_weights(Supernet(space, 0), weights)
        ways = {way: partial(examine, way, weights) for way in right}
        times = in_turn(ways, options.rounds)
    found: dict[str, Any] = {
        f"{name}_per_hour": 3600 * len(nets) / statistics.median(seconds) for name, seconds in times.items()
    }
    found["ratio"] = ratio(times, "naive", "search")
    found["right"], found["images"] = right, len(images)
    print(f"evaluated per hour, as the search does it {found['search_per_hour']:10,.0f}")
    print(f"evaluated per hour, the naive way         {found['naive_per_hour']:10,.0f}")
    print(f"search over naive                         {found['ratio']:10.3f}")
    print(f"right under attack: {right['search']} and {right['naive']} of {len(images)}\n")
    return found


def _scaling(options: argparse.Namespace) -> dict[str, float]:
    """Images a second in training, by processes."""
    found: dict[str, float] = {}
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            own = ["-m", "benchmarks.bench_supernet", "--worker", folder]
            sizes = [
                f"--{name}={getattr(options, name)}"
                for name in ("space", "width", "layers", "batch", "steps")
            ]
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            started = [
                subprocess.Popen(
                    [sys.executable, *own, *sizes, "--threads=1"],
                    env={
                        **os.environ,
                        **common,
                        "OMP_NUM_THREADS": "1",
                        "RANK": str(rank),
                        "LOCAL_RANK": str(rank),
                    },
                )
                for rank in range(processes)
            ]
            codes = [each.wait() for each in started]
            if any(codes):
                raise RuntimeError(f"training on {processes} processes failed")
            lines = (Path(folder) / "history.jsonl").read_text().splitlines()
            speeds = [json.loads(line)["images_per_second"] for line in lines]
            found[str(processes)] = max(speeds)
        print(
            f"training on {processes} process{'es' * (processes > 1)}: {found[str(processes)]:9.1f} images/s"
        )
    found["ratio"] = found["2"] / found["1"]
    print(f"two over one: {found['ratio']:.3f}")
    return found


def _train(options: argparse.Namespace) -> None:
    """What each process of the scaling does."""
    data = load_data("digits", "train").take(4 * options.batch)
    recipe = supernet_recipe("digits", epochs=2, batch=options.batch, steps=options.steps)
    with joined("cpu"):
        train_supernet(_space(options), data, recipe, options.worker, command="bench_supernet")


def _space(options: argparse.Namespace) -> Space:
    return robdsl.load_space(options.space, width=options.width, layers=options.layers)


def _digits(count: int) -> tuple[Tensor, Tensor]:
    data = load_data("digits", "train").take(count)
    assert isinstance(data, ImageData)
    return data.tensors()


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="cell_free")
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=7, help="of PGD")
    parser.add_argument("--nets", type=int, default=8, help="how many are drawn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--no-scaling", action="store_true", help="leave out training on one and two processes"
    )
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results/")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
