"""Which key of torchvision's ImageNet ResNets and DenseNets is which of ours.

The map follows the structure of the net (its blocks and what is in them), so it also serves nets of other
depths that are built of the same blocks (`archs/resnet.rob`, `archs/densenet.rob`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from robdsl.compiler.names import module_path
from robdsl.graph.flatten import flatten
from robdsl.graph.layout import Stage
from robdsl.graph.net import Net
from robdsl.graph.operations import CellOperation
from robdsl.graph.views import input_shapes

_CONV, _NORM, _LINEAR = "conv", "batch_norm", "linear"

#: What learns in a stage: our path of the module, and its primitive.
_Learners = list[tuple[str, str]]


def torchvision_modules(net: Net) -> dict[str, str]:
    """Our path of each module that has weights -> torchvision's; empty when the net is no such net."""
    stages = [(stage, _learners(net, stage)) for stage in net.stages]
    blocks = {_block(stage) for stage, _ in stages} - {""}
    if blocks in ({"basic"}, {"bottleneck"}):
        named = _resnet(stages)
    elif blocks == {"dense_layer_imagenet"}:
        named = _densenet(stages)
    else:
        return {}
    theirs = dict(named)
    ours = [path for _, learners in stages for path, _ in learners]
    return theirs if sorted(theirs) == sorted(ours) else {}


def _block(stage: Stage) -> str:
    return stage.operation.cell.name if isinstance(stage.operation, CellOperation) else ""


def _learners(net: Net, stage: Stage) -> _Learners:
    shapes = input_shapes(net, stage)
    found = []
    for step in flatten(stage.operation, shapes).steps:
        if step.primitive is not None and step.primitive.stateful:
            kind = _CONV if step.primitive.name == "depthwise" else step.primitive.name
            found.append((module_path(stage.name, step.key), kind))
    return found


def _resnet(stages: list[tuple[Stage, _Learners]]) -> Iterator[tuple[str, str]]:
    """``conv1``, ``bn1``, ``layer1.0.conv1``, ``layer2.0.downsample.0``, ..., ``fc``."""
    (_, stem), *blocks, (_, head) = stages
    yield from _matched(stem, [(_CONV, "conv1"), (_NORM, "bn1")])
    resolutions = groupby(blocks, key=lambda each: each[0].shape)
    for layer, (_, members) in enumerate(resolutions, start=1):
        for block, (stage, learners) in enumerate(members):
            branch = [each for each in learners if f"{module_path(stage.name)}.x_to_y." in each[0]]
            shortcut = [each for each in learners if each not in branch]
            here = f"layer{layer}.{block}"
            convolutions = range(1, len(branch) // 2 + 1)
            wanted = [
                pair for i in convolutions for pair in ((_CONV, f"{here}.conv{i}"), (_NORM, f"{here}.bn{i}"))
            ]
            yield from _matched(branch, wanted)
            if shortcut:
                yield from _matched(
                    shortcut, [(_CONV, f"{here}.downsample.0"), (_NORM, f"{here}.downsample.1")]
                )
    yield from _matched(head, [(_LINEAR, "fc")])


def _densenet(stages: list[tuple[Stage, _Learners]]) -> Iterator[tuple[str, str]]:
    """``features.conv0``, ``features.denseblock1.denselayer1.norm1``, ``classifier`` and so on."""
    (_, stem), *layers, (_, head) = stages
    yield from _matched(stem, [(_CONV, "features.conv0"), (_NORM, "features.norm0")])
    block, layer = 1, 0
    for stage, learners in layers:
        if _block(stage):
            layer += 1
            here = f"features.denseblock{block}.denselayer{layer}"
            names = [
                (kind, f"{here}.{name}{i}")
                for i in (1, 2)
                for kind, name in ((_NORM, "norm"), (_CONV, "conv"))
            ]
        else:
            here = f"features.transition{block}"
            names = [(_NORM, f"{here}.norm"), (_CONV, f"{here}.conv")]
            block, layer = block + 1, 0
        yield from _matched(learners, names)
    yield from _matched(head, [(_NORM, "features.norm5"), (_LINEAR, "classifier")])


def _matched(learners: _Learners, wanted: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Our paths with their names, if they are modules of the kinds wanted; else nothing."""
    if [kind for _, kind in learners] == [kind for kind, _ in wanted]:
        yield from zip((path for path, _ in learners), (name for _, name in wanted), strict=True)
