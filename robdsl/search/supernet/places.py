"""Modules by their places in a tree.

They are looked up anew in each call: training with several processes swaps batch norms for others for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(eq=False, slots=True)
class Place:
    """Where a module is.

    Attributes:
        owner: the module above it.
        name: its name there.
    """

    owner: nn.Module
    name: str

    @property
    def module(self) -> nn.Module:
        """What is there now."""
        found = self.owner._modules[self.name]
        assert found is not None
        return found


def place_of(root: nn.Module, path: str) -> Place | None:
    """The place at a dotted path below ``root``; None where nothing is."""
    *above, name = path.split(".")
    owner: nn.Module | None = root
    for part in above:
        owner = None if owner is None else owner._modules.get(part)
    return Place(owner, name) if owner is not None and name in owner._modules else None


def put(root: nn.Module, path: str, module: nn.Module) -> Place:
    """Put a module at a dotted path, with plain modules on the way to it where there are none."""
    *above, name = path.split(".")
    for part in above:
        inner = root._modules.get(part)
        if inner is None:
            inner = root._modules[part] = nn.Module()
        root = inner
    root._modules[name] = module  # not add_module, which refuses the names of methods
    return Place(root, name)
