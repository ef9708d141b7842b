"""Values of two runs of one net, how far they are apart, and the local errors that this comes from; see `rounding`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from robdsl.kernels.precision import operand_bound, relative_bound

U = 2.0**-24


def gamma(n: int) -> float:
    """The relative error of a sum of n products."""
    return n * U / (1 - n * U)


@dataclass(frozen=True)
class Known:
    """A value in both nets, and how far they are apart as a function of all local errors, which autograd can go back."""

    single: Tensor
    exact: Tensor
    apart: Tensor


def each_of(function: Callable[..., Tensor], *values: Known) -> Known:
    """The same of all three parts, for what rounds nothing and is linear."""
    return Known(
        function(*(value.single for value in values)),
        function(*(value.exact for value in values)),
        function(*(value.apart for value in values)),
    )


class Errors:
    """The local errors of a run.

    Attributes:
        shares: of each operation, its greatest error given the same inputs, as a share of its bound.
        sides: how many values that a ReLU or a maximum is given fall on another side in float32.
    """

    def __init__(self, device: torch.device) -> None:
        self.shares: list[float] = []
        self.sides = 0
        # At 1 the local errors are there, at 0 they are not: a leaf for autograd.
        self._on = torch.ones((), dtype=torch.float64, device=device, requires_grad=True)
        self._bound = self._squares = 0.0

    def local(
        self,
        carried: Tensor,
        made: Tensor,
        rounded: Tensor,
        exact: Tensor,
        bound: Tensor,
        elsewhere: Tensor | float = 0.0,
    ) -> Tensor:
        """How far a result is apart.

        Args:
            carried: what the operation makes of how far its inputs are apart.
            made: the float32 net's result.
            rounded: the exact operation with the float32 net's constants, on the float32 net's inputs.
            exact: the same with the exact net's constants.
            bound: of ``|made - rounded|``.
            elsewhere: the part of `bound` for which there are sources.
        """
        wrong = (made.double() - rounded).abs()
        assert not wrong[bound == 0].any()
        self.shares.append(float((wrong / bound.clamp(min=torch.finfo(torch.float64).tiny)).max()))
        apart = carried + self._on * (made.double() - exact)
        self._note(apart, bound - elsewhere + (rounded - exact).abs())
        return apart

    def source(self, bound: Tensor) -> Tensor:
        """Zeros that stand for errors within a bound, to be carried to where they show."""
        made = self._on * torch.zeros_like(bound)
        self._note(made, bound)
        return made

    def _note(self, apart: Tensor, bound: Tensor) -> None:
        def note(adjoint: Tensor) -> None:
            parts = adjoint.abs() * bound
            self._bound += float(parts.sum())
            self._squares += float(parts.square().sum())

        apart.register_hook(note)

    def bounds(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Of each logit the sum of |A_v| e_v, and the root of the sum of their squares; logits are apart as `logits`, 1 x K."""
        sums, roots = [], []
        for place in range(logits.shape[1]):
            self._bound = self._squares = 0.0
            torch.autograd.backward(logits[0, place], inputs=[self._on], retain_graph=True)
            sums.append(self._bound)
            roots.append(self._squares**0.5)
        return torch.tensor([sums], dtype=torch.float64), torch.tensor([roots], dtype=torch.float64)

    def relu(self, x: Known) -> Known:
        single = x.single.double()
        self.sides += int(((single > 0) != (x.exact > 0)).sum())
        slope = (single.relu() - x.exact.relu()) / (single - x.exact)
        slope = slope.where(single != x.exact, (x.exact > 0).double())
        return Known(x.single.relu(), x.exact.relu(), slope * x.apart)

    def maximum(self, pool: Any, x: Known) -> Known:
        """Two values win, one in each net; how far both maxima are apart lies between how far these two are."""
        sizes = pool.kernel_size, pool.stride, pool.padding
        made, mine = F.max_pool2d(x.single, *sizes, return_indices=True)
        exact, theirs = F.max_pool2d(x.exact, *sizes, return_indices=True)

        def of(values: Tensor, places: Tensor) -> Tensor:
            return values.flatten(2).gather(2, places.flatten(2)).view_as(places)

        moved = x.single.double() - x.exact
        first, second = of(moved, mine), of(moved, theirs)
        share = ((made.double() - exact - second) / (first - second)).where(first != second, 0.0)
        self.sides += int(((mine != theirs) & (first != second)).sum())
        return Known(made, exact, share * of(x.apart, mine) + (1 - share) * of(x.apart, theirs))


@dataclass(frozen=True)
class Operand:
    """What a kernel multiplies by pointwise weights: rectified maps, or their depthwise convolution.

    Attributes:
        given: made exactly of the float32 net's inputs and constants.
        mixed: of its inputs and the exact net's constants.
        exact: the exact net's.
        apart: what comes of how far its inputs are apart.
        wrong: bound of how far the kernel's own is from `given`.
    """

    given: Tensor
    mixed: Tensor
    exact: Tensor
    apart: Tensor
    wrong: Tensor

    @staticmethod
    def of(x: Known, single: Tensor | None, exact: Tensor | None, stride: int) -> Operand:
        """Of rectified maps; with depthwise weights (C, 3, 3) of both nets, or none."""
        given = x.single.double()
        if single is None or exact is None:
            return Operand(given, given, x.exact, x.apart, torch.zeros_like(given))

        def convolved(maps: Tensor, weight: Tensor) -> Tensor:
            return F.conv2d(maps, weight.double()[:, None], None, stride, 1, 1, len(weight))

        return Operand(
            convolved(given, single),
            convolved(given, exact),
            convolved(x.exact, exact),
            convolved(x.apart, exact),
            gamma(9) * convolved(given.abs(), single.abs()),
        )


@dataclass(frozen=True)
class Weights:
    """Pointwise weights (O, C), one for each operand, and shifts (O,), in float64."""

    pointwise: Sequence[Tensor]
    bias: Tensor

    @staticmethod
    def of(pointwise: Sequence[Tensor] | Tensor, bias: Tensor | None) -> Weights:
        wide = [each.double() for each in pointwise]
        return Weights(wide, wide[0].new_zeros(len(wide[0])) if bias is None else bias.double())

    @property
    def sizes(self) -> Weights:
        return Weights([each.abs() for each in self.pointwise], self.bias.abs())

    def apply(
        self, operands: Sequence[Tensor], added: Sequence[Tensor] = (), *, shift: bool = True
    ) -> Tensor:
        parts = [_conv(x, weight) for x, weight in zip(operands, self.pointwise, strict=True)]
        return sum(
            [*parts, *added],
            self.bias[:, None, None] if shift else torch.zeros_like(self.bias)[:, None, None],
        )


def _conv(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight[:, :, None, None])


def products(
    errors: Errors,
    precision: str,
    made: Tensor,
    operands: Sequence[Operand],
    weights: tuple[Weights, Weights],
    added: Sequence[Known] = (),
) -> Known:
    """A kernel's sum of products, of operands that it brings into a format.

    That an operand is moved shows in all products that it is part of, and so is one source: with operands h + a and weights
    w + b the sum is that of w h + w a + b h + a b, where a and b are carried on as what they are, not by absolute values.
    What is left, a b and the rounding of the sum, is bounded where it shows.

    Args:
        errors: takes the errors.
        precision: the format.
        made: the kernel's result.
        operands: what it multiplies.
        weights: by what, in float32 and exactly.
        added: what it adds.
    """
    single, exact = weights
    moved = operand_bound(precision)
    singles = [each.single.double() for each in added]
    given, wrong = [each.given for each in operands], [each.wrong for each in operands]
    away = [error + moved * (x.abs() + error) for x, error in zip(given, wrong, strict=True)]
    carried = exact.apply([each.apart for each in operands], [each.apart for each in added], shift=False)
    for x, weight, each in zip(given, single.pointwise, away, strict=True):
        carried = carried + _conv(errors.source(each), weight)
        if moved:
            carried = carried + _conv(x, errors.source(moved * weight.abs()))
    sizes = single.sizes
    whole = sizes.apply(
        [x.abs() + e for x, e in zip(given, wrong, strict=True)], [each.abs() for each in singles]
    )
    terms = sum(each.shape[1] for each in single.pointwise) + 1 + len(added)
    left = (relative_bound(precision, terms) - 2 * moved) * whole + moved * sizes.apply(away, shift=False)
    elsewhere = sizes.apply([x + moved * h.abs() for x, h in zip(away, given, strict=True)], shift=False)
    apart = errors.local(
        carried,
        made,
        single.apply(given, singles),
        exact.apply([each.mixed for each in operands], singles),
        left + elsewhere,
        elsewhere,
    )
    return Known(made, exact.apply([each.exact for each in operands], [each.exact for each in added]), apart)
