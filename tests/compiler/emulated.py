"""What the kernels' products do to their operands, in plain torch: for machines on which no kernel runs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robdsl.compiler.fused_modules import PointwiseFan, SeparableFan, SeparableSum

Fused = SeparableSum | SeparableFan | PointwiseFan


def cut(x: Tensor) -> Tensor:
    """To tf32, as hardware may: the lower 13 of float32's 23 bits are dropped."""
    return (x.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)


#: Of each precision the parts of an operand, and which parts of both are multiplied.
SPLIT: dict[str, tuple[Callable[[Tensor], tuple[Tensor, ...]], tuple[tuple[int, int], ...]]] = {
    "ieee": (lambda x: (x,), ((0, 0),)),
    "tf32": (lambda x: (cut(x),), ((0, 0),)),
    "tf32x3": (lambda x: (cut(x), cut(x - cut(x))), ((0, 0), (0, 1), (1, 0))),
    "bf16": (lambda x: (x.bfloat16().float(),), ((0, 0),)),
}


class Emulated(nn.Module):
    """A fused operation in float32 on any device, its pointwise products made of operands in the precision's format.

    Args:
        like: gives the weights.
        precision: see `robdsl.kernels.precision`.
    """

    depthwise: Tensor
    pointwise: Tensor
    bias: Tensor | None

    def __init__(self, like: Fused, precision: str) -> None:
        super().__init__()
        for name in ("depthwise", "pointwise", "bias"):
            self.register_buffer(name, getattr(like, name, None), persistent=False)
        self.kind, self.stride, self.precision = type(like), getattr(like, "stride", 1), precision

    def forward(self, *maps: Tensor) -> Tensor | list[Tensor]:
        if self.kind is SeparableSum:
            terms = len(self.depthwise)
            parts = [part for place in range(terms) for part in self._parts(maps[place], place)]
            return _added([*parts, *([] if self.bias is None else [self.bias[:, None, None]]), *maps[terms:]])
        whole = torch.cat(maps, 1)
        outs = []
        for place in range(len(self.pointwise)):
            shift = [] if self.bias is None else [self.bias[place, :, None, None]]
            outs.append(_added([*self._parts(whole, place), *shift]))
        return outs

    def _parts(self, x: Tensor, place: int) -> list[Tensor]:
        split, products = SPLIT[self.precision]
        inner = x.relu()
        if self.kind is not PointwiseFan:
            inner = F.conv2d(inner, self.depthwise[place, :, None], None, self.stride, 1, 1, x.shape[1])
        left, right = split(inner), split(self.pointwise[place, :, :, None, None])
        return [F.conv2d(left[i], right[j]) for i, j in products]


def _added(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def multiply_in(frozen: nn.Module, precision: str, *, emulate: bool) -> None:
    """Makes a frozen net's fused operations multiply in a precision."""
    for path, each in list(frozen.named_modules()):
        if isinstance(each, Fused):
            each.precision = precision
            if emulate:
                owner, _, name = path.rpartition(".")
                frozen.get_submodule(owner)._modules[name] = Emulated(each, precision)
