"""References against plain autograd in float64; operators as torch's own checks want them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from robdsl import kernels
from robdsl.kernels.layout import pack_bits, unpack_bits

OPS = torch.ops.robdsl


def draw(*size: int, dtype: torch.dtype = torch.float64, grad: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randn(size, generator=generator, dtype=dtype).requires_grad_(grad)


def plain_stage(x: Tensor, d: Tensor, w: Tensor, b: Tensor | None, stride: int) -> Tensor:
    """A stage as nn modules compute it."""
    y = F.conv2d(F.relu(x), d[:, None], stride=stride, padding=1, groups=len(d))
    return F.conv2d(y, w[:, :, None, None], b)


def same(found: Tensor, expected: Tensor, leaves: list[Tensor]) -> None:
    """Equal values and equal gradients, to float64's rounding."""
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.cos(torch.arange(found.numel(), dtype=found.dtype)).view(found.shape)
    got = torch.autograd.grad((found * weights).sum(), leaves)
    wanted = torch.autograd.grad((expected * weights).sum(), leaves)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (8, 4)])
def test_a_sum_of_stages(stride: int, height: int, width: int) -> None:
    xs = [draw(2, 5, height, width).detach().roll(i).requires_grad_() for i in range(2)]
    d, w, b = draw(2, 5, 3, 3), draw(2, 9, 5), draw(9)
    expected = plain_stage(xs[0], d[0], w[0], b, stride) + plain_stage(xs[1], d[1], w[1], None, stride)
    addend = draw(*expected.shape)
    found = kernels.separable_sum(xs, d, w, b, [addend, addend], stride)
    same(found, expected + 2 * addend, [*xs, d, w, b, addend])
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
def test_statistics_are_those_of_a_batch_norm(stride: int) -> None:
    x, d, w = draw(3, 5, 6, 7), draw(5, 3, 3), draw(4, 5)
    y, mean, variance = kernels.separable_statistics(x, d, w, stride)
    scale = (variance + 1e-5).rsqrt()
    found = kernels.node_sum([y], scale[None], -mean * scale, rectify=True)
    expected = F.relu(F.batch_norm(plain_stage(x, d, w, None, stride), None, None, training=True))
    same(found, expected, [x, d, w])


@pytest.mark.parametrize("stride", [1, 2])
def test_both_stages(stride: int) -> None:
    x = draw(2, 5, 6, 7)
    first = [draw(5, 3, 3, grad=False), draw(9, 5, grad=False), draw(9, grad=False)]
    second = [draw(9, 3, 3, grad=False), draw(4, 9, grad=False), draw(4, grad=False)]
    between = plain_stage(x, first[0], first[1], first[2], stride)
    expected = plain_stage(between, second[0], second[1], second[2], 1)
    addend = draw(*expected.shape)
    found = kernels.separable_pair(
        x, first[0], first[1], first[2], second[0], second[1], second[2], [addend], stride
    )
    same(found, expected + addend, [x, addend])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("used", [[0, 1, 2], [0, 2], [1]])
@pytest.mark.parametrize("biased", [False, True])
def test_a_fan_of_stages(stride: int, used: list[int], biased: bool) -> None:
    """Where not all results are used, too: the others take no part on the way back."""
    x, d, w = draw(2, 5, 6, 7), draw(3, 5, 3, 3), draw(3, 9, 5)
    b = draw(3, 9) if biased else None
    outs = kernels.separable_fan(x, d, w, b, stride)
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in outs)
    expected = [plain_stage(x, d[e], w[e], None if b is None else b[e], stride) for e in used]
    leaves = [x, d, w] if b is None else [x, d, w, b]
    same(torch.cat([outs[e] for e in used]), torch.cat(expected), leaves)


@pytest.mark.parametrize("used", [[0, 1], [1]])
@pytest.mark.parametrize("biased", [False, True])
def test_a_fan_of_pointwise_convolutions(used: list[int], biased: bool) -> None:
    xs = [draw(2, 5, 4, 3).detach().roll(k).requires_grad_() for k in range(3)]
    w, b = draw(2, 7, 15), draw(2, 7) if biased else None
    outs = kernels.pointwise_fan(xs, w, b)
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in outs)
    whole = F.relu(torch.cat(xs, 1))
    expected = [F.conv2d(whole, w[e, :, :, None, None], None if b is None else b[e]) for e in used]
    leaves = [*xs, w] if b is None else [*xs, w, b]
    same(torch.cat([outs[e] for e in used]), torch.cat(expected), leaves)


def test_fans_of_frozen_weights() -> None:
    x, y = draw(2, 5, 4, 3), draw(2, 5, 4, 3).detach().roll(1)
    d, w = draw(2, 5, 3, 3, grad=False), draw(2, 7, 5, grad=False)
    expected = plain_stage(x, d[1], w[1], None, 1)
    same(kernels.separable_fan(x, d, w)[1], expected, [x])
    w = draw(2, 7, 10, grad=False)
    expected = F.conv2d(F.relu(torch.cat([y, x], 1)), w[1, :, :, None, None])
    same(kernels.pointwise_fan([y, x], w)[1], expected, [x])


def test_results_of_a_fan_share_no_memory() -> None:
    x, d, w = draw(1, 4, 3, 3), *weights_of(4, 4, 3, torch.float64)
    for outs in (kernels.separable_fan(x, d, w), kernels.pointwise_fan([x], w)):
        assert len({out.untyped_storage().data_ptr() for out in outs}) == 3


@pytest.mark.parametrize("batch", [False, True])
def test_gradients_of_norms_add_up_each_for_itself(batch: bool) -> None:
    """All biases have one gradient, but each its own memory: what is added to one, or scales it, changes no other."""
    ys = [draw(2, 3, 4, 5, grad=False), draw(2, 3, 4, 5, grad=False) + 1]
    means, variances = [draw(3, grad=False)] * 2, [draw(3, grad=False).abs()] * 2
    weights, biases = ([torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in ys] for _ in range(2))
    for times in (1, 2):
        kernels.norm_sum(ys, means, variances, weights, biases, batch=batch).sum().backward()
        for each in biases:
            assert each.grad is not None and each.grad.tolist() == [times * 2 * 4 * 5] * 3


@pytest.mark.parametrize("rectify", [False, True])
def test_node_sums(rectify: bool) -> None:
    xs = [draw(2, 11, 3, 4).detach().roll(i).requires_grad_() for i in range(3)]
    scales, bias = draw(3, 11), draw(11)
    total = sum(x * s[:, None, None] for x, s in zip(xs, scales, strict=True)) + bias[:, None, None]
    expected = F.relu(total) if rectify else total
    same(kernels.node_sum(xs, scales, bias, rectify), expected, [*xs, scales, bias])
    total = xs[0] + xs[1] + xs[2]
    same(kernels.node_sum(xs, rectify=rectify), F.relu(total) if rectify else total, xs)


def test_grams_and_distances() -> None:
    a, b, c, d = (
        draw(2, channels, 3, 5).detach().roll(channels).requires_grad_() for channels in (4, 6, 4, 6)
    )

    def gram(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("nihw,njhw->nij", a, b) / 15

    same(kernels.fsp_gram(a, b), gram(a, b), [a, b])
    same(kernels.fsp_distance(a, b, c, d), (gram(a, b) - gram(c, d)).square().sum((1, 2)), [a, b, c, d])


def test_masks_pack_and_unpack() -> None:
    bits = torch.rand(2, 19, 3, 4) < 0.5
    packed = pack_bits(bits)
    assert packed.shape == (2, 3, 4, 3)
    assert torch.equal(unpack_bits(packed, 19), bits)
    assert int(packed[0, 0, 0, 0]) == sum(1 << i for i in range(8) if bits[0, i, 0, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_step_of_pgd_is_torchs(dtype: torch.dtype) -> None:
    images = torch.rand(2, 3, 5, 5).to(dtype)
    lower, upper = (images - 0.03).clamp(0, 1), (images + 0.03).clamp(0, 1)
    gradient = torch.randn(images.shape).to(dtype)
    gradient[0, 0] = 0
    gradient[1, 0] = torch.nan
    found = kernels.pgd_step_(images.clone(), gradient, lower, upper, 2 / 255)
    expected = images.clone().add_(torch.sign(gradient), alpha=2 / 255).clamp_(lower, upper)
    assert torch.equal(found, expected)


def weights_of(c: int, o: int, k: int | None = None, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    lead = [] if k is None else [k]
    return [draw(*lead, c, 3, 3, dtype=dtype, grad=False), draw(*lead, o, c, dtype=dtype, grad=False)]


CHECKED: dict[str, Callable[[], tuple[Any, ...]]] = {
    "separable_sum": lambda: (
        [draw(2, 4, 5, 3, dtype=torch.float32) for _ in range(2)], *weights_of(4, 6, 2), draw(6, dtype=torch.float32),
        [draw(2, 6, 5, 3, dtype=torch.float32)], 1, "tf32x3", True,
    ),
    "separable_input_gradient": lambda: (
        draw(2, 6, 3, 2, dtype=torch.float32, grad=False), torch.full((1, 2, 5, 3, 1), 7, dtype=torch.uint8),
        *weights_of(4, 6, 1), 5, 3, 2, "ieee",
    ),
    "separable_weight_gradients": lambda: (
        draw(2, 4, 5, 3, dtype=torch.float32, grad=False), draw(2, 6, 5, 3, dtype=torch.float32, grad=False),
        *weights_of(4, 6), 1, "ieee",
    ),
    "separable_statistics": lambda: (
        draw(2, 4, 5, 3, dtype=torch.float32), draw(4, 3, 3, dtype=torch.float32), draw(6, 4, dtype=torch.float32), 2,
        "ieee",
    ),
    "separable_fan": lambda: (
        draw(2, 4, 5, 3, dtype=torch.float32), *weights_of(4, 6, 3), draw(3, 6, dtype=torch.float32), 2, "tf32x3", True,
    ),
    "separable_fan_input_gradient": lambda: (
        [draw(2, 6, 3, 2, dtype=torch.float32, grad=False) for _ in range(2)],
        torch.full((1, 2, 5, 3, 1), 7, dtype=torch.uint8), *weights_of(4, 6, 2), 5, 3, 2, "ieee",
    ),
    "pointwise_fan": lambda: (
        [draw(2, 4, 5, 3, dtype=torch.float32) for _ in range(3)], draw(2, 6, 12, dtype=torch.float32),
        draw(2, 6, dtype=torch.float32), "ieee", True,
    ),
    "pointwise_fan_input_gradients": lambda: (
        [draw(2, 6, 5, 3, dtype=torch.float32, grad=False) for _ in range(2)],
        torch.full((3, 2, 5, 3, 1), 7, dtype=torch.uint8), draw(2, 6, 12, dtype=torch.float32, grad=False), 3, "ieee",
    ),
    "separable_pair": lambda: (
        draw(2, 4, 5, 3, dtype=torch.float32), *weights_of(4, 6), None, *weights_of(6, 5), None, [], 1, "ieee", True,
    ),
    "separable_pair_input_gradient": lambda: (
        draw(2, 5, 5, 3, dtype=torch.float32, grad=False), torch.full((1, 2, 5, 3, 1), 9, dtype=torch.uint8),
        torch.full((1, 2, 5, 3, 1), 9, dtype=torch.uint8), *weights_of(4, 6), *weights_of(6, 5), 5, 3, 1, "ieee",
    ),
    "node_sum": lambda: (
        [draw(2, 4, 5, 3, dtype=torch.float32) for _ in range(2)], draw(2, 4, dtype=torch.float32), None, True,
    ),
    "node_sum_gradient": lambda: (
        draw(2, 4, 5, 3, dtype=torch.float32, grad=False), torch.full((2, 5, 3, 1), 9, dtype=torch.uint8), None, 1, True,
    ),
    "norm_sum": lambda: (
        [draw(2, 4, 5, 3, dtype=torch.float32) for _ in range(2)], [draw(2, 4, 5, 3, dtype=torch.float32)],
        *[[draw(4, dtype=torch.float32, grad=False).abs()] * 2 for _ in range(2)],
        *[[draw(4, dtype=torch.float32) for _ in range(2)] for _ in range(2)], 1e-5, False,
    ),
    "norm_sum_gradient": lambda: (
        draw(2, 4, 5, 3, dtype=torch.float32, grad=False), [draw(2, 4, 5, 3, dtype=torch.float32, grad=False)],
        *[[draw(4, dtype=torch.float32, grad=False).abs()] for _ in range(3)], 1e-5,
    ),
    "channel_gradients": lambda: (
        draw(2, 4, 5, 3, dtype=torch.float32, grad=False), [draw(2, 4, 5, 3, dtype=torch.float32, grad=False)],
        [draw(4, dtype=torch.float32, grad=False)], torch.full((2, 5, 3, 1), 9, dtype=torch.uint8),
    ),
    "pgd_step_": lambda: (
        torch.rand(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4), 0.1,
    ),
    "fsp_gram": lambda: (draw(2, 4, 5, 3, dtype=torch.float32), draw(2, 6, 5, 3, dtype=torch.float32), "ieee"),
    "fsp_gram_gradient": lambda: (
        draw(2, 4, 6, dtype=torch.float32, grad=False), draw(2, 4, 5, 3, dtype=torch.float32, grad=False),
        draw(2, 6, 5, 3, dtype=torch.float32, grad=False),
    ),
    "fsp_distance": lambda: (*(draw(2, c, 5, 3, dtype=torch.float32) for c in (4, 6, 4, 6)), "ieee"),
}  # fmt: skip


# The check itself reads the gradients of copies that it made of the inputs.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", CHECKED)
def test_operators_are_whole(name: str) -> None:
    """Schema, fake, autograd registration, and the same through AOT compilation."""
    checks = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_static")
    torch.library.opcheck(getattr(OPS, name).default, CHECKED[name](), test_utils=checks)


def _pair(x: Tensor, addend: Tensor) -> Tensor:
    d, w, b = draw(3, 3, 3, grad=False), draw(2, 3, grad=False), draw(2, grad=False)
    return kernels.separable_pair(x, d, w, b, d[:2], w[:, :2], b, [addend], 2)


def _norms(x: Tensor, y: Tensor, weights: Tensor, biases: Tensor, addend: Tensor) -> Tensor:
    """Norms of the batch, through whose statistics gradients go as well, and then of given statistics."""
    of_weights, of_biases = list(weights.unbind()), list(biases.unbind())
    with torch.no_grad():
        variances, means = zip(
            *(torch.var_mean(each, (0, 2, 3), correction=0) for each in (x, y)), strict=True
        )
    once = kernels.norm_sum([x, y], means, variances, of_weights, of_biases, [addend], batch=True)
    given = draw(3, grad=False)
    return kernels.norm_sum([once], [given], [given.abs()], of_weights[:1], of_biases[:1], batch=False)


#: Of each operator that gradients flow through: what is differentiated, and with respect to what.
DIFFERENTIATED: dict[str, tuple[Callable[..., Any], Callable[[], tuple[Tensor, ...]]]] = {
    "separable_sum": (
        lambda x, y, d, w, b, a: kernels.separable_sum([x, y], d, w, b, [a], stride=2),
        lambda: (draw(1, 3, 4, 3), draw(1, 3, 4, 3).detach().roll(1).requires_grad_(), draw(2, 3, 3, 3), draw(2, 2, 3),
                 draw(2), draw(1, 2, 2, 2)),
    ),
    "separable_statistics": (
        lambda x, d, w: kernels.separable_statistics(x, d, w, 2), lambda: (draw(2, 3, 4, 3), draw(3, 3, 3), draw(2, 3)),
    ),
    "separable_fan": (
        lambda x, d, w, b: tuple(kernels.separable_fan(x, d, w, b, stride=2)),
        lambda: (draw(1, 3, 4, 3), draw(2, 3, 3, 3), draw(2, 2, 3), draw(2, 2)),
    ),
    "pointwise_fan": (
        lambda x, y, w, b: tuple(kernels.pointwise_fan([x, y], w, b)),
        lambda: (draw(1, 3, 4, 3), draw(1, 3, 4, 3).detach().roll(1).requires_grad_(), draw(2, 2, 6), draw(2, 2)),
    ),
    "separable_pair": (_pair, lambda: (draw(1, 3, 4, 3), draw(1, 2, 2, 2))),
    "node_sum": (
        lambda x, y, s, b: kernels.node_sum([x, y], s, b, rectify=True),
        lambda: (draw(1, 3, 4, 3), draw(1, 3, 4, 3).detach().roll(1).requires_grad_(), draw(2, 3), draw(3)),
    ),
    "norm_sum": (
        _norms, lambda: (draw(2, 3, 4, 3), draw(2, 3, 4, 3).detach().roll(1).requires_grad_(), draw(2, 3), draw(2, 3).detach().roll(1).requires_grad_(), draw(2, 3, 4, 3)),
    ),
    "fsp_gram": (kernels.fsp_gram, lambda: (draw(1, 2, 3, 2), draw(1, 3, 3, 2))),
    "fsp_distance": (
        kernels.fsp_distance, lambda: (draw(1, 2, 3, 2), draw(1, 3, 3, 2), draw(1, 2, 2, 3).view(1, 2, 3, 2),
                                       draw(1, 3, 2, 3).view(1, 3, 3, 2)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients_are_those_of_differences(name: str) -> None:
    function, inputs = DIFFERENTIATED[name]
    gradcheck: Any = torch.autograd.gradcheck
    assert gradcheck(function, inputs())


def test_no_operator_is_left_unchecked() -> None:
    """Each that is registered is checked by torch, and differentiated unless it is a gradient or an update itself."""
    names: Any = torch._C._dispatch_get_all_op_names()
    registered = {
        name.removeprefix("robdsl::").partition(".")[0] for name in names if name.startswith("robdsl::")
    }
    assert set(CHECKED) == registered
    assert set(DIFFERENTIATED) == {
        name for name in registered if not name.endswith(("_gradient", "_gradients", "_"))
    }


def test_what_does_not_fit_is_refused() -> None:
    x, d, w = torch.rand(1, 4, 3, 3), torch.rand(4, 3, 3), torch.rand(6, 4)
    refused: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: kernels.separable_stage(x, d[:3], w), "depthwise weights must be"),
        (lambda: kernels.separable_stage(x, d, w[:, :3]), "pointwise weights must be"),
        (lambda: kernels.separable_stage(x, d, w, stride=3), "stride must be 1 or 2"),
        (lambda: kernels.separable_stage(x, d, w, precision="fp8"), "precision must be one of"),
        (lambda: kernels.separable_sum([], d[None], w[None]), "at least one input"),
        (lambda: kernels.separable_fan(x, d[:0, None], w[:0, None]), "at least one stage"),
        (lambda: kernels.separable_fan(x, d[None, :3], w[None]), "depthwise weights must be"),
        (lambda: kernels.separable_fan(x, d[None], w[None, :, :3]), "pointwise weights must be"),
        (lambda: kernels.separable_fan(x, d[None], w[None], w[:1]), "bias must be"),
        (lambda: kernels.separable_fan(x, d[None], w[None], stride=3), "stride must be 1 or 2"),
        (lambda: kernels.separable_fan(x, d[None], w[None], precision="fp8"), "precision must be one of"),
        (lambda: kernels.pointwise_fan([], w[None]), "at least one map"),
        (lambda: kernels.pointwise_fan([x, x[:, :2]], w[None]), "all of one shape"),
        (lambda: kernels.pointwise_fan([x, x], w[None]), r"must be \(E, O, 8\)"),
        (lambda: kernels.pointwise_fan([x], w[None], w[:1]), "bias must be"),
        (lambda: kernels.pointwise_fan([x], w[None], precision="fp8"), "precision must be one of"),
        (lambda: kernels.separable_pair(x, d, w, None, d, w, None), "second stage of 6 channels"),
        (lambda: kernels.node_sum([x, x[:, :2]]), "all of one shape"),
        (lambda: kernels.node_sum([x], torch.ones(2, 4)), "scales must be"),
        (
            lambda: kernels.norm_sum([x], [d[:, 0, 0]], [], batch=True),
            "variances must be 1 vectors of 4 numbers",
        ),
        (lambda: kernels.norm_sum([x], [], [], addends=[x[:1, :2]], batch=True), "all of one shape"),
        (lambda: kernels.fsp_gram(x, x[:, :, :2]), "average-pool"),
        (lambda: kernels.fsp_distance(x, x, x, x[:, :2]), "same shapes"),
    )
    for call, said in refused:
        with pytest.raises(ValueError, match=said):
            call()


def test_weights_of_a_pair_are_frozen() -> None:
    x, d, w = draw(1, 4, 3, 3), draw(4, 3, 3), draw(4, 4, grad=False)
    with pytest.raises(ValueError, match="for frozen nets"):
        kernels.separable_pair(x, d, w, None, d.detach(), w, None)


def test_no_mask_is_kept_where_nobody_asks_for_a_gradient() -> None:
    x, d, w = draw(1, 4, 3, 3), *weights_of(4, 4, 1, torch.float64)
    with torch.no_grad():
        assert not kernels.separable_sum([x], d, w).requires_grad
    with pytest.raises(ValueError, match="without its mask"):
        OPS.separable_sum([x], d, w, None, [], 1, "ieee", False)
    with pytest.raises(ValueError, match="without its mask"):
        OPS.separable_fan(x, d, w, None, 1, "ieee", False)
    with pytest.raises(ValueError, match="without its masks"):
        OPS.pointwise_fan([x], w, None, "ieee", False)
