"""Text to words, by the terminals of the grammar.

One regular expression made of the grammar's terminals finds every word; what no terminal covers becomes a
word of one of the types `BAD_NUMBER`, `BAD_STRING` and `BAD_CHARACTER`, so that reading words never fails.
lark's own lexer does the same several times more slowly, because it makes a token object for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from lark.lexer import PatternStr

from robdsl.diagnostics.source import Source, Span
from robdsl.syntax.grammar import grammar
from robdsl.syntax.words import Word

#: Words that no terminal of the grammar covers. A letter right after a number belongs to a malformed number.
_BAD_NUMBER = (
    r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+(?![A-Za-z0-9_])|(?![kMG](?![A-Za-z0-9_]))[A-Za-z_][A-Za-z0-9_]*)"
)
_BAD_STRING = r'"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*\\?"?'
_BAD_CHARACTER = r"[^\sA-Za-z0-9_\"#(){}|+,:;.=!<>*/%\-]+|."


@cache
def _scanner() -> tuple[re.Pattern[str], dict[str, str]]:
    """The expression that finds the next word, and the types of keywords and marks by their text."""
    fixed: dict[str, str] = {}
    patterns: dict[str, str] = {}
    for terminal in grammar().terminals:
        if isinstance(terminal.pattern, PatternStr):
            fixed[terminal.pattern.value] = terminal.name
        else:
            patterns[terminal.name] = terminal.pattern.to_regexp()
    marks = sorted((text for text in fixed if not text.isalpha()), key=len, reverse=True)  # `->` before `-`
    ordered = {
        "BLANK": patterns.pop("BLANK"),
        "NAME": patterns.pop("NAME"),
        "BAD_NUMBER": _BAD_NUMBER,
        **patterns,
        "MARK": "|".join(map(re.escape, marks)),
        "BAD_STRING": _BAD_STRING,
        "BAD_CHARACTER": _BAD_CHARACTER,
    }
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in ordered.items())), fixed


@cache
def keywords() -> frozenset[str]:
    """The words that cannot be names."""
    return frozenset(text for text in _scanner()[1] if text.isalpha())


def words(source: Source) -> Iterator[Word]:
    """Every word of a text but its blanks; comments and line ends are words here."""
    scanner, fixed = _scanner()
    for match in scanner.finditer(source.text):
        kind = match.lastgroup
        if kind == "BLANK":
            continue
        text = match.group()
        if kind == "MARK":
            kind = fixed[text]
        elif kind == "NAME":
            kind = fixed.get(text, "NAME")
        start, end = match.span()
        yield Word(kind or "", text, Span(source, start, end))
