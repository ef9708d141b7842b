"""All that is known of one text: its mistakes, its names, and what its nets were elaborated to.

Made anew for each version of a text. Text that is broken or half typed has an analysis too: definitions that hold a
syntax error are missing from it, the rest is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from robdsl.diagnostics.diagnostic import Diagnostic, RobError
from robdsl.diagnostics.source import Source, Span
from robdsl.graph.cell import Cell
from robdsl.graph.layout import Stage
from robdsl.graph.load import Program
from robdsl.graph.net import Net, Space
from robdsl.graph.operations import CellOperation, ChainOperation, Operation, SumOperation
from robdsl.graph.program import Bound, ProgramFile
from robdsl.syntax.parser import source_of


@dataclass(frozen=True, eq=False)
class Place:
    """An operation that was made of a call in the text, or of a whole stage."""

    operation: Operation
    stage: Stage


@dataclass(eq=False)
class Analysis:
    """One version of one text.

    Attributes:
        source: with plain line ends.
        path: where it lies, or would.
        program: what was read for it.
        made: the nets and spaces that could be elaborated with their defaults, by name.
    """

    source: Source
    path: Path | None
    program: Program
    file: ProgramFile
    made: dict[str, Net | Space] = field(default_factory=dict)

    @staticmethod
    def of(text: str, path: Path | None, name: str = "<text>") -> Analysis:
        """The analysis of a text; never fails, whatever the text."""
        source = source_of(text, name if path is None else str(path))
        program = Program()
        made = Analysis(source, path, program, program.loader.text(source, path))
        made._elaborate()
        return made

    def _elaborate(self) -> None:
        for bound in self.file.own.values():
            if self.program.report.full:
                return
            try:
                if bound.kind in ("net", "space"):
                    self._keep(bound, self.program)
                else:
                    self.program.elaborator.sound(bound)
            except RobError:
                continue  # it is in the report
        for bound in self.file.own.values() if self.program.report.errors else ():
            self.elaborated(bound)  # what is wrong elsewhere does not matter here

    def _keep(self, bound: Bound, program: Program) -> None:
        made = program.by_default(bound)
        if made is not None:
            self.made[bound.name] = made

    def elaborated(self, bound: Bound) -> Net | Space | None:
        """A net or space of this file, or of one that it uses; None where it is wrong, or no net."""
        if bound.kind in ("net", "space") and bound.name not in self.made:
            with suppress(RobError):
                self._keep(bound, Program())
        return self.made.get(bound.name)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What `robdsl check` says."""
        return self.program.report.diagnostics

    def bound(self, name: str) -> Bound | None:
        """What a name means in this file."""
        return self.file.scope.get(name)

    # --- what was elaborated

    @cached_property
    def nets(self) -> dict[str, Net]:
        """The nets by name, and each space with everything it offers."""
        return {name: each if isinstance(each, Net) else each.supernet() for name, each in self.made.items()}

    @cached_property
    def cells(self) -> dict[int, list[Cell]]:
        """The instances of each cell, by the identity of its definition."""
        found: dict[int, list[Cell]] = {}
        for place in self._everything:
            if isinstance(place.operation, CellOperation):
                known = found.setdefault(id(place.operation.cell.definition), [])
                if place.operation.cell not in known:
                    known.append(place.operation.cell)
        return found

    @cached_property
    def operations(self) -> dict[tuple[int, int], list[Place]]:
        """The operations that stand in this text, by the first and last offset of the call."""
        found: dict[tuple[int, int], list[Place]] = {}
        for place in self._everything:
            for span in _spans(place.operation):
                if span.source is self.source:
                    found.setdefault((span.start, span.end), []).append(place)
        return found

    @cached_property
    def stages(self) -> dict[tuple[int, int], list[Stage]]:
        """The stages that stand in this text, by the first and last offset of the statement."""
        found: dict[tuple[int, int], list[Stage]] = {}
        seen: set[int] = set()
        for net in self.nets.values():
            if id(net.layout.bound) in seen:
                continue
            seen.add(id(net.layout.bound))
            for stage in net.stages:
                if stage.span.source is self.source:
                    found.setdefault((stage.span.start, stage.span.end), []).append(stage)
        return found

    @cached_property
    def _everything(self) -> list[Place]:
        """Every operation of every net, those inside cells once for each cell."""
        found: list[Place] = []
        cells: set[int] = set()
        for net in self.nets.values():
            for stage in net.stages:
                pending: list[Operation] = [stage.operation]
                while pending:
                    operation = pending.pop()
                    found.append(Place(operation, stage))
                    pending.extend(_inside(operation, cells))
        return found


def _inside(operation: Operation, cells: set[int]) -> Iterator[Operation]:
    """The operations just inside one; of a cell only the first time."""
    match operation:
        case ChainOperation(parts=parts) | SumOperation(parts=parts):
            yield from parts
        case CellOperation(cell=cell) if id(cell) not in cells:
            cells.add(id(cell))
            for edge in cell.edges:
                yield from (each for each in edge.alternatives if each is not None)


def _spans(operation: Operation) -> Iterator[Span]:
    """Where an operation is called: as an `op`, and as what that is."""
    if operation.call is not None:
        yield operation.call.span
    if operation.call is None or operation.span != operation.call.span:
        yield operation.span
