"""From a checked net to a `torch.fx.GraphModule`: one module a stage, one node a primitive, sum or join.

The modules bear the names of the text, and what they compute is what the text says, sums in the order
written. Nothing is simplified in lowering; that is for the passes, which follow it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import fx, nn

from robdsl.compiler.lowered_module import ROB_NET, ROB_SPAN, STACK_TRACE, LoweredModule
from robdsl.compiler.modules import ModuleMaker, zeros
from robdsl.compiler.names import module_path, value_name
from robdsl.compiler.passes import (
    TRAIN_PIPELINE,
    Pass,
    Watcher,
    as_pipeline,
    check_mode,
    run_pipeline,
)
from robdsl.diagnostics.source import Span
from robdsl.graph.flatten import FlatStage, Step, flatten
from robdsl.graph.net import Net, expect_net
from robdsl.graph.operations import CellOperation, Operation
from robdsl.graph.shapes import show
from robdsl.graph.values import show_value
from robdsl.graph.views import input_shapes


def compile(
    net: Net,
    *,
    seed: int | None = None,
    passes: Sequence[Pass] | str | None = None,
    watch: Watcher | None = None,
) -> fx.GraphModule:
    """A trainable module that computes a net: images in [0, 1], N x C x H x W -> logits, N x classes.

    C, H and W are those of the text's `input`; a net whose every node has an edge takes other H and W too.

    Each stage is a submodule under its name in the text. A stage that is a cell or a chain is itself a
    `torch.fx.GraphModule`; cells of one template and choice share code (one class, one code object), never
    weights. Parameters are found under stage, edge and operation, the same for the same text:
    ``robnet_cell_1.x0_to_n0.sep_conv_3x3.depthwise_1.weight``. What was chosen but does not reach the result
    is not computed; its parameters are there, under their names, and ask for no gradient.

    Args:
        net: from `robdsl.load` or a space. It is not changed.
        seed: for the initial weights; None draws them from torch's global generator, as torch's modules do.
        passes: a pipeline, or its text, in place of the usual one (`robdsl.compiler.passes.TRAIN_PIPELINE`);
            empty for the plain graph, each line of which is a primitive, a sum or a join of the text.
        watch: is told after each pass.

    Returns:
        The module, in train mode, in torch's default dtype and on its default device. In each node's
        ``meta``, ``rob_span`` says ``path:line:column`` of the text that asks for it; in the module's own,
        ``rob_net`` is the net.

    Raises:
        TypeError: it is given something that is no net.
        PipelineError: `passes` names no pipeline, or a pass that does not hold in training.
    """
    expect_net(net, "robdsl.compile")
    pipeline = TRAIN_PIPELINE if passes is None else passes
    pipeline = as_pipeline(pipeline)
    check_mode(pipeline, "train")
    with _seeded(seed):
        module = _lower(net, write=not pipeline)
    run_pipeline(module, pipeline, watch, written=not pipeline)
    module.meta[ROB_NET] = net
    return module


def _lower(net: Net, *, write: bool) -> LoweredModule:
    """The plain graph; if it is not to be written yet, its code must be made before it is run."""
    graph = fx.Graph()
    image = graph.placeholder("image")
    values: list[fx.Node] = []
    modules: dict[str, nn.Module] = {}
    maker = ModuleMaker()
    for stage in net.stages:
        flat = flatten(stage.operation, input_shapes(net, stage))
        entering = tuple(values[each] if each >= 0 else image for each in stage.inputs)
        if len(flat.steps) == flat.arity and not flat.idle:
            values.append(entering[flat.output])
            continue
        path = module_path(stage.name)
        modules[path] = _stage(stage.operation, flat, maker, write=write)
        node = graph.create_node("call_module", path, entering, {}, value_name(stage.name))
        values.append(_marked(node, stage.span))
    graph.output(values[-1])
    return LoweredModule(modules, graph, net.name, write=write)


def _stage(operation: Operation, flat: FlatStage, maker: ModuleMaker, *, write: bool) -> nn.Module:
    """The module of a stage: the primitive that it is, or the graph of its steps."""
    only = flat.steps[-1]
    if _has_module(only) and only.key == "":
        return _module(only, maker)
    named = {place: name for name, place in reversed(tuple(flat.places.items()))}
    graph = fx.Graph()
    values: list[fx.Node] = []
    modules: dict[str, nn.Module] = {}
    for place, step in enumerate(flat.steps):
        name = value_name(named.get(place, step.key))
        operands = [values[each] for each in step.inputs]
        if _has_module(step):
            path = module_path(step.key)
            modules[path] = _module(step, maker)
            node = graph.create_node("call_module", path, tuple(operands), {}, name)
        elif step.kind == "input":
            node = graph.placeholder(name)
            node.target = node.name  # which torch.fx has made a name that Python accepts
        else:
            node = _joined(graph, step, operands, name)
        values.append(_marked(node, step.span))
    graph.output(values[flat.output])
    idle = {module_path(step.key): _module(step, maker) for step in flat.idle if _learns(step)}
    name, about = _title(operation, flat)
    return LoweredModule(modules, graph, name, about, idle, write=write)


def _title(operation: Operation, flat: FlatStage) -> tuple[str, str]:
    """What a stage is called, and a line that tells it from others: ``cell(width=8): 4 x 8 x 8 -> 8 x 8 x 8``."""
    match operation:
        case CellOperation(cell=cell):
            name, arguments = cell.name, cell.arguments
        case _:
            name, arguments = operation.name or "stage", operation.arguments
    given = ", ".join(f"{key}={show_value(value)}" for key, value in arguments)
    shapes = ", ".join(show(step.shape) for step in flat.steps[: flat.arity])
    called = f"{name}({given})" if given else name
    return name, f"{called}: {shapes} -> {show(operation.out_shape)}"


def _has_module(step: Step) -> bool:
    return step.primitive is not None and step.primitive.name != "zero"


def _learns(step: Step) -> bool:
    return step.primitive is not None and step.primitive.stateful


def _module(step: Step, maker: ModuleMaker) -> nn.Module:
    assert step.primitive is not None
    return maker.make(step.primitive, step.in_shape)


def _joined(graph: fx.Graph, step: Step, operands: Sequence[fx.Node], name: str) -> fx.Node:
    """A value that no module computes: a sum, a product, a concatenation, or zeros."""
    match step.kind:
        case "sum":
            return _folded(graph, operator.add, operands, name, step.span)
        case "mul":
            return _folded(graph, operator.mul, operands, name, step.span)
        case "concat" if len(operands) > 1:
            return graph.create_node("call_function", torch.cat, (list(operands), 1), {}, name)
        case "concat":
            return operands[0]
    return graph.create_node("call_function", zeros, (operands[0], step.shape), {}, name)


def _folded(
    graph: fx.Graph, function: Callable[..., object], operands: Sequence[fx.Node], name: str, span: Span
) -> fx.Node:
    """``a + b + c``, from left to right."""
    value = operands[0]
    for place, operand in enumerate(operands[1:], start=2):
        part = name if place == len(operands) else f"{name}_of_{place}"
        value = _marked(graph.create_node("call_function", function, (value, operand), {}, part), span)
    return value


def _marked(node: fx.Node, span: Span) -> fx.Node:
    """The node, with the text that it comes from."""
    if ROB_SPAN not in node.meta:
        node.meta[ROB_SPAN], node.meta[STACK_TRACE] = _place(span)
    return node


@lru_cache(maxsize=4096)
def _place(span: Span) -> tuple[str, str]:
    """A place in the text, as people read it and as torch's tools do."""
    file = "".join(each if each.isprintable() else "?" for each in span.source.name)
    line = span.text.partition("\n")[0].strip()
    return f"{file}:{span.line}:{span.column}", f'  File "{file}", line {span.line}, in {file}\n    {line}'


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Draws from the default device's generator as just seeded, and leaves it as it was."""
    if seed is None:
        yield
        return
    device = torch.get_default_device()
    forked = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=forked):
        torch.default_generator.manual_seed(seed)
        if forked:
            torch.cuda.manual_seed(seed)
        yield
