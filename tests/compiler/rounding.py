"""How far rounding to float32 moves a frozen net's logits: a bound, derived operation by operation.

Two runs of one graph on the same image: the float32 net, whose values are x32, and the exact net, whose values are x (float64,
whose own rounding is 2^-29 of float32's and left out). Let d = x32 - x. What an operation adds to d by itself is its local error
r = x32_result - g(x32), g being the exact net's operation, applied to what the float32 net gave it. Known of r are

- convolution, linear layer, norm, mean:  |r| <= gamma_n (|w32| |x32| + |b32|) + |g32(x32) - g(x32)|
- sum of two:                             |r| <= u |a32 + b32|
- a kernel's products:                    see `local_errors.products`
- ReLU, maximum, views, copies:            r = 0

with u = 2^-24 and gamma_n = n u / (1 - n u), which holds for a sum of n products of float32 numbers, added up in any order, fused or
not (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1); g32 is the exact sum with the constants
of the float32 net, so the second term is how far folding in float32 moved the result, and is known.

How d goes on through the net is known as well. Of a linear operation d' = g(d) + r, without its shift. Of a ReLU

    d' = s d,   s = (relu(x32) - relu(x)) / (x32 - x),

which is 1 where both are positive, 0 where neither is, and between 0 and 1 where the two fall on different sides. A maximum is
a mean of the two that win, with weights that are found likewise. So d is, with no term left out, a linear function of the local
errors: d_logit = sum over all elements v of all results of A_v r_v. One pass back through that linear net gives the adjoints A_v
of a logit (Linnainmaa 1976; with derivatives for s it would be right in first order only), and

    |d_logit| <= sum of |A_v| e_v,   e_v the bound of |r_v|.

That is a bound for a run: the slopes s and the sizes |x32| are taken from it. What it assumes is what is tested: that each operation
keeps its e_v. That d_logit is the sum of A_v r_v is tested too, to float64's accuracy. It is the worst case, in which all errors point
the same way. Were they independent and as often up as down, then by Hoeffding's inequality |d_logit| would exceed 6 times the root
of the sum of (A_v e_v)^2 with a probability of 2 exp(-18) = 3e-8 (Higham and Mary 2019); rounding is not
random, so that is no bound: cutting off to tf32 goes one way, and exceeds it.

Gradients have no such bound: they are not continuous. Where a value falls on another side of zero in float32, its ReLU's
gradient is another, however small the error was.

    python -m tests.compiler.rounding       shows the bounds of the published RobNets
"""

from __future__ import annotations

import argparse
import copy
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

import robdsl
from robdsl.compiler.fused_modules import PointwiseFan, SeparableFan, SeparableSum
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import Affine, Crop, add_into, channels_last, repeated, stepped, zeros
from robdsl.compiler.passes import KERNEL_PIPELINE, Pass
from robdsl.compiler.passes.facts import primitive
from robdsl.kernels import fork
from tests.compiler.emulated import multiply_in
from tests.compiler.local_errors import Errors, Known, Operand, U, Weights, each_of, gamma, products

#: Of the kernels' products.
PRECISIONS = ("ieee", "tf32x3", "tf32", "bf16")
#: The published nets' bounds, as docs/passes.md states them: by the kernels' products, None for a CPU without kernels.
STATED: dict[str, dict[str | None, float]] = {
    "robnet_large": {None: 0.2, "ieee": 0.5, "tf32x3": 0.5, "tf32": 9, "bf16": 35},
    "robnet_free": {None: 0.02, "ieee": 0.05, "tf32x3": 0.05, "tf32": 0.8, "bf16": 3.2},
}


class Rounding(fx.Interpreter):
    """Runs a frozen net in float32 beside the same in float64."""

    def __init__(self, single: LoweredModule, exact: LoweredModule, errors: Errors) -> None:
        super().__init__(single)
        self.pair, self.errors = (single, exact), errors

    def run_node(self, n: fx.Node) -> Any:
        if n.op in ("placeholder", "output"):
            return super().run_node(n)
        if n.op == "get_attr":
            return self._constant(str(n.target))
        args, _ = self.fetch_args_kwargs_from_env(n)
        if n.op == "call_function":
            return self._function(n.target, args)
        single, exact = (primitive(each, n) for each in self.pair)
        if isinstance(single, LoweredModule) and isinstance(exact, LoweredModule):
            return Rounding(single, exact, self.errors).run(*args)
        assert single is not None and exact is not None
        return self._module(single, exact, args)

    def _constant(self, target: str) -> Known:
        owner, _, name = target.rpartition(".")
        single, exact = (getattr(each.get_submodule(owner), name) for each in self.pair)
        none = torch.zeros_like(exact)
        return Known(single, exact, self.errors.local(none, single, single.double(), exact, none))

    def _function(self, target: Any, args: Any) -> Any:
        if target in (operator.add, add_into):
            return self._sum(*args)
        if target in (torch.relu, torch.relu_):
            return self.errors.relu(args[0])
        if target is torch.cat:
            return each_of(lambda *parts: torch.cat(parts, 1), *args[0])
        if target is repeated:
            return each_of(lambda constant: repeated(constant, args[1].single), args[0])
        if target is fork:
            return [args[0]] * args[1]
        if target is stepped:
            views = (stepped(each, *args[1:]) for each in (args[0].single, args[0].exact, args[0].apart))
            return list(starmap(Known, zip(*views, strict=True)))
        if target is operator.getitem:
            return args[0][args[1]]
        assert target in (torch.narrow, channels_last, zeros), target
        return each_of(lambda x: target(x, *args[1:]), args[0])

    def _module(self, single: Any, exact: Any, args: Sequence[Known]) -> Any:
        match exact:
            case SeparableSum():
                return self._stages(single, exact, args)
            case SeparableFan() | PointwiseFan():
                return self._fan(single, exact, args)
            case nn.Conv2d() | nn.Linear() | Affine():
                return self._linear(single, exact, args[0])
            case nn.ReLU():
                return self.errors.relu(args[0])
            case nn.MaxPool2d():
                return self.errors.maximum(single, args[0])
            case nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
                return self._mean(single, args[0])
        assert isinstance(single, nn.Flatten | Crop), single
        return each_of(single, args[0])

    def _sum(self, a: Known, b: Known) -> Known:
        given = a.single.double() + b.single.double()
        made = a.single + b.single
        apart = self.errors.local(a.apart + b.apart, made, given, given, U * given.abs())
        return Known(made, a.exact + b.exact, apart)

    def _mean(self, pool: Any, x: Known) -> Known:
        n = x.exact[0, 0].numel()  # at most: a window of a pool has no more positions than the map
        made, given = pool(x.single), pool(x.single.double())
        bound = gamma(n + 1) * pool(x.single.double().abs())
        return Known(made, pool(x.exact), self.errors.local(pool(x.apart), made, given, given, bound))

    def _linear(self, single: Any, exact: Any, x: Known) -> Known:
        apply, w_32, b_32, n = _parts(single)
        _, w, b, _ = _parts(exact)
        given, made = x.single.double(), single(x.single)
        apart = self.errors.local(
            apply(x.apart, w, torch.zeros_like(b)),
            made,
            apply(given, w_32, b_32),
            apply(given, w, b),
            gamma(n) * apply(given.abs(), w_32.abs(), b_32.abs()),
        )
        return Known(made, apply(x.exact, w, b), apart)

    def _stages(self, single: Any, exact: SeparableSum, maps: Sequence[Known]) -> Known:
        terms = len(exact.depthwise)
        made = single(*(each.single for each in maps))
        operands = [
            Operand.of(self.errors.relu(x), d_32, d, exact.stride)
            for x, d_32, d in zip(maps[:terms], single.depthwise, exact.depthwise, strict=True)
        ]
        weights = Weights.of(single.pointwise, single.bias), Weights.of(exact.pointwise, exact.bias)
        return products(self.errors, single.precision, made, operands, weights, maps[terms:])

    def _fan(self, single: Any, exact: SeparableFan | PointwiseFan, maps: Sequence[Known]) -> list[Known]:
        read = self.errors.relu(each_of(lambda *parts: torch.cat(parts, 1), *maps))
        found = []
        for place, made in enumerate(single(*(each.single for each in maps))):
            if isinstance(exact, SeparableFan):
                operand = Operand.of(read, single.depthwise[place], exact.depthwise[place], exact.stride)
            else:
                operand = Operand.of(read, None, None, 1)
            weights = [
                Weights.of([each.pointwise[place]], None if each.bias is None else each.bias[place])
                for each in (single, exact)
            ]
            found.append(products(self.errors, single.precision, made, [operand], (weights[0], weights[1])))
        return found


def _parts(module: Any) -> tuple[Callable[[Tensor, Tensor, Tensor], Tensor], Tensor, Tensor, int]:
    """What a module does with values, weights and shifts; its own in float64; and of how many products a result is."""
    if isinstance(module, Affine):
        return lambda x, w, b: x * w + b, module.scale.double(), module.shift.double(), 2
    weight, bias = module.weight.double(), module.bias
    bias = weight.new_zeros(len(weight)) if bias is None else bias.double()
    n = weight[0].numel() + 1
    if isinstance(module, nn.Linear):
        return F.linear, weight, bias, n
    sizes = module.stride, module.padding, module.dilation, module.groups
    return lambda x, w, b: F.conv2d(x, w, b, *sizes), weight, bias, n


@dataclass(frozen=True)
class Found:
    """What is known of one image's run.

    Attributes:
        single: logits of the float32 net, 1 x K.
        exact: of the exact net.
        apart: what the local errors add up to; `single` - `exact`, if all is right.
        bound: of that, each.
        likely: 6 times the root of the sum of squares: what it would keep within, were errors independent.
        shares: of each operation, its greatest error given the same inputs, as a share of its bound.
        sides: how many values that a ReLU or a maximum is given fall on another side in float32.
    """

    single: Tensor
    exact: Tensor
    apart: Tensor
    bound: Tensor
    likely: Tensor
    shares: list[float]
    sides: int


def rounding(
    model: fx.GraphModule, x: Tensor, passes: Sequence[Pass] | None = None, precision: str | None = None
) -> Found:
    """A compiled float32 model in eval mode, frozen, beside the same in float64.

    Args:
        model: is not changed.
        x: one image, float32, on the device of the model.
        passes: to freeze with, if not the usual ones.
        precision: of the kernels' products, if not what `passes` say. On a CPU they are emulated.
    """
    assert len(x) == 1
    frozen, exact = robdsl.freeze(model, passes), robdsl.freeze(copy.deepcopy(model).double(), passes)
    if precision is not None:
        multiply_in(frozen, precision, emulate=x.device.type == "cpu")
    errors = Errors(x.device)
    found = Rounding(frozen, exact, errors).run(Known(x, x.double(), torch.zeros_like(x).double()))
    assert isinstance(found, Known)
    if x.device.type == "cpu":
        assert torch.equal(found.single, frozen(x)), "the net itself, and not another order of its sums"
    bound, root = errors.bounds(found.apart)
    single, own, apart = (each.detach().cpu() for each in (found.single, found.exact, found.apart))
    return Found(single, own, apart, bound, 6 * root, errors.shares, errors.sides)


def main() -> None:
    """The bounds of the published RobNets, on the first image of the published figures."""
    argparse.ArgumentParser(
        description="Show how far rounding moves the logits of the RobNets, and how far it may; takes minutes. `likely` "
        "is what errors of random signs would come to, and no bound."
    ).parse_args()
    from tests.compiler.test_published_figures import FIGURES, figures, model_with_reference_weights
    from tests.reference import images

    for name, given in FIGURES.items():
        model = model_with_reference_weights(name).eval().float()
        x, published = images(1, given["size"]).float(), figures(name, "logits_eval")[:1]
        for precision in (None, *PRECISIONS):
            found = rounding(model, x, None if precision is None else KERNEL_PIPELINE, precision)
            apart = (found.single - published).abs().max()
            print(
                f"{name}, {f'kernels in {precision}' if precision else 'on a CPU'}: {len(found.shares)} results, at most "
                f"{max(found.shares):.2f} of their bounds; {found.sides} values on another side; logits of up to "
                f"{published.abs().max():.2g} are apart by {apart:.1e}, likely {found.likely.max():.1e}, at most {found.bound.max():.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
