"""What the kernels of fans are asked; see tests/kernels/problems.py."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from robdsl.kernels import pointwise_reference
from robdsl.kernels import separable_reference as reference
from robdsl.kernels.precision import relative_bound
from tests.kernels.bounds import ratio
from tests.kernels.problem import Maker, Problem, kind

OPS = torch.ops.robdsl


def separable_fan(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """Stages that read one map, and the gradient to it: of all stages, and of those but the first."""
    x = make.maps(p.channels, (p.height, p.width))
    d, w = make.weights(p.fan, p.channels, 3, 3), make.weights(p.fan, p.outputs, p.channels)
    bias = make.weights(p.fan, p.outputs)
    outs, masks = OPS.separable_fan(x, d, w, bias, p.stride, p.precision, True)
    bare, none = OPS.separable_fan(x, d, w, None, p.stride, p.precision, False)
    wide = x.double(), d.double(), w.double()
    whole = x.double().relu(), d.double().abs(), w.double().abs()
    limit = relative_bound(kind(p), p.channels + 11)
    sizes = reference.fan_forward(*whole, bias.double().abs(), p.stride)
    exact = reference.fan_forward(*wide, bias.double(), p.stride)
    exact_bare = reference.fan_forward(*wide, None, p.stride)
    for e in range(p.fan):
        yield f"forward {e}", ratio(outs[e], exact[e], limit * sizes[e])
        yield f"bare {e}", ratio(bare[e], exact_bare[e], limit * sizes[e]) + none.numel()
    yield "masks", float((masks != reference.masks([x], True)).sum())

    gradients = [make.maps(p.outputs, p.out) for _ in range(p.fan)]
    size = (p.height, p.width)
    for left_out in (0, 1) if p.fan > 1 else (0,):
        given, d_used, w_used = gradients[left_out:], d[left_out:], w[left_out:]
        found = OPS.separable_fan_input_gradient(given, masks, d_used, w_used, *size, p.stride, p.precision)
        g = [each.double() for each in given]
        exact_gradient, gradient_sizes = (
            reference.fan_input_gradient(maps, masks, *weights, size, p.stride)
            for maps, weights in (
                (g, (d_used.double(), w_used.double())),
                ([each.abs() for each in g], (d_used.double().abs(), w_used.double().abs())),
            )
        )
        terms = relative_bound(kind(p), p.outputs + 10 * len(given) + 1)
        yield f"gradient {left_out}", ratio(found, exact_gradient, terms * gradient_sizes)


def pointwise_fan(p: Problem, make: Maker) -> Iterator[tuple[str, float]]:
    """Pointwise convolutions that read the same maps, and the gradients to those."""
    xs = [make.maps(p.channels, (p.height, p.width)) for _ in range(p.terms)]
    w, bias = make.weights(p.fan, p.outputs, p.terms * p.channels), make.weights(p.fan, p.outputs)
    outs, masks = OPS.pointwise_fan(xs, w, bias, p.precision, True)
    bare, none = OPS.pointwise_fan(xs, w, None, p.precision, False)
    wide, whole = [x.double() for x in xs], [x.double().relu() for x in xs]
    limit = relative_bound(kind(p), p.terms * p.channels + 2)
    sizes = pointwise_reference.forward(whole, w.double().abs(), bias.double().abs())
    exact = pointwise_reference.forward(wide, w.double(), bias.double())
    exact_bare = pointwise_reference.forward(wide, w.double(), None)
    for e in range(p.fan):
        yield f"forward {e}", ratio(outs[e], exact[e], limit * sizes[e])
        yield f"bare {e}", ratio(bare[e], exact_bare[e], limit * sizes[e]) + none.numel()
    yield "masks", float((masks != reference.masks(xs, True)).sum())

    gradients = [make.maps(p.outputs, (p.height, p.width)) for _ in range(p.fan)]
    found = OPS.pointwise_fan_input_gradients(gradients, masks, w, p.terms, p.precision)
    g = [each.double() for each in gradients]
    exact = pointwise_reference.input_gradients(g, masks, w.double())
    sizes = pointwise_reference.input_gradients([each.abs() for each in g], masks, w.double().abs())
    limit = relative_bound(kind(p), p.fan * p.outputs + 1)
    for k in range(p.terms):
        yield f"gradient {k}", ratio(found[k], exact[k], limit * sizes[k])
