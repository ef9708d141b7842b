"""Primitives as constructors of torch's layers, and of a few that the emitted file brings along."""

from __future__ import annotations

from collections.abc import Sequence

from robdsl.compiler.emit.python.amounts import Amount, same
from robdsl.compiler.emit.python.environment import Environment
from robdsl.compiler.emit.python.layout import Code, Group, Item
from robdsl.compiler.emit.python.source_text import Said
from robdsl.compiler.emit.python.specs import Layer
from robdsl.graph.elaborate import arguments_by_name
from robdsl.graph.primitives import signatures
from robdsl.graph.shapes import is_map
from robdsl.graph.values import Value
from robdsl.syntax import nodes


def constructor(layer: Layer) -> str:
    """The class of a layer."""
    primitive = layer.primitive
    match primitive.name:
        case "batch_norm":
            size = "2d" if is_map(layer.in_shape) else "1d"
            scaled = primitive.flag("affine") and primitive["weight"] != 1
            return f"ScaledBatchNorm{size}" if scaled else f"nn.BatchNorm{size}"
        case name:
            return _CONSTRUCTORS[name]


_CONSTRUCTORS = {
    "conv": "nn.Conv2d",
    "linear": "nn.Linear",
    "relu": "nn.ReLU",
    "sigmoid": "nn.Sigmoid",
    "identity": "nn.Identity",
    "zero": "Zero",
    "dropout": "nn.Dropout",
    "max_pool": "nn.MaxPool2d",
    "avg_pool": "nn.AvgPool2d",
    "global_avg_pool": "nn.AdaptiveAvgPool2d",
    "flatten": "nn.Flatten",
    "crop": "Crop",
    "nonlocal_mean": "NonlocalMean",
}


def write_layers(layers: Sequence[Layer], entering: Amount, environment: Environment) -> tuple[Group, Amount]:
    """One constructor call for layers of one class, an instance each, and the channels that come out."""
    writer = _Writer(layers, entering, environment)
    name = layers[0].primitive.name
    arguments = getattr(_Writer, name, _Writer.nothing)(writer)
    leaving = writer.leaving or _leaving(layers, entering)
    return Group(f"{constructor(layers[0])}(", tuple(arguments)), leaving


def _leaving(layers: Sequence[Layer], entering: Amount) -> Amount:
    values = tuple(layer.out_shape[0] for layer in layers)
    return entering if values == entering.values else Amount(values)


class _Writer:
    """Writes arguments; one method a primitive."""

    def __init__(self, layers: Sequence[Layer], entering: Amount, environment: Environment) -> None:
        self.layers, self.entering, self.environment = layers, entering, environment
        self.leaving: Amount | None = None
        self.given: dict[str, nodes.Expr] = {}
        call = environment.text.call([layer.span for layer in layers]) if environment.text else None
        if call:
            self.given = arguments_by_name(call, signatures()[call.callee.name])

    def _values(self, name: str) -> list[Value]:
        return [layer.primitive[name] for layer in self.layers]

    def _said(self, name: str) -> Said | None:
        """What the text gives for a parameter."""
        return self.environment.said(self.given.get(name), self.entering)

    def _channels(self) -> str:
        """The channels or features that enter."""
        name = "channels" if is_map(self.layers[0].in_shape) else "features"
        return self.environment.amount(self.entering.values, name, hint=self.entering).text or ""

    def _size(self, name: str) -> str:
        """The channels or features that leave."""
        hint = None if name in self.given else self.entering
        self.leaving = self.environment.amount(self._values(name), name, self._said(name), hint)
        return self.leaving.text or ""

    def _setting(self, name: str) -> str:
        return self.environment.write(self._values(name), name, self._said(name))

    def _unless(self, name: str, default: Code, keyword: str | None = None) -> list[Item]:
        """A keyword argument, where it is not what torch takes anyway."""
        code = self._setting(name)
        return [] if code == default else [Item(code, f"{keyword or name}=")]

    def nothing(self) -> list[Item]:
        return []

    def conv(self) -> list[Item]:
        channels = self._channels()
        sizes = [Item(channels), Item(self._size("width")), Item(self._setting("kernel"))]
        return [
            *sizes,
            *self._unless("stride", "1"),
            *self._padding(),
            *self._unless("dilation", "1"),
            *self._groups(channels),
            *self._unless("bias", "True"),
        ]

    def _padding(self) -> list[Item]:
        """Half the kernel, as the language has it where the text gives none."""
        kernel = self._said("kernel")
        if "padding" in self.given or kernel is None or kernel.code.isdigit():
            return self._unless("padding", "0")
        half = Said(f"{kernel.inside(6)} // 2", tuple(self._halves()), 6)
        return [Item(self.environment.write(self._values("padding"), "padding", half), "padding=")]

    def _halves(self) -> list[Value]:
        return [layer.primitive.integer("kernel") // 2 for layer in self.layers]

    def _groups(self, channels: str) -> list[Item]:
        """One for each channel in `depthwise`, which has no parameter for them."""
        if "groups" not in self.given and same(self._values("groups"), self.entering.values):
            return [Item(channels, "groups=")] if channels != "1" else []
        return self._unless("groups", "1")

    def linear(self) -> list[Item]:
        return [Item(self._channels()), Item(self._size("features")), *self._unless("bias", "True")]

    def batch_norm(self) -> list[Item]:
        if constructor(self.layers[0]).startswith("Scaled"):
            return [Item(self._channels()), Item(self._setting("weight"))]
        return [Item(self._channels()), *self._unless("affine", "True")]

    def zero(self) -> list[Item]:
        stride = self._setting("stride")
        return [] if stride == "1" else [Item(stride)]

    def dropout(self) -> list[Item]:
        return [Item(self._setting("p"))]

    def max_pool(self) -> list[Item]:
        kernel, stride = self._setting("kernel"), []
        if self._values("stride") != self._values("kernel"):
            stride = [Item(self._setting("stride"), "stride=")]
        return [Item(kernel), *stride, *self._unless("padding", "0")]

    def avg_pool(self) -> list[Item]:
        unpadded = all(value == 0 for value in self._values("padding"))
        return [*self.max_pool(), *([] if unpadded else [Item("False", "count_include_pad=")])]

    def global_avg_pool(self) -> list[Item]:
        return [Item("1")]

    def crop(self) -> list[Item]:
        return [Item(self._setting("n"))]

    def nonlocal_mean(self) -> list[Item]:
        return [Item(self._channels()), Item(self._setting("kind"))]
