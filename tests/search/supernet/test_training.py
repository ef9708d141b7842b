"""Training a supernet: one sub-network a batch, exactly resumable, and on two processes as on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import robdsl
from robdsl.data import TrainingPlan
from robdsl.search import (
    PATHS,
    PathName,
    PathSampler,
    Supernet,
    supernet_recipe,
)
from robdsl.training import METHODS, CheckpointError, MethodName, Recipe, rate_at
from tests.search.supernet.nets import alone, tiny
from tests.search.supernet.workers import small_recipe, small_run, together
from tests.training.processes import run_together
from tests.training.workers import blobs


def assert_same(one: Path, other: Path, tolerance: float = 0.0) -> None:
    ours, theirs = load_file(one / "last.safetensors"), load_file(other / "last.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=tolerance, atol=tolerance, msg=name)


def test_it_is_plain_training_of_one_sub_network_after_the_other(tmp_path: Path) -> None:
    """Against steps written out here, each on a net that is compiled alone, weights going back and forth."""
    space = tiny("tiny_free")
    recipe = small_recipe(method="natural", crop_padding=0, flip=False, clip=0.5, lr=0.3, weight_decay=0.01)
    sampler = PathSampler(space, "uniform", recipe.seed)
    supernet = Supernet(space, recipe.seed).to(torch.float64)
    momentum: dict[str, Tensor] = {}
    data, plan = blobs(), TrainingPlan(len(blobs()), recipe.batch, recipe.seed)
    pixels, labels = data.images.double() / 255, data.labels
    for epoch in range(recipe.epochs):
        for batch, rows in enumerate(plan.epoch(epoch)):
            model = alone(supernet, sampler.net(epoch, batch))
            logits = model(pixels[rows])
            F.cross_entropy(logits, labels[rows]).backward()
            rate = rate_at(recipe, epoch + batch / plan.steps, recipe.batch)
            plain_step(model, momentum, recipe, rate)
            own = supernet.state_dict()
            with torch.no_grad():
                for name, tensor in model.state_dict().items():
                    own[name].copy_(tensor)
    small_run(tmp_path, recipe)
    for name, tensor in load_file(tmp_path / "last.safetensors").items():
        torch.testing.assert_close(tensor, supernet.state_dict()[name], rtol=1e-9, atol=1e-11, msg=name)


def plain_step(model: nn.Module, momentum: dict[str, Tensor], recipe: Recipe, rate: float) -> None:
    """Clipped gradients, weight decay, momentum: Sutskever's form, as torch has it, with momentum by name."""
    wanted = {name: each for name, each in model.named_parameters() if each.grad is not None}
    norm = torch.cat([each.grad.reshape(-1) for each in wanted.values() if each.grad is not None]).norm()
    scale = min(1.0, (recipe.clip or 0.0) / (float(norm) + 1e-6))
    with torch.no_grad():
        for name, parameter in wanted.items():
            assert parameter.grad is not None
            step = scale * parameter.grad + (recipe.weight_decay * parameter if parameter.ndim > 1 else 0.0)
            momentum[name] = recipe.momentum * momentum[name] + step if name in momentum else step
            parameter.sub_(rate * momentum[name])


@pytest.mark.parametrize("method", METHODS)
def test_what_no_batch_met_stays_as_it_was(method: MethodName, tmp_path: Path) -> None:
    """Not its weights, by decay or momentum, nor its statistics, by passes of an attack."""
    space = tiny("tiny_narrow")
    recipe = small_recipe(method=method, epochs=1, batch=16, weight_decay=0.1, momentum=0.9)
    sampler = PathSampler(space, "uniform", recipe.seed)
    met: set[str] = set()
    for batch in range(3):
        met |= set(robdsl.compile(sampler.net(0, batch)).state_dict())
    before = Supernet(space, recipe.seed).to(torch.float64).state_dict()
    small_run(tmp_path, recipe, space="tiny_narrow")
    after = load_file(tmp_path / "last.safetensors")
    untouched = [name for name in after if name not in met]
    assert untouched
    assert all(torch.equal(after[name], before[name]) for name in untouched)
    moved = [name for name in met if name.endswith("weight") and not torch.equal(after[name], before[name])]
    assert len(moved) > 10


@pytest.mark.parametrize("paths", PATHS)
def test_a_run_that_was_broken_off_goes_on_exactly(paths: PathName, tmp_path: Path) -> None:
    recipe = small_recipe(checkpoint_batches=1)
    small_run(tmp_path / "whole", recipe, paths=paths)
    for batches in (2, 3):
        assert small_run(tmp_path / "broken", recipe, paths=paths, batches=batches) is None
    assert small_run(tmp_path / "broken", recipe, paths=paths) is not None
    assert_same(tmp_path / "broken", tmp_path / "whole")


def test_a_folder_of_other_paths_or_of_another_space_is_refused(tmp_path: Path) -> None:
    recipe = small_recipe(epochs=1)
    small_run(tmp_path, recipe)
    for other in ({"paths": "density"}, {"space": "tiny_shared"}):
        with pytest.raises(CheckpointError, match="belongs to another run"):
            small_run(tmp_path, recipe, **other)  # type: ignore[arg-type]  # each is one of its options


def test_two_processes_are_as_one(tmp_path: Path) -> None:
    changes = {"average": 0.8, "clip": 0.7}
    run_together(2, together, tmp_path / "two", changes, "sandwich")
    together(tmp_path / "one", changes, "sandwich")
    assert_same(tmp_path / "two", tmp_path / "one", 1e-9)


SCRIPT = """
import sys
from pathlib import Path

import torch

from robdsl.data import joined
from tests.search.supernet.workers import together

torch.set_num_threads(1)
with joined("cpu") as ranks:
    assert ranks.world == 2
    together(Path(sys.argv[1]), {}, "uniform")
"""


@pytest.mark.slow
def test_two_processes_of_torchrun_are_as_one(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, script, tmp_path / "two"], env=environment, timeout=300)
    assert done.returncode == 0
    together(tmp_path / "one", {}, "uniform")
    assert_same(tmp_path / "two", tmp_path / "one", 1e-9)


def test_gradients_are_asked_for_of_the_chosen_alone() -> None:
    """So that processes exchange nothing else, and an optimizer skips the rest."""
    space = tiny("tiny_free")
    supernet = Supernet(space, 0)
    net = space.sample(1)
    supernet.choose(net)
    supernet(torch.rand(4, 3, 8, 8)).sum().backward()
    chosen = {name for name, each in robdsl.compile(net).named_parameters() if each.requires_grad}
    assert {name for name, each in supernet.named_parameters() if each.grad is not None} == chosen


def test_the_recipe() -> None:
    recipe = supernet_recipe("cifar10")
    assert (recipe.method, recipe.steps, recipe.lr, recipe.clip, recipe.weight_decay) == (
        "pgd",
        7,
        0.05,
        5.0,
        1e-4,
    )
    assert (recipe.epochs, recipe.warmup_epochs) == (300, 0)
    assert rate_at(recipe, 0, recipe.batch) == pytest.approx(0.05)
    assert rate_at(recipe, 300, recipe.batch) == pytest.approx(recipe.final_lr)
    assert supernet_recipe("cifar10", "free").epochs == 75
    assert supernet_recipe("digits", lr=0.2, epochs=3).lr == 0.2
    with pytest.raises(TypeError):
        supernet_recipe("digits", learning=3)
