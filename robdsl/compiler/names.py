"""Names of the text as names of modules and values in Python.

The name of a stage, edge or operation may be one that a module already has (``train``, ``forward``) or that
Python keeps to itself (``class``). Such a name gets an underscore, and so does every name that it would then
clash with.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping

from torch import fx, nn


def _underscores(taken: Iterable[str]) -> Mapping[str, int]:
    """How many underscores lead out of the taken names, for each of them without those at its end."""
    needed: dict[str, int] = {}
    for name in taken:
        bare = name.rstrip("_")
        needed[bare] = max(needed.get(bare, 0), len(name) - len(bare) + 1)
    return needed


def _attributes() -> Iterable[str]:
    """What a module, with or without a graph, is and has."""
    return *dir(fx.GraphModule), *vars(fx.GraphModule(nn.Module(), fx.Graph()))


#: What no submodule can be called.
_TAKEN = _underscores([*_attributes(), *keyword.kwlist, "self"])


def module_name(name: str) -> str:
    """The attribute for a part of a path; different for different names.

    ``conv_0`` as it is, ``train`` -> ``train_``, ``train_`` -> ``train__``.
    """
    return name + "_" * _TAKEN.get(name.rstrip("_"), 0)


def module_path(stage: str, key: str = "") -> str:
    """The path of a stage's module (dots divide), or of the one at a key below it, as in the `state_dict`."""
    path = f"{stage}.{key}" if key else stage
    return ".".join(map(module_name, path.split(".")))


def value_name(key: str) -> str:
    """The name of a value in generated code; `torch.fx` sees to the rest (keywords, builtins, doubles)."""
    name = key.replace(".", "_")
    return "self_" if name == "self" else name
