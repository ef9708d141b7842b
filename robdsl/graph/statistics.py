"""What the paper counts: sizes, density, operations on direct and on skip edges."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from robdsl.graph.choices import Pick
from robdsl.graph.net import Net
from robdsl.graph.operations import Choice, picked


@dataclass(frozen=True)
class ChoiceStatistics:
    """What was chosen for one pick.

    Attributes:
        pick: the pick's name.
        stages: the names of the stages that it closes.
        density: chosen over possible alternatives, in [0, 1] (section 3.3 of the paper).
        counts, direct, skips: edges that chose each alternative: all, those to the next node, the others.
        indegree: non-empty open edges into each node.
    """

    pick: str
    stages: tuple[str, ...]
    density: float
    counts: dict[str, int]
    direct: dict[str, int]
    skips: dict[str, int]
    indegree: dict[str, int]


@dataclass(frozen=True)
class StageStatistics:
    """One stage: its output shape (without the batch) and what it costs."""

    name: str
    kind: str
    shape: tuple[int, ...]
    params: int
    macs: int
    depth: int


@dataclass(frozen=True)
class Statistics:
    """Sizes of a net and of its parts.

    Attributes:
        params: learned numbers; what never reaches the result is no part of the net.
        macs: multiply-adds of convolutions and linear layers for one image.
        depth: convolutions and linear layers on the longest path.
        density: the mean over picks of chosen over possible; None for a net that chooses nothing.
    """

    params: int
    macs: int
    depth: int
    density: float | None
    stages: tuple[StageStatistics, ...]
    choices: tuple[ChoiceStatistics, ...]


def statistics(net: Net) -> Statistics:
    """The statistics of a net."""
    stages = tuple(
        StageStatistics(
            stage.name,
            stage.operation.name or "operation",
            stage.shape,
            stage.operation.cost.params,
            stage.operation.cost.macs,
            stage.operation.cost.depth,
        )
        for stage in net.stages
    )
    closes: dict[int, list[str]] = {}
    for stage in net.layout.stages:
        for cell in picked(stage.operation):
            assert cell.pick is not None
            closes.setdefault(cell.pick, []).append(stage.name)
    choices = tuple(
        choice_statistics(pick, choice, tuple(closes.get(index, ())))
        for index, (pick, choice) in enumerate(zip(net.layout.picks, net.choices, strict=True))
    )
    density = sum(each.density for each in choices) / len(choices) if choices else None
    cost = net.cost
    return Statistics(cost.params, cost.macs, cost.depth, density, stages, choices)


def choice_statistics(pick: Pick, choice: Choice, stages: tuple[str, ...] = ()) -> ChoiceStatistics:
    """The statistics of one choice; ``none`` counts for nothing."""
    names = dict.fromkeys(name for edge in pick.opens for i, name in enumerate(edge.names) if i != edge.empty)
    counts, direct, skips = (Counter(dict.fromkeys(names, 0)) for _ in range(3))
    indegree = dict.fromkeys((edge.target for edge in pick.opens), 0)
    chosen_edges = 0
    for edge, chosen in zip(pick.opens, choice, strict=True):
        taken = edge.taken(chosen)
        chosen_edges += len(taken)
        indegree[edge.target] += bool(taken)
        for index in taken:
            counts[edge.names[index]] += 1
            (direct if edge.direct else skips)[edge.names[index]] += 1
    possible = sum(edge.most for edge in pick.opens)
    return ChoiceStatistics(
        pick.name, stages, chosen_edges / possible, dict(counts), dict(direct), dict(skips), indegree
    )
