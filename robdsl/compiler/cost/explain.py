"""What every pass does to the cost of a step, and what is left to the machine's floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robdsl.compiler.cost.choose import Choice, choose, training_passes
from robdsl.compiler.cost.machine import Machine
from robdsl.compiler.cost.work import Work, total, work_of
from robdsl.compiler.frozen_module import snapshot
from robdsl.compiler.lower import compile
from robdsl.compiler.lowered_module import LoweredModule
from robdsl.compiler.passes import FOLDING, KERNEL_FOLDING, Pass, run_pipeline
from robdsl.graph.net import Net


@dataclass(frozen=True)
class Row:
    """The cost after a pass.

    Attributes:
        name: the pass; ``plain`` for what stands before all of them.
        pipeline: ``compile`` or ``freeze``.
        work: of one step with one image.
        seconds: of a step with a batch on the machine, at best.
        took: the seconds that the pass took.
    """

    name: str
    pipeline: str
    work: Work
    seconds: float
    took: float


@dataclass(frozen=True)
class Explanation:
    """The cost of a step before and after each pass.

    Attributes:
        rows: in the order of the passes; those of ``freeze`` start from the plain graph, as those of ``compile`` do.
        floor: the seconds of the multiplications of one step alone.
        choice: why the passes that merge or fuse are those that they are; None where the pipeline was given.
    """

    machine: Machine
    rows: Sequence[Row]
    floor: float
    choice: Choice | None


def explain(net: Net, machine: Machine, pipeline: Sequence[Pass] | None = None) -> Explanation:
    """Counts what `compile` and `freeze` make of a net, pass by pass, on a GPU with kernels; nothing is run.

    Args:
        net: its own image is the one that a step is counted for.
        machine: what to reckon for.
        pipeline: what to freeze with, in place of what is chosen.
    """
    plain = compile(net, seed=0, passes=())
    assert isinstance(plain, LoweredModule)
    rows: list[Row] = []

    def row(name: str, way: str, model: LoweredModule, took: float = 0.0) -> None:
        calls = work_of(model, net.image, machine.capability)
        rows.append(Row(name, way, total(calls), machine.seconds(calls), took))

    frozen = snapshot(plain)
    row("plain", "compile", plain)
    run_pipeline(
        plain, training_passes(machine), lambda each, model, took: row(each.name, "compile", model, took)
    )
    row("plain", "freeze", frozen)

    def freeze_with(passes: Sequence[Pass]) -> None:
        run_pipeline(frozen, passes, lambda each, model, took: row(each.name, "freeze", model, took))

    choice = None
    if pipeline is None:
        kernels = machine.capability >= 8
        freeze_with(KERNEL_FOLDING if kernels else FOLDING)
        choice = choose(frozen, net.image, machine, kernels=kernels)
        pipeline = choice.remaining()
    freeze_with(pipeline)
    return Explanation(machine, rows, machine.floor(work_of(frozen, net.image, machine.capability)), choice)
