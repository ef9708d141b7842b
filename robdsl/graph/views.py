"""Nets as networkx graphs, for drawing, statistics and networkx's own algorithms.

`primitive_graph` (``net.graph``) is a MultiDiGraph with a node for each value: ``input`` for the image, else
``STAGE`` or ``STAGE.KEY`` (for a primitive with weights, the path of its module). What was chosen in a cell but
does not reach its ``out`` is in ``net.cells`` and in the sizes, not here.

- Graph: ``name``, ``output`` (the node of the result).
- Nodes: ``kind`` (``input``, ``primitive``, ``sum``, ``concat``, ``mul``, ``zeros``), ``op`` (the primitive's
  name, else the kind), ``args`` (dict of a primitive's arguments), ``shape`` (without the batch), ``params``,
  ``macs``, ``depth`` (1 for a convolution or linear layer, else 0), ``span`` (`Span`), ``stage`` (its name).
- Edges: ``place``, the position among the inputs of the target (it matters in ``concat``).

`cell_graphs` (``net.cells``) is a tuple with a MultiDiGraph for each stage that is a cell, with a node for each
node of the cell.

- Graph: ``name`` (the stage), ``cell`` (its definition's name), ``arguments`` (dict), ``order`` (node order),
  ``inputs`` (node names), ``sources`` (the stages that feed the inputs; ``input`` for the image), ``pick`` (name
  or None), ``alpha`` (text or None), ``shape``, ``params``, ``macs``.
- Nodes: ``role`` (``input``, ``node``, ``join``), ``join`` (``concat``, ``sum``, ``mul`` or None), ``index`` (in
  node order), ``shape``, ``span``.
- Edges, by the edge's key and its alternative: ``op`` (the alternative's name, or the operation in short; ``join``
  for an operand of a join), ``choice`` (place in alpha and index of the alternative; None for a closed edge),
  ``direct`` (whether it goes to the next node in node order), ``place`` (of an operand of a join, else None),
  ``shape``, ``span``, ``params``, ``macs``.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from robdsl.diagnostics.source import Span
from robdsl.graph.cell import Cell, CellEdge
from robdsl.graph.choices import alpha_text
from robdsl.graph.flatten import FlatStage, flatten
from robdsl.graph.layout import Stage
from robdsl.graph.net import Net
from robdsl.graph.operations import (
    CellOperation,
    ChainOperation,
    Choice,
    Operation,
    PrimitiveOperation,
    SumOperation,
)
from robdsl.graph.shapes import Shape
from robdsl.syntax import nodes

#: The node of the image; a keyword of the language, so that no stage can be called so.
IMAGE = "input"


def input_shapes(net: Net, stage: Stage) -> tuple[Shape, ...]:
    """The shapes of what a stage is fed, oldest first."""
    return tuple(net.stages[index].shape if index >= 0 else net.image for index in stage.inputs)


def flat_stages(net: Net) -> tuple[tuple[Stage, FlatStage], ...]:
    """The stages as lists of primitives."""
    return tuple((stage, flatten(stage.operation, input_shapes(net, stage))) for stage in net.stages)


def primitive_graph(net: Net) -> nx.MultiDiGraph[str]:
    """Every value of a net."""
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
        span=_image_span(net),
        stage="",
    )
    results: dict[int, str] = {-1: IMAGE}
    for number, (stage, flat) in enumerate(flat_stages(net)):
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
        results[number] = places[flat.output]
    graph.graph["output"] = results[len(net.stages) - 1]
    return graph


def _image_span(net: Net) -> Span:
    body = net.layout.bound.definition.body
    statements = body if isinstance(body, tuple) else ()
    return next(each.span for each in statements if isinstance(each, nodes.Image))


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
                operand,
                node.name,
                key=f"{node.name}[{place}]",
                op="join",
                choice=None,
                direct=_direct(cell, operand, node.name),
                place=place,
                shape=cell.nodes[operand].shape,
                span=node.span,
                params=0,
                macs=0,
            )
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
