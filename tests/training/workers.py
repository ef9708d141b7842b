"""Small runs that the tests of training make, here and in other processes."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robdsl.data import ImageData, Ranks
from robdsl.data.dataset import DataFacts
from robdsl.training import Event, Recipe, Started, TrainResult, train

FACTS = DataFacts("blobs", (3, 8, 8), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 1, True)


@cache
def blobs(count: int = 48, seed: int = 0) -> ImageData:
    """Four classes of 8 x 8 images: a bright quarter each, under noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    images = torch.randint(0, 160, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    for row, label in enumerate(labels.tolist()):
        top, left = 4 * (label // 2), 4 * (label % 2)
        images[row, :, top : top + 4, left : left + 4] += 90
    return ImageData(
        FACTS, "train" if seed == 0 else "val", ("a", "b", "c", "d"), images, labels, torch.arange(count)
    )


class Net(nn.Module):
    """Convolutions, norms with and without weights, and a linear layer."""

    def __init__(self, classes: int = 4, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)
        self.plain_norm = nn.BatchNorm2d(width, affine=False)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.first(images)))
        hidden = torch.relu(self.plain_norm(self.second(hidden)))
        logits: Tensor = self.head(hidden.mean(dim=(2, 3)))
        return logits


def make_net(seed: int = 0, dtype: torch.dtype = torch.float32) -> Net:
    torch.manual_seed(seed)
    return Net().to(dtype)


def small_recipe(**changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "epochs": 3,
        "batch": 12,
        "lr": 0.1,
        "lr_batch": 12,
        "warmup_epochs": 1,
        "warmup_lr": 0.02,
        "final_lr": 0.01,
        "steps": 2,
        "replays": 2,
        "validation_steps": 2,
        "validation_images": 20,
        "validation_batch": 8,
        "cutout": 2,
    }
    return Recipe(**{**settings, **changes})


def small_run(
    folder: Path, recipe: Recipe, *, dtype: torch.dtype = torch.float32, pause: float = 0.0, **options: Any
) -> TrainResult:
    """Train the small net; with ``pause`` seconds after every batch."""

    def wait(_epoch: int, _batch: int) -> None:
        time.sleep(pause)

    options.setdefault("before_batch", wait)
    return train(make_net(dtype=dtype), blobs(), blobs(24, seed=1), recipe, folder, command="test", **options)


def in_one_process(folder: Path, changes: dict[str, Any], pause: float) -> None:
    small_run(folder, small_recipe(**changes), pause=pause)


def in_float64(folder: Path, changes: dict[str, Any]) -> None:
    small_run(folder, small_recipe(**changes), dtype=torch.float64)


def stopping_together(folder: Path, changes: dict[str, Any], after: int) -> None:
    """Stop all processes after some batches."""
    done = 0

    def stop(_epoch: int, _batch: int) -> None:
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1

    try:
        small_run(folder, small_recipe(**changes), dtype=torch.float64, before_batch=stop)
    except KeyboardInterrupt:
        return


def resuming_together(folder: Path, changes: dict[str, Any], out: Path) -> None:
    """Go on, and tell from where."""
    starts: list[Started] = []

    def note(event: Event) -> None:
        if isinstance(event, Started):
            starts.append(event)

    small_run(folder, small_recipe(**changes), dtype=torch.float64, events=note)
    if Ranks.current().is_first:
        out.write_text(f"{starts[0].epoch} {starts[0].batch}")
