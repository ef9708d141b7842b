"""DOT to pixels and PDF, by Graphviz: that of pygraphviz's wheel, else one that the system has.

Graphviz is a library in C, and what it draws comes from strangers: it runs in a process of its own, with a limit on its
time, and a crash of it is an error like any other.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import Literal

_LIMIT = 300  # seconds
_PROGRAM = """
import sys
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="nop2"))
"""


class DrawingError(Exception):
    """A picture cannot be drawn; the message says why and what to do."""


def render(dot: str, form: Literal["png", "pdf"], scale: float = 2) -> bytes:
    """A pinned DOT graph as PNG or PDF.

    Args:
        dot: what to draw.
        form: the format.
        scale: for PNG, pixels a point.

    Raises:
        DrawingError: there is no Graphviz, or it failed.
    """
    text = dot.replace("{", f"{{\ndpi={scale * 72:.4g};", 1) if form == "png" else dot
    try:
        done = subprocess.run(  # noqa: S603 - our own program, with no text of strangers among its arguments
            _command(form), input=text.encode(), capture_output=True, timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise DrawingError(
            f"Graphviz did not finish in {_LIMIT} seconds; draw one cell (--cell), or write .svg, which needs no Graphviz"
        ) from None
    wanted = {"png": b"\x89PNG", "pdf": b"%PDF"}[form]
    if not done.stdout.startswith(wanted):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"it ended with status {done.returncode}"
        raise DrawingError(
            f"Graphviz could not write the picture ({reason}); .svg and .html need no Graphviz"
        )
    return done.stdout


def _command(form: str) -> list[str]:
    if find_spec("pygraphviz") is not None:
        return [sys.executable, "-I", "-c", _PROGRAM, form]
    if (found := shutil.which("dot")) is not None:
        return [found, "-Knop2", f"-T{form}"]
    raise DrawingError(
        f"writing .{form} needs Graphviz: `pip install pygraphviz` brings it along (on Linux), or install your"
        " system's graphviz so that `dot` is on the path; .svg, .dot and .html need neither"
    )
