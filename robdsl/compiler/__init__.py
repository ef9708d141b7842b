"""From a checked graph to modules that run: lowering, passes, freezing, emitting."""

from robdsl.compiler.lower import compile

__all__ = ["compile"]
