"""A difference in words: what a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robdsl.viz.difference.compare import CellDifference, Change, Difference, Edge
from robdsl.viz.lettering import shown
from robdsl.viz.sheet import ranges

_NAMES = {
    "params": "parameters",
    "macs": "multiply-adds",
    "depth": "depth",
    "density": "mean density",
    "cells": "cells",
}
_MOST_LINES = 400


def lines(difference: Difference) -> list[str]:
    """The difference, a line a fact; cells that differ alike are told of once."""
    said = [f"{shown(difference.before)} -> {shown(difference.after)}"]
    if not difference.differs:
        return [
            *said,
            "  no difference" + (": both compute the same function" if difference.same_function else ""),
        ]
    for name, change in difference.parameters.items():
        said.append(f"  {shown(name)}: {_value(change.before)} -> {_value(change.after)}")
    for name, change in difference.sizes.items():
        said.append(f"  {_NAMES[name]}: {moved(change)}")
    for stage in difference.stages:
        said.extend(
            f"  {sign} {shown(str(text))}" for sign, text in (("-", stage.before), ("+", stage.after)) if text
        )
    for group in grouped(difference.cells):
        said.extend(_cell(group))
    total = difference.equal + len(difference.cells)
    if total:
        said.append(f"{difference.equal} of {total} cells are the same")
    if difference.same_function:
        said.append("both compute the same function")
    if len(said) > _MOST_LINES:
        said[_MOST_LINES:] = [f"... and {len(said) - _MOST_LINES:,} lines more (--json has all)"]
    return said


def grouped(cells: Sequence[CellDifference]) -> list[list[CellDifference]]:
    """The cells that differ in the same way, together."""
    groups: dict[object, list[CellDifference]] = {}
    for cell in cells:
        groups.setdefault((cell.before is None, cell.after is None, cell.wiring), []).append(cell)
    return list(groups.values())


def heading(group: Sequence[CellDifference]) -> str:
    """Which cells a group is: ``cells 0–6, 8 (robnet_cell)``."""
    first = group[0]
    here = [each.before if each.before is not None else each.after for each in group]
    numbers = ranges([each for each in here if each is not None])
    name = first.cell.before or first.cell.after
    if first.cell.before and first.cell.after and first.cell.before != first.cell.after:
        name = f"{first.cell.before} -> {first.cell.after}"
    said = f"{'cell' if len(group) == 1 else 'cells'} {numbers} ({shown(str(name))})"
    if first.before is None:
        return f"{said}: only in the second net"
    if first.after is None:
        return f"{said}: only in the first net"
    return said


def _cell(group: Sequence[CellDifference]) -> Iterator[str]:
    first = group[0]
    yield heading(group)
    if first.before is None or first.after is None:
        return
    params = _sum(group, "params")
    if params.before != params.after:
        yield f"  parameters: {moved(params)}"
    if first.density.before != first.density.after:
        yield f"  density: {moved(first.density)}"
    if len(group) == 1 and first.shape.before != first.shape.after:
        yield f"  gives: {first.shape.before} -> {first.shape.after}"
    for sign, names in (("-", first.nodes_removed), ("+", first.nodes_added)):
        if names:
            yield f"  {sign} node{'s' if len(names) > 1 else ''} {', '.join(map(shown, names))}"
    yield from (f"  - {edge(each)}" for each in first.removed)
    yield from (f"  + {edge(each)}" for each in first.added)
    if not first.rewired:
        yield "  the same edges and operations"


def edge(each: Edge) -> str:
    """``x0 -> n1: skip``"""
    return f"{shown(each[0])} -> {shown(each[1])}: {shown(each[2])}"


def _sum(group: Sequence[CellDifference], name: str) -> Change:
    changes = [getattr(each, name) for each in group]
    return Change(sum(each.before or 0 for each in changes), sum(each.after or 0 for each in changes))


def moved(change: Change) -> str:
    """``1,000 -> 1,100 (+10.0%)``; one number where nothing changed."""
    before, after = change.before, change.after
    if before == after:
        return _value(before)
    said = f"{_value(before)} -> {_value(after)}"
    if isinstance(before, int) and isinstance(after, int) and before:
        said += f" ({100 * (after - before) / before:+.1f}%)"
    return said


def _value(value: int | float | str | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else shown(value)
