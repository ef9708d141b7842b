"""The names that the published RobNet checkpoints have for the tensors of a net.

Their `state_dict` is laid out as in ``DARTS``: ``stem``, ``cells.I.preprocess0``, ``cells.I.preprocess1``,
``cells.I._ops.K`` and ``classifier``, K being the place of an edge among the fourteen (by target, then by
source, which is the order of alpha). An edge with both operations has them under ``op.conv`` and ``op.res``,
an edge with one has it under ``op`` itself. Identities, relus and empty edges have no tensors, hence no keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robdsl.compiler.names import module_path
from robdsl.graph.cell import Cell, CellEdge
from robdsl.graph.flatten import Step, flatten
from robdsl.graph.layout import Stage
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation
from robdsl.graph.primitives import Primitive
from robdsl.graph.views import input_shapes

#: For each stage of a stem (one for CIFAR, three for ImageNet) its published part, and where it begins there.
_STEMS = {1: (("stem", 0),), 3: (("stem0", 0), ("stem0", 3), ("stem1", 0))}

_FACTORIZED_REDUCE = {"r_to_a": "conv_1", "r_to_b.conv_1": "conv_2", "y_to_out": "bn"}
_SEPARABLE = {"depthwise_1": 1, "conv_2": 2, "norm_3": 3, "depthwise_5": 5, "conv_6": 6, "norm_7": 7}
_PROJECTION = {"conv_1": 1, "norm_2": 2}
_PREPROCESS = {"x0": "preprocess0", "x1": "preprocess1"}


def published_keys(net: Net) -> dict[str, str]:
    """The published key of every tensor of a net, by its key in the `state_dict` of the compiled net.

    There are such keys for nets of the RobNet spaces, of any width and depth: a stem of one stage (CIFAR) or
    three (ImageNet), then stages that are all `robnet_cell`, then the head. For any other net there are none.
    """
    count = next((index for index, stage in enumerate(net.stages) if _robnet_cell(stage)), 0)
    stem, cells, head = net.stages[:count], net.stages[count:-1], net.stages[-1]
    if count not in _STEMS or not all(map(_robnet_cell, cells)):
        return {}
    pairs: list[tuple[str, str]] = []
    for stage, (name, offset) in zip(stem, _STEMS[count], strict=True):
        for step in _stateful_steps(net, stage):
            pairs += _tensors(stage, step, f"{name}.{offset + _place(step.key)}")
    for index, stage in enumerate(cells):
        for step in _stateful_steps(net, stage):
            pairs += _tensors(stage, step, f"cells.{index}.{_in_cell(stage, step.key)}")
    for step in _stateful_steps(net, head):
        pairs += _tensors(head, step, "classifier")
    return dict(pairs)


def _robnet_cell(stage: Stage) -> CellOperation | None:
    match stage.operation:
        case CellOperation(cell=cell) as operation if cell.name == "robnet_cell":
            return operation
    return None


def _stateful_steps(net: Net, stage: Stage) -> Iterator[Step]:
    """The steps of a stage that have tensors, also those that were chosen in vain."""
    flat = flatten(stage.operation, input_shapes(net, stage))
    for step in (*flat.steps, *flat.idle):
        if step.primitive is not None and step.primitive.stateful:
            yield step


def _tensors(stage: Stage, step: Step, published: str) -> Iterator[tuple[str, str]]:
    assert step.primitive is not None
    ours = module_path(stage.name, step.key)
    for name in _names_of_tensors(step.primitive):
        yield f"{ours}.{name}", f"{published}.{name}"


def _names_of_tensors(primitive: Primitive) -> Sequence[str]:
    learned = ("weight", "bias")
    if primitive.name == "batch_norm":
        buffers = ("running_mean", "running_var", "num_batches_tracked")
        return (*learned, *buffers) if primitive.flag("affine") else buffers
    has_bias = primitive.name in ("conv", "linear") and primitive.flag("bias")
    return learned if has_bias else learned[:1]


def _place(key: str) -> int:
    """Where a part of a chain stands in it: ``conv_0`` -> 0."""
    return int(key.rpartition("_")[2])


def _in_cell(stage: Stage, key: str) -> str:
    """The published path, below a cell, of the module with a key of ours."""
    operation = _robnet_cell(stage)
    assert operation is not None
    edge, below = _edge_of(operation.cell, key)
    if edge.opens is None:
        preprocess = _PREPROCESS[edge.target]
        if below in _FACTORIZED_REDUCE:
            return f"{preprocess}.{_FACTORIZED_REDUCE[below]}"
        return f"{preprocess}.op.{_PROJECTION[below]}"
    both = len(operation.choice[edge.opens]) == 2
    label, _, part = below.partition(".")
    if label == "skip":
        return f"_ops.{edge.opens}.op.{'res.' if both else ''}{_FACTORIZED_REDUCE[part]}"
    return f"_ops.{edge.opens}.op.{'conv.' if both else ''}op.{_SEPARABLE[part]}"


def _edge_of(cell: Cell, key: str) -> tuple[CellEdge, str]:
    name, _, below = key.partition(".")
    return next(edge for edge in cell.edges if edge.key == name), below
