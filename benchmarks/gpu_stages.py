"""A stage in training, by torch's modules and by the kernels for training: what a pass that called them could gain.

ReLU, depthwise and pointwise convolution and batch norm in train mode, forward and backward to the maps and all weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from robdsl.kernels import norm_sum, separable_statistics
from robdsl.kernels.cases import REDUCTIONS, STAGES
from robdsl.kernels.configurations import Shape

SHAPES: tuple[Shape, ...] = (*STAGES, *REDUCTIONS)


class Stage(nn.Module):
    """A stage of torch's modules, as `robdsl.compile` makes it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        channels, outputs = shape.channels, shape.outputs
        self.relu = nn.ReLU()
        self.depthwise = nn.Conv2d(
            channels, channels, 3, stride=shape.stride, padding=1, groups=channels, bias=False
        )
        self.pointwise = nn.Conv2d(channels, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.pointwise(self.depthwise(self.relu(x))))
        return y


class KernelStage(Stage):
    """The same in train mode by `separable_statistics` and `norm_sum`, running statistics included."""

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        assert self.training and norm.running_mean is not None and norm.running_var is not None
        y, mean, variance = separable_statistics(
            x, self.depthwise.weight[:, 0], self.pointwise.weight[:, :, 0, 0], self.depthwise.stride[0]
        )
        with torch.no_grad():
            count = y.numel() // y.shape[1]
            momentum = norm.momentum
            assert momentum is not None
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
            norm.running_var.lerp_((variance * count / (count - 1)).to(norm.running_var.dtype), momentum)
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)
        return norm_sum([y], [mean], [variance], [norm.weight], [norm.bias], eps=norm.eps, batch=True)


def stages(device: str) -> Iterator[tuple[str, Shape, torch.dtype, Stage]]:
    """What is compared: a stage of each shape of a RobNet, in float32 and for bfloat16 maps, by modules and by kernels."""
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            for name, kind in (("modules", Stage), ("kernels", KernelStage)):
                torch.manual_seed(0)
                yield name, shape, dtype, kind(shape).to(device).to(memory_format=torch.channels_last).train()
