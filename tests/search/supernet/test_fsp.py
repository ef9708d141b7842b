"""FSP distances against equations 3 and 4 written out with loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import robdsl
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation
from robdsl.search import Supernet, fsp_distances, inherit
from tests.search.supernet.nets import alone, images, shipped, tiny

Array = NDArray[np.float64]


def maps(model: nn.Module, net: Net, pixels: Tensor) -> list[tuple[Array, Array]]:
    """The input (the latest) and output maps of each cell stage, as hooks on the stages see them."""
    found: dict[str, tuple[Array, Array]] = {}
    modules = dict(model.named_modules())
    hooks = []
    names = [stage.name for stage in net.stages if isinstance(stage.operation, CellOperation)]
    for name in names:

        def keep(_module: nn.Module, inputs: Any, output: Tensor, name: str = name) -> None:
            found[name] = inputs[-1].detach().double().numpy(), output.detach().double().numpy()

        hooks.append(modules[name].register_forward_hook(keep))
    model.eval()(pixels)
    for hook in hooks:
        hook.remove()
    return [found[name] for name in names]


def pooled(array: Array, side: int) -> Array:
    """Averages over equal blocks."""
    count, channels, height, _ = array.shape
    block = height // side
    blocks: Array = array.reshape(count, channels, side, block, side, block)
    return np.asarray(blocks.mean(axis=(3, 5)))


def plain_distances(model: nn.Module, net: Net, clean: Tensor, attacked: Tensor) -> list[float]:
    distances = []
    for (x, y), (x_adv, y_adv) in zip(maps(model, net, clean), maps(model, net, attacked), strict=True):
        side = min(x.shape[2], y.shape[2])
        x, y, x_adv, y_adv = (pooled(each, side) for each in (x, y, x_adv, y_adv))
        total = 0.0
        for image in range(len(x)):
            for i in range(x.shape[1]):
                for j in range(y.shape[1]):
                    before = (x[image, i] * y[image, j]).sum() / side**2
                    after = (x_adv[image, i] * y_adv[image, j]).sum() / side**2
                    total += (before - after) ** 2
        distances.append(total / len(x))
    return distances


def attacked(pixels: Tensor, seed: int = 9) -> Tensor:
    noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(seed), dtype=pixels.dtype)
    return (pixels + 0.1 * (noise - 0.5)).clamp(0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_they_are_equations_3_and_4(seed: int) -> None:
    """With reductions, sub-networks with inherited weights, and the supernet itself."""
    space = tiny("tiny_free")
    supernet = Supernet(space, seed=seed).to(torch.float64)
    net = space.sample(seed)
    pixels = images(net, 5, seed)
    model = inherit(supernet.state_dict(), net)
    expected = plain_distances(alone(supernet, net), net, pixels, attacked(pixels))
    assert len(expected) == 3
    found = fsp_distances(model, pixels, attacked(pixels))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    supernet.choose(net)
    for batch in (1, 2, 5, 100):
        streamed = fsp_distances(supernet, pixels, attacked(pixels), batch=batch)
        np.testing.assert_allclose(streamed.numpy(), expected, rtol=1e-9)


def test_a_first_input_twice_as_large_and_float32() -> None:
    """The ImageNet stem's first cell; and matrices in float64 whatever the model computes in."""
    net = shipped("cell_based_imagenet").sample(3)
    model = robdsl.compile(net, seed=1)
    pixels = images(net, 3).float()
    expected = plain_distances(model, net, pixels, attacked(pixels))
    found = fsp_distances(model.train(), pixels, attacked(pixels), batch=3)
    assert model.training
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3)


def test_cells_of_one_input_and_cells_that_do_nothing() -> None:
    space = shipped("nas_bench_201")
    net = space.net(["0 | 0 0 | 1 0 0"])  # from x to out, a skip: the compiler leaves the stage out
    supernet = Supernet(space, seed=1).to(torch.float64)
    pixels = images(net, 3)
    supernet.choose(net)
    reduction = "nas_bench_201_reduction"
    found = fsp_distances(inherit(supernet.state_dict(), net), pixels, attacked(pixels))
    cells = [stage.name for stage in net.stages if isinstance(stage.operation, CellOperation)]
    assert len(found) == len(cells) == 5
    torch.testing.assert_close(fsp_distances(supernet, pixels, attacked(pixels)), found, rtol=1e-12, atol=0)
    expected = plain_distances(supernet, net, pixels, attacked(pixels))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    assert sum(name.startswith(reduction) for name in cells) == 2


def test_equal_images_are_no_distance_apart_and_order_does_not_matter() -> None:
    net = tiny("tiny_free").sample(7)
    model = robdsl.compile(net, seed=2).to(torch.float64)
    pixels = images(net, 4)
    assert torch.equal(fsp_distances(model, pixels, pixels), torch.zeros(3, dtype=torch.float64))
    there, back = (
        fsp_distances(model, pixels, attacked(pixels)),
        fsp_distances(model, attacked(pixels), pixels),
    )
    torch.testing.assert_close(there, back, rtol=1e-12, atol=0)
    assert bool((there > 0).all())


def test_what_cannot_be_compared_is_refused() -> None:
    net = tiny("tiny_free").sample(7)
    model = robdsl.compile(net, seed=2)
    pixels = images(net, 4).float()
    with pytest.raises(ValueError, match=r"of one shape, not \(4, 3, 8, 8\) and \(3, 3, 8, 8\)"):
        fsp_distances(model, pixels, pixels[:3])
    with pytest.raises(ValueError, match="as many"):
        fsp_distances(model, pixels[:0], pixels[:0])
    with pytest.raises(ValueError, match=r"need a model from robdsl\.compile"):
        fsp_distances(nn.Conv2d(3, 4, 1), pixels, pixels)


class _Alive:
    """Counts maps that are alive, by hooks that see every stage's output."""

    def __init__(self) -> None:
        import weakref

        self._refs: list[weakref.ref[Tensor]] = []
        self.most = 0
        self._ref = weakref.ref

    def see(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self._refs = [each for each in self._refs if each() is not None]
        self._refs.append(self._ref(output))
        self.most = max(self.most, len(self._refs))


def test_maps_are_let_go() -> None:
    """Of nine cells never more than the two that the next one is fed, and the new one."""
    space = robdsl.load_space("cell_free", width=2, layers=9, classes=3)
    net = space.sample(1)
    for model in (robdsl.compile(net), Supernet(space, 0)):
        alive = _Alive()
        for name, module in model.named_modules():
            if name.startswith("robnet_cell") and "." not in name:
                module.register_forward_hook(alive.see)
        pixels = images(net, 2).float()
        assert len(fsp_distances(model, pixels, attacked(pixels), batch=1)) == 9
        assert alive.most == 3
