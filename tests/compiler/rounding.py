"""How far rounding to float32 can move a frozen net's values: a bound, derived operation by operation.

With u = 2^-24, a sum of n products of float32 numbers, added up in any order, fused or not, differs from the exact one by at
most gamma_n = n u / (1 - n u) times the sum of their absolute values (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd edition, section 3.1). That is the bound of one convolution, given the same inputs. Through the net it is carried by
running error analysis (section 3.3): beside each value x of the exact net goes e with |x32 - x| <= e,

- convolution, linear layer, norm:  e' = |w32| e + |w32 - w| |x| + |b32 - b| + gamma_n (|w32| (|x| + e) + |b32|)
- sum:                              e' = e_a + e_b + u (|a + b| + e_a + e_b)
- mean of n:                        e' = mean(e) + gamma_n mean(|x| + e)
- ReLU:                             e' = e, and 0 where x <= -e; a maximum: the greatest e; views and copies: e

The constants w and b are known, and so is how far folding in float32 moved them. Exact means float64, whose own rounding is
2^-29 of float32's and left out. Gradients have no such bound: where a value is within e of zero, its ReLU's gradient is either.

    python -m tests.compiler.rounding       shows how loose both bounds are on the RobNets
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import starmap
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

import robdsl
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import Affine, Crop, add_into, channels_last, repeated, stepped, zeros
from robdsl.compiler.passes.facts import primitive

U = 2.0**-24


def gamma(n: int) -> float:
    """The relative error of a sum of n products."""
    return n * U / (1 - n * U)


@dataclass(frozen=True)
class Known:
    """A value in both nets, and a bound of their difference, all of one shape."""

    single: Tensor
    exact: Tensor
    error: Tensor

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Known:
        """The same of all three, for what rounds nothing and keeps order."""
        return Known(function(self.single), function(self.exact), function(self.error))


class Rounding(fx.Interpreter):
    """Runs a frozen net in float32 beside the same in float64, with the bound.

    Attributes:
        shares: of each sum of products, its greatest error given the same inputs, as a share of its own bound.
    """

    def __init__(self, single: LoweredModule, exact: LoweredModule, shares: list[float]) -> None:
        super().__init__(single)
        self.pair, self.shares = (single, exact), shares

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
            return Rounding(single, exact, self.shares).run(*args)
        assert single is not None and exact is not None
        return self._module(single, exact, args[0])

    def _constant(self, target: str) -> Known:
        owner, _, name = target.rpartition(".")
        single, exact = (getattr(each.get_submodule(owner), name) for each in self.pair)
        return Known(single, exact, (single.double() - exact).abs())

    def _function(self, target: Any, args: Any) -> Any:
        if target in (operator.add, add_into):
            a, b = args
            exact, error = a.exact + b.exact, a.error + b.error
            given = a.single.double() + b.single.double()
            single = a.single + b.single
            assert ((single.double() - given).abs() <= U * given.abs()).all()
            return Known(single, exact, error + U * (exact.abs() + error))
        if target in (torch.relu, torch.relu_):
            return _relu(args[0])
        if target is torch.cat:
            parts = args[0]
            return Known(
                *(
                    torch.cat([getattr(each, key) for each in parts], 1)
                    for key in ("single", "exact", "error")
                )
            )
        if target in (torch.narrow, channels_last, zeros):
            first: Known = args[0]
            return first.mapped(lambda x: target(x, *args[1:]))
        if target is operator.getitem:
            return args[0][args[1]]
        if target is stepped:
            views = (stepped(getattr(args[0], key), *args[1:]) for key in ("single", "exact", "error"))
            return list(starmap(Known, zip(*views, strict=True)))
        assert target is repeated, target
        return Known(
            *(repeated(getattr(args[0], key), args[1].single) for key in ("single", "exact", "error"))
        )

    def _module(self, single: nn.Module, exact: nn.Module, x: Known) -> Known:
        match single:
            case nn.Conv2d() | nn.Linear() | Affine():
                return self._linear(single, exact, x)
            case nn.ReLU():
                return _relu(x)
            case nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
                n = x.exact[0, 0].numel()  # at most: a window of a pool has no more positions than the map
                made, given = single(x.single), exact(x.single.double())
                self._share(made, given, gamma(n) * exact(x.single.double().abs()))
                error = exact(x.error) + gamma(n) * exact(x.exact.abs() + x.error)
                return Known(made, exact(x.exact), error)
        assert isinstance(single, nn.Flatten | Crop | nn.MaxPool2d), single
        return x.mapped(single)

    def _linear(self, single: Any, exact: Any, x: Known) -> Known:
        apply, w_32, b_32, n = _parts(single)
        _, w, b, _ = _parts(exact)
        given, made = x.single.double(), single(x.single)
        self._share(made, apply(given, w_32, b_32), gamma(n) * apply(given.abs(), w_32.abs(), b_32.abs()))
        carried = apply(x.error, w_32.abs(), torch.zeros_like(b))
        moved = apply(x.exact.abs(), (w_32 - w).abs(), (b_32 - b).abs())
        rounded = gamma(n) * apply(x.exact.abs() + x.error, w_32.abs(), b_32.abs())
        return Known(made, apply(x.exact, w, b), carried + moved + rounded)

    def _share(self, made: Tensor, given: Tensor, bound: Tensor) -> None:
        apart = (made.double() - given).abs()
        assert not apart[bound == 0].any()
        self.shares.append(float((apart / bound.clamp(min=torch.finfo(torch.float64).tiny)).max()))


def _relu(x: Known) -> Known:
    return Known(x.single.relu(), x.exact.relu(), x.error.where(x.exact > -x.error, 0.0))


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


def rounding(model: fx.GraphModule, x: Tensor) -> tuple[Known, list[float]]:
    """A compiled float32 model in eval mode, frozen, beside the same in float64.

    Args:
        model: is not changed.
        x: images, float32.

    Returns:
        Its logits in float32, those of the exact net and the bound; and the shares of single operations.
    """
    frozen, exact = robdsl.freeze(model), robdsl.freeze(copy.deepcopy(model).double())
    shares: list[float] = []
    with torch.no_grad():
        images = Known(x, x.double(), torch.zeros_like(x, dtype=torch.float64))
        found = Rounding(frozen, exact, shares).run(images)
    assert isinstance(found, Known)
    assert torch.equal(found.single, frozen(x)), "the net itself, and not another order of its sums"
    return found, shares


def main() -> None:
    """Both bounds on the RobNets with the weights of the published figures."""
    from tests.compiler.test_published_figures import FIGURES, model_with_reference_weights
    from tests.reference import images

    for name, each in FIGURES.items():
        found, shares = rounding(
            model_with_reference_weights(name).eval().float(), images(1, each["size"]).float()
        )
        apart = (found.single.double() - found.exact).abs()
        print(
            f"{name}: {len(shares)} operations within {max(shares):.2f} of their bounds; logits up to "
            f"{found.exact.abs().max():.2g} are apart by {apart.max():.1e}, the bound of all is {found.error.max():.1e}"
        )


if __name__ == "__main__":
    main()
