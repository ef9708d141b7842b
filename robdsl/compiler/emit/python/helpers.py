"""What the emitted file brings along: small classes and functions, each only where it is used."""

from __future__ import annotations

import ast
from collections.abc import Mapping

#: The classes that stand at the top of a file that needs them.
HELPERS: Mapping[str, str] = {
    "Chain": '''\
class Chain(nn.Module):
    """Parts one after the other, each under its name."""

    def __init__(self, /, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.children():
            x = part(x)
        return x
''',
    "Sum": '''\
class Sum(nn.Module):
    """The sum of what its parts make of a value, each part under its name."""

    def __init__(self, /, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.children()
        result = first(x)
        for part in others:
            result = result + part(x)
        return result
''',
    "Crop": '''\
class Crop(nn.Module):
    """A map without its first rows and columns."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.size :, self.size :]
''',
    "Zero": '''\
class Zero(nn.Module):
    """Zeros in place of a value, or of every few of its rows and columns."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return torch.zeros_like(x)
''',
    "Zeros": '''\
class Zeros(nn.Module):
    """Zeros of a fixed shape for each image: a node that nothing flows into."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], *self.shape)
''',
    "ScaledBatchNorm1d": '''\
class ScaledBatchNorm1d(nn.BatchNorm1d):
    """Batch normalization whose weights start at a value of their own."""

    def __init__(self, channels: int, weight: float) -> None:
        super().__init__(channels)
        nn.init.constant_(self.weight, weight)
''',
    "ScaledBatchNorm2d": '''\
class ScaledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization whose weights start at a value of their own."""

    def __init__(self, channels: int, weight: float) -> None:
        super().__init__(channels)
        nn.init.constant_(self.weight, weight)
''',
    "NonlocalMean": '''\
class NonlocalMean(nn.Module):
    """The weighted mean over all positions of feature denoising (Xie et al. 2019).

    ``gaussian`` weights are a softmax of embedded products, ``dot`` weights are the
    products themselves, over the number of positions.
    """

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "gaussian":
            self.theta = nn.Conv2d(channels, channels // 2, 1, bias=False)
            self.phi = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        values = self.positions(x)
        if self.kind == "gaussian":
            query, key = self.positions(self.theta(x)), self.positions(self.phi(x))
            mean = functional.scaled_dot_product_attention(query, key, values)
        elif values.shape[3] > values.shape[2]:
            mean = (values @ values.mT) @ values / values.shape[2]
        else:
            mean = values @ (values.mT @ values) / values.shape[2]
        return mean.squeeze(1).mT.unflatten(2, x.shape[2:])

    @staticmethod
    def positions(x: Tensor) -> Tensor:
        """N x C x H x W -> N x 1 x HW x C"""
        return x.flatten(2).mT.unsqueeze(1)
''',
    "total": '''\
def total(*flows: tuple[nn.Module | None, Tensor]) -> Tensor:
    """The sum of what flows into a node; the module of an empty edge is None."""
    first, *others = [edge(value) for edge, value in flows if edge is not None]
    for other in others:
        first = first + other
    return first
''',
    "place": '''\
def place(root: nn.Module, path: str, module: nn.Module) -> None:
    """Puts a module at a dotted path, with plain modules above it."""
    *above, name = path.split(".")
    for part in above:
        if part not in dict(root.named_children()):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(name, module)
''',
    "chosen": '''\
def chosen(code: str, offered: dict[str, Callable[[], nn.Module]]) -> Sum | None:
    """What a code like ``01`` takes of what an edge offers: one bit for each."""
    offers = zip(offered.items(), code, strict=True)
    taken = {name: build() for (name, build), bit in offers if bit == "1"}
    return Sum(**taken) if taken else None
''',
    "chosen_one": '''\
def chosen_one(
    code: str, offered: dict[str, Callable[[], nn.Module] | None]
) -> Sum | None:
    """What a code like ``2`` takes of what an edge offers: that one, from 0."""
    name, build = list(offered.items())[int(code)]
    return Sum(**{name: build()}) if build else None
''',
}


def needed(code: str) -> list[str]:
    """The names of the helpers that code uses, and of those that they use, in the order in which they stand in a file."""
    found: set[str] = set()
    pending = [code]
    while pending:
        new = (names_in(pending.pop()) & HELPERS.keys()) - found
        found |= new
        pending.extend(HELPERS[name] for name in new)
    return [name for name in HELPERS if name in found]


def names_in(code: str) -> set[str]:
    """The names that code uses."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
