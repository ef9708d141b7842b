"""A supernet with a sub-network chosen is that sub-network compiled alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import robdsl
from robdsl.graph.net import Net, Space
from robdsl.search import Supernet
from tests.search.supernet.nets import SPACES, alone, images, shipped, strange, tiny


@cache
def supernet_of(name: str) -> Supernet:
    return Supernet(space_of(name), seed=1).to(torch.float64)


def space_of(name: str) -> Space:
    return strange() if name == "strange" else shipped(name)


def assert_equal(ours: object, theirs: object, what: str = "") -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12, msg=lambda text: f"{what}: {text}")


def size_of(tensor: Tensor) -> Tensor:
    """Its largest number, or 1 if that is more: where sums nearly cancel, rounding is of what was summed."""
    return tensor.abs().max().clamp(min=1) if tensor.numel() else torch.ones(())


def assert_equal_to_size(ours: Tensor, theirs: Tensor, what: str) -> None:
    size = size_of(theirs)
    assert_equal(ours / size, theirs / size, what)


def assert_equal_by_name(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], what: str) -> None:
    """Each to its size, and compared at once, which is much faster than one after the other."""
    assert ours.keys() == theirs.keys(), what
    shapes = {name: tensor.shape for name, tensor in ours.items()}
    assert shapes == {name: tensor.shape for name, tensor in theirs.items()}, what
    if shapes:
        sizes = {name: size_of(tensor.double()) for name, tensor in theirs.items()}
        one, other = (
            torch.cat([(each[name].double() / sizes[name]).reshape(-1) for name in shapes])
            for each in (ours, theirs)
        )
        assert_equal(one, other, what)


def gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def check_equal(supernet: Supernet, net: Net) -> None:
    """Forward, gradients and running statistics of a training step, then a forward in evaluation mode."""
    model = alone(supernet, net)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    supernet.choose(net)
    results = []
    for each in (supernet, model):
        each.train().zero_grad(set_to_none=True)
        entering = images(net).requires_grad_()
        logits = each(entering)
        if logits.requires_grad:
            logits.square().sum().backward()
        results.append((logits.detach(), entering.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert_equal_to_size(ours, theirs, "logits")
    assert (our_gradient is None) == (their_gradient is None)
    if our_gradient is not None and their_gradient is not None:
        assert_equal_to_size(our_gradient, their_gradient, "gradient to the images")
    assert_equal_by_name(gradients(supernet), gradients(model), "gradients")
    state = model.state_dict()
    assert state.keys() <= before.keys()
    assert_equal_by_name(supernet.state_dict(), {**before, **state}, "weights and statistics")
    with torch.no_grad():
        ours, theirs = supernet.eval()(images(net)), model.eval()(images(net))
    assert_equal_to_size(ours, theirs, "logits in evaluation mode")


@pytest.mark.parametrize("name", [*SPACES, "strange"])
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_choice_is_the_sub_network_alone(name: str, data: st.DataObject) -> None:
    # From one sub-network to another: all examples have one supernet.
    check_equal(supernet_of(name), space_of(name).sample(data.draw(st.integers(0, 2**32))))


@pytest.mark.parametrize("name", [*SPACES, "strange"])
def test_at_first_it_is_the_whole_supernet(name: str) -> None:
    space = space_of(name)
    compiled = robdsl.compile(space.supernet(), seed=1)
    supernet = Supernet(space, seed=1)
    assert_equal(dict(supernet.state_dict()), dict(compiled.state_dict()))
    assert list(supernet.state_dict()) == list(compiled.state_dict())
    check_equal(supernet.to(torch.float64), space.supernet())


def test_empty_edges_are_zeros() -> None:
    """Also where nothing at all is chosen, which the rule of the space forbids."""
    space = tiny("tiny_shared")
    supernet = Supernet(space, seed=0).to(torch.float64)
    nothing = Net("nothing", space.layout, (tuple(() for _ in space.picks[0].opens),))
    supernet.choose(nothing.choices)
    check_equal(supernet, nothing)
    logits = supernet(images(nothing, 3))
    assert_equal(logits, logits[:1].expand(3, -1))


def test_cell_based_and_cell_free_share_one_supernet() -> None:
    shared, free = tiny("tiny_shared"), tiny("tiny_free")
    supernet = Supernet(free, seed=3).to(torch.float64)
    other = Supernet(shared, seed=3).to(torch.float64)
    assert_equal(dict(supernet.state_dict()), dict(other.state_dict()))
    for net in (shared.sample(1), tiny("tiny_narrow").sample(2), free.sample(3)):
        check_equal(supernet, net)
    other.choose(free.sample(4))
    check_equal(other, free.sample(4))


def test_nets_of_a_space_loaded_again_are_welcome_and_others_are_not() -> None:
    supernet = supernet_of("cell_based")
    check_equal(supernet, robdsl.load_space("cell_based", **SPACES["cell_based"]).sample(5))
    for stranger in (
        robdsl.load_space("cell_based", width=8, layers=3).sample(1),
        robdsl.load_space("cell_based", width=4, layers=4).sample(1),
        robdsl.load_space("cell_based", width=4, layers=3, classes=7).sample(1),
        robdsl.load("resnet18"),
    ):
        with pytest.raises(ValueError, match="no sub-network of the supernet of `cell_based`"):
            supernet.choose(stranger)


def test_what_is_no_choice_is_refused_and_changes_nothing() -> None:
    space = tiny("tiny_shared")
    supernet = Supernet(space, seed=0).to(torch.float64).eval()
    supernet.choose(space.sample(1))
    before = supernet(images(space.supernet()))
    with pytest.raises(ValueError, match="1 picks, and 2 choices"):
        supernet.choose(space.sample(1).choices * 2)
    with pytest.raises(ValueError, match="no choice for `pick c`"):
        supernet.choose([((0, 1),)])
    with pytest.raises(ValueError, match="no choice for `pick c`"):
        supernet.choose([((2,),) * 14])
    assert torch.equal(supernet(images(space.supernet())), before)


def test_what_is_not_chosen_is_not_called() -> None:
    """Counted at the modules themselves; and `computed` says the same."""
    space = tiny("tiny_free")
    supernet = Supernet(space, seed=0)
    called: set[torch.nn.Module] = set()
    for module in supernet.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, _inputs, _output: called.add(module))
    net = space.net(["00 10 | 01 00 00 | 00 00 00 00 | 00 00 00 00 00"] * 3)
    supernet.choose(net)
    supernet(images(net).float())
    state = set(robdsl.compile(net).state_dict())
    names = {name for name, module in supernet.named_modules() if module in called and module.state_dict()}
    assert names == {name.rpartition(".")[0] for name in state}
    assert {module for module in supernet.computed() if not list(module.children())} == called


def test_a_copy_is_apart_and_chooses_for_itself() -> None:
    space = tiny("tiny_free")
    supernet = Supernet(space, seed=0).to(torch.float64).eval()
    first, second = space.sample(1), space.sample(2)
    supernet.choose(first)
    expected = supernet(images(first))
    made = copy.deepcopy(supernet)
    assert_equal(made(images(first)), expected)
    made.choose(second)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1)
    check_equal(made, second)
    assert_equal(supernet.eval()(images(first)), expected)


def test_batch_norms_can_be_swapped_while_it_is_used() -> None:
    """As training with several processes does."""
    space = tiny("tiny_shared")
    supernet = Supernet(space, seed=0).to(torch.float64)
    supernet.choose(space.supernet())
    swapped = []
    for parent in list(supernet.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(parent, name, torch.nn.Identity())
                swapped.append((parent, name, child))
    assert len(swapped) > 20
    without = supernet(images(space.supernet()))
    for parent, name, child in swapped:
        setattr(parent, name, child)
    assert not torch.allclose(supernet(images(space.supernet())), without)
    check_equal(supernet, space.sample(1))


def test_its_weights_are_saved_and_loaded(tmp_path: Path) -> None:
    space = tiny("tiny_free")
    supernet, other = Supernet(space, seed=0), Supernet(tiny("tiny_shared"), seed=1)
    robdsl.save_weights(supernet, tmp_path / "weights.safetensors")
    robdsl.load_weights(other, tmp_path / "weights.safetensors")
    assert_equal(dict(other.state_dict()), dict(supernet.state_dict()))
