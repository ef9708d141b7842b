"""Primitives as modules: torch's own, and what torch has none for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from robdsl.graph.primitives import Primitive
from robdsl.graph.shapes import Shape, is_map


class Crop(nn.Module):
    """Drops the first ``n`` rows and columns: N x C x H x W -> N x C x (H - n) x (W - n), a view."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.n :, self.n :]

    def extra_repr(self) -> str:
        return str(self.n)


class NonlocalMean(nn.Module):
    """The weighted mean over all positions of feature denoising (Xie et al. 2019, section 4.1).

    With x_i the C channels at position i, the output at i is the sum over j of w_ij x_j, where

    - ``gaussian``: w_i is the softmax over j of theta(x_i) . phi(x_j) / sqrt(C // 2), theta and phi being
      bias-free 1 x 1 convolutions to C // 2 channels (the paper's d; its published code divides likewise);
    - ``dot``: w_ij = x_i . x_j / (H W).

    N x C x H x W -> N x C x H x W, in channels-last format, which takes no copy where that format comes in.

    Args:
        channels: C.
        positions: H W of the maps that will come; it decides which of the two products is formed first.
        kind: ``gaussian`` or ``dot``.
    """

    def __init__(self, channels: int, positions: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.pairs_first = channels > positions
        if kind == "gaussian":
            self.theta = nn.Conv2d(channels, channels // 2, 1, bias=False)
            self.phi = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        values = _positions(x)
        if self.kind == "gaussian":
            mean = F.scaled_dot_product_attention(_positions(self.theta(x)), _positions(self.phi(x)), values)
        elif self.pairs_first:
            mean = (values @ values.mT) @ values / values.shape[2]
        else:
            mean = values @ (values.mT @ values) / values.shape[2]
        return mean.squeeze(1).mT.reshape(x.shape)

    def extra_repr(self) -> str:
        return self.kind


def _positions(x: Tensor) -> Tensor:
    """N x C x H x W -> N x 1 x HW x C: one head of attention over positions."""
    return x.flatten(2).mT.unsqueeze(1)


def zeros(x: Tensor | fx.Proxy, shape: Shape) -> Tensor:
    """Zeros of a ``shape`` for each image of ``x``, of its type, on its device and in its memory format."""
    if isinstance(x, fx.Proxy):  # traced by torch.fx: it stays one operation
        traced: Any = x.tracer.create_proxy("call_function", zeros, (x, shape), {})
        return cast(Tensor, traced)
    layout = torch.contiguous_format
    if x.dim() == 4 and len(shape) == 3 and _is_channels_last(x):
        layout = torch.channels_last
    return torch.empty((x.shape[0], *shape), dtype=x.dtype, device=x.device, memory_format=layout).zero_()


def add_into(x: Tensor | fx.Proxy, y: Tensor) -> Tensor:
    """``x + y``, written over x; but not where y is of a finer type, as autocast may make it."""
    if isinstance(x, fx.Proxy):
        traced: Any = x.tracer.create_proxy("call_function", add_into, (x, y), {})
        return cast(Tensor, traced)
    if x.dtype == y.dtype or x.dtype == torch.promote_types(x.dtype, y.dtype):
        return x.add_(y)
    return x + y


def channels_last(x: Tensor | fx.Proxy) -> Tensor:
    """On a CPU the same maps, N x C x H x W, with the channels of a position side by side; x itself where they are."""
    if isinstance(x, fx.Proxy):
        traced: Any = x.tracer.create_proxy("call_function", channels_last, (x,), {})
        return cast(Tensor, traced)
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def as_convolutions_read(x: Tensor) -> Tensor:
    """The map as a convolution would read it: under autocast in its half type."""
    kind = x.device.type
    if x.dtype == torch.float32 and torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x


def stepped(x: Tensor | fx.Proxy, starts: Sequence[int], step: int) -> list[Tensor]:
    """Of maps, N x C x H x W, rows and columns ``start``, ``start + step``, ...: a view for each of the starts.

    No two starts are a multiple of the step apart, so that no position is in two views. Backwards, zeros are written once
    and the gradients into their places.
    """
    if isinstance(x, fx.Proxy):
        traced: Any = x.tracer.create_proxy("call_function", stepped, (x, starts, step), {})
        return cast(list[Tensor], traced)
    return list(_Stepped.apply(x, tuple(starts), step))


class _Stepped(torch.autograd.Function):
    """Autograd's own way back would write zeros for each part, and add the parts up."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, starts: tuple[int, ...], step: int) -> tuple[Tensor, ...]:
        return tuple(x[:, :, start::step, start::step] for start in starts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, tuple[int, ...], int], output: Any) -> None:
        x, ctx.starts, ctx.step = inputs
        ctx.size, ctx.last = x.shape, _is_channels_last(x)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        given = [(start, each) for start, each in zip(ctx.starts, gradients, strict=True) if each is not None]
        if not given:
            return None, None, None
        n, channels, height, width = ctx.size
        first = given[0][1]
        if ctx.last:
            whole = first.new_zeros(n, height, width, channels).permute(0, 3, 1, 2)
        else:
            whole = first.new_zeros(ctx.size)
        for start, each in given:
            whole[:, :, start :: ctx.step, start :: ctx.step] = each
        return whole, None, None


def repeated(constant: Tensor, x: Tensor | fx.Proxy) -> Tensor:
    """A constant, 1 x ..., for each image of ``x``; a view."""
    if isinstance(x, fx.Proxy):
        traced: Any = x.tracer.create_proxy("call_function", repeated, (constant, x), {})
        return cast(Tensor, traced)
    return constant.expand(x.shape[0], *constant.shape[1:])


class Affine(nn.Module):
    """A batch norm in eval mode: a factor and a shift for each channel, N x C or N x C x H x W, kept as constants.

    Args:
        scale: C factors.
        shift: C shifts.
        dims: 2 for N x C, 4 for maps.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor, dims: int) -> None:
        super().__init__()
        spread = (1, -1, *(1,) * (dims - 2))
        self.register_buffer("scale", scale.detach().reshape(spread).clone(), persistent=False)
        self.register_buffer("shift", shift.detach().reshape(spread).clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)

    def extra_repr(self) -> str:
        return str(self.scale.numel())


def _is_channels_last(x: Tensor) -> bool:
    # By the stride, as within torch.func.vmap nothing else can be asked.
    return x.stride(1) == 1 and not x.is_contiguous()


class ModuleMaker:
    """Makes the modules of one net.

    The second of a kind is copied from the first and then started like it, which takes half the time that
    torch's constructors take.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[Primitive, Shape], nn.Module] = {}

    def make(self, primitive: Primitive, shape: Shape) -> nn.Module:
        """A fresh module that applies ``primitive`` to values of a ``shape`` (without the batch).

        Its parameters start as torch starts them, but for the weight of a batch norm, which the text may
        give. `identity` and `zero` have no module.
        """
        first = self._first.get((primitive, shape))
        if first is None or first._modules:
            made = self._first[primitive, shape] = _module_of(primitive.normal(shape), shape)
        else:
            made = _another(first)
        if isinstance(made, nn.BatchNorm1d | nn.BatchNorm2d) and made.affine:
            nn.init.constant_(made.weight, _number(primitive, "weight"))
        return made


def _another(first: nn.Module) -> nn.Module:
    """A module like ``first``, which has no children: with tensors of its own, started anew."""
    made: Any = object.__new__(type(first))
    for name, value in vars(first).items():
        vars(made)[name] = value.copy() if isinstance(value, dict | set) else value
    for name, parameter in first._parameters.items():
        if parameter is not None:
            made._parameters[name] = nn.Parameter(torch.empty_like(parameter))
    for name, buffer in first._buffers.items():
        if buffer is not None:
            made._buffers[name] = buffer.clone()
    if made._parameters:
        made.reset_parameters()
    module: nn.Module = made
    return module


def _module_of(primitive: Primitive, shape: Shape) -> nn.Module:
    integer = primitive.integer
    match primitive.name:
        case "conv":
            return nn.Conv2d(
                shape[0],
                integer("width"),
                integer("kernel"),
                stride=integer("stride"),
                padding=integer("padding"),
                dilation=integer("dilation"),
                groups=integer("groups"),
                bias=primitive.flag("bias"),
            )
        case "linear":
            return nn.Linear(shape[0], integer("features"), bias=primitive.flag("bias"))
        case "batch_norm":
            kind = nn.BatchNorm2d if is_map(shape) else nn.BatchNorm1d
            return kind(shape[0], affine=primitive.flag("affine"))
        case "relu":
            return nn.ReLU()
        case "sigmoid":
            return nn.Sigmoid()
        case "dropout":
            return nn.Dropout(_number(primitive, "p"))
        case "max_pool":
            return nn.MaxPool2d(integer("kernel"), integer("stride"), integer("padding"))
        case "avg_pool":
            sizes = integer("kernel"), integer("stride"), integer("padding")
            return nn.AvgPool2d(*sizes, ceil_mode=False, count_include_pad=False)
        case "global_avg_pool":
            return nn.AdaptiveAvgPool2d(1)
        case "flatten":
            return nn.Flatten()
        case "crop":
            return Crop(integer("n"))
        case "nonlocal_mean":
            return NonlocalMean(shape[0], shape[1] * shape[2], str(primitive["kind"]))
    raise AssertionError(f"no module is made for `{primitive}`")


def _number(primitive: Primitive, name: str) -> float:
    value = primitive[name]
    assert isinstance(value, int | float)
    return float(value)
