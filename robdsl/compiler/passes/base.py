"""What a pass is."""

from __future__ import annotations

import copy
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, fx, nn

from robdsl.compiler.lowered_module import ROB_NET, LoweredModule, is_primitive
from robdsl.compiler.modules import add_into
from robdsl.graph.shapes import Shape

#: In which modes a pass keeps what a model computes: ``train`` means in training and in evaluation, gradients to
#: parameters and the statistics of batch norms included; ``eval`` means in evaluation, with gradients to the input.
Mode = Literal["train", "eval"]


@dataclass(frozen=True)
class Pass(ABC):
    """One rewriting of a compiled model: a valid model in, a valid model out, the same function.

    The fields are its options. Calling it leaves the model that it is given as it was; the two share their
    parameters, as the result is the same model written otherwise.
    """

    #: As it is called in the text of a pipeline.
    name: ClassVar[str]
    #: The modes that it claims. One that claims ``eval`` alone takes frozen models only (`robdsl.freeze`).
    mode: ClassVar[Mode]
    #: Whether it writes values over others. Every other pass begins by taking that back, so that it need not ask
    #: what is still there; such a pass therefore belongs at the end.
    writes_over: ClassVar[bool] = False

    def __call__(self, model: LoweredModule) -> LoweredModule:
        """The model after the pass; the one that is given stays as it was."""
        made = rebuilt(model)
        recompile(self.run(made))
        return made

    def run(self, model: LoweredModule) -> list[LoweredModule]:
        """Rewrites a model in place; returns those of its graphs that changed, whose code is now to be made anew."""
        changed = [] if self.writes_over else list(filter(_out_of_place, graphs_of(model)))
        return [*changed, *self.rewrite(model)]

    def rewrite(self, model: LoweredModule) -> list[LoweredModule]:
        """What `run` does, in a model in which nothing is written over anything."""
        return [graph for graph in graphs_of(model) if self.change(graph)]

    @abstractmethod
    def change(self, module: LoweredModule) -> bool:
        """Rewrites one graph (a stage, or the net itself) in place; whether anything changed."""


def stages_of(model: nn.Module) -> Iterator[LoweredModule]:
    """The stages of a net that are graphs."""
    for child in model.children():
        if isinstance(child, LoweredModule):
            yield child
        elif not is_primitive(child):
            yield from stages_of(child)


def graphs_of(model: LoweredModule) -> Iterator[LoweredModule]:
    """The stages that are graphs, then the net itself."""
    yield from stages_of(model)
    yield model


def shapes_in(model: LoweredModule) -> Iterator[tuple[LoweredModule, Mapping[fx.Node, Shape]]]:
    """Every graph of a model, with the shapes of its values, without the batch; no shapes where the net is not known."""
    from robdsl.compiler.cost.shapes import shapes_of  # which needs the passes' own facts

    net = model.meta.get(ROB_NET)
    shapes = {} if net is None else shapes_of(model, net.image)
    for graph in graphs_of(model):
        yield graph, shapes.get(graph, {})


def _out_of_place(module: LoweredModule) -> bool:
    """Writes every value of a graph where no other was; whether any was."""
    changed = False
    for node in module.graph.nodes:
        if node.target in _OUT_OF_PLACE:
            node.target = _OUT_OF_PLACE[node.target]
            changed = True
    return changed


_OUT_OF_PLACE: Mapping[object, Callable[..., Tensor]] = {add_into: operator.add, torch.relu_: torch.relu}


def recompile(changed: list[LoweredModule]) -> None:
    """Makes the code of changed graphs anew, each once."""
    for module in dict.fromkeys(changed):
        module.recompile()


def rebuilt(model: LoweredModule) -> LoweredModule:
    """A model of its own graphs around the same primitives: the two share every tensor."""
    memo: dict[int, object] = {id(each): each for each in model.modules() if is_primitive(each)}
    return copy.deepcopy(model, memo)
