"""The pass that adds the gradients of a value's readers in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import fx
from torch.fx.node import map_arg

from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.modules import repeated, zeros
from robdsl.compiler.passes.base import Mode, Pass
from robdsl.compiler.passes.facts import is_item, like, unpacked, uses_of
from robdsl.kernels.fork import fork


@dataclass(frozen=True)
class Gather(Pass):
    """The gradients of those that read a value are added in one pass over them, not one after the other.

    ``a = f(x); b = g(x); c = h(x)`` -> ``x0, x1, x2 = fork(x, 3); a = f(x0); b = g(x1); c = h(x2)``.

    On a GPU a kernel of robdsl.kernels adds them; elsewhere its reference does, so this is for GPUs.

    Args:
        least: how many readers there must be for it. Two are added by one call as it is.
    """

    least: int = 3

    name: ClassVar[str] = "gather"
    mode: ClassVar[Mode] = "train"

    def change(self, module: LoweredModule) -> bool:
        changed = False
        for node in list(module.graph.nodes):
            readers = list(node.users)
            has_gradient = node.op != "get_attr" and node.target not in (zeros, repeated, fork)
            if not has_gradient or any(is_item(each) for each in readers):
                continue
            uses = sum(uses_of(each, node) for each in readers)
            if uses >= max(2, self.least):
                self._fork(module, node, uses)
                changed = True
        return changed

    def _fork(self, module: LoweredModule, node: fx.Node, uses: int) -> None:
        graph, readers = module.graph, list(node.users)
        behind = node
        while behind.next.op == "placeholder":  # the inputs of a graph come first
            behind = behind.next
        with graph.inserting_after(behind):
            forked = like(graph.call_function(fork, (node, uses)), readers[0])
        items = iter(unpacked(module, forked, [forked] * uses))
        for reader in readers:
            reader.args = map_arg(reader.args, lambda each: next(items) if each is node else each)
