"""One launch of each kernel at a given shape: what is compiled ahead of time, tuned and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from robdsl.kernels import (
    channel_sums,
    fsp,
    nodes,
    norms,
    pair,
    pgd,
    pointwise_launch,
    separable_launch,
    weight_gradients,
)
from robdsl.kernels.configurations import Shape, committed
from robdsl.kernels.layout import mask_bytes, out_size
from robdsl.kernels.precision import DEFAULT_PRECISION, Precision, tile_kind
from robdsl.kernels.tiles import over


@dataclass(frozen=True)
class Case:
    """One kernel's work on a batch.

    Attributes:
        kernel: the kernel's name in ``robdsl.kernels.device``.
        shape: of the maps that the operation is given.
        images: in the batch.
        dtype: of the maps; weights are float32.
        precision: of products of float32.
        terms: maps that the operation adds up.
        fan: maps that it makes of the same ones.
    """

    kernel: str
    shape: Shape
    images: int
    dtype: torch.dtype = torch.float32
    precision: str = DEFAULT_PRECISION
    terms: int = 1
    fan: int = 1

    @property
    def kind(self) -> str:
        """What its tile is measured by: see `robdsl.kernels.precision.tile_kind`."""
        return tile_kind(self.precision, self.dtype)

    @property
    def label(self) -> str:
        """``16x16:72-72/1 bf16``: what tables call it."""
        terms = f" x{self.terms}" if self.terms > 1 else ""
        fan = f" to {self.fan}" if self.fan > 1 else ""
        return f"{self.kernel} {self.shape.key}{terms}{fan} {self.kind}"

    def prepare(self, device: torch.device) -> Callable[[], object]:
        """Makes what the kernel works on, random, on a GPU or the device "meta"; the function returned launches it."""
        return _PREPARED[self.kernel](self, device)

    def bytes_moved(self) -> int:
        """What must cross the GPU's memory bus at the least: each map read or written once, weights left out."""
        s, size = self.shape, torch.empty(0, dtype=self.dtype).element_size()
        x = self.images * s.height * s.width
        y = self.images * out_size(s.height, s.stride) * out_size(s.width, s.stride)
        stages = self.terms * x * (s.channels * size + mask_bytes(s.channels)) + self.fan * y * s.outputs * size
        each = {
            "separable_forward": stages,
            "separable_input_gradient": stages,
            "separable_fan_forward": stages,
            "separable_fan_input_gradient": stages,
            "pointwise_fan_forward": stages,
            "pointwise_fan_input_gradients": stages,
            "pair_forward": x * (s.channels * size + mask_bytes(s.channels))
            + y * (s.outputs * size + mask_bytes(s.outputs)),
            "pair_input_gradient": x * (s.channels * size + mask_bytes(s.channels))
            + y * (s.outputs * size + mask_bytes(s.outputs)),
            "pointwise_gradient": (x * s.channels + y * s.outputs) * size,
            "depthwise_gradient": (x * s.channels + y * s.outputs) * size,
            "node_sum_forward": (self.terms + 1) * x * s.channels * size + x * mask_bytes(s.channels),
            "node_sum_gradient": (self.terms + 1) * x * s.channels * size + x * mask_bytes(s.channels),
            "norm_sum_forward": (self.terms + 2) * x * s.channels * size,
            "norm_sum_gradient": (2 * self.terms + 1) * x * s.channels * size,
            "channel_gradients": (self.terms + 1) * x * s.channels * size,
            "combine_statistics": 2 * over(y, _tile_of_statistics(s)) * s.outputs * 4,
            "pgd_step": 5 * x * s.channels * size,
            "gram": x * (s.channels + s.outputs) * size,
            "gram_distance": 2 * x * (s.channels + s.outputs) * size,
        }
        return each[self.kernel]

    def flops(self) -> int:
        """Floating-point operations of its products on tensor cores; depthwise and pointwise arithmetic left out."""
        s = self.shape
        y = self.images * out_size(s.height, s.stride) * out_size(s.width, s.stride)
        once = 2 * y * s.channels * s.outputs
        each = {"separable_forward": self.terms, "separable_input_gradient": self.terms,
                "separable_fan_forward": self.fan, "separable_fan_input_gradient": self.fan,
                "pointwise_fan_forward": self.terms * self.fan, "pointwise_fan_input_gradients": self.terms * self.fan,
                "pair_forward": 2, "pair_input_gradient": 2, "pointwise_gradient": 1, "depthwise_gradient": 1, "gram": 1,
                "gram_distance": 2}  # fmt: skip
        return once * each.get(self.kernel, 0)

    def maps(self, device: torch.device, channels: int, strided: bool = False) -> Tensor:
        """Random maps of the case's size, at its input or behind its stride."""
        stride = self.shape.stride if strided else 1
        size = (
            self.images, channels, out_size(self.shape.height, stride), out_size(self.shape.width, stride)
        )  # fmt: skip
        return torch.randn(size, dtype=self.dtype, device=device).contiguous(
            memory_format=torch.channels_last
        )


def _weights(device: torch.device, *size: int) -> Tensor:
    return torch.randn(size, device=device)


def _mask(case: Case, device: torch.device, channels: int, strided: bool, terms: int = 1) -> Tensor:
    stride = case.shape.stride if strided else 1
    size = out_size(case.shape.height, stride), out_size(case.shape.width, stride)
    return torch.full(
        (terms, case.images, *size, mask_bytes(channels)), 0x5A, dtype=torch.uint8, device=device
    )


def _separable_forward(case: Case, device: torch.device) -> Callable[[], object]:
    s, k = case.shape, case.terms
    xs = [case.maps(device, s.channels) for _ in range(k)]
    weights = (
        _weights(device, k, s.channels, 3, 3), _weights(device, k, s.outputs, s.channels), _weights(device, s.outputs)
    )  # fmt: skip
    addends = [case.maps(device, s.outputs, strided=True)] if k > 1 else []
    return lambda: separable_launch.forward(
        xs, *weights, addends, s.stride, case.precision, keep_mask=True, keep_statistics=k == 1
    )


def _separable_input_gradient(case: Case, device: torch.device) -> Callable[[], object]:
    s, k = case.shape, case.terms
    gradient = case.maps(device, s.outputs, strided=True)
    masks = _mask(case, device, s.channels, False, k)
    weights = _weights(device, k, s.channels, 3, 3), _weights(device, k, s.outputs, s.channels)

    def launch() -> object:
        tile, use = separable_launch.gradient_tile(case.kernel, s, case.kind, device)
        assert tile is not None
        return separable_launch.input_gradients(
            gradient, masks, *weights, (s.height, s.width), s.stride, case.precision, tile, use
        )

    return launch


def _separable_fan_forward(case: Case, device: torch.device) -> Callable[[], object]:
    s, fan = case.shape, case.fan
    x, bias = case.maps(device, s.channels), _weights(device, fan, s.outputs)
    weights = _weights(device, fan, s.channels, 3, 3), _weights(device, fan, s.outputs, s.channels)
    return lambda: separable_launch.fan_forward(x, *weights, bias, s.stride, case.precision, keep_mask=True)


def _separable_fan_input_gradient(case: Case, device: torch.device) -> Callable[[], object]:
    s, fan = case.shape, case.fan
    gradients = [case.maps(device, s.outputs, strided=True) for _ in range(fan)]
    masks = _mask(case, device, s.channels, False)
    weights = _weights(device, fan, s.channels, 3, 3), _weights(device, fan, s.outputs, s.channels)

    def launch() -> object:
        tile, use = separable_launch.gradient_tile(case.kernel, s, case.kind, device)
        assert tile is not None
        return separable_launch.fan_input_gradient(
            gradients, masks, *weights, (s.height, s.width), s.stride, case.precision, tile, use
        )

    return launch


def _pointwise_fan_forward(case: Case, device: torch.device) -> Callable[[], object]:
    s, fan = case.shape, case.fan
    xs = [case.maps(device, s.channels) for _ in range(case.terms)]
    weights = _weights(device, fan, s.outputs, case.terms * s.channels), _weights(device, fan, s.outputs)
    return lambda: pointwise_launch.forward(xs, *weights, case.precision, keep_mask=True)


def _pointwise_fan_input_gradients(case: Case, device: torch.device) -> Callable[[], object]:
    s, fan = case.shape, case.fan
    gradients = [case.maps(device, s.outputs) for _ in range(fan)]
    masks = _mask(case, device, s.channels, False, case.terms)
    weights = _weights(device, fan, s.outputs, case.terms * s.channels)
    return lambda: pointwise_launch.input_gradients(gradients, masks, weights, case.terms, case.precision)


def _pair_weights(case: Case, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    s = case.shape
    return (
        _weights(device, s.channels, 3, 3), _weights(device, s.outputs, s.channels),
        _weights(device, s.outputs, 3, 3), _weights(device, s.outputs, s.outputs),
    )  # fmt: skip


def _pair_forward(case: Case, device: torch.device) -> Callable[[], object]:
    s = case.shape
    x, bias = case.maps(device, s.channels), _weights(device, s.outputs)
    d_1, p_1, d_2, p_2 = _pair_weights(case, device)
    return lambda: pair.launch(
        x, d_1, p_1, bias, d_2, p_2, bias, [], s.stride, case.precision, keep_mask=True
    )


def _pair_input_gradient(case: Case, device: torch.device) -> Callable[[], object]:
    s = case.shape
    gradient = case.maps(device, s.outputs, strided=True)
    masks = _mask(case, device, s.channels, False), _mask(case, device, s.outputs, True)
    weights = _pair_weights(case, device)
    return lambda: pair.launch_gradient(
        gradient, *masks, *weights, (s.height, s.width), s.stride, case.precision
    )


def _for_weight_gradients(case: Case, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    s = case.shape
    return (
        case.maps(device, s.channels), case.maps(device, s.outputs, strided=True), _weights(device, s.channels, 3, 3),
        _weights(device, s.outputs, s.channels),
    )  # fmt: skip


def _pointwise_gradient(case: Case, device: torch.device) -> Callable[[], object]:
    x, gradient, depthwise, _ = _for_weight_gradients(case, device)
    return lambda: weight_gradients.launch_pointwise(
        x, gradient, depthwise, case.shape.stride, case.precision
    )


def _depthwise_gradient(case: Case, device: torch.device) -> Callable[[], object]:
    x, gradient, _, pointwise = _for_weight_gradients(case, device)
    return lambda: weight_gradients.launch_depthwise(
        x, gradient, pointwise, case.shape.stride, case.precision
    )


def _node_sum_forward(case: Case, device: torch.device) -> Callable[[], object]:
    channels = case.shape.channels
    xs = [case.maps(device, channels) for _ in range(case.terms)]
    scales, bias = _weights(device, case.terms, channels), _weights(device, channels)
    return lambda: nodes.launch(xs, scales, bias, rectify=True)


def _node_sum_gradient(case: Case, device: torch.device) -> Callable[[], object]:
    channels = case.shape.channels
    gradient, mask = case.maps(device, channels), _mask(case, device, channels, False)
    scales = _weights(device, case.terms, channels)
    return lambda: nodes.launch_gradient(gradient, mask, scales, case.terms, rectify=True)


def _for_norms(
    case: Case, device: torch.device
) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """The maps of a node, and their means, variances and weights."""
    channels, k = case.shape.channels, case.terms
    means, variances, weights = ([_weights(device, channels).abs() for _ in range(k)] for _ in range(3))
    return [case.maps(device, channels) for _ in range(k)], means, variances, weights


def _norm_sum_forward(case: Case, device: torch.device) -> Callable[[], object]:
    ys, means, variances, weights = _for_norms(case, device)
    addend = case.maps(device, case.shape.channels)
    return lambda: norms.launch(ys, [addend], means, variances, weights, weights, 1e-5)


def _norm_sum_gradient(case: Case, device: torch.device) -> Callable[[], object]:
    given = _for_norms(case, device)
    gradient = case.maps(device, case.shape.channels)
    sums = _weights(device, case.terms + 1, case.shape.channels)
    return lambda: norms.launch_application(gradient, *given, sums, 1e-5)


def _channel_gradients(case: Case, device: torch.device) -> Callable[[], object]:
    ys, means, _, _ = _for_norms(case, device)
    gradient = case.maps(device, case.shape.channels)
    return lambda: channel_sums.launch(gradient, ys, means, None)


def _tile_of_statistics(shape: Shape) -> int:
    return committed("separable_forward", shape, DEFAULT_PRECISION).rows


def _combine_statistics(case: Case, device: torch.device) -> Callable[[], object]:
    s, rows = case.shape, _tile_of_statistics(case.shape)
    positions = case.images * out_size(s.height, s.stride) * out_size(s.width, s.stride)
    parts = _weights(device, over(positions, rows), 2, s.outputs)
    return lambda: separable_launch.combine(parts, positions, rows)


def _pgd_step(case: Case, device: torch.device) -> Callable[[], object]:
    images, gradient, lower, upper = (case.maps(device, case.shape.channels) for _ in range(4))
    return lambda: pgd.launch(images, gradient, lower, upper, 2 / 255)


def _gram(case: Case, device: torch.device) -> Callable[[], object]:
    a, b = case.maps(device, case.shape.channels), case.maps(device, case.shape.outputs)
    return lambda: fsp.launch_gram(a, b, case.precision)


def _gram_distance(case: Case, device: torch.device) -> Callable[[], object]:
    maps = [case.maps(device, c) for _ in range(2) for c in (case.shape.channels, case.shape.outputs)]
    return lambda: fsp.launch_distance(maps[0], maps[1], maps[2], maps[3], case.precision)


_PREPARED: dict[str, Callable[[Case, torch.device], Callable[[], object]]] = {
    "separable_forward": _separable_forward,
    "separable_input_gradient": _separable_input_gradient,
    "separable_fan_forward": _separable_fan_forward,
    "separable_fan_input_gradient": _separable_fan_input_gradient,
    "pointwise_fan_forward": _pointwise_fan_forward,
    "pointwise_fan_input_gradients": _pointwise_fan_input_gradients,
    "pair_forward": _pair_forward,
    "pair_input_gradient": _pair_input_gradient,
    "pointwise_gradient": _pointwise_gradient,
    "depthwise_gradient": _depthwise_gradient,
    "node_sum_forward": _node_sum_forward,
    "node_sum_gradient": _node_sum_gradient,
    "norm_sum_forward": _norm_sum_forward,
    "norm_sum_gradient": _norm_sum_gradient,
    "channel_gradients": _channel_gradients,
    "combine_statistics": _combine_statistics,
    "pgd_step": _pgd_step,
    "gram": _gram,
    "gram_distance": _gram_distance,
}
#: The names of all kernels.
KERNELS = tuple(_PREPARED)

#: Those that add up the maps of a node.
_SUMS = ("node_sum_forward", "node_sum_gradient", "norm_sum_forward", "norm_sum_gradient", "channel_gradients")

#: The maps of a RobNet of width 36 on 32 x 32 images: its cells, and the stages that halve a map.
STAGES = (Shape(32, 32, 36, 36), Shape(16, 16, 72, 72), Shape(8, 8, 144, 144))
REDUCTIONS = (Shape(32, 32, 72, 72, 2), Shape(16, 16, 144, 144, 2))
#: Its pointwise convolutions before cells: of each of the maps that they concatenate, how many of those, how many read them.
POINTWISE = (
    (Shape(32, 32, 108, 36), 1, 1), (Shape(32, 32, 36, 36), 4, 2), (Shape(32, 32, 36, 72), 4, 1),
    (Shape(16, 16, 72, 72), 4, 2), (Shape(16, 16, 72, 144), 4, 1), (Shape(8, 8, 144, 144), 4, 2),
)  # fmt: skip


def cases(
    images: int = 512,
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.bfloat16),
    precision: str = DEFAULT_PRECISION,
) -> list[Case]:
    """Every kernel at the maps of a RobNet where it is used; `precision` is that of float32's products."""
    found = []
    for dtype in dtypes:
        for shape in (*STAGES, *REDUCTIONS):
            plain = shape.stride == 1
            small = out_size(shape.height, shape.stride) <= 16
            for kernel in KERNELS:
                if kernel == "pgd_step" or kernel.startswith("pointwise_fan"):
                    continue
                if kernel.startswith("separable_fan"):
                    found.append(Case(kernel, shape, images, dtype, precision, fan=3))
                    continue
                if kernel.startswith("pair") and not small:
                    continue
                is_sum = kernel in _SUMS
                if (is_sum or kernel.startswith("gram")) and not plain:
                    continue
                if kernel == "combine_statistics" and dtype != torch.float32:
                    continue  # statistics are float32, whatever the maps are
                terms = 3 if is_sum else 1
                # Sums are float32 whatever the precision of products.
                given = DEFAULT_PRECISION if is_sum or kernel == "combine_statistics" else precision
                found.append(Case(kernel, shape, images, dtype, given, terms))
                if kernel.startswith("separable") and plain:
                    found.append(Case(kernel, shape, images, dtype, precision, 3))
        found += [
            Case(kernel, shape, images, dtype, precision, terms, fan)
            for kernel in KERNELS
            if kernel.startswith("pointwise_fan")
            for shape, terms, fan in POINTWISE
        ]
        found.append(Case("pgd_step", Shape(32, 32, 3, 3), images, dtype))
    return found


def cases_of_all_kinds(images: int = 512) -> list[Case]:
    """`cases` in every kind of product that a user can choose, each once."""
    found = cases(images, (torch.float32, torch.bfloat16, torch.float16))
    for precision in get_args(Precision):
        found += cases(images, (torch.float32,), precision)
    return list(dict.fromkeys(found))
