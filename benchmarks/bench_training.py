"""Training images per second, natural and with PGD, against a plain PyTorch loop that does the same work.

    python -m benchmarks.bench_training                                 a small RobNet on digits, minutes on two cores
    python -m benchmarks.bench_training --net resnet18 --set width=16   another net
    python -m benchmarks.bench_training --write                         keep the result in benchmarks/results/training.json

One epoch by `robdsl.training.train` and one by the loop below run in turn, round after round in one process; both see
the same images in the same batches, make the same updates and judge nothing. What `train` does beside them is part of
its time: loading, checkpoints, history, manifest. Figures are medians over rounds, ratios the median of each round's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import robdsl
from benchmarks.record import in_turn, ratio, write
from robdsl.data import ImageData, load_data
from robdsl.training import Recipe, recipe_for, train


def main() -> None:
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    parameters: dict[str, Any] = dict(_number(each) for each in options.set)
    net = robdsl.load(options.net, **parameters)
    data = load_data("digits", split="train")
    assert isinstance(data, ImageData)  # digits live in memory
    data = data.take(options.images) if options.images else data
    results: dict[str, Any] = {
        "net": net.name,
        "parameters": parameters,
        "params": net.cost.params,
        "images": len(data),
        "batch": options.batch,
        "steps": options.steps,
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
    }
    print(f"{net.name}, {net.cost.params:,} parameters, {len(data):,} images, batch {options.batch}\n")
    for method in ("natural", "pgd"):
        recipe = recipe_for(
            "digits",
            method,
            epochs=1,
            warmup_epochs=0,
            batch=options.batch,
            steps=options.steps,
            crop_padding=0,
        )
        models = {name: robdsl.compile(net, seed=0).to(options.device) for name in ("train", "loop")}
        work: dict[str, Callable[[], object]] = {
            "train": partial(_train, models["train"], data, recipe),
            "loop": partial(_loop, models["loop"], data, recipe),
        }
        in_turn(work, 1)  # to warm up
        results[method] = _report(method, in_turn(work, options.rounds), len(data))
    if options.write:
        print(f"\nwritten to {write('training', results)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="robnet_small", help="name or file (robnet_small)")
    parser.add_argument(
        "--set", nargs="*", default=["width=8", "layers=3"], metavar="NAME=N", help="(width=8 layers=3)"
    )
    parser.add_argument("--images", type=int, default=0, help="only so many; 0 for all (0)")
    parser.add_argument("--batch", type=int, default=64, help="(64)")
    parser.add_argument("--steps", type=int, default=7, help="of PGD (7)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (5)")
    parser.add_argument("--threads", type=int, default=0, help="0 for torch's choice (0)")
    parser.add_argument("--device", default="cpu", help="(cpu)")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results/")
    return parser.parse_args()


def _number(given: str) -> tuple[str, int]:
    name, _, value = given.partition("=")
    return name, int(value)


def _train(model: nn.Module, data: ImageData, recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        train(model, data, None, recipe, Path(folder) / "run")
    _wait(model)


def _loop(model: nn.Module, data: ImageData, recipe: Recipe) -> None:
    """The loop that one writes in an afternoon: an epoch of SGD, with Madry's PGD where the recipe asks for it."""
    device = next(model.parameters()).device
    images, labels = (part.to(device) for part in data.tensors())
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    model.train()
    for chosen in torch.randperm(len(images), device=device).split(recipe.batch):
        batch, truth = images[chosen], labels[chosen]
        if recipe.method == "pgd":
            batch = _pgd(model, batch, truth, float(recipe.eps), float(recipe.step_size), recipe.steps)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(batch), truth).backward()
        optimizer.step()
    _wait(model)


def _pgd(model: nn.Module, images: Tensor, labels: Tensor, eps: float, size: float, steps: int) -> Tensor:
    attacked = (images + torch.empty_like(images).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(steps):
        attacked.requires_grad_(True)
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(attacked), labels), attacked)
        attacked = attacked.detach() + size * gradient.sign()
        attacked = torch.min(torch.max(attacked, images - eps), images + eps).clamp(0, 1)
    return attacked


def _wait(model: nn.Module) -> None:
    if next(model.parameters()).device.type == "cuda":
        torch.cuda.synchronize()


def _report(method: str, seconds: dict[str, list[float]], images: int) -> dict[str, Any]:
    speeds = {name: images / statistics.median(each) for name, each in seconds.items()}
    times = ratio(seconds, "train", "loop")
    print(
        f"{method:8} train {speeds['train']:8.1f} images/s, plain loop {speeds['loop']:8.1f} images/s; "
        f"train takes {times:.2f} times as long"
    )
    return {"images_per_second": speeds, "train_over_loop": times}


if __name__ == "__main__":
    main()
