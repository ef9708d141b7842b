"""A text language for neural architectures, a compiler from it to torch.fx, attacks, training and search.

`load` and `load_space` read ``.rob`` files; `compile` makes a trainable `torch.fx.GraphModule` of a net, and `freeze`
a fast one of that for evaluation and attack. What needs torch is imported when it is first asked for, so that
checking a file does not wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.load import check_file, load, load_space
from robdsl.graph.net import Net, Space

if TYPE_CHECKING:
    from robdsl import analysis as analysis
    from robdsl import attacks as attacks
    from robdsl import data as data
    from robdsl import search as search
    from robdsl import training as training
    from robdsl import viz as viz
    from robdsl.compiler import compile as compile
    from robdsl.compiler import freeze as freeze
    from robdsl.graph.writer import format_net as format
    from robdsl.weights import load_weights as load_weights
    from robdsl.weights import save_weights as save_weights

__all__ = [
    "Net", "RobError", "Space", "analysis", "attacks", "check_file", "compile", "data", "format", "freeze", "load",
    "load_space", "load_weights", "save_weights", "search", "training", "viz",
]  # fmt: skip

_LATER = {
    "compile": ("robdsl.compiler", "compile"),
    "freeze": ("robdsl.compiler", "freeze"),
    "format": ("robdsl.graph.writer", "format_net"),
    "load_weights": ("robdsl.weights", "load_weights"),
    "save_weights": ("robdsl.weights", "save_weights"),
}
_PACKAGES = ("analysis", "attacks", "data", "evaluation", "search", "training", "viz")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        module, attribute = _LATER[name]
        return getattr(import_module(module), attribute)
    if name in _PACKAGES:
        return import_module(f"robdsl.{name}")
    raise AttributeError(f"module 'robdsl' has no attribute {name!r}")
