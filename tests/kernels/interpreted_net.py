"""Runs a small frozen net through kernels in Triton's interpreter: a program of its own, as `interpreted`.

Prints, as JSON, the error of each fused operation as a share of its bound. Errors of a whole deep net are no measure: where
a value is near zero, ReLUs fall on either side of it. So each operation is compared given the same inputs.
"""

from __future__ import annotations

import json

import torch
from torch import Tensor, nn

import robdsl
from robdsl.compiler.fused_modules import SeparableSum
from robdsl.compiler.passes import KERNEL_PIPELINE
from robdsl.kernels import separable_reference as reference
from robdsl.kernels.layout import INTERPRETED
from robdsl.kernels.precision import relative_bound
from tests.kernels.bounds import ratio


def main() -> None:
    assert INTERPRETED, "run me with TRITON_INTERPRET=1"
    torch.set_num_threads(1)
    space = robdsl.load_space("cell_free", width=4, layers=3)
    model = robdsl.compile(space.sample(3), seed=0).eval()
    frozen = robdsl.freeze(model, KERNEL_PIPELINE)
    shares: list[float] = []

    def compare(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, SeparableSum)
        terms, _, channels = module.pointwise.shape
        maps = [each.double() for each in inputs]
        bias = module.bias
        assert bias is not None
        d, w, b = module.depthwise.double(), module.pointwise.double(), bias.double()
        exact = reference.forward(maps[:terms], d, w, b, maps[terms:], module.stride)
        whole = [each.relu() for each in maps[:terms]]
        added = [each.abs() for each in maps[terms:]]
        sizes = reference.forward(whole, d.abs(), w.abs(), b.abs(), added, module.stride)
        count = 9 + terms * (channels + 1) + 1 + len(maps) - terms
        shares.append(ratio(output.detach(), exact, relative_bound("tf32x3", count) * sizes))

    for module in frozen.modules():
        if isinstance(module, SeparableSum):
            module.register_forward_hook(compare)
    frozen(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    print(json.dumps(shares))


if __name__ == "__main__":
    main()
