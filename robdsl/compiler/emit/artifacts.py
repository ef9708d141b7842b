"""Artifacts by kind: what each is called, and how it gets to disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from robdsl.compiler.emit.description import emit_json
from robdsl.compiler.emit.errors import EmitError
from robdsl.compiler.emit.python import emit_python
from robdsl.files import write_atomic
from robdsl.graph.net import Net
from robdsl.graph.writer import NotWritable, format_net

if TYPE_CHECKING:
    from torch import nn

#: The kinds of artifacts, with the suffix of their files.
KINDS: Mapping[str, str] = {"py": ".py", "pt2": ".pt2", "onnx": ".onnx", "rob": ".rob", "json": ".json"}
#: Those that hold weights.
WITH_WEIGHTS = ("pt2", "onnx")


def emit_text(net: Net, kind: str) -> str:
    """The artifact of a kind that is text: ``py``, ``rob`` or ``json``.

    Raises:
        EmitError: the net cannot be said in this form.
        ValueError: no such kind.
    """
    match kind:
        case "py":
            return emit_python(net, _canonical_or_why_not(net))
        case "rob":
            return emit_rob(net)
        case "json":
            return emit_json(net)
    raise ValueError(f"{kind!r} is no kind of text: there are py, rob and json")


def emit_rob(net: Net) -> str:
    """The canonical text of a net.

    Raises:
        EmitError: it cannot be said in one file.
    """
    try:
        return format_net(net)
    except NotWritable as error:
        raise EmitError(f"{net.name} cannot be written as one .rob file: {error}") from None


def emit(net: Net, kind: str, path: Path | str, model: nn.Module | None = None) -> None:
    """Writes an artifact to ``path``, whole or not at all, and nothing anywhere else.

    Args:
        net: what to write.
        kind: one of `KINDS`.
        path: the file. What is there is replaced; of a symbolic link the link, and not what it points to.
        model: a model of the net whose weights go into ``pt2`` and ``onnx``; one with fresh weights unless given.

    Raises:
        EmitError: the net cannot be said in this form, or (`MissingExtra`) a library for it is missing.
        OSError: the file cannot be written.
        ValueError: no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of artifact: there are {', '.join(KINDS)}")
    data = _with_weights(net, kind, model) if kind in WITH_WEIGHTS else emit_text(net, kind).encode()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def _with_weights(net: Net, kind: str, model: nn.Module | None) -> bytes:
    # Here, because text is written without torch.
    from robdsl.compiler.emit.exported import onnx_bytes, pt2_bytes
    from robdsl.compiler.lower import compile

    made = compile(net) if model is None else model
    return (pt2_bytes if kind == "pt2" else onnx_bytes)(made, net.image, _canonical_or_why_not(net))


def _canonical_or_why_not(net: Net) -> str:
    """The canonical text; for the few nets that have none, a comment that says why."""
    try:
        return format_net(net)
    except NotWritable as error:
        return f"# No one file says this net: {error}.\n"
