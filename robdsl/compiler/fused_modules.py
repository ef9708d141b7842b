"""Modules of frozen graphs that call the operations of `robdsl.kernels`, with constants for weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robdsl.compiler.modules import as_convolutions_read
from robdsl.kernels import pointwise_fan, separable_fan, separable_pair, separable_sum

#: Of a stage: depthwise (C, 3, 3), pointwise (O, C), bias (O,) or None.
StageWeights = tuple[Tensor, Tensor, Tensor | None]


class _Stages(nn.Module):
    """The weights of stages of one shape, and their stride and precision."""

    depthwise: Tensor
    pointwise: Tensor
    bias: Tensor | None

    def __init__(
        self, stages: Sequence[StageWeights], bias: Tensor | None, stride: int, precision: str
    ) -> None:
        super().__init__()
        _keep(self, "depthwise", torch.stack([each for each, _, _ in stages]))
        _keep(self, "pointwise", torch.stack([each for _, each, _ in stages]))
        _keep(self, "bias", bias)
        self.stride, self.precision = stride, precision


class SeparableSum(_Stages):
    """``sum of stages(xs) + sum of addends``; takes as many maps as it has stages, then the addends.

    Args:
        stages: the weights of each, all of one shape.
        stride: of their depthwise convolutions.
        precision: see `robdsl.kernels.precision`.
    """

    def __init__(self, stages: Sequence[StageWeights], stride: int, precision: str) -> None:
        biases = [bias for _, _, bias in stages if bias is not None]
        super().__init__(stages, torch.stack(biases).sum(0) if biases else None, stride, precision)

    def forward(self, *maps: Tensor) -> Tensor:
        terms = len(self.depthwise)
        read = [as_convolutions_read(each) for each in maps[:terms]]
        return separable_sum(
            read, self.depthwise, self.pointwise, self.bias, maps[terms:], self.stride, self.precision
        )

    def extra_repr(self) -> str:
        terms, outputs, channels = self.pointwise.shape
        return f"{terms} x ({channels} -> {outputs}), stride={self.stride}, {self.precision}"


class SeparablePair(nn.Module):
    """``second(first(x)) + sum of addends``; takes the map, then the addends.

    Args:
        first: the weights of the stage that reads the map.
        second: of the one after it, of stride 1.
        stride: of the first.
        precision: see `robdsl.kernels.precision`.
    """

    depthwise_1: Tensor
    pointwise_1: Tensor
    bias_1: Tensor | None
    depthwise_2: Tensor
    pointwise_2: Tensor
    bias_2: Tensor | None

    def __init__(self, first: StageWeights, second: StageWeights, stride: int, precision: str) -> None:
        super().__init__()
        for place, weights in enumerate((first, second), start=1):
            for name, each in zip(("depthwise", "pointwise", "bias"), weights, strict=True):
                _keep(self, f"{name}_{place}", each)
        self.stride, self.precision = stride, precision

    def forward(self, x: Tensor, *addends: Tensor) -> Tensor:
        return separable_pair(
            as_convolutions_read(x), self.depthwise_1, self.pointwise_1, self.bias_1, self.depthwise_2,
            self.pointwise_2, self.bias_2, addends, self.stride, self.precision,
        )  # fmt: skip

    def extra_repr(self) -> str:
        middle, channels = self.pointwise_1.shape
        return f"{channels} -> {middle} -> {len(self.pointwise_2)}, stride={self.stride}, {self.precision}"


class SeparableFan(_Stages):
    """Stages that read one map; gives what each computes, a list.

    Args:
        stages: the weights of each, all of one shape.
        stride: of their depthwise convolutions.
        precision: see `robdsl.kernels.precision`.
    """

    def __init__(self, stages: Sequence[StageWeights], stride: int, precision: str) -> None:
        biases = _stacked([(weight, bias) for _, weight, bias in stages])
        super().__init__(stages, biases, stride, precision)

    def forward(self, x: Tensor) -> list[Tensor]:
        return separable_fan(
            as_convolutions_read(x), self.depthwise, self.pointwise, self.bias, self.stride, self.precision
        )

    def extra_repr(self) -> str:
        readers, outputs, channels = self.pointwise.shape
        return f"{channels} -> {readers} x {outputs}, stride={self.stride}, {self.precision}"


class PointwiseFan(nn.Module):
    """Pointwise convolutions of one ReLU of a concatenation, which is not written; takes its parts, gives a list.

    Args:
        convolutions: weight (O, C) and bias (O,) or None of each, all of one shape, for the C channels of all parts.
        precision: see `robdsl.kernels.precision`.
    """

    pointwise: Tensor
    bias: Tensor | None

    def __init__(self, convolutions: Sequence[tuple[Tensor, Tensor | None]], precision: str) -> None:
        super().__init__()
        _keep(self, "pointwise", torch.stack([weight for weight, _ in convolutions]))
        _keep(self, "bias", _stacked(convolutions))
        self.precision = precision

    def forward(self, *xs: Tensor) -> list[Tensor]:
        read = [as_convolutions_read(each) for each in xs]
        return pointwise_fan(read, self.pointwise, self.bias, self.precision)

    def extra_repr(self) -> str:
        readers, outputs, channels = self.pointwise.shape
        return f"{channels} -> {readers} x {outputs}, {self.precision}"


def _stacked(convolutions: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor | None:
    """The biases (E, O) of convolutions of weights (O, C), zeros for those without; None if none has one."""
    if all(bias is None for _, bias in convolutions):
        return None
    return torch.stack(
        [weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in convolutions]
    )


def _keep(module: nn.Module, name: str, tensor: Tensor | None) -> None:
    kept = None if tensor is None else tensor.detach().contiguous()
    module.register_buffer(name, kept, persistent=False)
