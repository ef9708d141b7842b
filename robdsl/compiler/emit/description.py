"""A net as JSON, for programs that are not written in Python.

One object. All shapes are without the batch.

- ``schema``: ``robdsl.net/1``; the number changes when a reader would have to.
- ``name``, ``hash``; ``space`` (or null), ``parameters``, ``meta``.
- ``input``, ``output``: shapes. ``params``, ``macs``, ``depth``: sizes of the whole net.
- ``picks``: what was chosen: ``name``, ``cell``, ``alpha`` (the code; null in a supernet), and ``edges`` in the order
  of alpha, each with ``source``, ``target``, ``kind`` (``any``, ``one``), ``alternatives`` and ``chosen`` (indices).
- ``stages``, in order: ``name``, ``inputs`` (names of stages, oldest first; ``image`` for the image), ``shape``, ``params``,
  ``macs``, ``depth``, ``pick`` (a name, or null) and ``cell`` (an index into ``cells``, or null).
- ``cells``: each cell with its choice made, once.

  - ``name``, ``arguments``, ``inputs`` (nodes, oldest first), ``output`` (a shape);
  - ``nodes`` in node order: ``name``, ``join`` (``concat``, ``sum``, ``mul``, or null), ``operands``, ``shape``;
  - ``edges`` in the order written: ``source``, ``target``, ``key`` (in the keys of weights), ``place`` (in alpha; null for a
    closed edge) and ``operations``, what flows along: ``name``, ``label`` (in the keys of weights), ``params``, ``macs``.

- ``graph``: the whole net as primitives: ``output`` (the name of the result), and ``nodes`` in an order in which each
  can be computed: ``name``, ``kind`` (``input``, ``primitive``, ``sum``, ``concat``, ``mul``, ``zeros``), ``op``,
  ``args``, ``inputs`` (in order), ``shape``, ``params``, ``macs``, ``stage`` and ``source`` (``path:line:column``).
- ``idle``: primitives that were chosen and have weights, but that the result does not need: as above, without ``inputs``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from robdsl.graph.cell import Cell, CellEdge
from robdsl.graph.choices import alpha_text
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation, Choice
from robdsl.graph.values import ShapeValue, Value, Word
from robdsl.graph.views import IMAGE, flat_stages, show

SCHEMA = "robdsl.net/1"

#: What fits into a line of this length is not broken.
_LINE = 300

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def emit_json(net: Net) -> str:
    """The description of a net, as the module says; the same text for the same net."""
    return _text(describe(net), 0) + "\n"


def describe(net: Net) -> dict[str, Json]:
    """The same as plain data."""
    cells: dict[tuple[int, Choice], int] = {}
    described: list[Json] = []
    stages: list[Json] = []
    for stage in net.stages:
        operation, place, pick = stage.operation, None, None
        if isinstance(operation, CellOperation):
            pick = operation.pick
            place = cells.setdefault((id(operation.cell), operation.choice), len(cells))
            if place == len(described):
                described.append(_cell(operation.cell, operation.choice))
        stages.append(
            {
                "name": stage.name,
                "inputs": [net.stages[index].name if index >= 0 else IMAGE for index in stage.inputs],
                "shape": stage.shape,
                "params": operation.cost.params,
                "macs": operation.cost.macs,
                "depth": operation.cost.depth,
                "pick": None if pick is None else net.layout.picks[pick].name,
                "cell": place,
            }
        )
    return {
        "schema": SCHEMA,
        "name": net.name,
        "hash": net.hash,
        "space": net.space.name if net.space else None,
        "parameters": _values(net.layout.parameters),
        "meta": dict(net.meta),
        "input": net.image,
        "output": net.stages[-1].shape,
        "params": net.cost.params,
        "macs": net.cost.macs,
        "depth": net.cost.depth,
        "picks": _picks(net),
        "stages": stages,
        "cells": described,
        "graph": _graph(net),
        "idle": _idle(net),
    }


def _picks(net: Net) -> list[Json]:
    return [
        {
            "name": pick.name,
            "cell": pick.cell,
            "alpha": None if net.whole else alpha_text(pick, choice),
            "edges": [
                {
                    "source": edge.source,
                    "target": edge.target,
                    "kind": edge.kind,
                    "alternatives": edge.names,
                    "chosen": chosen,
                }
                for edge, chosen in zip(pick.opens, choice, strict=True)
            ],
        }
        for pick, choice in zip(net.layout.picks, net.choices, strict=True)
    ]


def _cell(cell: Cell, choice: Choice) -> Json:
    return {
        "name": cell.name,
        "arguments": _values(cell.arguments),
        "inputs": cell.inputs,
        "output": cell.out_shape,
        "nodes": [
            {"name": node.name, "join": node.join, "operands": node.operands, "shape": node.shape}
            for node in cell.nodes.values()
        ],
        "edges": [_edge(cell, edge, choice) for edge in cell.edges],
    }


def _edge(cell: Cell, edge: CellEdge, choice: Choice) -> Json:
    return {
        "source": edge.source,
        "target": edge.target,
        "key": edge.key,
        "place": edge.opens,
        "operations": [
            {
                "name": show(operation),
                "label": label,
                "params": operation.cost.params,
                "macs": operation.cost.macs,
            }
            for label, operation in cell.chosen(edge, choice)
        ],
    }


def _graph(net: Net) -> Json:
    graph = net.graph
    nodes: list[Json] = []
    for name in nx.lexicographical_topological_sort(
        graph, key={name: n for n, name in enumerate(graph)}.__getitem__
    ):
        data = graph.nodes[name]
        entering = sorted(graph.in_edges(name, data="place"), key=lambda edge: edge[2])
        nodes.append(
            {
                "name": name,
                "kind": data["kind"],
                "op": data["op"],
                "args": _values(data["args"].items()),
                "inputs": [source for source, _, _ in entering],
                "shape": data["shape"],
                "params": data["params"],
                "macs": data["macs"],
                "stage": data["stage"],
                "source": str(data["span"]),
            }
        )
    return {"output": graph.graph["output"], "nodes": nodes}


def _idle(net: Net) -> list[Json]:
    return [
        {
            "name": f"{stage.name}.{step.key}",
            "op": step.primitive.name,
            "args": _values(step.primitive.arguments),
            "shape": step.shape,
            "params": step.primitive.learned(step.in_shape),
            "macs": step.primitive.macs(step.in_shape),
            "stage": stage.name,
            "source": str(step.span),
        }
        for stage, flat in flat_stages(net)
        for step in flat.idle
        if step.primitive is not None
    ]


def _values(values: Iterable[tuple[str, Value]]) -> dict[str, Json]:
    return {name: _value(value) for name, value in values}


def _value(value: Value) -> Json:
    if isinstance(value, Word):
        return value.name
    return value.shape if isinstance(value, ShapeValue) else value


def _text(value: Json, indent: int) -> str:
    """JSON text, with an item a line for what does not fit into one."""
    line = json.dumps(value, allow_nan=False)
    if len(line) + indent <= _LINE or not isinstance(value, Mapping | list | tuple) or not value:
        return line
    margin = " " * (indent + 1)
    if isinstance(value, Mapping):
        items = [f"{json.dumps(name)}: {_text(each, indent + 1)}" for name, each in value.items()]
    else:
        items = [_text(each, indent + 1) for each in value]
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    inside = ",\n".join(f"{margin}{item}" for item in items)
    return f"{opening}\n{inside}\n{' ' * indent}{closing}"
