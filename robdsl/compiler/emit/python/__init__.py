"""Nets as Python files: classes for cells and operations, found by comparing all of their uses."""

from robdsl.compiler.emit.python.module import emit_python

__all__ = ["emit_python"]
