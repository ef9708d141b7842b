"""Operations that keep less for the gradient than torch's do: convolutions with constant weights, and ReLUs."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F


class ForgetfulConv2d(nn.Conv2d):
    """A convolution with constants for weights that keeps nothing of its input.

    The gradient to the input needs the weights alone: it is the convolution of the other gradient with the turned
    weights. torch's own keeps the input all the same, so that its memory is not free for the next value.

    It is for those that `can_forget` takes.
    """

    def forward(self, x: Tensor) -> Tensor:
        return convolved(x, self.weight, self.bias, self.padding, self.dilation)


def can_forget(conv: nn.Conv2d) -> bool:
    """Whether a convolution may be a `ForgetfulConv2d`.

    Its weights must be constants, its stride 1, its padding of zeros and at most what the kernel reaches beyond one
    position, and each of its outputs must read either all channels or its own alone.
    """
    constant = not any(isinstance(each, nn.Parameter) for each in (conv.weight, conv.bias))
    whole = conv.groups == 1 or conv.groups == conv.in_channels == conv.out_channels
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and conv.stride == (1, 1)
    return (
        constant and whole and plain and min(_turned_padding(conv.weight, conv.padding, conv.dilation)) >= 0
    )


def convolved(
    x: Tensor | fx.Proxy, weight: Tensor, bias: Tensor | None, padding: Any, dilation: Any
) -> Tensor:
    """What a `ForgetfulConv2d` computes; weights of one input channel are those of a depthwise convolution."""
    if isinstance(x, fx.Proxy):  # traced by torch.fx: it stays one operation
        given = (x, weight, bias, padding, dilation)
        traced: Any = x.tracer.create_proxy("call_function", convolved, given, {})
        return cast(Tensor, traced)
    return cast(Tensor, _Convolution.apply(x, weight, bias, padding, dilation))


def relu_keeping_signs(x: Tensor | fx.Proxy) -> Tensor:
    """relu(x), of which a byte a value is kept for the gradient: whether it is above zero.

    Where it is not, the gradient is zero times the one that comes: zero, unless that one is infinite or not a number.
    A choice between the two would be torch's own in that case too, but `torch.compile` writes it some twenty times slower.
    Where x is not a number, the gradient is zero, and torch's own is the one that comes.
    """
    if isinstance(x, fx.Proxy):
        traced: Any = x.tracer.create_proxy("call_function", relu_keeping_signs, (x,), {})
        return cast(Tensor, traced)
    return cast(Tensor, _Relu.apply(x)[0])


def _groups(x: Tensor, weight: Tensor) -> int:
    return x.shape[1] // weight.shape[1]


def _turned_padding(weight: Tensor, padding: Any, dilation: Any) -> tuple[int, int]:
    """The padding with which the turned weights go back from the outputs to the inputs."""
    down, across = (
        reach * (size - 1) - pad for reach, size, pad in zip(dilation, weight.shape[2:], padding, strict=True)
    )
    return down, across


class _Convolution(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, padding: Any, dilation: Any) -> Tensor:
        return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=_groups(x, weight))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, padding, dilation = inputs
        ctx.save_for_backward(weight)
        ctx.groups, ctx.dilation = _groups(x, weight), dilation
        ctx.padding = _turned_padding(weight, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (weight,), (gradient,) = ctx.saved_tensors, gradients
        turned = weight if weight.shape[2:] == (1, 1) else weight.flip(2, 3)
        if ctx.groups == 1:
            turned = turned.transpose(0, 1)
        turned = turned.to(gradient.dtype)  # under autocast the gradient is coarser than the weights
        back = F.conv2d(gradient, turned, padding=ctx.padding, dilation=ctx.dilation, groups=ctx.groups)
        return back, None, None, None, None


class _Relu(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.relu()
        return y, y.sign().to(torch.int8)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, signs = output
        ctx.mark_non_differentiable(signs)
        ctx.save_for_backward(signs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (signs,), gradient = ctx.saved_tensors, gradients[0]
        return gradient.mul(signs.to(gradient.dtype))
