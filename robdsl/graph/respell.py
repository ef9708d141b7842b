"""Choices of a file rewritten: bits to the long form and back, everything else as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from robdsl.diagnostics.source import Source
from robdsl.graph.choices import pick_name, read_bits, read_edges
from robdsl.graph.load import Program
from robdsl.graph.net import Net, Space
from robdsl.graph.writer import long_form, short_form
from robdsl.syntax import nodes


def respell(source: Source, path: Path | None, form: Literal["edges", "alpha"]) -> nodes.File:
    """The tree of a file in which every choice is spelled out (``edges``) or written as bits (``alpha``).

    Args:
        source: the text.
        form: what choices are to look like.
        path: where the file lies, for its ``use``s.

    Raises:
        RobError: a net of the file has mistakes, so that its choices mean nothing.
    """
    program = Program()
    file = program.loader.text(source, path)
    program.report.raise_if_errors()
    statements = tuple(
        _respelled(each, program.by_default(file.own[each.name.name]), form)
        if isinstance(each, nodes.NetDefinition) and each.kind == "net" and each.base is not None
        else each
        for each in file.tree.statements
    )
    return replace(file.tree, statements=statements)


def _respelled(
    definition: nodes.NetDefinition, net: Net | Space | None, form: Literal["edges", "alpha"]
) -> nodes.NetDefinition:
    """A net with its choices rewritten; as it is where a parameter without a default keeps it unchecked."""
    if net is None:
        return definition
    picks = {pick.name: pick for pick in net.layout.picks}
    body: list[nodes.NetStatement] = []
    for each in definition.body:
        if isinstance(each, nodes.PickBits) and form == "edges":
            pick = picks[pick_name(each)]
            choice = read_bits(pick, each)
            assert isinstance(choice, tuple)  # the net was checked
            body.append(long_form(pick, each, choice))
        elif isinstance(each, nodes.PickEdges) and form == "alpha":
            pick = picks[pick_name(each)]
            choice = read_edges(pick, each)
            assert isinstance(choice, tuple)
            body.append(short_form(pick, each, choice))
        else:
            body.append(each)
    return replace(definition, body=tuple(body))
