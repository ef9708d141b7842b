"""The supernet of a space, in which one sub-network at a time is computed."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Self
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from robdsl.compiler import compile
from robdsl.compiler.lowered_module import ROB_NET
from robdsl.compiler.modules import channels_last
from robdsl.compiler.names import module_path
from robdsl.graph.cell import Cell
from robdsl.graph.layout import Layout
from robdsl.graph.net import Net, Space
from robdsl.graph.operations import Choice, picked
from robdsl.graph.views import flat_stages
from robdsl.search.supernet.cell_plan import plan_cell
from robdsl.search.supernet.places import place_of, put
from robdsl.search.supernet.programs import OpenCell, Program, Writer
from robdsl.search.supernet.walk import Walk


class Supernet(nn.Module):
    """Every open edge of a space with every alternative, of which a forward computes what is chosen.

    Images in [0, 1], N x C x H x W -> logits, N x classes. `choose` sets the sub-network; until then it is the whole
    supernet. What is not chosen is not computed, gets no gradient, and its statistics do not move; a forward equals
    that of the sub-network compiled alone with the same weights. To choose is to write down which operations are on
    which edges: nothing is compiled or traced, so the module is meant to be run eagerly.

    Weights have the names that they have in any sub-network: the keys of ``robdsl.compile(net).state_dict()`` are
    among those of the supernet. Spaces with the same stages share one supernet: one of ``cell_free`` has the keys
    and shapes of one of ``cell_based`` (same width and layers), and takes its nets.

    Args:
        space: whose open edges it has.
        seed: for the initial weights; None draws them from torch's global generator.

    Attributes:
        space: the space.
        meta: as of a compiled module: ``rob_net`` is the net with everything chosen.
    """

    def __init__(self, space: Space, seed: int | None = None) -> None:
        super().__init__()
        net = space.supernet()
        compiled = compile(net, seed=seed, passes=())  # passes would merge what a sub-network needs apart
        self.space = space
        self.meta: dict[str, Any] = {ROB_NET: net}
        self._fits: WeakKeyDictionary[Layout, bool] = WeakKeyDictionary({space.layout: True})
        self._modules.update(compiled._modules)
        self._cells: list[tuple[Cell, OpenCell]] = []
        for stage in net.stages:
            if any(True for _ in picked(stage.operation)):
                path = module_path(stage.name)
                place = place_of(self, path)
                opened = OpenStage(None if place is None else place.module)
                writer = Writer(opened)
                opened.program = writer.write(stage.operation)
                self._cells += writer.cells
                put(self, path, opened)
        self._walk = Walk(self, net)

    def choose(self, net: Net | Sequence[Choice]) -> None:
        """Let the forwards that follow compute one sub-network.

        Args:
            net: a net of the space, or of another space with the same stages; or a choice for each pick of the
                space, whether it obeys the rules or not.

        Raises:
            ValueError: it is no sub-network of this supernet.
        """
        if isinstance(net, Net):
            layout, choices = net.layout, net.choices
            if not self._has(layout):
                raise ValueError(
                    f"`{net.name}` is no sub-network of the supernet of `{self.space.name}`: its stages or their "
                    "sizes differ. Load its space with the same parameters"
                )
        else:
            layout, choices = self.space.layout, tuple(net)
        if len(choices) != len(layout.picks):
            raise ValueError(f"there are {len(layout.picks)} picks, and {len(choices)} choices were given")
        for pick, choice in zip(layout.picks, choices, strict=True):
            if choice != pick.everything and not pick.admits(choice):
                raise ValueError(f"this is no choice for `pick {pick.name}`: {choice}")
        for (cell, program), number in zip(self._cells, _pick_numbers(layout), strict=True):
            program.plan = plan_cell(cell, choices[number])

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes), through what is chosen; maps lie as in a compiled net (the pass `channels-last`)."""
        return self._walk.run(channels_last(images))

    def computed(self) -> Iterator[nn.Module]:
        """The modules that a forward runs now (and those inside stages with nothing to choose)."""
        for stage in self._walk.modules():
            if isinstance(stage, OpenStage):
                yield from stage.program.modules()
            else:
                yield from stage.modules()

    def _has(self, layout: Layout) -> bool:
        """Whether the nets of a layout are sub-networks."""
        known = self._fits.get(layout)
        if known is None:
            known = self._fits[layout] = _signature(layout) == _signature(self.space.layout)
        return known

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        memo[id(self)] = made
        # Facts are shared: only modules, and the programs over them, have copies.
        shared = [self.space, *self.meta.values(), self._fits, *(cell for cell, _ in self._cells)]
        memo.update((id(each), each) for each in shared)
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made


class OpenStage(nn.Module):
    """A stage with something to pick, over the modules of its compiled form.

    Attributes:
        program: what it computes.
    """

    program: Program

    def __init__(self, compiled: nn.Module | None) -> None:
        super().__init__()
        if compiled is not None:
            self._modules.update(compiled._modules)

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the stage makes of its inputs, oldest first."""
        return self.program(*inputs)


def _pick_numbers(layout: Layout) -> list[int]:
    """For each open cell, in the order of the stages, the number of the pick that closes it."""
    return [int(used.pick or 0) for stage in layout.stages for used in picked(stage.operation)]


def _signature(layout: Layout) -> tuple[object, ...]:
    """Equal for layouts whose supernets are the same network."""
    everything = Net("", layout, tuple(pick.everything for pick in layout.picks), whole=True)
    stages = []
    for stage, flat in flat_stages(everything):
        steps = tuple((step.key, step.kind, step.inputs, step.primitive, step.shape) for step in flat.steps)
        stages.append((stage.name, stage.inputs, flat.output, steps))
    opens = tuple(used.cell.opens for stage in layout.stages for used in picked(stage.operation))
    return layout.image, tuple(stages), opens
