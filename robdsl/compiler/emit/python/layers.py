"""Primitives as constructors of torch's layers, and of a few that the emitted file brings along."""

from __future__ import annotations

from collections.abc import Sequence

from robdsl.compiler.emit.python.environment import Amount, Environment
from robdsl.compiler.emit.python.layout import Code, Group, Item
from robdsl.compiler.emit.python.specs import Layer
from robdsl.graph.shapes import is_map
from robdsl.graph.values import Value


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
    return Amount(values, entering.text if values == entering.values else None)


class _Writer:
    """Writes arguments; one method a primitive."""

    def __init__(self, layers: Sequence[Layer], entering: Amount, environment: Environment) -> None:
        self.layers, self.entering, self.environment = layers, entering, environment
        self.leaving: Amount | None = None

    def _values(self, name: str) -> list[Value]:
        return [layer.primitive[name] for layer in self.layers]

    def _amount(self, values: Sequence[Value], name: str) -> str:
        """Channels or features, of which there may be twice as many as somewhere else."""
        return self.environment.write(values, name, self.entering, derived=True)

    def _channels(self) -> str:
        """The channels or features that enter."""
        return self._amount(
            self.entering.values, "channels" if is_map(self.layers[0].in_shape) else "features"
        )

    def _setting(self, name: str) -> str:
        derived = name in ("padding", "dilation", "groups")
        return self.environment.write(self._values(name), name, derived=derived)

    def _unless(self, name: str, default: Code, keyword: str | None = None) -> list[Item]:
        """A keyword argument, where it is not what torch takes anyway."""
        code = self._setting(name)
        return [] if code == default else [Item(code, f"{keyword or name}=")]

    def nothing(self) -> list[Item]:
        return []

    def conv(self) -> list[Item]:
        channels = self._channels()
        widths = self._values("width")
        width = self._amount(widths, "width")
        self.leaving = Amount(tuple(widths), width)
        usual = {"stride": "1", "padding": "0", "dilation": "1"}
        settings = [item for name, default in usual.items() for item in self._unless(name, default)]
        if tuple(self._values("groups")) == self.entering.values:
            groups = [Item(channels, "groups=")] if channels != "1" else []
        else:
            groups = self._unless("groups", "1")
        sizes = [Item(channels), Item(width), Item(self._setting("kernel"))]
        return [*sizes, *settings, *groups, *self._unless("bias", "True")]

    def linear(self) -> list[Item]:
        features = self._values("features")
        arguments = [
            Item(self._channels()),
            Item(self._amount(features, "features")),
            *self._unless("bias", "True"),
        ]
        self.leaving = Amount(
            tuple(features), arguments[1].code if isinstance(arguments[1].code, str) else None
        )
        return arguments

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
        kernel = self._setting("kernel")
        stride = (
            []
            if self._values("stride") == self._values("kernel")
            else [Item(self._setting("stride"), "stride=")]
        )
        return [Item(kernel), *stride, *self._unless("padding", "0")]

    def avg_pool(self) -> list[Item]:
        counted = (
            []
            if all(value == 0 for value in self._values("padding"))
            else [Item("False", "count_include_pad=")]
        )
        return [*self.max_pool(), *counted]

    def global_avg_pool(self) -> list[Item]:
        return [Item("1")]

    def crop(self) -> list[Item]:
        return [Item(self._setting("n"))]

    def nonlocal_mean(self) -> list[Item]:
        return [Item(self._channels()), Item(self._setting("kind"))]
