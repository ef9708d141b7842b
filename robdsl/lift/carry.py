"""Weights of the model that was lifted, under the names of the net that it became."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from torch import Tensor

from robdsl.compiler.names import module_path
from robdsl.graph.flatten import flatten
from robdsl.graph.net import Net
from robdsl.graph.primitives import Primitive
from robdsl.graph.shapes import Shape
from robdsl.graph.views import input_shapes
from robdsl.lift.errors import LiftError
from robdsl.lift.values import Applied, Traced

EPS = 1e-5
"""What the language's batch norm adds to a variance."""


@dataclass(frozen=True)
class _Node:
    """One value of either side, in a form that both have."""

    inputs: tuple[int, ...]
    label: Hashable
    ordered: bool
    holder: str = ""


def carry(traced: Traced, state: Mapping[str, Tensor], net: Net) -> dict[str, Tensor]:
    """The weights of a net, from those of the model.

    The two graphs are walked from their results backwards, operand by operand. A batch norm whose eps is not the
    language's has the difference put into its running variance, which changes nothing in eval mode.

    Args:
        traced: the model.
        state: its `state_dict`.
        net: what was made of it.

    Returns:
        A `state_dict` for ``robdsl.compile(net)``.

    Raises:
        LiftError: the two do not have the same structure.
    """
    theirs, ours = _of_model(traced), _of_net(net)
    pairs = _paired(theirs, ours)
    eps = {value.applied.path: value.applied.eps for value in traced.values if value.applied is not None}
    carried: dict[str, Tensor] = {}
    for source, target in pairs.items():
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            if f"{source}.{name}" not in state:
                continue
            tensor = state[f"{source}.{name}"].detach().clone()
            if name == "running_var" and eps[source] != EPS:
                tensor = tensor + (eps[source] - EPS)
            carried[f"{target}.{name}"] = tensor
    return carried


def _of_model(traced: Traced) -> list[_Node]:
    nodes = []
    for value in traced.values:
        if value.applied is None:
            nodes.append(_Node(value.inputs, value.kind, value.kind in ("concat", "mul")))
        else:
            entering = traced.values[value.inputs[0]].shape
            nodes.append(_Node(value.inputs, _said(value.applied, entering), True, value.applied.path))
    return nodes


def _said(applied: Applied, entering: Shape) -> Hashable:
    return applied.name, tuple(sorted((key, value) for key, value in applied.arguments if key != "p"))


def _of_net(net: Net) -> list[_Node]:
    nodes = [_Node((), "input", False)]
    results: list[int] = []
    for stage in net.stages:
        flat = flatten(stage.operation, input_shapes(net, stage))
        places = [results[each] if each >= 0 else 0 for each in stage.inputs]
        for index, step in enumerate(flat.steps):
            if index < flat.arity:
                continue
            inputs = tuple(places[each] for each in step.inputs)
            if step.primitive is None:
                nodes.append(_Node(inputs, step.kind, step.kind in ("concat", "mul")))
            else:
                label = _label(step.primitive, step.in_shape)
                nodes.append(_Node(inputs, label, True, module_path(stage.name, step.key)))
            places.append(len(nodes) - 1)
        results.append(places[flat.output])
    return nodes[: results[-1] + 1]


def _label(primitive: Primitive, entering: Shape) -> Hashable:
    normal = primitive.normal(entering)
    return normal.name, tuple(
        sorted(
            (key, value)
            for key, value in normal.arguments
            if key not in ("p", "weight") and isinstance(value, int)
        )
    )


def _paired(theirs: list[_Node], ours: list[_Node]) -> dict[str, str]:
    """Which module of theirs is which of ours."""
    prints = [_fingerprints(nodes) for nodes in (theirs, ours)]
    pairs: dict[str, str] = {}
    seen: set[tuple[int, int]] = set()
    waiting = [(len(theirs) - 1, len(ours) - 1)]
    while waiting:
        pair = waiting.pop()
        if pair in seen:
            continue
        seen.add(pair)
        first, second = theirs[pair[0]], ours[pair[1]]
        if prints[0][pair[0]] != prints[1][pair[1]]:
            raise LiftError(
                f"the text that was written does not compute what the model does (at {first.holder or first.label})"
            )
        if first.holder:
            pairs[first.holder] = second.holder
        left, right = list(first.inputs), list(second.inputs)
        if not first.ordered:  # the operands of a sum come in any order
            left.sort(key=lambda each: prints[0][each])
            right.sort(key=lambda each: prints[1][each])
        waiting.extend(zip(left, right, strict=True))
    return pairs


def _fingerprints(nodes: list[_Node]) -> list[int]:
    """Equal for values that are made alike, whatever their weights."""
    made: list[int] = []
    for node in nodes:
        inputs = [made[each] for each in node.inputs]
        made.append(hash((node.label, *(inputs if node.ordered else sorted(inputs)))))
    return made
