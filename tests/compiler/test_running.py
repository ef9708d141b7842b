"""Compiled nets under everything that PyTorch does with modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx
from torch.distributed import destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

import robdsl

CODE = "11 10 | 01 11 10 | 00 11 01 10 | 00 01 00 10 11"
#: Nothing flows out of x0, nothing into n1.
SPARSE = "00 11 | 00 00 00 | 00 01 10 01 | 00 10 00 00 01"

# torch.compile asks every tensor for its gradient, also those that warn when asked.
on_tape = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


def small(code: str = CODE, layers: int = 3, passes: str | None = None) -> fx.GraphModule:
    net = robdsl.load_space("cell_based", width=4, layers=layers, classes=3).net([code])
    return robdsl.compile(net, seed=0, passes=passes)


@pytest.fixture(scope="module")
def model() -> fx.GraphModule:
    """A small net in eval mode; not to be changed."""
    return small().eval()


@pytest.fixture
def dynamo() -> Iterator[list[fx.GraphModule]]:
    """The graphs that `torch.compile` makes with `count_into`."""
    torch._dynamo.reset()
    yield []
    torch._dynamo.reset()


def images(batch: int) -> Tensor:
    return torch.rand(batch, 3, 32, 32, generator=torch.Generator().manual_seed(1))


# --- batches, types, devices


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("code", [CODE, SPARSE])
def test_any_batch_in_eval_mode(batch: int, code: str) -> None:
    model, x = small(code).eval(), images(3)
    logits = model(x[:batch])
    assert logits.shape == (batch, 3)
    torch.testing.assert_close(logits, model(x)[:batch])


def test_eval_mode_changes_nothing_and_train_mode_moves_statistics() -> None:
    model, x = small(), images(4)
    model.eval()(x)
    before = {key: each.clone() for key, each in model.state_dict().items()}
    model(x)
    assert all(torch.equal(each, before[key]) for key, each in model.state_dict().items())
    model.train()(x)
    moved = {key for key, each in model.state_dict().items() if not torch.equal(each, before[key])}
    assert moved == {key for key in before if "running" in key or "num_batches" in key}


def test_double_precision(model: fx.GraphModule) -> None:
    double = copy.deepcopy(model).double()
    logits = double(images(2).double())
    assert logits.dtype == torch.float64
    torch.testing.assert_close(logits.float(), model(images(2)), rtol=1e-3, atol=1e-5)


def test_meta_device() -> None:
    with torch.device("meta"):
        model = small(SPARSE)
        assert {each.device.type for each in model.state_dict().values()} == {"meta"}
        assert model(torch.rand(5, 3, 32, 32)).shape == (5, 3)
    filled = model.to_empty(device="cpu")
    filled.load_state_dict(small(SPARSE).state_dict())
    torch.testing.assert_close(filled.eval()(images(2)), small(SPARSE).eval()(images(2)))


def test_autocast(model: fx.GraphModule) -> None:
    x = images(2).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(x)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(x), rtol=0.1, atol=0.1)
    (gradient,) = torch.autograd.grad(logits.float().sum(), x)
    assert gradient.dtype == torch.float32 and gradient.isfinite().all() and gradient.any()


# --- memory format


class Watch(fx.Interpreter):
    """Runs a module and its stages node by node, and notes the strides of every map."""

    def __init__(self, module: fx.GraphModule, seen: list[tuple[str, bool]]) -> None:
        super().__init__(module)
        self.seen = seen

    def run_node(self, n: fx.Node) -> Tensor:
        inner = self.fetch_attr(n.target) if n.op == "call_module" and isinstance(n.target, str) else None
        if isinstance(inner, fx.GraphModule):
            args, _ = self.fetch_args_kwargs_from_env(n)
            result: Tensor = Watch(inner, self.seen).run(*args)
        else:
            result = super().run_node(n)
        if n.op != "output" and result.dim() == 4:
            channels_first = result.stride(1) != min(result.stride()) and result.shape[1] > 1
            self.seen.append((n.name, not channels_first))
        return result


@pytest.mark.parametrize("passes", ["", None])
@pytest.mark.parametrize("code", [CODE, SPARSE])
def test_channels_last_from_end_to_end(code: str, passes: str | None) -> None:
    model = small(code, passes=passes).eval().to(memory_format=torch.channels_last)
    x = images(2).to(memory_format=torch.channels_last)
    seen: list[tuple[str, bool]] = []
    torch.testing.assert_close(Watch(model, seen).run(x), model(x))
    assert len(seen) > 50
    assert [name for name, is_channels_last in seen if not is_channels_last] == []
    with torch.profiler.profile() as profile:
        model(x)
    copies = [event for event in profile.events() or () if event.name == "aten::clone"]
    # Only a cropped map is copied, by each convolution that it enters.
    plain = sum("crop" in name for name, _ in small(code, passes="").named_modules())
    assert len(copies) == plain


def test_denoising_keeps_channels_last() -> None:
    program = """
    cell denoise(kind) {
        in x
        x -> y : nonlocal_mean(kind) | conv(1) | batch_norm
        x -> y
        y -> out
    }
    net n {
        input 3 x 32 x 32
        conv(3, 8, stride=4)
        denoise(gaussian)
        denoise(dot)
    }
    """
    model = robdsl.compile(robdsl.load(program)).eval().to(memory_format=torch.channels_last)
    x = images(2).to(memory_format=torch.channels_last)
    seen: list[tuple[str, bool]] = []
    Watch(model, seen).run(x)
    assert seen and all(is_channels_last for _, is_channels_last in seen)
    assert model(x[:0]).shape == (0, 8, 8, 8)


# --- torch.compile and torch.export


def test_torch_compile_takes_a_net_whole(model: fx.GraphModule, dynamo: list[fx.GraphModule]) -> None:
    compiled = torch.compile(model, backend=count_into(dynamo), fullgraph=True)
    x = images(2).requires_grad_()
    torch.testing.assert_close(compiled(x), model(x))
    assert len(dynamo) == 1
    (ours,), (theirs,) = (torch.autograd.grad(each(x).square().sum(), x) for each in (model, compiled))
    torch.testing.assert_close(theirs, ours)


@on_tape
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_torch_compile_makes_the_same_of_a_net(mode: str, dynamo: list[fx.GraphModule]) -> None:
    """By torch's own compiler, in float64: logits, gradients to images and parameters, statistics."""
    plain = small().double().train(mode == "train")
    compiled = copy.deepcopy(plain)
    compiled.compile(fullgraph=True)
    gradients = []
    for model in (compiled, plain):
        x = images(3).double().requires_grad_()
        logits = model(x)
        logits.square().sum().backward()
        assert x.grad is not None
        gradients.append([logits.detach(), x.grad, *(each.grad for each in model.parameters())])
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            size = max(1.0, float(theirs.abs().max()))
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10 * size)
    for key, tensor in compiled.state_dict().items():
        torch.testing.assert_close(tensor, plain.state_dict()[key], rtol=1e-10, atol=1e-10)


TINY = """
cell tiny(width, stride=1) {
    in p, q
    p -> a : if p.height > q.height then conv(1, width, stride=2) else conv(1, width)
    q -> a : conv(1, width)
    a -> b : any { max_pool(3, stride=stride, padding=1), conv(3, stride=stride) }
    b -> out
}
space tinies {
    input 3 x 16 x 16
    conv(3, 4)
    repeat 6 { pick tiny(4) }
    pick tiny(8, stride=2)
    repeat 5 { pick tiny(8) }
    global_avg_pool | flatten | linear(2)
}
"""


@on_tape
def test_torch_compile_by_region_meets_each_distinct_cell_once(dynamo: list[fx.GraphModule]) -> None:
    space = robdsl.load_space(TINY)
    net = space.net([*["11"] * 3, *["01"] * 3, "01", *["01"] * 5])
    assert isinstance(net, robdsl.Net)
    model = robdsl.compile(net, seed=0).eval()
    stages = [each for each in model.children() if isinstance(each, fx.GraphModule)]
    assert len(stages) == 13
    # Two choices at the first resolution; then the reducing cell, the one after it, the rest; and the head.
    assert len({type(each) for each in stages}) == 6
    x = torch.rand(2, 3, 16, 16)
    expected = model(x)
    backend = count_into(dynamo)
    for each in stages:
        each.compile(backend=backend, fullgraph=True)
    torch.testing.assert_close(model(x), expected)
    assert len(dynamo) == 6 + 1  # the first cell is fed one value twice, which torch tells from two values
    model(x)
    copy.deepcopy(model)(x)
    assert len(dynamo) == 7


def count_into(graphs: list[fx.GraphModule]) -> Callable[[fx.GraphModule, list[Tensor]], fx.GraphModule]:
    def backend(graph: fx.GraphModule, example_inputs: list[Tensor]) -> fx.GraphModule:
        graphs.append(graph)
        return graph

    return backend


def test_torch_export_with_any_batch() -> None:
    model = small(SPARSE).eval()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(model, (images(2),), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(exported.module()(images(5)), model(images(5)))
    computed = [node for node in exported.graph.nodes if node.op == "call_function"]
    assert all(
        "cell_based.rob" in node.meta["stack_trace"] for node in computed if "sym_size" not in node.name
    )


def test_symbolic_tracing_makes_one_graph() -> None:
    model = small(SPARSE).eval()
    traced = fx.symbolic_trace(model)
    torch.testing.assert_close(traced(images(2)), model(images(2)), rtol=0, atol=0)
    inlined = {node.target for node in traced.graph.nodes if node.op == "call_module"}
    assert "robnet_cell_1.x1_to_n0.sep_conv_3x3.conv_2" in inlined and "robnet_cell_1" not in inlined


# --- many processes


# Of a depthwise weight the gradient has its only input channel elsewhere in its strides; nothing is copied for that.
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides:UserWarning")
def test_distributed_data_parallel(tmp_path: Path) -> None:
    """Two steps: the second fails when a parameter was awaited that gets no gradient."""
    x = images(4)
    alone, wrapped = small(SPARSE), small(SPARSE)
    init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = DistributedDataParallel(wrapped)
        for model in (alone, parallel):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(2):
                optimizer.zero_grad()
                model(x).square().sum().backward()
                optimizer.step()
    finally:
        destroy_process_group()
    for key, tensor in alone.state_dict().items():
        torch.testing.assert_close(wrapped.state_dict()[key], tensor)


@pytest.mark.gpu
def test_on_a_gpu(model: fx.GraphModule) -> None:
    on_gpu, x = copy.deepcopy(model).double().cuda(), images(2).double()
    torch.testing.assert_close(
        on_gpu(x.cuda()).cpu(), copy.deepcopy(model).double()(x), rtol=1e-9, atol=1e-12
    )
    with torch.device("cuda"):
        first, second = small(), small()
    assert all(
        torch.equal(a, b) and a.is_cuda for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
