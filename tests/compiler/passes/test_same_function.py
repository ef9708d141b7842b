"""Every pass and every pipeline keeps what a net computes, in the modes that it claims."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robdsl
from robdsl.compiler.passes import (
    CPU_PIPELINE,
    CUDA_PIPELINE,
    INDUCTOR_PIPELINE,
    KERNEL_PIPELINE,
    PASSES,
    TRAIN_PIPELINE,
    Pass,
)
from tests.compiler.passes.drawn import cells, hold_frozen, hold_in_training

TRAINING = [each() for each in PASSES.values() if each.mode == "train"]
EVERY: list[Pass] = [each() for each in PASSES.values()]
PIPELINES = {
    "cpu": CPU_PIPELINE,
    "cuda": CUDA_PIPELINE,
    "kernels": KERNEL_PIPELINE,
    "inductor": INDUCTOR_PIPELINE,
}

SPACES: dict[str, Callable[[], robdsl.Space]] = {
    "cell_free": partial(robdsl.load_space, "cell_free", width=2, layers=3, classes=3),
    "cell_based_denoise": partial(robdsl.load_space, "cell_based_denoise", width=1, layers=6, classes=3),
    "cell_based_imagenet": partial(
        robdsl.load_space, "cell_based_imagenet", width=4, layers=3, classes=3, size=32
    ),
    "darts": partial(robdsl.load_space, "darts", width=2, layers=3, classes=3),
    "nas_bench_201": partial(robdsl.load_space, "nas_bench_201", width=2, cells=1, classes=3),
}
FAMILIES: dict[str, Callable[[], robdsl.Net]] = {
    "resnet18": partial(robdsl.load, "resnet18", width=2, classes=3),
    "resnet50": partial(robdsl.load, "resnet50", width=1, classes=3),
    "resnet18_denoise": partial(robdsl.load, "resnet18_denoise", width=2, classes=3),
    "densenet121": partial(robdsl.load, "densenet121", growth=2, classes=3),
}


#: What random cells seldom have: a sum that moves behind one that moved before it, pools of different sizes of one value, a
#: concatenation that is read by another one and by something else, zeros before what they are added to, biases that add up.
RARE = {
    "moved sums": "p -> a : relu\n p -> c : relu\n p -> c : relu\n p -> c : depthwise(3) | batch_norm\n c -> out : relu",
    "two pools": "p -> a : max_pool(3, stride=1, padding=1)\n p -> b : max_pool(5, stride=1, padding=2)\n"
    "a -> out\n b -> out : conv(1)",
    "shared concat": "a = concat(p, q)\n b = concat(a, p)\n b -> out : conv(1, 4)\n a -> out : conv(3, 4)",
    "zeros first": "p -> out : zero\n q -> out : conv(3)",
    "heads": "p -> a : relu | conv(1)\n q -> b : relu | conv(1, bias=true)\n q -> out : relu\n a, b -> out : relu | conv(1)",
    "heads of a concatenation": "p -> a : relu | conv(1, 2)\n q -> b : relu | conv(1, 2)\n a -> c : sigmoid\n"
    "d = concat(a, b)\n d -> out : relu | conv(1, 4)\n e = concat(c, b)\n e -> out",
    "one map in many places": "p -> a : relu\n b = mul(p, p)\n c = concat(p, p, a)\n a, b, p, q -> out\n c -> out : conv(1, 4)",
    "zeros in many places": "p -> a : zero\n a -> b : relu | conv(1)\n a -> c : relu | depthwise(3) | conv(1)\n a -> d : sigmoid\n"
    "a -> out : relu | conv(1)\n b, c, d, q -> out",
    "two strides": "p -> r : relu\n r -> a : conv(1, 4, stride=2)\n r -> b : crop(1) | conv(1, 4, stride=2)\n"
    "r -> c : conv(1, 4, stride=6)\n d = sum(a, b)\n d -> e : global_avg_pool\n c -> f : global_avg_pool\n g = sum(e, f)\n"
    "h = sum(g, g)\n h -> i : sigmoid\n q -> s : global_avg_pool\n i, s -> out",
    "one term twice": "p -> a : conv(1)\n p -> b : relu | depthwise(3) | conv(1)\n a -> out\n a -> out\n c = sum(b, b)\n c -> out",
    "two biases": "p -> out : conv(1) | batch_norm\n q -> out : conv(1) | batch_norm",
}


@pytest.mark.parametrize("name", RARE)
def test_rare_cells(name: str) -> None:
    net = robdsl.load(
        f"cell c() {{ in p, q\n{RARE[name]}\n}}\n"
        "net n { input 3 x 6 x 6\n conv(3, 4)\n c()\n c()\n global_avg_pool | flatten | linear(3) }"
    )
    hold_in_training(net, TRAIN_PIPELINE)
    for pipeline in PIPELINES.values():
        hold_frozen(net, pipeline)
    for seed in range(3):
        hold_frozen(net, random.Random(seed).sample(EVERY, len(EVERY)))


@settings(max_examples=10)
@given(text=cells())
def test_random_cells(text: str) -> None:
    net = robdsl.load(text)
    hold_in_training(net, TRAIN_PIPELINE)
    for pipeline in PIPELINES.values():
        hold_frozen(net, pipeline)


@pytest.mark.parametrize("each", TRAINING, ids=lambda each: each.name)
@settings(max_examples=4)
@given(text=cells())
def test_each_pass_in_training(each: Pass, text: str) -> None:
    hold_in_training(robdsl.load(text), [each])


@pytest.mark.parametrize("each", EVERY, ids=lambda each: each.name)
@settings(max_examples=4)
@given(text=cells())
def test_each_pass_on_a_frozen_model(each: Pass, text: str) -> None:
    hold_frozen(robdsl.load(text), [each])


@settings(max_examples=6)
@given(text=cells(), order=st.permutations(EVERY))
def test_passes_in_any_order(text: str, order: list[Pass]) -> None:
    hold_frozen(robdsl.load(text), order)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=2)
@given(seed=st.integers(0, 2**16))
def test_spaces(name: str, seed: int) -> None:
    net = SPACES[name]().sample(random.Random(seed))
    hold_in_training(net, TRAIN_PIPELINE)
    for pipeline in PIPELINES.values():
        hold_frozen(net, pipeline)


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str) -> None:
    net = FAMILIES[name]()
    hold_in_training(net, TRAIN_PIPELINE)
    hold_frozen(net, CUDA_PIPELINE)
    hold_frozen(net, KERNEL_PIPELINE)
    hold_frozen(net, None)
