"""Nets as files: Python source, JSON, canonical text, `torch.export` archives and ONNX."""

from robdsl.compiler.emit.artifacts import KINDS, WITH_WEIGHTS, emit, emit_rob, emit_text
from robdsl.compiler.emit.description import emit_json
from robdsl.compiler.emit.errors import EmitError, MissingExtra
from robdsl.compiler.emit.python import emit_python

__all__ = [
    "KINDS",
    "WITH_WEIGHTS",
    "EmitError",
    "MissingExtra",
    "emit",
    "emit_json",
    "emit_python",
    "emit_rob",
    "emit_text",
]
