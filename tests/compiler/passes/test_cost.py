"""What the cost model counts, against programs counted by hand, the net's own statistics, and torch's shapes."""

from __future__ import annotations

import pytest
import torch
from torch import fx

import robdsl
from cli.passes import TARGETS
from robdsl.compiler.cost import MACHINES, Work, choose, total, work_of
from robdsl.compiler.cost.explain import explain
from robdsl.compiler.cost.shapes import Shapes, shapes_of
from robdsl.compiler.frozen_module import snapshot
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import (
    FOLDING,
    FUSING,
    KERNEL_FOLDING,
    MERGING,
    PASSES,
    parse_pipeline,
    run_pipeline,
)
from robdsl.compiler.passes.facts import primitive
from robdsl.compiler.passes.kernels import FuseStages

HAND = """
cell c() {
    in x
    x -> a : relu | conv(1)
    x -> b : relu
    a, b -> out
}
net n { input 4 x 5 x 5
    c()
}
"""


def plain(net: robdsl.Net) -> LoweredModule:
    model = robdsl.compile(net, seed=0, passes=())
    assert isinstance(model, LoweredModule)
    return model


def test_counted_by_hand() -> None:
    """100 numbers a map: two ReLUs (2 + 3 maps), a convolution (2 + 2), a sum (3), one gradient added (3)."""
    model = plain(robdsl.load(HAND))
    assert total(work_of(model, (4, 5, 5))) == Work(macs=2 * 400, numbers=100 * (10 + 4 + 3 + 3), calls=8)
    once = total(work_of(PASSES["common"]()(model), (4, 5, 5)))
    assert once == Work(macs=800, numbers=100 * (5 + 4 + 3 + 3), calls=6)


@pytest.mark.parametrize("name", ["robnet_large", "resnet18", "densenet121", "robnet_large_denoise"])
def test_multiplications_are_those_of_the_statistics(name: str) -> None:
    net = robdsl.load(name)
    with torch.device("meta"):
        macs = total(work_of(plain(net), net.image)).macs
    # Of a non-local mean the model counts two products forward and four back.
    assert macs == 2 * net.cost.macs or "denoise" in name


@pytest.mark.parametrize("name", ["cell_based_denoise", "nas_bench_201"])
def test_shapes_are_those_of_torch(name: str) -> None:
    net = robdsl.load_space(name).supernet()
    with torch.device("meta"):
        model = plain(net).eval()
        shapes = shapes_of(model, net.image)
        Watch(model, shapes).run(torch.rand(2, *net.image))


class Watch(fx.Interpreter):
    """Holds the shape of each value against the one that was reckoned, in stages too."""

    def __init__(self, module: LoweredModule, shapes: Shapes) -> None:
        super().__init__(module)
        self.graph_module, self.shapes = module, shapes

    def run_node(self, n: fx.Node) -> torch.Tensor:
        stage = primitive(self.graph_module, n)
        if isinstance(stage, LoweredModule):
            args, _ = self.fetch_args_kwargs_from_env(n)
            value: torch.Tensor = Watch(stage, self.shapes).run(*args)
        else:
            value = super().run_node(n)
        if n.op != "output":
            is_same = tuple(value.shape[1:]) == self.shapes[self.graph_module][n]
            assert is_same, n.name
        return value


def test_what_pays_depends_on_the_machine() -> None:
    net = robdsl.load("robnet_free")
    folded = snapshot(plain(net))
    run_pipeline(folded, FOLDING)
    for name in ("cpu", "sm_90"):
        choice = choose(folded, net.image, MACHINES[name])
        least = min(each.seconds for each in choice.considered)
        chosen = [each.seconds for each in choice.considered if tuple(each.passes) == choice.passes]
        assert chosen == [least]
        assert len(choice.considered) == len(MERGING) and f"on {name} " in choice.why()


@pytest.mark.parametrize(("name", "most"), [("sm_80", 64), ("sm_90", 256)])
def test_which_stages_are_pairs_depends_on_the_chip(name: str, most: int) -> None:
    """Two stages where a whole map fits on the chip, 16 x 16 on sm_90; single stages, summed as they run, elsewhere."""
    net = robdsl.load("robnet_free")
    folded = snapshot(plain(net))
    run_pipeline(folded, KERNEL_FOLDING)
    choice = choose(folded, net.image, MACHINES[name], kernels=True)
    assert choice.passes == (FuseStages(),) and len(choice.considered) == len(FUSING)
    assert choice.remaining()[:1] == choice.passes


FUSED = """
cell c() {
    in x
    x -> a : relu | depthwise(3) | conv(1) | relu | depthwise(3) | conv(1)
    x -> a
    a -> out : relu
}
net n { input 4 x 8 x 8
    c()
}
"""


def test_kernels_counted_by_hand() -> None:
    """256 numbers a map. In pairs: three maps forward, two back. In stages: two and three forward, two and two back."""
    net = robdsl.load(FUSED)
    macs = 2 * 2 * 64 * (9 * 4 + 4 * 4)
    relu_and_gathered = Work(0, 256 * (2 + 3 + 3), 3)
    for passes, maps, calls in (("fuse-stages{pairs=64}", 5, 2), ("fuse-stages", 9, 4)):
        frozen = snapshot(plain(net))
        run_pipeline(frozen, parse_pipeline(passes))
        assert total(work_of(frozen, (4, 8, 8))) == Work(macs, 256 * maps, calls) + relu_and_gathered


FANS = """
cell stages() {
    in x
    x -> a : relu | depthwise(3) | conv(1)
    x -> b : relu | depthwise(3) | conv(1)
    c = concat(a, b)
    c -> out
}
cell heads() {
    in x
    x -> a : relu | conv(1, 4)
    a -> b : sigmoid
    c = mul(a, b)
    d = mul(a, c)
    d -> out
}
net n { input 4 x 8 x 8
    stages()
    heads()
}
"""


def test_fans_counted_by_hand() -> None:
    """256 numbers a map. One map read and two written, and back; then two and one, without their concatenation."""
    net = robdsl.load(FANS)
    frozen = snapshot(plain(net))
    run_pipeline(frozen, parse_pipeline("move-heads, fuse-heads, fuse-stages, dead"))
    macs = 2 * 64 * (2 * (9 * 4 + 4 * 4) + 8 * 4)
    fans = Work(macs, 256 * (3 + 3 + 3 + 3), 4)
    sigmoid_and_products = Work(0, 256 * (2 + 3 + 2 * (3 + 6)), 2 + 2 * 3)
    assert total(work_of(frozen, (4, 8, 8))) == fans + sigmoid_and_products + Work(0, 256 * 3 * 2, 2)
    run_pipeline(frozen, parse_pipeline("gather"))
    assert total(work_of(frozen, (4, 8, 8))) == fans + sigmoid_and_products + Work(0, 256 * 4, 1)


def test_explained() -> None:
    net = robdsl.load("robnet_free", width=4)
    found = explain(net, MACHINES["cpu"])
    names = [row.name for row in found.rows if row.pipeline == "freeze"]
    assert names[:2] == ["plain", "fold-norms"] and names[-1] == "in-place" and found.choice is not None
    first, last = found.rows[0], found.rows[-1]
    assert last.work.numbers < first.work.numbers and last.work.calls < first.work.calls
    assert found.floor <= last.seconds <= first.seconds
    assert set(TARGETS) == set(MACHINES)


def test_published_counts() -> None:
    """780 M multiplications forward; the published form, of 957 MB and 4,656 calls, adds zeros and empty edges."""
    rows = explain(robdsl.load("robnet_free"), MACHINES["sm_90"]).rows
    before, after = rows[0].work, rows[-1].work
    assert round(before.macs / 2e6) == 780
    assert 4 * before.numbers < 957e6 and before.calls < 4656
    assert 4 * after.numbers < 670e6
