"""A net's stages one after the other, each value let go after its last use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from robdsl.compiler.names import module_path
from robdsl.graph.flatten import flatten
from robdsl.graph.net import Net
from robdsl.graph.views import input_shapes
from robdsl.search.supernet.places import Place, place_of


@dataclass(eq=False, slots=True)
class _Turn:
    """One stage.

    Attributes:
        place: of its module; None for a stage that computes nothing.
        inputs: the stages whose outputs it is fed, oldest first; -1 is the image.
        passed: without a module, which of the inputs is the output.
        spent: the stages whose outputs nothing needs after it.
    """

    place: Place | None
    inputs: tuple[int, ...]
    passed: int
    spent: tuple[int, ...]


class Walk:
    """The stages of a net over the modules of a model that has them under the names of `robdsl.compile`.

    Args:
        model: has the modules.
        net: says which stages there are, and what feeds what.
    """

    def __init__(self, model: nn.Module, net: Net) -> None:
        last = {each: number for number, stage in enumerate(net.stages) for each in stage.inputs}
        self._turns = []
        for number, stage in enumerate(net.stages):
            place = place_of(model, module_path(stage.name))
            passed = 0
            if place is None:
                flat = flatten(stage.operation, input_shapes(net, stage))
                assert len(flat.steps) == flat.arity, f"the model has no module for {stage.name}"
                passed = flat.output
            spent = tuple(each for each in dict.fromkeys(stage.inputs) if last[each] == number)
            self._turns.append(_Turn(place, stage.inputs, passed, spent))

    def stages(self, images: Tensor) -> Iterator[tuple[Sequence[Tensor], Tensor]]:
        """What each stage is fed, oldest first, and what it gives."""
        values: dict[int, Tensor] = {-1: images}
        for number, turn in enumerate(self._turns):
            inputs = [values[each] for each in turn.inputs]
            for each in turn.spent:
                del values[each]
            output = inputs[turn.passed] if turn.place is None else turn.place.module(*inputs)
            values[number] = output
            yield inputs, output

    def modules(self) -> Iterator[nn.Module]:
        """The stages' modules."""
        return (turn.place.module for turn in self._turns if turn.place is not None)

    def run(self, images: Tensor) -> Tensor:
        """What the last stage gives."""
        result = images
        for _, output in self.stages(images):
            result = output
        return result
