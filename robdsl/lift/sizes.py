"""The sizes of blocks that are built alike: which are the same everywhere, and how the others hang together.

``conv(1, width) | conv(3, width, stride) | conv(1, 4*width)``, with ``width`` and ``stride`` for each use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from robdsl.lift.values import Number

MULTIPLES = range(2, 17)


@dataclass
class Sizes:
    """The parameters of a block, found while its text is written.

    Attributes:
        entering: the channels that enter each use.
        channels: how the text says them (``x.channels``, ``in.channels``).
        names: names that are taken.
        parameters: name -> its value in each use.
    """

    entering: tuple[int, ...]
    channels: str
    names: set[str]
    parameters: dict[str, tuple[Number, ...]] = field(default_factory=dict)
    _kinds: dict[str, str] = field(default_factory=dict)

    def say(self, kind: str, values: Sequence[Number]) -> str:
        """An expression for a size: a literal, a parameter (a new one if need be), or a multiple of what is known.

        Args:
            kind: ``width``, ``stride`` and so on, which names a new parameter.
            values: the size in each use.
        """
        values = tuple(values)
        if len(set(values)) == 1:
            return spelled(values[0])
        for name, known in self.parameters.items():
            if known == values and (self._kinds[name] == kind):
                return name
        for name, known in self.parameters.items():
            if self._kinds[name] == kind == "width":
                for factor in MULTIPLES:
                    if all(value == factor * base for value, base in zip(values, known, strict=True)):
                        return f"{factor}*{name}"
                    if all(factor * value == base for value, base in zip(values, known, strict=True)):
                        return f"{name} // {factor}"
        if kind in ("width", "groups"):
            if values == self.entering:
                return self.channels
            for factor in MULTIPLES:
                if all(factor * value == base for value, base in zip(values, self.entering, strict=True)):
                    return f"{self.channels} // {factor}"
        name, number = kind, 1
        while name in self.names:
            number += 1
            name = f"{kind}_{number}"
        self.names.add(name)
        self.parameters[name] = values
        self._kinds[name] = kind
        return name

    def signature(self) -> list[str]:
        """``width``, ``stride=1``: the parameters as a definition lists them, those without a default first."""
        plain = [name for name in self.parameters if not self._defaults(name)]
        return [*plain, *(f"{name}=1" for name in self.parameters if self._defaults(name))]

    def call(self, use: int) -> list[str]:
        """The arguments of one use."""
        said = []
        for each in self.signature():
            name, equals, _ = each.partition("=")
            value = self.parameters[name][use]
            if not equals:
                said.append(spelled(value))
            elif value != 1:
                said.append(f"{name}={spelled(value)}")
        return said

    def _defaults(self, name: str) -> bool:
        return self._kinds[name] == "stride" and 1 in self.parameters[name]


def spelled(value: Number) -> str:
    """A number or truth as the language writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else format(value, "f").rstrip("0")
