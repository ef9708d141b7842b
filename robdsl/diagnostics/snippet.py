"""The lines of a source with what is marked in them underlined, as rustc shows them.

Marks on one line share one row of underlines. The label of the rightmost one stands behind it, the others
hang below:

     4 |     x -> y : conv(3, stride=1, stride=2)
       |                      --------  ^^^^^^^^ given again
       |                      |
       |                      first given here
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from robdsl.diagnostics.diagnostic import Severity
from robdsl.diagnostics.display import Shown
from robdsl.diagnostics.paint import Paint
from robdsl.diagnostics.source import Source, Span

#: Lines wider than this are shown in part, around what is marked.
_WIDEST = 120
#: How much of such a line is shown before its first mark, in columns.
_BEFORE = 30
#: How many characters around a mark are looked at, so that a line of a million costs no more than a line of
#: a thousand.
_LOOKED_AT = 500
#: Marks of up to this many lines are shown whole, longer ones by their first and last line.
_WHOLE_LINES = 3


@dataclass(frozen=True)
class Mark:
    """A place to underline and what to say about it."""

    span: Span
    label: str
    primary: bool


@dataclass(frozen=True)
class _Segment:
    """The part of a mark on one line; it is counted from 0, in characters or, once laid out, in columns."""

    line: int
    start: int
    end: int
    label: str
    primary: bool


def snippet(
    source: Source, marks: list[Mark], gutter: int, paint: Paint, severity: Severity
) -> Iterator[str]:
    """The lines with marks, underlined and labelled; ``gutter`` is the width of line numbers."""
    segments = [segment for mark in marks for segment in _segments(source, mark)]
    bar = paint.frame(" " * (gutter + 2) + "|")
    previous: int | None = None
    for line in sorted({segment.line for segment in segments}):
        if previous is not None and line - previous == 2:
            yield _numbered(line - 1, _Window(source.line(line - 1), []).text, gutter, paint)
        elif previous is not None and line - previous > 2:
            yield paint.frame("...")
        previous = line
        waiting = [segment for segment in segments if segment.line == line]
        while waiting:  # once, but for marks that lie far apart on a long line
            window = _Window(source.line(line), waiting)
            waiting = window.outside
            yield _numbered(line, window.text, gutter, paint)
            for row in _underlines(window.segments, paint, severity):
                yield f"{bar} {row}"


def _numbered(line: int, text: str, gutter: int, paint: Paint) -> str:
    return f"{paint.frame(f' {line:>{gutter}} |')} {text}".rstrip()


def _segments(source: Source, mark: Mark) -> list[_Segment]:
    """The lines of a mark; its label stands at the last."""
    start, end = mark.span.start, mark.span.end
    text = source.text
    while end > start + 1 and text[end - 1 : end].isspace():
        end -= 1
    first, column = source.position(start)
    last, end_column = source.position(end)
    if first == last:
        return [_Segment(first, column - 1, end_column - 1, mark.label, mark.primary)]
    lines = range(first, last + 1) if last - first < _WHOLE_LINES else (first, last)
    segments = []
    for line in lines:
        text = source.line(line)
        begin = column - 1 if line == first else len(text) - len(text.lstrip())
        stop = end_column - 1 if line == last else len(text.rstrip())
        if stop > begin:
            segments.append(_Segment(line, begin, stop, mark.label if line == last else "", mark.primary))
    return segments


class _Window:
    """A line as it is shown, all of it or the part around its first mark (the primary one, if it has one).

    Attributes:
        text: what is shown.
        segments: the marks that begin in this part, in columns of ``text``.
        outside: the others.
    """

    def __init__(self, line: str, segments: list[_Segment]) -> None:
        anchor = next((each.start for each in segments if each.primary), segments[0].start if segments else 0)
        long = len(line) > 2 * _LOOKED_AT
        first = max(0, anchor - _LOOKED_AT) if long else 0
        part = line[first : anchor + _LOOKED_AT] if long else line.rstrip()
        shown = Shown.of(part)
        left, right = 0, shown.starts[-1]
        cut_left, cut_right = first > 0, first + len(part) < len(line.rstrip())
        if right > _WIDEST or cut_left or cut_right:
            left = max(0, shown.column(anchor - first) - _BEFORE)
            cut_left, cut_right = cut_left or left > 0, cut_right or right > left + _WIDEST
            right = min(right, left + _WIDEST)
        pieces = [
            piece for piece, start in zip(shown.pieces, shown.starts, strict=False) if left <= start < right
        ]
        begin = next((start for start in shown.starts if start >= left), left)
        shift = (3 if cut_left else 0) - begin
        self.text = ("..." if cut_left else "") + "".join(pieces) + ("..." if cut_right else "")
        self.segments: list[_Segment] = []
        self.outside: list[_Segment] = []
        for each in segments:
            start = shown.column(each.start - first) if each.start >= first else -1
            if each.start != anchor and (start < left or (cut_right and start >= right)):
                self.outside.append(each)
                continue
            end = min(shown.column(each.end - first), right)
            placed = replace(each, start=start + shift, end=max(end, start + 1) + shift)
            self.segments.append(placed)


def _underlines(segments: list[_Segment], paint: Paint, severity: Severity) -> Iterator[str]:
    """The rows below a line: the underlines with one label, then the labels that hang from them."""
    rightmost = max(segments, key=lambda each: (each.end, each.primary))
    row = _Row()
    for each in sorted(segments, key=lambda each: each.primary):  # the primary one is drawn over the others
        row.write(each.start, ("^" if each.primary else "-") * (each.end - each.start), each.primary)
    if rightmost.label:
        row.write(rightmost.end + 1, rightmost.label, rightmost.primary)
    yield row.painted(paint, severity)
    hanging = sorted(
        (each for each in segments if each.label and each is not rightmost),
        key=lambda each: each.start,
        reverse=True,
    )
    if hanging:
        yield _hangers(hanging).painted(paint, severity)
    for index, each in enumerate(hanging):
        row = _hangers([other for other in hanging[index + 1 :] if other.start < each.start])
        row.write(each.start, each.label, each.primary)
        yield row.painted(paint, severity)


def _hangers(segments: list[_Segment]) -> _Row:
    row = _Row()
    for each in segments:
        row.write(each.start, "|", each.primary)
    return row


class _Row:
    """A row of text, some of it of the primary mark and some of the others."""

    def __init__(self) -> None:
        self._cells: list[tuple[str, bool]] = []

    def write(self, column: int, text: str, primary: bool) -> None:
        missing = column + len(text) - len(self._cells)
        self._cells.extend([(" ", False)] * missing)
        self._cells[column : column + len(text)] = [(character, primary) for character in text]

    def painted(self, paint: Paint, severity: Severity) -> str:
        shown = []
        for primary, cells in groupby(self._cells, key=lambda cell: cell[1]):
            text = "".join(character for character, _ in cells)
            shown.append(paint.severity(text, severity) if primary else paint.frame(text))
        return "".join(shown).rstrip()
