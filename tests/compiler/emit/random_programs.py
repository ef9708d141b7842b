"""Random programs that mean nets: cells of one to three inputs, nested and open, repeats, labels and picks.

Every operation that is drawn here makes a map of a given width, and of sizes that only its stride decides, so that
whatever is put together fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

_Some = TypeVar("_Some")

#: Names that Python, PyTorch or the emitted file use for something else, and plain ones.
_NAMES = ("a", "b", "c_3", "print", "torch", "nn", "lambda", "total", "self_", "x", "__d", "Sum", "_")


class Writer:
    """Writes programs by drawing; operations and cells are called with a width and a stride."""

    def __init__(self, draw: DrawFn) -> None:
        self._draw = draw
        self.definitions: list[str] = []
        self.operations: list[str] = []
        self.cells: list[tuple[str, int]] = []
        self.open_cells: list[tuple[str, int]] = []

    def number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def pick(self, options: Sequence[_Some]) -> _Some:
        """One of some options; the first is the simplest."""
        return options[self.number(0, len(options) - 1)]

    # --- operations

    def operation(self, width: str, stride: str, depth: int = 2) -> str:
        """An operation that makes any map one of a width, smaller by the stride."""
        match self.number(0, 7 if depth else 2):
            case 0:
                return f"conv({self.pick((1, 3))}, {width}, stride={stride})"
            case 1:
                return f"conv(3, {width}, {stride}, bias=true) | batch_norm(affine={self.pick(('true', 'false'))})"
            case 2:
                return f"relu | conv(5, {width}, {stride}) | {self.shapeless()}"
            case 3:
                return f"({self.operation(width, stride, depth - 1)}) + ({self.operation(width, stride, 0)})"
            case 4:
                return (
                    f"max_pool(3, {stride}, padding=1) | {self.part(self.operation(width, '1', depth - 1))}"
                )
            case 5:
                unchanged = f"{stride} == 1 and in.channels == {width}"
                return f"if {unchanged} then identity else {self.operation(width, stride, depth - 1)}"
            case 6 if self.operations:
                return f"{self.pick(self.operations)}({width}, {stride})"
            case _:
                alone = [name for name, inputs in self.cells if inputs == 1]
                return (
                    f"{self.pick(alone)}({width}, {stride})"
                    if alone
                    else f"conv(1, {width}, {stride}) | relu"
                )

    def shapeless(self) -> str:
        """An operation that leaves the shape as it is."""
        return self.pick(
            ("relu", "identity", "sigmoid", "batch_norm", "dropout(0.5)", "depthwise(3)", "batch_norm(weight=0)", "zero",
             "conv(3, dilation=2, padding=2)", "avg_pool(3, stride=1, padding=1)", "nonlocal_mean(dot)")
        )  # fmt: skip

    def part(self, operation: str) -> str:
        """An operation as part of a chain."""
        return f"({operation})" if operation.startswith("if") or " + " in operation else operation

    # --- definitions

    def define(self) -> None:
        name = f"{self.pick(_NAMES)}{len(self.definitions)}"
        if self.number(0, 2) == 0:
            self.definitions.append(f"op {name}(w, s=1) = {self.operation('w', 's')}")
            self.operations.append(name)
        else:
            self._cell(name)

    def _cell(self, name: str) -> None:
        inputs = self.pick((("p",), ("p", "q"), ("lambda", "p", "q")))
        is_open = self.number(0, 2) == 0
        body = [f"in {', '.join(inputs)}"]
        tall = f"{inputs[0]}.height > {inputs[-1]}.height"
        nodes: list[str] = []
        for place in range(self.number(1, 4)):
            node = f"{self.pick(_NAMES)}{place}"
            source = self.pick(inputs)
            if source == inputs[-1]:
                body.append(f"{source} -> {node} : {self.operation('w', 's')}")
            else:
                taller = self.part(self.operation("w", "2*s", 0))
                body.append(f"{inputs[0]} -> {node} : if {tall} then {taller} else conv(3, w, s)")
            nodes.append(node)
        for place in range(self.number(0, 4)):
            node = f"m{place}"
            match self.number(0, 4 if is_open else 2):
                case 0:
                    body.append(f"{', '.join(dict.fromkeys([self.pick(nodes), self.pick(nodes)]))} -> {node}")
                case 1:
                    body.append(
                        f"{node} = {self.pick(('sum', 'mul'))}({self.pick(nodes)}, {self.pick(nodes)})"
                    )
                case 2:
                    body.append(f"{self.pick(nodes)} -> {node} : {self.operation('w', '1')}")
                    body.append(f"{self.pick(nodes)} -> {node} : {self.shapeless()}")
                case kind:
                    offered = ["conv(3)", self.part(self.operation("w", "1", 1)), "identity"]
                    offered = ["none" if kind == 4 else "relu", *offered[: self.number(1, 3)]]
                    sources = dict.fromkeys([self.pick(nodes), self.pick(nodes)])
                    body.append(
                        f"{', '.join(sources)} -> {node} : {'any' if kind == 3 else 'one'} {{ {', '.join(offered)} }}"
                    )
            nodes.append(node)
        last = list(dict.fromkeys(nodes[-self.number(1, 3) :]))
        body.append(f"out = {self.pick(('concat', 'sum'))}({', '.join(last)})")
        self.definitions.append(f"cell {name}(w, s=1) {{\n    " + "\n    ".join(body) + "\n}")
        opened = any(" any {" in line or " one {" in line for line in body)
        (self.open_cells if opened else self.cells).append((name, len(inputs)))

    # --- nets

    def stages(self) -> list[str]:
        lines: list[str] = []
        for place in range(self.number(1, 5)):
            label = self.pick(("", "", "train: ", f"stage_{place}: "))
            label = label if all(not line.lstrip().startswith(label) for line in lines) else ""
            stage = self.stage()
            match self.number(0, 3):
                case 0:
                    lines.append(f"{label}repeat {self.number(0, 4)} {{ {stage} }}")
                case 1:
                    lines.append(f"{label}repeat {self.number(1, 4)} {{ {stage} ; {self.stage()} }}")
                case _:
                    lines.append(f"{label}{stage}")
        return lines

    def stage(self) -> str:
        width, stride = str(self.number(1, 5)), self.pick(("1", "1", "2"))
        known = [*self.cells, *self.open_cells]
        if known and self.number(0, 2):
            name, _ = self.pick(known)
            pick = "pick " if (name, _) in self.open_cells else ""
            return f"{pick}{name}({width}, {stride})"
        return self.operation(width, stride)

    def program(self) -> str:
        for _ in range(self.number(0, 4)):
            self.define()
        body = ["input 2 x 9 x 9", "conv(3, 3)", *self.stages(), "global_avg_pool | flatten | linear(3)"]
        return "\n".join([*self.definitions, "space drawn {\n    " + "\n    ".join(body) + "\n}\n"])


@st.composite
def programs(draw: DrawFn) -> str:
    """Texts of spaces, of which many have nothing to pick."""
    return Writer(draw).program()
