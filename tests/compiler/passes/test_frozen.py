"""What a frozen model is: a snapshot that computes, keeps its weights and refuses to learn."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed import destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

import robdsl
from robdsl.compiler.frozen_module import FrozenError, FrozenModule
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import INDUCTOR_PIPELINE, stages_of
from tests.compiler.passes.drawn import images_for, plain_model, same, step

CODE = "11 10 | 01 11 10 | 00 11 01 10 | 00 01 00 10 11"


@pytest.fixture(scope="module")
def net() -> robdsl.Net:
    return robdsl.load_space("cell_based", width=4, layers=3, classes=3).net([CODE])


@pytest.fixture(scope="module")
def model(net: robdsl.Net) -> LoweredModule:
    return plain_model(net)


@pytest.fixture(scope="module", params=[None, INDUCTOR_PIPELINE], ids=["usual", "inductor"])
def frozen(model: LoweredModule, request: pytest.FixtureRequest) -> FrozenModule:
    return robdsl.freeze(model, request.param)


def test_the_model_is_left_as_it_was(net: robdsl.Net) -> None:
    model = robdsl.compile(net, seed=0)
    code = [each.code for each in model.modules() if isinstance(each, LoweredModule)]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    robdsl.freeze(model)
    assert model.training and all(each.training for each in model.modules())
    assert [each.code for each in model.modules() if isinstance(each, LoweredModule)] == code
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [each.requires_grad for each in model.parameters()].count(False) == 0


def test_weights_are_those_of_the_moment(net: robdsl.Net) -> None:
    model = plain_model(net)
    frozen, x = robdsl.freeze(model), images_for(net)
    expected = frozen(x)
    state = {key: value.clone() for key, value in frozen.state_dict().items()}
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(1)
    assert torch.equal(frozen(x), expected)
    assert all(torch.equal(value, state[key]) for key, value in frozen.state_dict().items())


def test_it_says_that_it_is_frozen(frozen: FrozenModule, tmp_path: Path) -> None:
    assert repr(frozen).startswith("frozen ")
    assert not frozen.training and frozen.eval() is frozen and frozen.train(False) is frozen
    with pytest.raises(FrozenError, match="train the one that it was frozen from"):
        frozen.train()
    with pytest.raises(FrozenError, match="freeze that"):
        frozen.load_state_dict(frozen.state_dict())
    robdsl.save_weights(frozen, tmp_path / "w.safetensors")
    with pytest.raises(FrozenError, match="freeze that"):
        robdsl.load_weights(frozen, tmp_path / "w.safetensors")
    with pytest.raises(TypeError, match="frozen already"):
        robdsl.freeze(frozen)
    with pytest.raises(TypeError, match="takes a model from"):
        robdsl.freeze(nn.Linear(1, 1))  # type: ignore[arg-type]  # what the test is about


def test_its_weights_can_be_saved_and_loaded_elsewhere(
    net: robdsl.Net, model: LoweredModule, frozen: FrozenModule, tmp_path: Path
) -> None:
    first, second = tmp_path / "model.safetensors", tmp_path / "frozen.safetensors"
    robdsl.save_weights(model, first)
    robdsl.save_weights(frozen, second)
    assert first.read_bytes() == second.read_bytes()
    other = robdsl.compile(net, seed=9).double()
    robdsl.load_weights(other, second)
    x = images_for(net)
    same(robdsl.freeze(other)(x), frozen(x))


def test_no_switch_changes_what_it_computes(net: robdsl.Net) -> None:
    """As attacks set it, which switch modules one by one."""
    program = "net n { input 3 x 4 x 4\n batch_norm | dropout(0.5) | conv(3, 4) | batch_norm\n global_avg_pool | flatten | linear(2) }"
    frozen = robdsl.freeze(robdsl.compile(robdsl.load(program), seed=0))
    x = torch.rand(2, 3, 4, 4)
    expected = frozen(x)
    for each in frozen.modules():
        each.training = True
    assert torch.equal(frozen(x), expected)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies(
    frozen: FrozenModule, net: robdsl.Net, copied: Callable[[FrozenModule], FrozenModule]
) -> None:
    other, x = copied(frozen), images_for(net)
    assert [type(each) for each in other.children()] == [type(each) for each in frozen.children()]
    assert other.code == frozen.code and list(other.state_dict()) == list(frozen.state_dict())
    spans = [node.meta.get("rob_span") for node in frozen.graph.nodes]
    assert [node.meta.get("rob_span") for node in other.graph.nodes] == spans
    for ours, theirs in zip(step(other, x), step(frozen, x), strict=True):
        same(ours, theirs)
    with pytest.raises(FrozenError):
        other.train()


def test_cells_share_code_and_no_tensors() -> None:
    model = robdsl.compile(robdsl.load("robnet_large", width=4), seed=0)
    kinds = {type(each) for name, each in model.named_children() if "cell" in name}
    cells = [each for name, each in robdsl.freeze(model).named_children() if "cell" in name]
    assert len({type(each) for each in cells}) <= len(kinds) + 1  # the last is read without ReLUs
    held = [tensor.data_ptr() for each in cells for tensor in each.buffers()]
    assert len(set(held)) == len(held)


def test_types_and_layouts(net: robdsl.Net, frozen: FrozenModule) -> None:
    x = images_for(net)
    single = copy.deepcopy(frozen).float()
    assert single(x.float()).dtype == torch.float32
    torch.testing.assert_close(single(x.float()).double(), frozen(x), rtol=1e-3, atol=1e-5)
    last = x.to(memory_format=torch.channels_last)
    same(frozen(last), frozen(x))
    assert frozen(x[:0]).shape == (0, 3)
    with torch.autocast("cpu", torch.bfloat16):
        logits = single(x.float())
    torch.testing.assert_close(logits.double(), frozen(x), rtol=0.1, atol=0.1)


def test_a_failure_names_its_text(frozen: FrozenModule) -> None:
    with pytest.raises(RuntimeError) as caught:
        frozen(torch.rand(1, 4, 32, 32, dtype=torch.float64))
    assert any("cell_based.rob:8:5" in note for note in caught.value.__notes__)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_torch_compile(frozen: FrozenModule, net: robdsl.Net, backend: str) -> None:
    torch._dynamo.reset()
    compiled, x = copy.deepcopy(frozen), images_for(net)
    compiled.compile(backend=backend, fullgraph=True)
    for ours, theirs in zip(step(compiled, x), step(frozen, x), strict=True):
        same(ours, theirs)
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.slow
def test_torch_compile_of_each_cell(model: LoweredModule, net: robdsl.Net) -> None:
    """As docs/passes.md says; no mask of bools is kept, and each distinct cell is compiled once."""
    torch._dynamo.reset()
    frozen, x = robdsl.freeze(model, INDUCTOR_PIPELINE), images_for(net)
    expected = step(frozen, x)
    for each in stages_of(frozen):
        each.compile(fullgraph=True)
    kept: list[torch.dtype] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.dtype)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits, gradient = step(frozen, x)
    same(logits, expected[0])
    same(gradient, expected[1])
    assert torch.int8 in kept and torch.bool not in kept
    torch._dynamo.reset()


def test_torch_export(frozen: FrozenModule, net: robdsl.Net) -> None:
    x = images_for(net, 5)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(frozen, (x[:2],), dynamic_shapes=({0: batch},)).module()
    same(exported(x), frozen(x))


def test_distributed_data_parallel_has_nothing_to_do(frozen: FrozenModule, tmp_path: Path) -> None:
    """It has no parameters, and torch says so."""
    init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with pytest.raises(RuntimeError, match="not needed when a module doesn't have any parameter"):
            DistributedDataParallel(frozen)
    finally:
        destroy_process_group()


def test_symbolic_tracing(frozen: FrozenModule, net: robdsl.Net) -> None:
    x = images_for(net)
    assert torch.equal(torch.fx.symbolic_trace(frozen)(x), frozen(x))
