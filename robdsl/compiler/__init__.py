"""From a checked graph to modules that run: lowering, passes, freezing, emitting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robdsl.compiler.freezing import freeze as freeze
    from robdsl.compiler.lower import compile as compile

__all__ = ["compile", "freeze"]


def __getattr__(name: str) -> Any:
    """`compile` and `freeze`, and with them torch, on first use: nets are written as text without it."""
    if name == "compile":
        from robdsl.compiler.lower import compile

        return compile
    if name == "freeze":
        from robdsl.compiler.freezing import freeze

        return freeze
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
