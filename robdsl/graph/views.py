"""Nets as networkx graphs, for drawing, statistics and networkx's own algorithms.

`primitive_graph` (``net.graph``): a MultiDiGraph with one node per value, named ``STAGE`` or ``STAGE.KEY`` (for a
primitive, the path of its module), and ``image``.
    Graph: ``name``, ``output`` (the node of the result).
    Nodes: ``kind`` (``input``, ``primitive``, ``sum``, ``concat``, ``mul``, ``zeros``), ``op`` (the primitive's name, or the kind),
    ``args`` (dict of a primitive's arguments), ``shape`` (without the batch), ``params``, ``macs``, ``depth`` (0 or 1: whether it is a
    convolution or linear layer), ``span`` (`Span`), ``stage`` (its name).
    Edges: ``place``, the position among the inputs of the target (it matters in ``concat``).

`cell_graphs` (``net.cells``): a MultiDiGraph for each stage that is a cell, with one node per node of the cell.
    Graph: ``name`` (the stage), ``cell`` (its definition's name), ``arguments`` (dict), ``order`` (node order), ``inputs`` (node names),
    ``sources`` (the stages that feed the inputs, ``image`` for the image), ``pick`` (name or None), ``alpha`` (text or None), ``shape``, ``params``, ``macs``.
    Nodes: ``role`` (``input``, ``node``, ``join``), ``join`` (``concat``, ``sum``, ``mul`` or None), ``index`` (in node order), ``shape``, ``span``.
    Edges (key: the edge's key and its alternative): ``op`` (the alternative's name, or the operation as written; ``join`` for an operand
    of a join), ``choice`` ((place in alpha, index of the alternative) or None for a closed edge), ``direct``, ``place`` (for operands of joins), ``shape``, ``span``,
    ``params``, ``macs``.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from robdsl.graph.cell import Cell, CellEdge
from robdsl.graph.choices import alpha_text
from robdsl.graph.flatten import FlatStage, flatten
from robdsl.graph.layout import Stage
from robdsl.graph.net import Net, live_stages
from robdsl.graph.operations import (
    CellOperation,
    ChainOperation,
    Choice,
    Operation,
    PrimitiveOperation,
    SumOperation,
)
from robdsl.graph.shapes import Shape

IMAGE = "image"


def input_shapes(net: Net, stage: Stage) -> tuple[Shape, ...]:
    """The shapes of what a stage is fed, oldest first."""
    return tuple(net.stages[index].shape if index >= 0 else net.image for index in stage.inputs)


def flat_stages(net: Net) -> tuple[tuple[Stage, FlatStage], ...]:
    """The stages that the result needs, as lists of primitives."""
    live = live_stages(net.stages)
    return tuple(
        (stage, flatten(stage.operation, input_shapes(net, stage)))
        for index, stage in enumerate(net.stages)
        if index in live
    )


def primitive_graph(net: Net) -> nx.MultiDiGraph[str]:
    """Every value of the net that its result needs."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=net.name)
    graph.add_node(
        IMAGE,
        kind="input",
        op="input",
        args={},
        shape=net.image,
        params=0,
        macs=0,
        depth=0,
        span=net.stages[0].span,
        stage="",
    )
    results: dict[int, str] = {-1: IMAGE}
    number = {id(stage): index for index, stage in enumerate(net.stages)}
    for stage, flat in flat_stages(net):
        places = [results[index] for index in stage.inputs]
        for step in flat.steps[flat.arity :]:
            name = f"{stage.name}.{step.key}" if step.key else stage.name
            primitive = step.primitive
            entering = flat.steps[step.inputs[0]].shape
            graph.add_node(
                name,
                kind=step.kind,
                op=step.kind if primitive is None else primitive.name,
                args={} if primitive is None else dict(primitive.arguments),
                shape=step.shape,
                params=0 if primitive is None else primitive.learned(entering),
                macs=0 if primitive is None else primitive.macs(entering),
                depth=0 if primitive is None else primitive.depth(),
                span=step.span,
                stage=stage.name,
            )
            for place, index in enumerate(step.inputs):
                graph.add_edge(places[index], name, place=place)
            places.append(name)
        results[number[id(stage)]] = places[flat.output]
    graph.graph["output"] = results[len(net.stages) - 1]
    return graph


def cell_graphs(net: Net) -> tuple[nx.MultiDiGraph[str], ...]:
    """The cells of a net, stage by stage."""
    return tuple(
        cell_graph(net, stage, stage.operation)
        for stage in net.stages
        if isinstance(stage.operation, CellOperation)
    )


def cell_graph(net: Net, stage: Stage, operation: CellOperation) -> nx.MultiDiGraph[str]:
    """One cell with its choice made."""
    cell = operation.cell
    pick = None if operation.pick is None else net.layout.picks[operation.pick]
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(
        name=stage.name,
        cell=cell.name,
        arguments=dict(cell.arguments),
        order=tuple(cell.nodes),
        inputs=cell.inputs,
        sources=tuple(net.stages[index].name if index >= 0 else IMAGE for index in stage.inputs),
        pick=pick.name if pick else None,
        alpha=alpha_text(pick, operation.choice) if pick and not net.whole else None,
        shape=cell.out_shape,
        params=operation.cost.params,
        macs=operation.cost.macs,
    )
    for node in cell.nodes.values():
        role = "input" if node.is_input else "join" if node.join else "node"
        graph.add_node(
            node.name, role=role, join=node.join, index=node.index, shape=node.shape, span=node.span
        )
    for node in cell.nodes.values():
        for place, operand in enumerate(node.operands):
            graph.add_edge(
                operand, node.name, key=f"{node.name}[{place}]", op="join", choice=None, direct=_direct(cell, operand, node.name),
                place=place, shape=cell.nodes[operand].shape, span=node.span, params=0, macs=0,
            )  # fmt: skip
    for edge in cell.edges:
        _add_edges(graph, cell, edge, operation.choice)
    return graph


def _add_edges(graph: nx.MultiDiGraph[str], cell: Cell, edge: CellEdge, choice: Choice) -> None:
    indices: Sequence[int] = (0,) if edge.opens is None else choice[edge.opens]
    for index in indices:
        operation = edge.alternatives[index]
        if operation is None:
            continue
        graph.add_edge(
            edge.source,
            edge.target,
            key=f"{edge.key}.{edge.labels[index]}" if edge.labels[index] else edge.key,
            op=show(operation) if edge.opens is None else cell.opens[edge.opens].names[index],
            choice=None if edge.opens is None else (edge.opens, index),
            direct=_direct(cell, edge.source, edge.target),
            place=None,
            shape=edge.shape,
            span=edge.span,
            params=operation.cost.params,
            macs=operation.cost.macs,
        )


def _direct(cell: Cell, source: str, target: str) -> bool:
    return cell.nodes[target].index == cell.nodes[source].index + 1


def show(operation: Operation) -> str:
    """An elaborated operation in short: the name that the text gives it, else what it is made of."""
    match operation:
        case Operation(name=name) if name:
            return name
        case PrimitiveOperation():
            return str(operation.primitive.name)
        case ChainOperation():
            return " | ".join(
                f"({show(p)})" if isinstance(p, SumOperation) and not p.name else show(p)
                for p in operation.parts
            )
        case SumOperation():
            return " + ".join(
                f"({show(p)})" if isinstance(p, ChainOperation) and not p.name else show(p)
                for p in operation.parts
            )
    return "?"
