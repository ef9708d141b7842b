"""Passes over frozen models that fold constants: batch norms into convolutions, and whatever no image changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.frozen_module import COMPUTED, convolution, drop, linear, put
from robdsl.compiler.lowered_module import LoweredModule, install
from robdsl.compiler.modules import Affine, repeated
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import (
    is_concat,
    is_zeros,
    like,
    operand,
    operands,
    primitive,
    replace,
)


@dataclass(frozen=True)
class FoldNorms(Pass):
    """Batch norms go into the convolutions and linear layers beside them.

    ``norm(conv(x))`` -> ``conv'(x)``, also through a concatenation: ``norm(cat([conv_a(x), conv_b(y)], 1))`` ->
    ``cat([conv_a'(x), conv_b'(y)], 1)``. ``conv(norm(x))`` -> ``conv'(x)`` where the convolution pads nothing, as
    its border would see the shift as well as the image. A norm of a norm is one norm. Each only where nothing else
    reads the value between.
    """

    name: ClassVar[str] = "fold-norms"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            norm = primitive(module, node)
            if isinstance(norm, Affine) and (
                self._after(module, node, norm) or self._before(module, node, norm)
            ):
                replace(node, operand(node))
                drop(module, node)
                changed = True
        return changed

    def _after(self, module: LoweredModule, node: fx.Node, norm: Affine) -> bool:
        """Folds a norm into what makes its input, if that can be done."""
        value = operand(node)
        parts = operands(value) if is_concat(value) else [value]
        made = [primitive(module, part) for part in parts]
        shared = len(value.users) > 1 or any(len(part.users) > 1 for part in parts)
        if shared or len(set(parts)) < len(parts) or not all(isinstance(each, _FOLDABLE) for each in made):
            return False
        scale, shift = norm.scale.flatten(), norm.shift.flatten()
        for part, each in zip(parts, made, strict=True):
            assert isinstance(each, _FOLDABLE)
            channels = _channels(each)
            put(module, part, _scaled(each, scale[:channels], shift[:channels]))
            scale, shift = scale[channels:], shift[channels:]
        return True

    def _before(self, module: LoweredModule, node: fx.Node, norm: Affine) -> bool:
        """Folds a norm into the only thing that reads it, if that can be done."""
        if len(node.users) != 1:
            return False
        (user,) = node.users
        reader = primitive(module, user)
        if isinstance(reader, nn.Conv2d) and not any(_padding(reader)):
            scale, shift = norm.scale.flatten(), norm.shift.flatten()
            groups = reader.groups
            spread = scale.reshape(groups, 1, -1).expand(groups, reader.out_channels // groups, -1)
            shifts = shift.reshape(groups, 1, -1).expand_as(spread)
            per_output = (reader.out_channels, -1, 1, 1)
            bias = (reader.weight * shifts.reshape(per_output)).sum((1, 2, 3))
            if reader.bias is not None:
                bias = bias + reader.bias
            put(module, user, convolution(reader.weight * spread.reshape(per_output), bias, reader))
            return True
        if isinstance(reader, nn.Linear) and norm.scale.dim() == 2:
            bias = reader.weight @ norm.shift.flatten()
            if reader.bias is not None:
                bias = bias + reader.bias
            put(module, user, linear(reader.weight * norm.scale, bias, reader))
            return True
        return False


_FOLDABLE = (nn.Conv2d, nn.Linear, Affine)


def _padding(conv: nn.Conv2d) -> tuple[int, ...]:
    assert not isinstance(conv.padding, str), "the language says padding in numbers"
    return conv.padding


def _channels(module: nn.Module) -> int:
    match module:
        case nn.Conv2d():
            return module.out_channels
        case nn.Linear():
            return module.out_features
    assert isinstance(module, Affine)
    return module.scale.numel()


def _scaled(module: nn.Module, scale: Tensor, shift: Tensor) -> nn.Module:
    """A primitive whose result is multiplied and shifted, channel by channel."""
    if isinstance(module, Affine):
        dims = module.scale.dim()
        return Affine(module.scale.flatten() * scale, module.shift.flatten() * scale + shift, dims)
    assert isinstance(module, nn.Conv2d | nn.Linear)
    bias = shift if module.bias is None else module.bias * scale + shift
    if isinstance(module, nn.Linear):
        return linear(module.weight * scale[:, None], bias, module)
    return convolution(module.weight * scale[:, None, None, None], bias, module)


@dataclass(frozen=True)
class FoldConstants(Pass):
    """What depends on no image is computed now.

    ``n = zeros(x); y = conv'(relu(n)); s = y + z`` -> ``y = repeated(constant, x); s = y + z``. Only what follows from
    the zeros of a node without edges does so.
    """

    name: ClassVar[str] = "fold-constants"
    mode: ClassVar[Mode] = "eval"

    def change(self, module: LoweredModule) -> bool:
        known: dict[fx.Node, Tensor | list[Tensor]] = {}  # a list where a node gives several
        source: dict[fx.Node, Any] = {}
        about = next((each for each in module.buffers() if each.is_floating_point()), torch.empty(0))
        for node in module.graph.nodes:
            if is_zeros(node):
                known[node] = torch.zeros(1, *node.args[1], dtype=about.dtype, device=about.device)
                source[node] = node.args[0]
            elif node.op.startswith("call") and not isinstance(primitive(module, node), LoweredModule):
                given = node.all_input_nodes
                if given and all(each in known for each in given):
                    known[node] = self._value(module, node, known)
                    source[node] = source[given[0]]
        changed = False
        for node, value in known.items():
            if not is_zeros(node) and any(user not in known for user in node.users):
                assert isinstance(value, Tensor), "several values are read through those taken of them"
                self._store(module, node, value, source[node])
                changed = True
        return changed

    def _value(
        self, module: LoweredModule, node: fx.Node, known: Mapping[fx.Node, Tensor | list[Tensor]]
    ) -> Any:
        with torch.no_grad():
            if node.op == "call_function":
                args: Any = fx.node.map_arg(node.args, known.__getitem__)
                return node.target(*args)  # type: ignore[operator]  # a function, as its kind says
            called = primitive(module, node)
            assert called is not None
            return called(*(known[each] for each in node.args if isinstance(each, fx.Node)))

    def _store(self, module: LoweredModule, node: fx.Node, value: Tensor, source: fx.Node) -> None:
        path = f"{COMPUTED}.{node.name}_constant"
        holder = nn.Module()
        holder.register_buffer("value", value, persistent=False)
        install(module, path, holder)
        with module.graph.inserting_before(node):
            stored = module.graph.create_node("get_attr", f"{path}.value", (), {}, f"{node.name}_constant")
            every = module.graph.call_function(repeated, (like(stored, node), source))
        replace(node, like(every, node))
