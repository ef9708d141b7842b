"""The pass that leaves out what the result does not need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import fx, nn

from robdsl.compiler.lowered_module import LoweredModule, is_primitive
from robdsl.compiler.passes.base import Mode, Pass, stages_of
from robdsl.compiler.passes.facts import Norm, primitive
from robdsl.compiler.training_stages import separable_norms


@dataclass(frozen=True)
class Dead(Pass):
    """What the result does not need is not computed.

    Values that nothing reads, arguments that a stage does not use and primitives without tensors that nothing calls
    are dropped. A batch norm that learns statistics, and what draws random numbers, stay: to drop them would be seen.
    Modules with tensors stay under their names, as the keys of the `state_dict` do not depend on what is dead; their
    parameters ask for no gradient.
    """

    name: ClassVar[str] = "dead"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        changed = _drop_arguments(module)
        for node in reversed(list(module.graph.nodes)):
            if node.users or node.op in ("output", "placeholder") or _is_seen(module, node):
                continue
            called = primitive(module, node)
            module.graph.erase_node(node)
            if called is not None:
                called.requires_grad_(False)
            changed = True
        used = {node.target for node in module.graph.nodes}
        for path, owner, name in list(_own_primitives(module, module, "")):
            if path not in used and not getattr(owner, name).state_dict():
                delattr(owner, name)
                changed = True
        return changed

    def rewrite(self, model: LoweredModule) -> list[LoweredModule]:
        changed = super().rewrite(model)
        return [*changed, *filter(_drop_placeholders, stages_of(model))]


def _is_seen(module: LoweredModule, node: fx.Node) -> bool:
    """Whether a node does more than make its value: learns statistics or draws numbers, both in train mode only."""
    if node.target is separable_norms:
        return True
    called = primitive(module, node)
    return called is not None and any(isinstance(each, Norm | nn.Dropout) for each in called.modules())


def _unused(stage: LoweredModule) -> list[int]:
    """The places of those inputs of a stage that it does not use."""
    inputs = [node for node in stage.graph.nodes if node.op == "placeholder"]
    return [place for place, node in enumerate(inputs) if not node.users]


def _drop_arguments(module: LoweredModule) -> bool:
    """Gives the stages that this graph calls only what they use (`_drop_placeholders` then follows)."""
    changed = False
    for node in module.graph.nodes:
        stage = primitive(module, node)
        if isinstance(stage, LoweredModule) and (unused := _unused(stage)):
            node.args = tuple(each for place, each in enumerate(node.args) if place not in unused)
            changed = True
    return changed


def _drop_placeholders(stage: LoweredModule) -> bool:
    unused = [node for node in stage.graph.nodes if node.op == "placeholder" and not node.users]
    for node in unused:
        stage.graph.erase_node(node)
    return bool(unused)


def _own_primitives(
    module: LoweredModule, owner: nn.Module, path: str
) -> Iterator[tuple[str, nn.Module, str]]:
    """The path of each primitive of one graph, the module it hangs on and its name there."""
    for name, child in owner.named_children():
        inner = f"{path}.{name}" if path else name
        if is_primitive(child):
            yield inner, owner, name
        elif not isinstance(child, LoweredModule):
            yield from _own_primitives(module, child, inner)
