"""Frozen models through the operations of robdsl.kernels compute what they computed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

import robdsl
from robdsl.compiler.fused_modules import PointwiseFan, SeparablePair, SeparableSum
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import KERNEL_PIPELINE, Pass, graphs_of
from robdsl.compiler.passes.facts import is_item, uses_of
from robdsl.compiler.passes.kernels import FuseStages
from tests.compiler.passes.drawn import hold_frozen, images_for, plain_model, same, step
from tests.compiler.test_published_figures import (
    FIGURES,
    agree,
    figures,
    loss_of,
    model_with_reference_weights,
)
from tests.house.tree import ROOT
from tests.kernels.interpreted_net import COMPARED
from tests.reference import images

WITH_PAIRS: tuple[Pass, ...] = tuple(
    FuseStages(pairs=1024) if isinstance(each, FuseStages) else each for each in KERNEL_PIPELINE
)
PIPELINES = pytest.mark.parametrize("pipeline", [KERNEL_PIPELINE, WITH_PAIRS], ids=["stages", "pairs"])


def small(name: str) -> robdsl.Net:
    return (
        robdsl.load(name, width=4, layers=3)
        if name != "robnet_free"
        else robdsl.load_space("cell_free", width=4, layers=3).sample(3)
    )


@PIPELINES
@pytest.mark.parametrize("name", ["robnet_free", "robnet_large"])
def test_the_same_function(name: str, pipeline: tuple[Pass, ...]) -> None:
    frozen = hold_frozen(small(name), pipeline)
    kinds = {type(each) for each in frozen.modules()} & {SeparableSum, SeparablePair}
    assert kinds == {SeparablePair if pipeline is WITH_PAIRS else SeparableSum}


@pytest.mark.parametrize("most", [0, 63, 64, 255, 256, 1024])
def test_pairs_on_maps_up_to_a_size(most: int) -> None:
    """Of the maps between stages, which have 32 x 32, 16 x 16 and 8 x 8 positions, those of at most so many."""
    net = small("robnet_large")
    pipeline = [FuseStages(pairs=most) if isinstance(each, FuseStages) else each for each in KERNEL_PIPELINE]
    frozen = hold_frozen(net, pipeline)
    sizes: dict[type, set[int]] = {SeparablePair: set(), SeparableSum: set()}
    for each in frozen.modules():
        if isinstance(each, SeparablePair | SeparableSum):
            each.register_forward_hook(lambda module, _, out: sizes[type(module)].add(out[0, 0].numel()))
    frozen(images_for(net))
    assert sizes[SeparablePair] == {size for size in (64, 256, 1024) if size <= most}
    assert sizes[SeparableSum] == {size for size in (64, 256, 1024) if size > most}


def test_no_pairs_where_the_net_is_not_known() -> None:
    model = plain_model(small("robnet_large")).eval()
    model.meta.clear()
    frozen = robdsl.freeze(model, WITH_PAIRS)
    kinds = {type(each) for each in frozen.modules()}
    assert SeparableSum in kinds and SeparablePair not in kinds


def test_all_separable_convolutions_are_fused() -> None:
    net = small("robnet_large")
    frozen = robdsl.freeze(plain_model(net), KERNEL_PIPELINE)
    left = [
        each
        for each in frozen.modules()
        if isinstance(each, torch.nn.Conv2d) and each.groups == each.in_channels > 1
    ]
    assert not left


def test_heads_move_and_no_concatenation_between_cells_is_left() -> None:
    """But in the last cell, and where a factorized reduction reads the result."""
    net = robdsl.load("robnet_large", width=4, layers=9)  # cells 4 and 7 halve the maps
    frozen = hold_frozen(net, KERNEL_PIPELINE)
    joined = {
        name: sum(line.lstrip().startswith("out = torch.cat") for line in each.code.splitlines())
        for name, each in frozen.named_children()
        if isinstance(each, LoweredModule) and "cell" in name
    }
    assert joined == {f"robnet_cell_{place}": int(place in (3, 6, 9)) for place in range(1, 10)}
    fans = [each.pointwise.shape for each in frozen.modules() if isinstance(each, PointwiseFan)]
    assert (2, 4, 16) in map(tuple, fans)  # two cells read the first: both heads, of 4 x 4 channels
    convs = [each for each in frozen.modules() if isinstance(each, nn.Conv2d)]
    assert not [
        each for each in convs if each.kernel_size == (1, 1) and each.stride == (1, 1) and each.groups > 1
    ]


def test_no_value_is_read_thrice_after_gather() -> None:
    frozen = hold_frozen(small("robnet_free"), KERNEL_PIPELINE)
    most = [
        sum(uses_of(user, node) for user in node.users)
        for graph in graphs_of(frozen)
        for node in graph.graph.nodes
        if not any(is_item(user) for user in node.users)
    ]
    assert max(most) == 2


def test_cells_share_code_where_those_around_them_are_equal() -> None:
    frozen = robdsl.freeze(plain_model(robdsl.load("robnet_large", width=4)), KERNEL_PIPELINE)
    cells = [each for name, each in frozen.named_children() if "cell" in name]
    assert len(cells) == 20 and len({type(each) for each in cells}) < 20


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_it_survives_torch_compile() -> None:
    net = small("robnet_free")
    frozen = robdsl.freeze(plain_model(net), KERNEL_PIPELINE)
    expected = step(frozen, images_for(net))
    torch._dynamo.reset()
    frozen.compile(backend="aot_eager", fullgraph=True)
    for ours, theirs in zip(step(frozen, images_for(net)), expected, strict=True):
        same(ours, theirs)


@PIPELINES
@pytest.mark.parametrize(
    "body",
    [
        "a -> out : relu | depthwise(3) | conv(1)\n b -> out : relu | depthwise(3) | conv(1)",  # a sum of stages
        "c = concat(a, b)\n c -> out : relu | conv(1, 4)",  # heads
        "b -> d : relu | depthwise(3) | conv(1)\n b -> e : relu | depthwise(3) | conv(1)\n f = mul(d, e)\n f -> out",
    ],
)
def test_autocast(body: str, pipeline: tuple[Pass, ...]) -> None:
    """Of what operations read some is of the half type and some, behind a norm, is not: all is read as convolutions would."""
    edges = f"p -> a : relu | depthwise(3) | conv(1)\n q -> b : batch_norm\n{body}"
    net = robdsl.load(
        f"cell c() {{ in p, q\n{edges}\n}}\n"
        "net n { input 3 x 6 x 6\n conv(3, 4)\n c()\n c()\n global_avg_pool | flatten | linear(3) }"
    )
    frozen = robdsl.freeze(plain_model(net).float(), pipeline)
    x = images_for(net).float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        logits = frozen(x)
    (gradient,) = torch.autograd.grad(logits.float().sum(), x)
    assert gradient.dtype == torch.float32 and gradient.isfinite().all()
    torch.testing.assert_close(logits.float(), frozen(x), rtol=0.1, atol=0.1)


def test_it_survives_pickling_and_export() -> None:
    net = small("robnet_large")
    frozen = robdsl.freeze(plain_model(net).float(), WITH_PAIRS)
    x = images_for(net).float()
    expected = frozen(x)
    assert torch.equal(pickle.loads(pickle.dumps(frozen))(x), expected)
    exported = torch.export.export(frozen, (x,)).module()
    torch.testing.assert_close(exported(x), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["robnet_large", "robnet_free"])
def test_the_published_figures_hold(name: str) -> None:
    frozen = robdsl.freeze(model_with_reference_weights(name).eval(), KERNEL_PIPELINE)
    x = images(FIGURES[name]["batch"], FIGURES[name]["size"]).requires_grad_()
    logits = frozen(x)
    (gradient,) = torch.autograd.grad(loss_of(logits), x)
    agree(logits.detach(), figures(name, "logits_eval"))
    agree(gradient.abs().sum(), figures(name, "input_grad_l1"))
    agree(gradient.norm(), figures(name, "input_grad_l2"))
    agree(gradient.flatten()[:8], figures(name, "input_grad_first8"))


@pytest.mark.slow
def test_each_operation_keeps_its_bound_inside_a_net() -> None:
    """A frozen net in Triton's interpreter, forward and back: every operation against float64, given the same inputs."""
    command = [sys.executable, "-W", "error", "-m", "tests.kernels.interpreted_net"]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    shares = json.loads(done.stdout)
    assert set(shares) == set(COMPARED)
    assert all(share <= 1 for each in shares.values() for share in each)
