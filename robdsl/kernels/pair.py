"""Both stages of a separable convolution as one operation, for frozen nets; on chip for maps of at most 16 x 16.

Between the stages nothing but a bit mask goes to memory. Larger maps, which do not fit on chip whole, go through the
kernels of single stages, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robdsl.kernels import separable_launch
from robdsl.kernels import separable_reference as reference
from robdsl.kernels.configurations import Shape, configure
from robdsl.kernels.layout import empty_nhwc, mask_bytes, nhwc, out_size, runs_kernel
from robdsl.kernels.precision import DEFAULT_PRECISION, check_precision, product_kind, tile_kind
from robdsl.kernels.tiles import over, up_to_power, whole_maps

#: Positions of the largest map that is worked on whole.
MOST_POSITIONS = 256
#: Shared memory that a program can have, in bytes, from compute capability 9.0 on and before.
_SHARED = (232_448, 166_912)


def separable_pair(
    x: Tensor,
    depthwise_1: Tensor,
    pointwise_1: Tensor,
    bias_1: Tensor | None,
    depthwise_2: Tensor,
    pointwise_2: Tensor,
    bias_2: Tensor | None,
    addends: Sequence[Tensor] = (),
    stride: int = 1,
    precision: str = DEFAULT_PRECISION,
) -> Tensor:
    """``stage_2(stage_1(x)) + sum(addends)``, where a stage is relu, depthwise 3x3, pointwise, bias.

    Gradients flow to `x` and `addends`; the weights are those of a frozen net.

    Args:
        x: N x C x H x W.
        depthwise_1: (C, 3, 3), of `stride`.
        pointwise_1: (B, C).
        bias_1: (B,) or None.
        depthwise_2: (B, 3, 3), of stride 1.
        pointwise_2: (O, B).
        bias_2: (O,) or None.
        addends: maps like the result.
        stride: 1 or 2.
        precision: see `robdsl.kernels.precision`.

    Returns:
        N x O x H' x W' in channels_last, H' = ceil(H / stride), in the dtype of `x`.

    Raises:
        ValueError: shapes that do not fit, an unknown precision, another stride, weights that ask for a gradient.
    """
    weights = (depthwise_1, pointwise_1, bias_1, depthwise_2, pointwise_2, bias_2)
    _check(x, depthwise_1, pointwise_1, depthwise_2, pointwise_2, stride)
    keep = torch.is_grad_enabled() and x.requires_grad
    out: Tensor = torch.ops.robdsl.separable_pair(
        x, *weights, list(addends), stride, check_precision(precision), keep
    )[0]
    return out


def _check(x: Tensor, d_1: Tensor, p_1: Tensor, d_2: Tensor, p_2: Tensor, stride: int) -> None:
    channels = x.shape[1]
    if d_1.shape != (channels, 3, 3) or p_1.ndim != 2 or p_1.shape[1] != channels:
        raise ValueError(
            f"the first stage of {channels} channels has weights {tuple(d_1.shape)}, {tuple(p_1.shape)}"
        )
    if d_2.shape != (len(p_1), 3, 3) or p_2.ndim != 2 or p_2.shape[1] != len(p_1):
        raise ValueError(
            f"the second stage of {len(p_1)} channels has weights {tuple(d_2.shape)}, {tuple(p_2.shape)}"
        )
    if stride not in (1, 2):
        raise ValueError(f"stride must be 1 or 2, not {stride}")


@torch.library.custom_op(
    "robdsl::separable_pair",
    mutates_args=(),
    schema="(Tensor x, Tensor depthwise_1, Tensor pointwise_1, Tensor? bias_1, Tensor depthwise_2, "
    "Tensor pointwise_2, Tensor? bias_2, Tensor[] addends, int stride, str precision, bool keep_mask) "
    "-> (Tensor, Tensor, Tensor)",
)
def _pair(
    x: Tensor,
    depthwise_1: Tensor,
    pointwise_1: Tensor,
    bias_1: Tensor | None,
    depthwise_2: Tensor,
    pointwise_2: Tensor,
    bias_2: Tensor | None,
    addends: list[Tensor],
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    weights = (depthwise_1, pointwise_1, bias_1, depthwise_2, pointwise_2, bias_2)
    if runs_kernel(x, *(each for each in weights if each is not None), *addends):
        if _on_chip(x, pointwise_1, stride, precision):
            return launch(x, *weights, addends, stride, precision, keep_mask)
        first = depthwise_1[None], pointwise_1[None], bias_1
        second = depthwise_2[None], pointwise_2[None], bias_2
        between, masks_in, _ = separable_launch.forward([x], *first, (), stride, precision, keep_mask, False)
        out, masks, _ = separable_launch.forward([between], *second, addends, 1, precision, keep_mask, False)
        return out, masks_in, masks
    between = reference.forward([x], depthwise_1[None], pointwise_1[None], bias_1, (), stride)
    out = reference.forward([between], depthwise_2[None], pointwise_2[None], bias_2, addends, 1)
    masks_in, masks_between = (reference.masks([each], keep_mask) for each in (x, between))
    out = out.to(x.dtype).contiguous(memory_format=torch.channels_last)
    return out, masks_in, masks_between


@_pair.register_fake
def _(
    x: Tensor,
    depthwise_1: Tensor,
    pointwise_1: Tensor,
    bias_1: Tensor | None,
    depthwise_2: Tensor,
    pointwise_2: Tensor,
    bias_2: Tensor | None,
    addends: list[Tensor],
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _results(x, pointwise_1, pointwise_2, stride, keep_mask)


def _results(
    x: Tensor, pointwise_1: Tensor, pointwise_2: Tensor, stride: int, keep_mask: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The tensors that the operation gives, of unknown content."""
    n, _, height, width = x.shape
    size = out_size(height, stride), out_size(width, stride)
    between = (1, n, *size, mask_bytes(len(pointwise_1))) if keep_mask else (0,)
    return (
        empty_nhwc(n, len(pointwise_2), *size, x),
        x.new_empty(reference.mask_shape(x, 1, keep_mask), dtype=torch.uint8),
        x.new_empty(between, dtype=torch.uint8),
    )


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, *weights = inputs[:7]
    ctx.addends, ctx.stride, ctx.precision = len(inputs[7]), inputs[8], inputs[9]
    if any(each is not None and each.requires_grad for each in weights):
        raise ValueError(
            "separable_pair is for frozen nets: its weights have no gradient; use separable_stage twice"
        )
    if x.requires_grad and not inputs[10]:
        raise ValueError(
            "separable_pair without its masks has no gradient: call robdsl.kernels.separable_pair"
        )
    ctx.size = tuple(x.shape[2:])
    ctx.save_for_backward(output[1], output[2], weights[0], weights[1], weights[3], weights[4])


def _back(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Any, ...]:
    masks_in, masks_between, *weights = ctx.saved_tensors
    to_x = None
    if ctx.needs_input_grad[0]:
        to_x = torch.ops.robdsl.separable_pair_input_gradient(
            gradient, masks_in, masks_between, *weights, *ctx.size, ctx.stride, ctx.precision
        )
    return to_x, None, None, None, None, None, None, [gradient] * ctx.addends, None, None, None


_pair.register_autograd(_back, setup_context=_remember)


@torch.library.custom_op(
    "robdsl::separable_pair_input_gradient",
    mutates_args=(),
    schema="(Tensor gradient, Tensor masks_in, Tensor masks_between, Tensor depthwise_1, Tensor pointwise_1, "
    "Tensor depthwise_2, Tensor pointwise_2, int height, int width, int stride, str precision) -> Tensor",
)
def _pair_gradient(
    gradient: Tensor,
    masks_in: Tensor,
    masks_between: Tensor,
    depthwise_1: Tensor,
    pointwise_1: Tensor,
    depthwise_2: Tensor,
    pointwise_2: Tensor,
    height: int,
    width: int,
    stride: int,
    precision: str,
) -> Tensor:
    size = (height, width)
    weights = (depthwise_1, pointwise_1, depthwise_2, pointwise_2)
    kind = product_kind(precision, gradient.dtype)
    if runs_kernel(gradient, *weights) and gradient_fits(gradient.shape[2] * gradient.shape[3], kind):
        return launch_gradient(gradient, masks_in, masks_between, *weights, size, stride, precision)
    ops = torch.ops.robdsl
    if runs_kernel(gradient, *weights):
        (between,) = ops.separable_input_gradient(
            gradient, masks_between, depthwise_2[None], pointwise_2[None], *gradient.shape[2:], 1, precision
        )
        to_x: Tensor
        (to_x,) = ops.separable_input_gradient(
            between, masks_in, depthwise_1[None], pointwise_1[None], *size, stride, precision
        )
        return to_x
    inner_size = (gradient.shape[2], gradient.shape[3])
    (between,) = reference.input_gradients(
        gradient, masks_between, depthwise_2[None], pointwise_2[None], inner_size, 1
    )
    (to_x,) = reference.input_gradients(between, masks_in, depthwise_1[None], pointwise_1[None], size, stride)
    return to_x.to(gradient.dtype).contiguous(memory_format=torch.channels_last)


@_pair_gradient.register_fake
def _(
    gradient: Tensor,
    masks_in: Tensor,
    masks_between: Tensor,
    depthwise_1: Tensor,
    pointwise_1: Tensor,
    depthwise_2: Tensor,
    pointwise_2: Tensor,
    height: int,
    width: int,
    stride: int,
    precision: str,
) -> Tensor:
    return empty_nhwc(len(gradient), len(depthwise_1), height, width, gradient)


def fits(shape: Shape, dtype: torch.dtype, precision: str, modern: bool) -> bool:
    """Whether both stages of `separable_pair` fit on a chip, of compute capability 9.0 and up if `modern`.

    What must fit in shared memory are all blocks of the first depthwise convolution, as operands of the product (in
    two parts for tf32x3), and two blocks on the move.
    """
    positions = out_size(shape.height, shape.stride) * out_size(shape.width, shape.stride)
    if positions > MOST_POSITIONS:
        return False
    rows = max(64, up_to_power(positions))
    size = {"tf32x3": 8, "fp16": 2, "bf16": 2}.get(product_kind(precision, dtype), 4)
    return rows * (16 * over(shape.channels, 16) * size + 2 * 16 * 8) <= _SHARED[0 if modern else 1]


def gradient_fits(positions: int, kind: str) -> bool:
    """Whether the gradient to a pair's input is one kernel, for results of so many positions.

    Without tensor cores (`ieee`) the operands of a product lie in registers, and beyond 64 positions they spill.
    """
    return positions <= (64 if kind == "ieee" else MOST_POSITIONS)


def _on_chip(x: Tensor, pointwise_1: Tensor, stride: int, precision: str) -> bool:
    modern = x.device.type != "cuda" or torch.cuda.get_device_capability(x.device) >= (9, 0)
    shape = Shape(x.shape[2], x.shape[3], x.shape[1], len(pointwise_1), stride)
    return fits(shape, x.dtype, precision, modern)


def launch(
    x: Tensor,
    depthwise_1: Tensor,
    pointwise_1: Tensor,
    bias_1: Tensor | None,
    depthwise_2: Tensor,
    pointwise_2: Tensor,
    bias_2: Tensor | None,
    addends: Sequence[Tensor],
    stride: int,
    precision: str,
    keep_mask: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The result and both masks by the kernel that keeps all between on chip."""
    from robdsl.kernels.device.pair import pair_forward

    n, channels, height, width = x.shape
    middle, outputs = len(pointwise_1), len(pointwise_2)
    out, masks_in, masks_between = _results(x, pointwise_1, pointwise_2, stride, keep_mask)
    kind = tile_kind(precision, x.dtype)
    use = configure("pair_forward", Shape(height, width, channels, outputs, stride), kind, x.device)
    tile = whole_maps(use.rows, *out.shape[2:])
    assert tile is not None
    with torch.cuda.device_of(x):
        pair_forward[(tile.count(n, out.shape[2]),)](
            nhwc(x), tuple(map(nhwc, addends)), out, masks_in, masks_between, depthwise_1.contiguous(),
            pointwise_1.contiguous(), depthwise_1 if bias_1 is None else bias_1.contiguous(),
            depthwise_2.contiguous(), pointwise_2.contiguous(), depthwise_2 if bias_2 is None else bias_2.contiguous(),
            n, middle, HEIGHT=height, WIDTH=width, HEIGHT_OUT=out.shape[2], WIDTH_OUT=out.shape[3], C=channels, B=middle,
            OUT=outputs, BYTES_IN=mask_bytes(channels), BYTES_BETWEEN=mask_bytes(middle), STRIDE=stride,
            ADDENDS=len(addends), BIAS_1=bias_1 is not None, BIAS_2=bias_2 is not None, MASK=keep_mask,
            PRECISION=product_kind(precision, x.dtype), IMAGES=tile.images, M=tile.rows, BLOCK=use.block_c,
            BLOCKS_C=over(channels, use.block_c), BLOCKS_O=over(outputs, use.block_c), num_warps=use.warps,
            num_stages=use.stages,
        )  # fmt: skip
    return out, masks_in, masks_between


def launch_gradient(
    gradient: Tensor,
    masks_in: Tensor,
    masks_between: Tensor,
    depthwise_1: Tensor,
    pointwise_1: Tensor,
    depthwise_2: Tensor,
    pointwise_2: Tensor,
    size: tuple[int, int],
    stride: int,
    precision: str,
) -> Tensor:
    """The gradient to x by the kernel that keeps all between on chip."""
    from robdsl.kernels.device.pair import pair_input_gradient

    n, outputs, height_out, width_out = gradient.shape
    channels, middle = len(depthwise_1), len(pointwise_1)
    out = empty_nhwc(n, channels, *size, gradient)
    kind = tile_kind(precision, gradient.dtype)
    use = configure("pair_input_gradient", Shape(*size, channels, outputs, stride), kind, gradient.device)
    tile = whole_maps(use.rows, height_out, width_out)
    assert tile is not None
    with torch.cuda.device_of(gradient):
        pair_input_gradient[(tile.count(n, height_out),)](
            nhwc(gradient), out, masks_in, masks_between, depthwise_1.contiguous(), pointwise_1.contiguous(),
            depthwise_2.contiguous(), pointwise_2.contiguous(), n, outputs, HEIGHT=size[0], WIDTH=size[1],
            HEIGHT_OUT=height_out, WIDTH_OUT=width_out, C=channels, B=middle, OUT=outputs,
            BYTES_IN=mask_bytes(channels), BYTES_BETWEEN=mask_bytes(middle), STRIDE=stride,
            PRECISION=product_kind(precision, gradient.dtype), IMAGES=tile.images, M=tile.rows, BLOCK=use.block_c,
            BLOCKS_C=over(channels, use.block_c), num_warps=use.warps, num_stages=use.stages,
        )  # fmt: skip
    return out
