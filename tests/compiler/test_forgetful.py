"""Operations that keep less for the gradient are held against torch's own, of any order of gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robdsl.compiler.forgetful import ForgetfulConv2d, can_forget, relu_keeping_signs
from robdsl.compiler.frozen_module import constant

DOUBLE = torch.float64


def forgetful(conv: nn.Conv2d) -> ForgetfulConv2d:
    made = constant(conv)
    made.__class__ = ForgetfulConv2d
    assert isinstance(made, ForgetfulConv2d)
    return made


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)


@contextmanager
def kept() -> Iterator[list[Tensor]]:
    """What autograd keeps within."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield found


@settings(max_examples=40)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.integers(1, 2),
    channels=st.sampled_from([(1, 1, 1), (2, 3, 1), (3, 3, 3), (4, 4, 1), (1, 3, 1)]),
    bias=st.booleans(),
)
def test_convolutions(
    kernel: tuple[int, int],
    padding: tuple[int, int],
    dilation: int,
    channels: tuple[int, int, int],
    bias: bool,
) -> None:
    ins, outs, groups = channels
    conv = nn.Conv2d(
        ins, outs, kernel, padding=padding, dilation=dilation, groups=groups, bias=bias, dtype=DOUBLE
    ).requires_grad_(False)
    reach = [dilation * (size - 1) for size in kernel]
    assert can_forget(constant(conv)) == all(pad <= each for pad, each in zip(padding, reach, strict=True))  # type: ignore[arg-type]  # of a convolution it is one
    if not can_forget(constant(conv)):  # type: ignore[arg-type]  # likewise
        return
    ours, x = forgetful(conv), images(2, ins, 6, 5).requires_grad_()
    expected = conv(x)
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-12)
    other = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(ours(x), x, other)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, x, other)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 4, 1, stride=2),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.Conv2d(4, 8, 1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 1, padding=1),
    ],
    ids=str,
)
def test_other_convolutions_are_refused(conv: nn.Conv2d) -> None:
    assert not can_forget(constant(conv))  # type: ignore[arg-type]  # of a convolution it is one


def test_weights_that_learn_are_refused() -> None:
    assert not can_forget(nn.Conv2d(4, 4, 1))


def test_nothing_of_the_input_is_kept() -> None:
    conv, x = forgetful(nn.Conv2d(4, 4, 1, dtype=DOUBLE)), images(2, 4, 6, 6).requires_grad_()
    with kept() as found:
        conv(x)
    assert [each.data_ptr() for each in found] == [conv.weight.data_ptr()]


def test_a_byte_a_value_is_kept() -> None:
    x = images(2, 4, 6, 6).requires_grad_()
    with kept() as found:
        y = relu_keeping_signs(x)
    assert [(each.dtype, each.numel()) for each in found] == [(torch.int8, x.numel())]
    assert torch.equal(y, x.relu())
    (gradient,) = torch.autograd.grad(y, x, torch.full_like(y, 3))
    assert torch.equal(gradient, 3 * (x > 0).double())
    edge = torch.tensor([0.0, -0.0, 5e-324, -5e-324], dtype=DOUBLE, requires_grad=True)
    (gradient,) = torch.autograd.grad(relu_keeping_signs(edge).sum(), edge)
    assert gradient.tolist() == [0, 0, 1, 0]


def test_what_is_not_finite_is_what_the_documentation_says() -> None:
    x = torch.tensor([-1.0, -1.0, 1.0, torch.nan], dtype=DOUBLE, requires_grad=True)
    given = torch.tensor([torch.inf, 1, torch.inf, 1], dtype=DOUBLE)
    (gradient,) = torch.autograd.grad(relu_keeping_signs(x), x, given)
    expected = torch.tensor([torch.nan, 0, torch.inf, 0], dtype=DOUBLE)
    torch.testing.assert_close(gradient, expected, equal_nan=True)


@pytest.mark.parametrize("groups", [1, 4])
def test_gradients_of_gradients_and_transforms(groups: int) -> None:
    conv = forgetful(nn.Conv2d(4, 4, 3, padding=1, groups=groups, dtype=DOUBLE))
    x = images(2, 4, 3, 3).requires_grad_()

    def both(maps: Tensor) -> Tensor:
        return relu_keeping_signs(conv(maps))

    torch.autograd.gradcheck(both, x)
    torch.autograd.gradgradcheck(both, x)
    whole = torch.func.grad(lambda maps: both(maps).square().sum())(x.detach())
    one = torch.func.grad(lambda image: both(image[None]).square().sum())
    torch.testing.assert_close(torch.func.vmap(one)(x.detach()), whole, rtol=0, atol=1e-12)


def test_autocast() -> None:
    """Gradients come back in the type of the input, as torch's own do."""
    conv, x = forgetful(nn.Conv2d(4, 4, 3, padding=1)), images(2, 4, 6, 6).float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = relu_keeping_signs(conv(x))
    assert y.dtype == torch.bfloat16
    (gradient,) = torch.autograd.grad(y.float().sum(), x)
    assert gradient.dtype == torch.float32
    (expected,) = torch.autograd.grad(relu_keeping_signs(conv(x)).sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=0.1, atol=0.3)
