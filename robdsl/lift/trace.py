"""From a PyTorch model to values in the words of the language, by `torch.fx`.

What the language has no word for is collected, so that all of it is told at once.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata

from robdsl.graph.shapes import Shape
from robdsl.lift.errors import LiftError, Missing, NotInLanguage
from robdsl.lift.values import Applied, Kind, Traced, Value, needed

_RELU = {F.relu, torch.relu, torch.relu_, "relu", "relu_"}
_SIGMOID = {torch.sigmoid, F.sigmoid, "sigmoid"}
_ADD = {operator.add, operator.iadd, torch.add, "add", "add_"}
_MUL = {operator.mul, operator.imul, torch.mul, "mul", "mul_"}
_CAT = {torch.cat, torch.concat, torch.concatenate}
_RESHAPES = {torch.flatten, torch.reshape, "flatten", "view", "reshape"}
_MEAN = {torch.mean, "mean"}
_SIZES = {"size", operator.getitem, getattr, operator.floordiv, operator.mul}
_SAME = {"contiguous", "clone"}


def trace(model: nn.Module, image: Shape) -> Traced:
    """The values of a model for images of one shape, in eval mode.

    Args:
        model: takes one image batch and gives one tensor. It is not changed.
        image: channels, height and width.

    Raises:
        LiftError: it cannot be traced, or fails on such an image.
        NotInLanguage: it does what the language has no words for.
    """
    was = model.training
    model.eval()
    try:
        traced = fx.symbolic_trace(model)
        like = next(model.parameters(), torch.zeros(()))
        with torch.no_grad():
            ShapeProp(traced).propagate(torch.zeros(1, *image, dtype=like.dtype, device=like.device))
    except Exception as error:
        said = str(error).splitlines()
        raise LiftError(
            f"torch.fx cannot trace the model: {said[0] if said else type(error).__name__}"
        ) from error
    finally:
        model.train(was)
    classes = {path: type(each).__name__ for path, each in model.named_modules()}
    return _Reader(traced, image).read(classes)


class _Reader:
    """Reads one traced graph."""

    def __init__(self, traced: fx.GraphModule, image: Shape) -> None:
        self._traced = traced
        self._modules = dict(traced.named_modules())
        self._values: list[Value] = [Value("input", (), image)]
        self._place: dict[fx.Node, int] = {}
        self._missing: list[Missing] = []

    def read(self, classes: dict[str, str]) -> Traced:
        result: fx.Node | None = None
        for node in self._traced.graph.nodes:
            match node.op:
                case "placeholder" if not self._place:
                    self._place[node] = 0
                case "placeholder":
                    if node.users:
                        raise LiftError(
                            f"a model of one input is lifted, and this one also takes `{node.name}`"
                        )
                case "output":
                    result = node.args[0] if isinstance(node.args[0], fx.Node) else None
                case "call_module":
                    self._module(node, self._modules[str(node.target)], str(node.target))
                case "call_function" | "call_method":
                    self._function(node)
                case _:
                    self._lacks(node, "a tensor of the model's own, outside of a layer")
        if self._missing:
            raise NotInLanguage(self._missing)
        if result is None or result not in self._place:
            raise LiftError("a model that gives one tensor is lifted")
        values = self._values[: self._place[result] + 1]
        if self._place[result] == 0:
            raise LiftError("the model does nothing to its image")
        return Traced(needed(values), classes)

    # --- making values

    def _lacks(self, node: fx.Node, what: str) -> None:
        path = str(node.target) if node.op == "call_module" else node.name
        self._missing.append(Missing(what, path))
        self._values.append(
            Value("input", (), self._shape(node))
        )  # a stand-in: what reads it is looked at too
        self._place[node] = len(self._values) - 1

    def _shape(self, node: fx.Node) -> Shape:
        meta = node.meta.get("tensor_meta")
        return tuple(meta.shape[1:]) if isinstance(meta, TensorMetadata) else ()

    def _put(self, node: fx.Node, kind: Kind, inputs: Sequence[int], applied: Applied | None = None) -> None:
        where = applied.path if applied is not None and applied.path else node.name
        if node.op == "call_module":
            where = str(node.target)
        self._values.append(Value(kind, tuple(inputs), self._shape(node), applied, where))
        self._place[node] = len(self._values) - 1

    def _apply(self, node: fx.Node, name: str, path: str = "", eps: float = 1e-5, **arguments: Any) -> None:
        self._put(node, "apply", [self._operand(node)], Applied(name, tuple(arguments.items()), path, eps))

    def _operand(self, node: fx.Node) -> int:
        first = node.args[0] if node.args else node.kwargs.get("input")
        return self._place.get(first, 0) if isinstance(first, fx.Node) else 0

    def _same(self, node: fx.Node) -> None:
        self._place[node] = self._operand(node)

    # --- modules

    def _module(self, node: fx.Node, module: nn.Module, path: str) -> None:
        match module:
            case nn.Conv2d():
                self._conv(node, module, path)
            case nn.Linear():
                self._apply(node, "linear", path, features=module.out_features, bias=module.bias is not None)
            case nn.BatchNorm2d() if module.track_running_stats:
                self._apply(node, "batch_norm", path, module.eps, affine=module.affine)
            case nn.ReLU():
                self._apply(node, "relu")
            case nn.Sigmoid():
                self._apply(node, "sigmoid")
            case nn.Identity():
                self._same(node)
            case nn.Dropout():
                self._apply(node, "dropout", p=module.p)
            case nn.MaxPool2d() if not module.return_indices:
                self._max_pool(
                    node, module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode
                )
            case nn.AvgPool2d():
                self._avg_pool(
                    node, module.kernel_size, module.stride, module.padding, module.ceil_mode,
                    module.count_include_pad, module.divisor_override,
                )  # fmt: skip
            case nn.AdaptiveAvgPool2d():
                self._adaptive(node)
            case nn.Flatten() if module.start_dim == 1 and module.end_dim == -1:
                self._apply(node, "flatten")
            case _:
                self._lacks(node, type(module).__name__)

    def _conv(self, node: fx.Node, conv: nn.Conv2d, path: str) -> None:
        sides = [_square(each) for each in (conv.kernel_size, conv.stride, conv.padding, conv.dilation)]
        if conv.padding_mode != "zeros":
            self._lacks(node, f"a convolution padded with {conv.padding_mode}")
        elif any(each is None for each in sides):
            self._lacks(node, "a convolution that is not square")
        else:
            kernel, stride, padding, dilation = sides
            self._apply(
                node, "conv", path, kernel=kernel, width=conv.out_channels, stride=stride, padding=padding,
                groups=conv.groups, dilation=dilation, bias=conv.bias is not None,
            )  # fmt: skip

    def _max_pool(
        self,
        node: fx.Node,
        kernel: Any,
        stride: Any,
        padding: Any,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> None:
        if _square(dilation) != 1:
            self._lacks(node, "a max_pool with dilation")
        else:
            self._pool(node, "max_pool", kernel, stride, padding, ceil_mode)

    def _avg_pool(
        self,
        node: fx.Node,
        kernel: Any,
        stride: Any,
        padding: Any,
        ceil_mode: bool,
        counts: bool,
        divisor: Any,
    ) -> None:
        if counts and _square(padding) != 0:
            self._lacks(node, "an avg_pool that counts its padding")
        elif divisor is not None:
            self._lacks(node, "an avg_pool with a divisor of its own")
        else:
            self._pool(node, "avg_pool", kernel, stride, padding, ceil_mode)

    def _pool(
        self, node: fx.Node, name: str, kernel: Any, stride: Any, padding: Any, ceil_mode: bool
    ) -> None:
        sides = [_square(each) for each in (kernel, kernel if stride in (None, [], ()) else stride, padding)]
        if any(each is None for each in sides):
            self._lacks(node, f"a {name} that is not square")
            return
        size, step, edge = (int(each or 0) for each in sides)
        entering = self._values[self._operand(node)].shape
        down = tuple((side + 2 * edge - size) // step + 1 for side in entering[1:])
        if ceil_mode and down != self._shape(node)[1:]:
            self._lacks(node, f"a {name} that rounds up (ceil_mode)")
        else:
            self._apply(node, name, kernel=size, stride=step, padding=edge)

    def _adaptive(self, node: fx.Node) -> None:
        entering, leaving = self._values[self._operand(node)].shape, self._shape(node)
        if leaving[1:] == (1, 1):
            self._apply(node, "global_avg_pool")
        elif leaving == entering:
            self._same(node)
        else:
            self._lacks(node, f"an adaptive pool to {' x '.join(map(str, leaving[1:]))}")

    # --- functions and methods

    def _function(self, node: fx.Node) -> None:
        target, arguments = node.target, node.args
        operands = [each for each in arguments[:2] if isinstance(each, fx.Node)]
        tensors = [each for each in operands if each in self._place]
        if target in _RELU:
            self._apply(node, "relu")
        elif target in _SIGMOID:
            self._apply(node, "sigmoid")
        elif target in _ADD and len(tensors) == 2 and "alpha" not in node.kwargs:
            self._joined(node, "sum", tensors)
        elif target in _MUL and len(tensors) == 2:
            self._joined(node, "mul", tensors)
        elif target in _CAT:
            self._cat(node)
        elif target in _RESHAPES and self._flattens(node):
            self._apply(node, "flatten")
        elif target in _MEAN and self._means(node):
            self._mean(node)
        elif target in _SAME:
            self._same(node)
        elif target is F.dropout:
            self._apply(node, "dropout", p=_argument(node, 1, "p", 0.5))
        elif target is F.adaptive_avg_pool2d:
            self._adaptive(node)
        elif target in (F.max_pool2d, torch.max_pool2d):
            kernel, stride, padding, dilation, ceil_mode = (_argument(node, *each) for each in _MAX_POOL)
            self._max_pool(node, kernel, stride, padding, dilation, ceil_mode)
        elif target is F.avg_pool2d:
            kernel, stride, padding, ceil_mode, counts, divisor = (
                _argument(node, *each) for each in _AVG_POOL
            )
            self._avg_pool(node, kernel, stride, padding, ceil_mode, counts, divisor)
        elif target not in _SIZES or self._shape(node):  # sizes are numbers, and only reshapes read them
            self._lacks(node, str(getattr(target, "__name__", target)))

    def _joined(self, node: fx.Node, kind: Kind, operands: Sequence[fx.Node]) -> None:
        places = [self._place[each] for each in operands]
        shapes = [self._values[place].shape for place in places]
        channels = {shape[0] for shape in shapes}
        small = [shape for shape in shapes if shape[1:] == (1, 1)]
        if len(set(shapes)) > 1 and not (kind == "mul" and len(channels) == 1 and small):
            self._lacks(node, f"a {kind} of unequal shapes")
        else:
            self._put(node, kind, places)

    def _cat(self, node: fx.Node) -> None:
        tensors = _argument(node, 0, "tensors", ())
        dim = _argument(node, 1, "dim", node.kwargs.get("axis", 0))
        nodes = (
            [each for each in tensors if isinstance(each, fx.Node)] if isinstance(tensors, Sequence) else []
        )
        if dim not in (1, -3) or not nodes or len(self._shape(node)) != 3:
            self._lacks(node, "a concatenation of other than channels")
        else:
            self._put(node, "concat", [self._place.get(each, 0) for each in nodes])

    def _flattens(self, node: fx.Node) -> bool:
        entering = self._values[self._operand(node)].shape
        leaving = self._shape(node)
        size = 1
        for side in entering:
            size *= side
        return leaving == (size,)

    def _means(self, node: fx.Node) -> bool:
        entering = self._values[self._operand(node)].shape
        return len(entering) == 3 and self._shape(node) in ((entering[0],), (entering[0], 1, 1))

    def _mean(self, node: fx.Node) -> None:
        leaving = self._shape(node)
        pooled = Value(
            "apply", (self._operand(node),), (leaving[0], 1, 1), Applied("global_avg_pool"), node.name
        )
        self._values.append(pooled)
        self._place[node] = len(self._values) - 1
        if len(leaving) == 1:
            self._values.append(Value("apply", (self._place[node],), leaving, Applied("flatten"), node.name))
            self._place[node] += 1


_WINDOW = ((1, "kernel_size", None), (2, "stride", None), (3, "padding", 0))
_MAX_POOL = (*_WINDOW, (4, "dilation", 1), (5, "ceil_mode", False))
_AVG_POOL = (*_WINDOW, (4, "ceil_mode", False), (5, "count_include_pad", True), (6, "divisor_override", None))


def _argument(node: fx.Node, place: int, name: str, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _square(value: Any) -> int | None:
    """A size that holds for both sides; None where there is none."""
    if isinstance(value, int):
        return value
    sides = set(value) if isinstance(value, Sequence) and not isinstance(value, str) else set()
    side = sides.pop() if len(sides) == 1 else None
    return side if isinstance(side, int) else None
