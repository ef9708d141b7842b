"""The stages of a net or space, with what there is to pick still open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from robdsl.diagnostics.diagnostic import Diagnostic
from robdsl.diagnostics.source import Span
from robdsl.graph.choices import Pick
from robdsl.graph.operations import Operation
from robdsl.graph.program import Bound
from robdsl.graph.rules import Rule
from robdsl.graph.shapes import Shape
from robdsl.graph.values import Value

MetaValue = int | float | str


@dataclass(frozen=True, eq=False)
class Stage:
    """One statement of a net, or one turn of a repeated one.

    Attributes:
        name: unique in the net; part of weights' keys.
        inputs: the stages whose outputs it is fed, oldest first; -1 is the image.
        operation: for a cell with several inputs, always a `CellOperation`.
    """

    name: str
    operation: Operation
    inputs: tuple[int, ...]
    span: Span

    @property
    def shape(self) -> Shape:
        return self.operation.out_shape


@dataclass(frozen=True, eq=False)
class Layout:
    """An elaborated net or space.

    Attributes:
        bound: the definition that has the stages (for a net in a space: the space at the bottom).
        parameters: their values, in the order of the definition.
        image: channels, height and width of the input.
        rules: what choices must satisfy, those of narrower spaces included.
        spaces: the definitions from the outermost space to this one; empty for a closed net.
        given: the values that were asked for from outside, by name.
    """

    bound: Bound
    parameters: tuple[tuple[str, Value], ...]
    image: Shape
    stages: tuple[Stage, ...]
    picks: tuple[Pick, ...]
    rules: tuple[Rule, ...]
    meta: Mapping[str, MetaValue]
    spaces: tuple[Bound, ...] = ()
    warnings: tuple[Diagnostic, ...] = field(default=(), repr=False)
