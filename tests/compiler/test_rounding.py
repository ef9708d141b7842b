"""Frozen nets in float32 stay within bounds that are derived, not measured (`rounding.py` derives them)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, partial

import pytest
import torch
from torch import Tensor, fx

import robdsl
from robdsl.compiler.passes import KERNEL_PIPELINE
from tests.compiler import emulated
from tests.compiler.passes.drawn import plain_model
from tests.compiler.rounding import PRECISIONS, STATED, Found, rounding
from tests.compiler.test_published_figures import FIGURES, figures, model_with_reference_weights
from tests.reference import images

SMALL: dict[str, Callable[[], robdsl.Net]] = {
    "cell_free": lambda: robdsl.load_space("cell_free", width=4, layers=3, classes=3).sample(3),
    "robnet_large": partial(robdsl.load, "robnet_large", width=4, layers=6),
    "resnet18": partial(robdsl.load, "resnet18", width=4, classes=3),
    "densenet121": partial(robdsl.load, "densenet121", growth=2, classes=3),
    "max_pools": lambda: robdsl.load(MAX_POOLS),
}
MAX_POOLS = """
net max_pools {
    input 3 x 16 x 16
    conv(3, 8) | batch_norm | relu
    repeat 12 { conv(3, 8) | max_pool(3, stride=1, padding=1) }
    global_avg_pool | flatten | linear(3)
}
"""


@cache
def small(name: str) -> tuple[fx.GraphModule, Tensor, Tensor]:
    """A small model, an image, and what the plain graph makes of it in float64."""
    net = SMALL[name]()
    model = plain_model(net).float().eval()
    x = images(1, net.image[1]).float()
    with torch.no_grad():
        return model, x, copy.deepcopy(model).double()(x.double())


def hold(found: Found, exact: Tensor) -> None:
    """Each operation keeps its own bound, given the same inputs; the logits keep the bound of the whole net."""
    assert len(found.shares) > 10 and max(found.shares) <= 1
    # Passes may move float64, and so may its own rounding, by 2^-29 of what float32's may.
    slack = 1e-10 * max(1.0, float(exact.abs().max()))
    assert ((found.apart - (found.single - found.exact)).abs() <= 2**-24 * found.bound + 1e-15).all()
    assert ((found.single - exact).abs() <= found.bound + slack).all()
    assert found.bound.isfinite().all() and (found.bound > 0).all()


@pytest.mark.parametrize("name", SMALL)
def test_small_nets(name: str) -> None:
    model, x, exact = small(name)
    hold(rounding(model, x), exact)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["cell_free", "robnet_large"])
def test_small_nets_through_kernels(name: str, precision: str) -> None:
    model, x, exact = small(name)
    found = rounding(model, x, KERNEL_PIPELINE, precision)
    hold(found, exact)
    if precision in ("tf32", "bf16"):
        assert found.sides > 0  # so it is no matter of slopes that stay


def test_coarser_products_than_stated_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(emulated.SPLIT, "tf32x3", emulated.SPLIT["tf32"])
    model, x, _ = small("cell_free")
    assert max(rounding(model, x, KERNEL_PIPELINE, "tf32x3").shares) > 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", [None, *PRECISIONS])
@pytest.mark.parametrize("name", ["robnet_large", "robnet_free"])
def test_published_figures(name: str, precision: str | None) -> None:
    """The float32 logits of the published image, and those through kernels, are within the stated bound of the published."""
    model, x = published(name)
    found = rounding(model, x, None if precision is None else KERNEL_PIPELINE, precision)
    hold(found, figures(name, "logits_eval")[:1])
    assert found.bound.max() <= STATED[name][precision]


def published(name: str) -> tuple[fx.GraphModule, Tensor]:
    return model_with_reference_weights(name).eval().float(), images(1, FIGURES[name]["size"]).float()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["robnet_large", "robnet_free"])
def test_published_figures_on_a_gpu(name: str, precision: str) -> None:
    """The kernels themselves. Other convolutions without cuDNN, whose bound is another where it takes Winograd's algorithm."""
    model, x = published(name)
    with torch.backends.cudnn.flags(enabled=False):
        found = rounding(model.cuda(), x.cuda(), KERNEL_PIPELINE, precision)
    hold(found, figures(name, "logits_eval")[:1])
    assert found.bound.max() <= STATED[name][precision]
