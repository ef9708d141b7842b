"""Which passes pay on a machine, by the cost model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robdsl.compiler.cost.machine import Machine
from robdsl.compiler.cost.work import work_of
from robdsl.compiler.frozen_module import FrozenModule, snapshot
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import (
    FOLDING,
    FUSING,
    KERNEL_FOLDING,
    MERGING,
    TRAIN_PIPELINE,
    Pass,
    format_pipeline,
    kernel_writing,
    rebuilt,
    run_pipeline,
    writing,
)
from robdsl.compiler.passes.across import ChannelsLast
from robdsl.compiler.passes.dead import Dead
from robdsl.graph.shapes import Shape


@dataclass(frozen=True)
class Considered:
    """A choice that there was.

    Attributes:
        passes: that merge or fuse; none leaves every convolution as it is.
        seconds: what the model says a step takes at best.
    """

    passes: Sequence[Pass]
    seconds: float


@dataclass(frozen=True)
class Choice:
    """What to merge or to fuse on a machine, and why.

    Attributes:
        passes: those that were chosen.
        considered: what they were chosen from, the cheapest of which they are.
        kernels: whether it is about what kernels run.
    """

    machine: Machine
    passes: tuple[Pass, ...]
    considered: tuple[Considered, ...]
    kernels: bool

    def why(self) -> str:
        """A sentence: what was chosen, and what the others would have cost."""
        named = [(format_pipeline(each.passes) or "no merging", each.seconds) for each in self.considered]
        (best, least), *others = sorted(named, key=lambda each: each[1])
        than = "; ".join(f"{name} {1000 * seconds:,.1f} ms" for name, seconds in others)
        return f"on {self.machine.name} {best} takes {1000 * least:,.1f} ms at best, {than}"

    def remaining(self) -> tuple[Pass, ...]:
        """All that follows the folding."""
        if self.kernels:
            return kernel_writing(*self.passes)
        return (*self.passes, *writing(channels_last=self.machine.name == "cpu"))


def training_passes(machine: Machine) -> tuple[Pass, ...]:
    """What `robdsl.compile` does that has an effect on a machine."""
    return tuple(
        each for each in TRAIN_PIPELINE if machine.name == "cpu" or not isinstance(each, ChannelsLast)
    )


def pipeline_for(model: LoweredModule, image: Shape, machine: Machine) -> tuple[Pass, ...]:
    """All that `robdsl.freeze` does with a model on a machine, on a GPU with kernels; the model is not changed."""
    kernels = machine.capability >= 8
    folding = KERNEL_FOLDING if kernels else FOLDING
    folded = snapshot(model)
    run_pipeline(folded, folding)
    return (*folding, *choose(folded, image, machine, kernels=kernels).remaining())


def choose(folded: FrozenModule, image: Shape, machine: Machine, *, kernels: bool = False) -> Choice:
    """The passes with which a step takes least time on a machine, by the model; the fewest where it makes no odds.

    Args:
        folded: a model after `FOLDING`, or after `KERNEL_FOLDING` where kernels run; it is not changed.
        image: the shape of an image.
        machine: what to reckon for.
        kernels: whether kernels run there. Then it is chosen which stages they fuse (single ones, or pairs on small
            maps), otherwise which convolutions are merged.
    """
    considered = []
    for passes in FUSING if kernels else MERGING:
        made = rebuilt(folded)
        for each in (*passes, Dead()):
            each.run(made)
        considered.append(Considered(passes, machine.seconds(work_of(made, image, machine.capability))))
    best = min(considered, key=lambda each: each.seconds)
    return Choice(machine, tuple(best.passes), tuple(considered), kernels)
