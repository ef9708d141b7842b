"""Diagnostics as text for people, and as data for tools.

The text form is that of rustc. Whatever the source holds, the text holds no control characters but line
ends (and, with ``color``, its own escape codes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report
from robdsl.diagnostics.display import visible, visible_lines
from robdsl.diagnostics.paint import PLAIN, Paint
from robdsl.diagnostics.snippet import Mark, snippet
from robdsl.diagnostics.source import NOWHERE, Span

#: How many calls of a trace are shown, from its inner and from its outer end.
_TRACE_INNER, _TRACE_OUTER = 6, 2
#: The longest text of a title, label, note or help that is shown whole.
_LONGEST = 1000


def render_all(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """The diagnostics as text, one after the other, a blank line between; at most `Report.LIMIT` errors.

    The text has no line end after its last line.
    """
    listed = list(diagnostics)
    shown = [render(each, color) for each in listed[: Report.LIMIT]]
    if len(listed) > len(shown):
        shown.append(f"... and {len(listed) - len(shown)} more")
    return "\n\n".join(shown)


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """One diagnostic as text, without a line end after its last line."""
    paint = Paint() if color else PLAIN
    return "\n".join(_lines(diagnostic, paint))


def to_json(diagnostic: Diagnostic) -> dict[str, object]:
    """The diagnostic as JSON values.

    Lines and columns count from 1, columns in characters; the end is exclusive. ``fields`` are the values
    that fill the title. ``trace`` holds the calls that led here, innermost first.
    """
    return {
        "code": diagnostic.code.id,
        "severity": diagnostic.severity,
        "title": diagnostic.title,
        "label": diagnostic.label,
        **_place(diagnostic.span),
        "fields": {name: _plain(value) for name, value in diagnostic.fields.items()},
        "related": [{"label": each.text, **_place(each.span)} for each in diagnostic.related],
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
        "trace": [{"label": each.text, **_place(each.span)} for each in diagnostic.trace],
    }


def _place(span: Span) -> dict[str, object]:
    return {
        "path": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float) else str(value)


# --- text


def _lines(diagnostic: Diagnostic, paint: Paint) -> Iterator[str]:
    severity, code = diagnostic.severity, diagnostic.code.id
    yield f"{paint.severity(f'{severity}[{code}]', severity)}{paint.bold(': ' + _text(diagnostic.title))}"
    marks = _marks(diagnostic)
    places = list(dict.fromkeys([diagnostic.span.source, *(mark.span.source for mark in marks)]))
    gutter = max((len(str(mark.span.end_line)) for mark in marks), default=1)
    bar = paint.frame(" " * (gutter + 2) + "|")
    for source in places:
        here = [mark for mark in marks if mark.span.source is source]
        first = next((mark.span for mark in here if mark.primary), here[0].span)
        if source is not places[0]:
            yield bar
        arrow = "-->" if source is places[0] else ":::"
        yield f"{paint.frame(' ' * (gutter + 1) + arrow)} {_address(first)}"
        if source.text:
            yield bar
            yield from snippet(source, here, gutter, paint, severity)
    for kind, text in _remarks(diagnostic):
        yield from _remark(kind, text, gutter, paint)


def _marks(diagnostic: Diagnostic) -> list[Mark]:
    primary = Mark(diagnostic.span, _text(diagnostic.label), primary=True)
    return [primary, *(Mark(each.span, _text(each.text), primary=False) for each in diagnostic.related)]


def _address(span: Span) -> str:
    name = visible(span.source.name)
    return name if span.source is NOWHERE.source else f"{name}:{span.line}:{span.column}"


def _remarks(diagnostic: Diagnostic) -> Iterator[tuple[str, str]]:
    for note in diagnostic.notes:
        yield "note", note
    for call in _shortened(diagnostic.trace):
        yield "note", call if isinstance(call, str) else f"{call.text}, called at {_address(call.span)}"
    if diagnostic.help:
        yield "help", diagnostic.help


def _shortened(trace: tuple[Label, ...]) -> list[Label | str]:
    left_out = len(trace) - _TRACE_INNER - _TRACE_OUTER
    if left_out <= 1:
        return list(trace)
    return [*trace[:_TRACE_INNER], f"... {left_out} more calls ...", *trace[-_TRACE_OUTER:]]


def _remark(kind: str, text: str, gutter: int, paint: Paint) -> Iterator[str]:
    first, *rest = _cut(visible_lines(text)).split("\n")
    yield f"{paint.frame(' ' * (gutter + 2) + '=')} {paint.bold(kind + ':')} {first}"
    for line in rest:
        yield " " * (gutter + len(kind) + 6) + line


def _text(text: str) -> str:
    """A text for one line."""
    return _cut(visible(text))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
