"""Offsets in a text and positions as the protocol counts them: lines from 0, in units of the agreed encoding."""

from __future__ import annotations

from lsprotocol import types

from robdsl.diagnostics.source import Source, Span

_UNITS = {
    types.PositionEncodingKind.Utf8: lambda text: len(text.encode()),
    types.PositionEncodingKind.Utf16: lambda text: len(text.encode("utf-16-le")) // 2,
    types.PositionEncodingKind.Utf32: len,
}


class Positions:
    """Converts positions for one encoding.

    Args:
        encoding: what client and server agreed on; UTF-16 is what all of them know.
    """

    def __init__(self, encoding: types.PositionEncodingKind | str = types.PositionEncodingKind.Utf16) -> None:
        self._units = _UNITS[types.PositionEncodingKind(encoding)]

    def position(self, source: Source, offset: int) -> types.Position:
        """The position of a character offset."""
        line, column = source.position(min(offset, len(source.text)))
        before = source.line(line)[: column - 1]
        return types.Position(line - 1, column - 1 if before.isascii() else self._units(before))

    def offset(self, source: Source, position: types.Position) -> int:
        """The character offset of a position; one behind the end of its line is that end."""
        if position.line >= len(source.line_starts):
            return len(source.text)
        line = source.line(position.line + 1)
        column = min(position.character, len(line))
        if not line.isascii():
            column = next(
                (place for place in range(len(line)) if self._units(line[:place]) >= position.character),
                len(line),
            )
        return source.line_starts[position.line] + column

    def range(self, span: Span) -> types.Range:
        """The range of a span."""
        return types.Range(self.position(span.source, span.start), self.position(span.source, span.end))
