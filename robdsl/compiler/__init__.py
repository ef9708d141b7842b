"""From a checked graph to modules that run: lowering, passes, freezing, emitting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robdsl.compiler.lower import compile as compile

__all__ = ["compile"]


def __getattr__(name: str) -> Any:
    # Text artifacts are written without torch, which takes seconds to import.
    if name == "compile":
        from robdsl.compiler.lower import compile

        return compile
    raise AttributeError(f"module 'robdsl.compiler' has no attribute {name!r}")
