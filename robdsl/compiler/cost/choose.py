"""Which passes pay on a machine, by the cost model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robdsl.compiler.cost.machine import Machine
from robdsl.compiler.cost.work import work_of
from robdsl.compiler.frozen_module import FrozenModule
from robdsl.compiler.passes import MERGING, Pass, format_pipeline, rebuilt
from robdsl.compiler.passes.dead import Dead
from robdsl.graph.shapes import Shape


@dataclass(frozen=True)
class Considered:
    """A choice that there was.

    Attributes:
        merging: the merging passes; none leaves every convolution as it is.
        seconds: what the model says a step takes at best.
    """

    merging: Sequence[Pass]
    seconds: float


@dataclass(frozen=True)
class Choice:
    """What to merge on a machine, and why.

    Attributes:
        merging: the passes.
        considered: what it was chosen from, the cheapest of which it has.
    """

    machine: Machine
    merging: tuple[Pass, ...]
    considered: tuple[Considered, ...]

    def why(self) -> str:
        """A sentence: what was chosen, and what the others would have cost."""
        named = [(format_pipeline(each.merging) or "no merging", each.seconds) for each in self.considered]
        (best, least), *others = sorted(named, key=lambda each: each[1])
        than = "; ".join(f"{name} {1000 * seconds:,.1f} ms" for name, seconds in others)
        return f"on {self.machine.name} {best} takes {1000 * least:,.1f} ms at best, {than}"


def choose(folded: FrozenModule, image: Shape, machine: Machine) -> Choice:
    """The merging passes with which a step takes least time on a machine, by the model; none where it makes no odds.

    Args:
        folded: a model after `FOLDING`; it is not changed.
        image: the shape of an image.
        machine: what to reckon for.
    """
    considered = []
    for merging in MERGING:
        made = rebuilt(folded)
        for each in (*merging, Dead()):
            each.run(made)
        considered.append(Considered(merging, machine.seconds(work_of(made, image))))
    best = min(considered, key=lambda each: each.seconds)
    return Choice(machine, tuple(best.merging), tuple(considered))
