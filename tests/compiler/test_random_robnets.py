"""Any net of the RobNet spaces computes what the same net written out by hand computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import robdsl
from robdsl.weights.published import published_keys
from tests.compiler.plain_robnet import PlainRobNet
from tests.reference import filled, images, labels

BITS = ("00", "01", "10", "11")


@st.composite
def codes(draw: st.DrawFn) -> str:
    """The code of a cell with at least one operation."""
    bits = draw(
        st.lists(st.sampled_from(BITS), min_size=14, max_size=14).filter(lambda all: set(all) != {"00"})
    )
    return " | ".join(" ".join(bits[first:last]) for first, last in ((0, 2), (2, 5), (5, 9), (9, 14)))


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """The gradient of each parameter, zero where it has none."""
    return {
        key: torch.zeros_like(each) if each.grad is None else each.grad
        for key, each in module.named_parameters()
    }


def counted(module: nn.Module) -> dict[str, Tensor]:
    """The statistics of the batch norms that are computed; the oracle computes also those in vain."""
    norms = [(path, each) for path, each in module.named_modules() if isinstance(each, nn.BatchNorm2d)]
    used = {path: each for path, each in norms if each.num_batches_tracked}
    return {f"{path}.{key}": tensor for path, norm in used.items() for key, tensor in norm.named_buffers()}


def agree(ours: Mapping[str, Tensor], plain: Mapping[str, Tensor], keys: Mapping[str, str]) -> None:
    """Holds tensors under our keys against those under published keys, to 1e-10 of their size."""
    for key, tensor in ours.items():
        other = plain[keys[key]]
        scale = max(1.0, float(other.abs().max()))
        torch.testing.assert_close(tensor, other, rtol=0, atol=1e-10 * scale)


def compare(net: robdsl.Net, alpha: Sequence[str]) -> None:
    """One training step and one evaluation of both."""
    width, layers = net.parameters["width"], net.parameters["layers"]
    assert isinstance(width, int) and isinstance(layers, int)
    keys = published_keys(net)
    ours = robdsl.compile(net).double()
    plain = PlainRobNet(alpha, width, layers, net.classes, imagenet=len(net.stages) == layers + 4).double()
    ours.load_state_dict({key: filled(keys[key], each) for key, each in ours.state_dict().items()})
    plain.load_state_dict({key: filled(key, each) for key, each in plain.state_dict().items()})
    models: tuple[nn.Module, nn.Module] = (ours, plain)
    batches = [images(3, net.image[1]).requires_grad_() for _ in models]
    for model, x in zip(models, batches, strict=True):
        x.grad = torch.zeros_like(x)  # a net whose cells cut it in two never touches the images
        F.cross_entropy(model(x), labels(3, net.classes)).backward()
    torch.testing.assert_close(batches[0].grad, batches[1].grad, rtol=0, atol=1e-10)
    agree(gradients(ours), gradients(plain), keys)
    agree(counted(ours), dict(plain.named_buffers()), keys)
    with torch.no_grad():
        logits = [model.eval()(images(2, net.image[1])) for model in models]
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-10, atol=1e-10)


@settings(max_examples=8)
@given(alpha=st.lists(codes(), min_size=3, max_size=4))
def test_cell_free(alpha: list[str]) -> None:
    compare(robdsl.load_space("cell_free", width=2, layers=len(alpha), classes=3).net(alpha), alpha)


@settings(max_examples=4)
@given(code=codes(), layers=st.integers(3, 5))
def test_cell_based(code: str, layers: int) -> None:
    compare(robdsl.load_space("cell_based", width=2, layers=layers, classes=3).net([code]), [code])


@settings(max_examples=3)
@given(code=codes())
def test_cell_based_for_imagenet(code: str) -> None:
    space = robdsl.load_space("cell_based_imagenet", width=4, layers=3, classes=3, size=64)
    compare(space.net([code]), [code])


def test_nodes_without_edges() -> None:
    """Nothing flows into n0 and n2, nothing out of x0 (whose convolution is there, and idle)."""
    alpha = ["00 00 | 00 01 11 | 00 00 00 00 | 00 10 01 00 11"] * 3
    compare(robdsl.load_space("cell_free", width=2, layers=3, classes=3).net(alpha), alpha)


def test_the_supernet() -> None:
    net = robdsl.load_space("cell_free", width=2, layers=3, classes=3).supernet()
    alpha = ["11 11 | 11 11 11 | 11 11 11 11 | 11 11 11 11 11"] * 3
    assert net.alpha == alpha
    compare(net, alpha)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("robnet_large_v2", 16, {"width": 64, "layers": 33}),
        ("robnet_large_imagenet", 64, {"width": 48, "classes": 1000, "imagenet": True}),
    ],
)
def test_published_nets_that_have_no_figures(name: str, size: int, shape: dict[str, Any]) -> None:
    """They have no empty node, so that smaller images than those of the text do."""
    net = robdsl.load(name)
    keys = published_keys(net)
    ours, plain = robdsl.compile(net).double().eval(), PlainRobNet(net.alpha, **shape).double().eval()
    ours.load_state_dict({key: filled(keys[key], each) for key, each in ours.state_dict().items()})
    plain.load_state_dict({key: filled(key, each) for key, each in plain.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(ours(images(1, size)), plain(images(1, size)), rtol=1e-10, atol=1e-10)
