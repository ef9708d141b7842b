"""What is said of the name under the cursor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from robdsl.diagnostics.source import Span
from robdsl.editor import reading
from robdsl.editor.analysis import Analysis
from robdsl.editor.symbols import Occurrence, at, occurrences
from robdsl.graph.net import Space
from robdsl.graph.primitives import signatures
from robdsl.syntax import nodes
from robdsl.syntax.lexer import words

#: So many different uses of one call are described.
MOST = 3


@dataclass(frozen=True)
class Said:
    """Markdown, and the text that it is about."""

    text: str
    span: Span


def hover(analysis: Analysis, offset: int) -> Said | None:
    """What there is to say at an offset; None where nothing is known."""
    found = at(occurrences(analysis.file), offset)
    call = _call_at(analysis, offset)
    if call is not None:
        parts = [*_callee(analysis, call, found), *_uses(analysis, call)]
        return Said("\n\n".join(parts), call.callee.span) if parts else None
    if found is not None:
        return _named(analysis, found)
    for word in words(analysis.source):  # in a definition that does not parse, a name is all there is
        if word.span.start <= offset <= word.span.end and word.type == "NAME":
            text = _what_is(analysis, word.text)
            return Said(text, word.span) if text else None
    return None


def _call_at(analysis: Analysis, offset: int) -> nodes.Call | None:
    for definition in analysis.file.tree.definitions:
        if definition.span.start <= offset <= definition.span.end:
            for each in nodes.walk(definition):
                if isinstance(each, nodes.Call) and each.callee.span.start <= offset <= each.callee.span.end:
                    return each
    return None


def _what_is(analysis: Analysis, name: str) -> str | None:
    if name in signatures():
        return reading.primitive(name)
    bound = analysis.bound(name)
    return reading.definition(bound.definition) if bound else None


def _callee(analysis: Analysis, call: nodes.Call, found: Occurrence | None) -> Iterator[str]:
    text = _what_is(analysis, call.callee.name)
    if text is not None:
        yield text
    elif found is not None and found.symbol.sort == "pick":
        yield from _pick(analysis, found)


def _uses(analysis: Analysis, call: nodes.Call) -> Iterator[str]:
    """The different things that a call comes to."""
    places = analysis.operations.get((call.span.start, call.span.end), [])
    facts = list(dict.fromkeys("\n\n".join(reading.operation_facts(each.operation)) for each in places))
    yield from facts[:MOST]
    if len(facts) > MOST:
        yield f"and {len(facts) - MOST} more"


def _named(analysis: Analysis, found: Occurrence) -> Said | None:
    symbol = found.symbol
    match symbol.sort:
        case "node":
            text = _node(analysis, found)
        case "pick":
            text = "\n\n".join(_pick(analysis, found))
        case "parameter" | "value":
            text = f"the {symbol.sort} `{symbol.local}` of `{symbol.definition}`"
        case "stage":
            text = f"the stage `{symbol.local}`"
        case _:
            bound = analysis.bound(symbol.definition)
            if bound is None:
                return None
            text = reading.definition(bound.definition)
            made = analysis.made.get(symbol.definition)
            if made is not None:
                text = f"{reading.net_facts(made)}\n\n{text}"
    return Said(text, found.span) if text else None


def _node(analysis: Analysis, found: Occurrence) -> str:
    name = found.symbol.local
    bound = analysis.bound(found.symbol.definition)
    shapes = [
        cell.nodes[name].shape
        for cell in (analysis.cells.get(id(bound.definition), []) if bound else [])
        if name in cell.nodes
    ]
    said = f"the node `{name}` of `{found.symbol.definition}`"
    return f"{said}: {reading.shapes_text(shapes)}" if shapes else said


def _pick(analysis: Analysis, found: Occurrence) -> Iterator[str]:
    for made in analysis.made.values():
        space = made if isinstance(made, Space) else made.space
        for pick in space.picks if space else ():
            if pick.name == found.symbol.local:
                yield reading.pick_facts(pick)
                return
