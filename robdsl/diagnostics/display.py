"""Text from strangers, made fit for a terminal: nothing in it moves the cursor, and columns are known."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import accumulate

#: How many columns a tab takes.
TAB = 4


def visible(text: str) -> str:
    r"""The text with control characters, direction marks and the like as escapes: ``\x1b``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def visible_lines(text: str) -> str:
    """As `visible`, but line ends stay."""
    return "\n".join(visible(line) for line in text.split("\n"))


def width(text: str) -> int:
    """How many columns printable text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@dataclass(frozen=True)
class Shown:
    """A line of a source as a terminal shows it.

    Attributes:
        pieces: what stands for each of its characters.
        starts: the column, from 0, at which each character begins; one more for the end.
    """

    pieces: tuple[str, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, line: str) -> Shown:
        pieces = tuple(" " * TAB if each == "\t" else _visible_character(each) for each in line)
        return cls(pieces, tuple(accumulate(map(width, pieces), initial=0)))

    def column(self, character: int) -> int:
        """The column of a character; behind the end, one column for each."""
        last = len(self.pieces)
        return self.starts[min(character, last)] + max(0, character - last)


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0  # drawn over the character before it
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
