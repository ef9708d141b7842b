"""Names of the text as names in the emitted file; none can mean anything else there."""

from __future__ import annotations

import builtins
import keyword
import re

#: Longer names are cut, so that lines stay lines.
LONGEST = 40

#: What the emitted file may mean by these names is fixed.
_FIXED = frozenset(
    {
        "Callable", "Chain", "Crop", "NonlocalMean", "ScaledBatchNorm1d", "ScaledBatchNorm2d", "Sum", "Tensor",
        "Zero", "Zeros", "chosen", "chosen_one", "functional", "nn", "partial", "place", "self", "torch", "total",
    }
)  # fmt: skip
_RESERVED = frozenset([*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *_FIXED])


class Names:
    """Hands out names, each once.

    Args:
        taken: what means something already.
    """

    def __init__(self, *taken: str) -> None:
        self._taken = {*_RESERVED, *taken}

    def fresh(self, wanted: str, *others: str) -> str:
        """The first of the wanted names that is free, else one of them with a number."""
        for name in (wanted, *others):
            if name not in self._taken:
                self._taken.add(name)
                return name
        number = 2
        while f"{wanted}_{number}" in self._taken:
            number += 1
        return self.fresh(f"{wanted}_{number}")

    def inner(self) -> Names:
        """Names for a scope inside this one."""
        return Names(*self._taken)

    def variable(self, name: str) -> str:
        """A parameter or local variable for a name of the text: ``lambda`` -> ``lambda_``."""
        wanted = plain(name)
        return self.fresh(wanted, f"{wanted}_")

    def class_(self, name: str, kind: str) -> str:
        """A class for a name of the text: ``sep_conv_3x3`` -> ``SepConv3x3``; ``kind`` helps where that is taken."""
        camel = camel_case(name)
        camel = camel if camel[:1].isalpha() else f"{kind}{camel}"
        if camel in _RESERVED:
            camel += kind
        return self.fresh(camel, *(f"{camel}{number}" for number in range(2, 1000)))


def camel_case(name: str) -> str:
    """``sep_conv_3x3`` -> ``SepConv3x3``"""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))[:LONGEST]


def plain(name: str) -> str:
    """A name as variables have it: small letters, no underscores in front, not too long."""
    bare = re.sub(r"^_+", "", name)[:LONGEST].lower()
    return bare if bare[:1].isalpha() else f"value_{bare}".rstrip("_")
