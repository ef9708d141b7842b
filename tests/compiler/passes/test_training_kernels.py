"""Models that learn through the operations of robdsl.kernels compute, learn and count what they did through modules."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, fx, nn
from torch.nn.parallel import DistributedDataParallel

import robdsl
from robdsl.compiler.cost import total, work_of
from robdsl.compiler.cost.shapes import shapes_of
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import (
    KERNEL_PIPELINE,
    KERNEL_TRAIN_PIPELINE,
    TRAIN_PIPELINE,
    rebuilt,
    run_pipeline,
)
from robdsl.compiler.passes.base import graphs_of
from robdsl.compiler.passes.training_kernels import FuseTraining
from robdsl.compiler.training_stages import separable_norms
from tests.compiler.passes.drawn import (
    cells,
    hold_frozen,
    hold_in_training,
    images_for,
    plain_model,
    same,
    step,
)
from tests.house.tree import ROOT

STAGE = "relu | depthwise(3) | conv(1) | batch_norm"
FREE = "relu | depthwise(3) | conv(1) | batch_norm(affine=false)"


def net_of(body: str) -> robdsl.Net:
    """Two cells of one template on maps of odd sizes."""
    return robdsl.load(
        f"cell c() {{ in p, q\n{body}\n}}\n"
        "net n { input 3 x 6 x 5\n conv(3, 4)\n c()\n c()\n global_avg_pool | flatten | linear(3) }"
    )


def sums_in(model: nn.Module) -> list[fx.Node]:
    assert isinstance(model, LoweredModule)
    return [
        node for graph in graphs_of(model) for node in graph.graph.nodes if node.target is separable_norms
    ]


def fused(net: robdsl.Net, **options: bool) -> tuple[LoweredModule, LoweredModule]:
    """The plain model, in float64, and one of its own after the pass."""
    plain = plain_model(net)
    made = rebuilt(copy.deepcopy(plain))
    run_pipeline(made, [FuseTraining(**options)])
    return plain, made


def hold(plain: nn.Module, ours: nn.Module, x: Tensor) -> None:
    """One step each: logits, all gradients, all buffers."""
    for model in (plain, ours):
        model.zero_grad()
    (logits, gradient), (expected, wanted) = step(ours, x), step(plain, x)
    same(logits, expected, "logits")
    same(gradient, wanted, "gradient to the images")
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        same(one.grad, other.grad, name)
    for (name, moved), still in zip(ours.named_buffers(), plain.buffers(), strict=True):
        same(moved, still, name)


def norms_of(*models: nn.Module) -> Iterator[tuple[nn.BatchNorm2d, ...]]:
    found = [[each for each in model.modules() if isinstance(each, nn.BatchNorm2d)] for model in models]
    return zip(*found, strict=True)


# --- what the pass makes


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"p -> out : {STAGE}\n q -> out : {STAGE}\n q -> out", [(2, 1)]),
        (
            f"p -> out : {STAGE} | {STAGE}\n q -> out : {FREE} | {STAGE}\n q -> out : conv(3)",
            [(1, 0), (1, 0), (2, 1)],
        ),
        (f"p -> a : {STAGE}\n q -> a : {STAGE}\n a -> out : sigmoid\n a -> out : {STAGE}", [(2, 0), (1, 1)]),
        (f"p -> a : {STAGE}\n b = mul(a, q)\n b -> out", [(1, 0)]),
        ("p -> out : relu | depthwise(3) | conv(1, bias=true) | batch_norm\n q -> out", []),
        (
            "p -> out : relu | depthwise(5) | conv(1) | batch_norm\n q -> out : depthwise(3) | conv(1) | batch_norm",
            [],
        ),
        (
            "p -> out : relu | conv(3) | conv(1) | batch_norm\n q -> out : relu | depthwise(3) | conv(3) | batch_norm",
            [],
        ),
    ],
)
def test_norms_and_addends_of_a_sum_are_one_call(body: str, expected: list[tuple[int, int]]) -> None:
    made = hold_in_training(net_of(body), [FuseTraining()])
    calls = [tuple(map(len, node.args[:2])) for node in sums_in(made)]  # type: ignore[arg-type]  # torch.fx types arguments loosely
    assert calls == 2 * expected


def test_what_is_added_twice_is_computed_once() -> None:
    """Its statistics move once."""
    net = net_of(f"p -> a : {STAGE}\n b = sum(a, a)\n q -> c : {STAGE}\n d = sum(b, c)\n d -> out")
    made = hold_in_training(net, [FuseTraining()])
    assert len(sums_in(made)) == 4


def test_stages_of_a_stride_and_of_other_widths() -> None:
    edge = "p -> out : relu | depthwise(3, stride=2) | conv(1, 7) | batch_norm"
    net = robdsl.load(
        f"cell c() {{ in p\n{edge}\n{edge}\n}}\n"
        "net n { input 3 x 7 x 6\n conv(3, 4)\n c()\n global_avg_pool | flatten | linear(3) }"
    )
    made = hold_in_training(net, [FuseTraining()])
    assert len(sums_in(made)) == 1


# --- the same function


@settings(max_examples=8)
@given(text=cells())
def test_random_cells(text: str) -> None:
    hold_in_training(robdsl.load(text), KERNEL_TRAIN_PIPELINE)


@pytest.mark.parametrize("space", ["cell_free", "darts"])
def test_spaces(space: str) -> None:
    net = robdsl.load_space(space, width=2, layers=3, classes=3).sample(random.Random(1))
    hold_in_training(net, KERNEL_TRAIN_PIPELINE)
    hold_in_training(net, [*TRAIN_PIPELINE, FuseTraining()])


BOTH = net_of(
    f"p -> out : {STAGE} | {STAGE}\n q -> out : {FREE}\n q -> out : {STAGE}\n q -> out : conv(3) | batch_norm"
)


def _cumulative(norm: nn.BatchNorm2d, place: int) -> None:
    norm.momentum = None


def _without_statistics(norm: nn.BatchNorm2d, place: int) -> None:
    norm.track_running_stats = False
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def _held(norm: nn.BatchNorm2d, place: int) -> None:
    norm.track_running_stats = False  # statistics are there, used in eval mode, and never move


def _several(norm: nn.BatchNorm2d, place: int) -> None:
    norm.eps, norm.momentum = (1e-5, 1e-3)[place % 2], (0.1, 0.5, 1.0, 0.0)[place % 4]


@pytest.mark.parametrize("change", [_cumulative, _without_statistics, _held, _several])
def test_norms_of_every_kind(change: Callable[[nn.BatchNorm2d, int], None]) -> None:
    models = fused(BOTH)
    for place, pair in enumerate(norms_of(*models)):
        for norm in pair:
            change(norm, place)
    for mode in (True, True, False):
        for model in models:
            model.train(mode)
        hold(*models, images_for(BOTH))


def test_each_norm_has_its_own_mode() -> None:
    """Norms whose statistics are held while others learn, as in fine-tuning."""
    models = fused(BOTH)
    for place, pair in enumerate(norms_of(*models)):
        for norm in pair:
            norm.train(place % 2 == 0)
    for _ in range(2):
        hold(*models, images_for(BOTH))


class _Doubled(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def test_a_module_that_was_exchanged_is_called() -> None:
    """As norms over all processes are, which `robdsl train` puts in their places."""
    models = fused(BOTH)
    for place, pair in enumerate(norms_of(*models)):
        for norm in pair:
            if place % 3 == 0:
                norm.__class__ = _Doubled
    hold(*models, images_for(BOTH))


def test_one_value_a_channel_is_refused_as_torch_refuses_it() -> None:
    net = robdsl.load(
        f"net n {{ input 3 x 1 x 1\n conv(3, 4) | {STAGE} | global_avg_pool | flatten | linear(3) }}"
    )
    for model in fused(net):
        with pytest.raises(ValueError, match=r"Expected more than 1 value per channel when training"):
            model(images_for(net, 1))


def test_gradients_of_several_batches_add_up() -> None:
    plain, ours = fused(BOTH)
    for model in (plain, ours):
        for batch in (2, 3):
            model(images_for(BOTH, batch)).square().sum().backward()
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        same(one.grad, other.grad, name)


def test_attacks_learn_nothing() -> None:
    """With weights that ask for no gradient the gradient to the images is the same, and no weight gets one."""
    plain, ours = fused(BOTH)
    for model in (plain, ours):
        model.requires_grad_(False)
    same(step(ours, images_for(BOTH))[1], step(plain, images_for(BOTH))[1])
    assert all(each.grad is None for each in ours.parameters())


# --- what models survive


def test_it_can_be_frozen() -> None:
    plain, ours = fused(BOTH)
    for model in (plain, ours):
        model(images_for(BOTH))
        model.eval()
    for pipeline in (None, KERNEL_PIPELINE):
        frozen = robdsl.freeze(ours, pipeline)
        assert not sums_in(frozen)
        (logits, gradient), (expected, wanted) = step(frozen, images_for(BOTH)), step(plain, images_for(BOTH))
        same(logits, expected)
        same(gradient, wanted)
    hold_frozen(BOTH, [FuseTraining(), *KERNEL_PIPELINE])


def test_it_is_chosen_by_its_name_and_keeps_keys_and_sharing() -> None:
    net = robdsl.load("robnet_large", width=4, layers=6)
    ours = robdsl.compile(net, seed=0, passes="common, fuse-training{tf32=true}, dead")
    plain = robdsl.compile(net, seed=0, passes="common, dead")
    assert all(node.args[2] == "tf32" for node in sums_in(ours))
    state = plain.state_dict()
    assert list(ours.state_dict()) == list(state)
    kinds = [{type(each) for name, each in one.named_children() if "cell" in name} for one in (plain, ours)]
    assert len(kinds[0]) == len(kinds[1])
    assert all(each.requires_grad for each in ours.parameters())
    assert not sums_in(robdsl.compile(net, seed=0))


@contextmanager
def _one_process(folder: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


# Of a depthwise weight the gradient has its only input channel elsewhere in its strides; nothing is copied for that.
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides:UserWarning")
def test_copies_pickles_exports_and_processes(tmp_path: Path) -> None:
    x = images_for(BOTH)
    plain, ours = fused(BOTH)
    hold(copy.deepcopy(plain), copy.deepcopy(ours), x)
    hold(copy.deepcopy(plain), pickle.loads(pickle.dumps(ours)), x)
    with _one_process(tmp_path):
        parallel = DistributedDataParallel(copy.deepcopy(ours))
        hold(copy.deepcopy(plain), parallel, x)
    for mode in (True, False):
        exported = torch.export.export(copy.deepcopy(ours).train(mode), (x,)).module()
        same(exported(x), copy.deepcopy(plain).train(mode)(x))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_torch_compile(backend: str) -> None:
    x = images_for(BOTH)
    plain, ours = fused(BOTH)
    torch._dynamo.reset()
    compiled = torch.compile(ours, backend=backend, fullgraph=True)
    assert isinstance(compiled, nn.Module)
    for mode in (True, False):
        hold(plain.train(mode), compiled.train(mode), x)
    torch._dynamo.reset()


def test_autocast() -> None:
    """Stages compute in the half type, as convolutions do, and weights get gradients of their own type."""
    plain, ours = (model.float() for model in fused(BOTH))
    x, seen = images_for(BOTH).float(), []
    stage = ours.get_submodule("c_1")
    stage.register_forward_hook(lambda _, given, result: seen.append((given[0].dtype, result.dtype)))
    with torch.autocast("cpu", torch.bfloat16):
        logits, expected = ours(x), plain(x)
    assert seen == [(torch.bfloat16, torch.bfloat16)] and logits.dtype == expected.dtype
    torch.testing.assert_close(logits, expected, rtol=0.1, atol=0.1)
    logits.float().square().sum().backward()
    for name, each in ours.named_parameters():
        assert each.grad is not None and each.grad.dtype == torch.float32 and each.grad.isfinite().all(), name
    for one, other in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)


def test_its_cost_is_counted() -> None:
    """A map of 120 numbers; a stage reads and writes one each way, the sum of two and one reads three, writes one."""
    body = f"p -> out : {STAGE}\n q -> out : {STAGE}\n p -> out"
    plain, ours = fused(net_of(body))
    shapes = [
        {str(node): shape for node, shape in shapes_of(each, (3, 6, 5))[each].items()}
        for each in (plain, ours)
    ]
    assert shapes[0] == shapes[1]
    before, after = (total(work_of(each, (3, 6, 5))) for each in (plain, ours))
    assert after.macs == before.macs
    # Of a cell, two stages and two sums: of modules 2 (2 + 3 + 4 + 4 + 4) and 2 x 3 maps, fused 2 (2 + 2) + 4 + 3.
    assert before.numbers - after.numbers == 2 * 120 * (2 * 17 + 6 - 8 - 4 - 3)


# --- in the interpreter


@pytest.mark.slow
def test_each_operation_keeps_its_bound_inside_a_net() -> None:
    """A step of training in Triton's interpreter: every operation, forward and back, given the inputs it meets there."""
    command = [sys.executable, "-W", "error", "-m", "tests.kernels.interpreted_training"]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    shares = json.loads(done.stdout)
    assert set(shares) == {
        "separable_statistics", "separable_input_gradient", "separable_weight_gradients", "norm_sum", "norm_sum_gradient",
    }  # fmt: skip
    assert all(len(each) > 10 for each in shares.values())
    assert not {name: max(each) for name, each in shares.items() if not max(each) <= 1}
