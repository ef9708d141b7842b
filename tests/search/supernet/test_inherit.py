"""Weights of a supernet in its sub-networks, and batch norms that are computed anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import robdsl
from robdsl.search import Supernet, inherit, recompute_batch_norm
from robdsl.weights import BrokenWeightsError, MisfitError
from tests.search.supernet.nets import images, tiny


def test_a_net_gets_the_supernets_weights(tmp_path: Path) -> None:
    space = tiny("tiny_free")
    supernet = Supernet(space, seed=5).to(torch.float64).eval()
    net = space.sample(2)
    supernet.choose(net)
    robdsl.save_weights(supernet, tmp_path / "supernet.safetensors")
    expected = supernet(images(net))
    from_state = inherit(supernet.state_dict(), net)
    assert from_state.training
    torch.testing.assert_close(from_state.eval()(images(net)), expected, rtol=0, atol=1e-10)
    from_file = inherit(tmp_path / "supernet.safetensors", net).to(torch.float64).eval()
    torch.testing.assert_close(from_file(images(net)), expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        for parameter in from_state.parameters():
            parameter.zero_()
    assert torch.equal(supernet(images(net)), expected)


def test_strangers_do_not_inherit(tmp_path: Path) -> None:
    supernet = Supernet(tiny("tiny_free"), seed=5)
    robdsl.save_weights(supernet, tmp_path / "supernet.safetensors")
    other = robdsl.load_space("cell_based", width=2, layers=4).sample(1)
    for weights in (supernet.state_dict(), tmp_path / "supernet.safetensors"):
        with pytest.raises(MisfitError) as refused:
            inherit(weights, other)
        assert any(name.startswith("robnet_cell_4.") for name in refused.value.misfits.missing)
    wider = robdsl.load("resnet18")
    with pytest.raises(MisfitError, match="is no sub-network of this supernet"):
        inherit(supernet.state_dict(), wider)
    with pytest.raises(BrokenWeightsError):
        inherit(tmp_path / "nowhere.safetensors", other)


def moments(model: nn.Module, batches: list[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """For each batch norm, the mean over batches of the mean and of the unbiased variance of what enters it."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    norms = {name: each for name, each in model.named_modules() if isinstance(each, nn.BatchNorm2d)}
    hooks = []
    for name, norm in norms.items():

        def keep(_norm: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            values = inputs[0].transpose(0, 1).flatten(1)
            found.setdefault(name, []).append((values.mean(1), values.var(1, correction=1)))

        hooks.append(norm.register_forward_pre_hook(keep))
    model.train()
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for hook in hooks:
        hook.remove()
    means = {}
    for name, values in found.items():
        means[name] = (
            torch.stack([m for m, _ in values]).mean(0),
            torch.stack([v for _, v in values]).mean(0),
        )
    return means


def test_statistics_are_averages_over_batches() -> None:
    space = tiny("tiny_free")
    net = space.sample(4)
    pixels = images(net, 26, seed=1)
    model = inherit(Supernet(space, seed=1).to(torch.float64).state_dict(), net).eval()
    expected = moments(inherit(model.state_dict(), net), list(pixels[:24].split(6)))
    assert len(expected) > 10
    weights = {name: each.clone() for name, each in model.named_parameters()}
    recompute_batch_norm(model, pixels, batch=6)  # two images are left over
    norms = dict(model.named_modules())
    for name, (mean, variance) in expected.items():
        norm = norms[name]
        assert isinstance(norm, nn.BatchNorm2d)
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(norm.running_var, variance, rtol=1e-10, atol=1e-12)
        assert norm.momentum == 0.1
    assert all(torch.equal(each, weights[name]) for name, each in model.named_parameters())
    assert not any(module.training for module in model.modules())
    # Again, from other statistics, and from batches instead of images: the same.
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    recompute_batch_norm(model.train(), iter(pixels[:24].split(6)))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())


def test_of_a_supernet_only_what_is_chosen_is_touched() -> None:
    space = tiny("tiny_free")
    supernet = Supernet(space, seed=1).to(torch.float64)
    net = space.sample(4)
    pixels = images(net, 12, seed=1)
    with torch.no_grad():
        supernet(pixels)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    model = inherit(before, net)
    recompute_batch_norm(model, pixels, batch=6)
    supernet.choose(net)
    recompute_batch_norm(supernet, pixels, batch=6)
    expected = {**before, **model.state_dict()}
    idle = {name for name, each in model.named_parameters() if not each.requires_grad}
    for name, tensor in supernet.state_dict().items():
        if not any(name.rpartition(".")[0] == each.rpartition(".")[0] for each in idle):
            torch.testing.assert_close(tensor, expected[name], rtol=1e-12, atol=1e-12, msg=name)


def test_dropout_is_off_and_no_batch_is_an_error() -> None:
    net = robdsl.load(
        "net n {\n input 3 x 8 x 8\n conv(3, 4)\n dropout(0.9)\n batch_norm\n global_avg_pool | flatten | linear(2)\n}"
    )
    model, pixels = robdsl.compile(net, seed=1), images(net, 8).float()
    norm = next(each for each in model.modules() if isinstance(each, nn.BatchNorm2d))
    recompute_batch_norm(model, pixels)
    assert norm.running_mean is not None
    once = norm.running_mean.clone()
    recompute_batch_norm(model, pixels)
    assert torch.equal(norm.running_mean, once)
    with pytest.raises(ValueError, match="at least one batch"):
        recompute_batch_norm(model, [])
    with pytest.raises(ValueError, match="at least one batch"):
        recompute_batch_norm(model, pixels[:0])
    assert torch.equal(norm.running_mean, once)
