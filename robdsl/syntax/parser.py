"""Text to tree.

After a syntax error the statement that holds it is left out and parsing goes on behind it, so that one run
tells every mistake that stands by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from lark import Token
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Report, RobError
from robdsl.diagnostics.source import Source, Span
from robdsl.syntax import nodes
from robdsl.syntax.builder import Broken, Parts, extent
from robdsl.syntax.expected import describe
from robdsl.syntax.grammar import grammar
from robdsl.syntax.layout import Layout
from robdsl.syntax.words import BROKEN, END, Word

#: The largest file that is read, in bytes (and the largest text, in characters).
MAX_FILE = 1_000_000
#: How deep operations and expressions may nest.
MAX_DEPTH = 64

_NAMED = frozenset({"OP", "CELL", "NET", "SPACE"})
_DEFINES = _NAMED | {"USE"}


def read_source(path: Path, name: str | None = None) -> Source:
    """The text of a file, its byte-order mark and CRLF line ends taken away.

    Raises:
        RobError: the file is missing, not a regular file, too large or not UTF-8 text.
    """
    shown = str(path) if name is None else name
    here = Span(Source(shown, ""), 0, 0)
    try:
        if path.exists() and not path.is_file():
            raise RobError([codes.UNREADABLE.at(here, path=shown, reason="it is not a regular file")])
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RobError([codes.UNREADABLE.at(here, path=shown, reason=reason)]) from error
    return decode(data, shown)


def decode(data: bytes, name: str) -> Source:
    """The text in ``data``; raises `RobError` when it is too large or not UTF-8."""
    here = Span(Source(name, ""), 0, 0)
    if len(data) > MAX_FILE:
        raise RobError([_too_large(here, "bytes")])
    try:
        return source_of(data.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RobError(
            [codes.ENCODING.at(here, offset=error.start, line=line, help="save the file as UTF-8")]
        ) from error


def source_of(text: str, name: str) -> Source:
    """A source with the byte-order mark and CRLF line ends of ``text`` taken away."""
    return Source(name, text.removeprefix("\ufeff").replace("\r\n", "\n"))


def parse(source: Source) -> nodes.File:
    """The tree of a text.

    Raises:
        RobError: with every syntax error that could be told apart.
    """
    tree, errors = parse_all(source)
    if errors:
        raise RobError(errors)
    return tree


def parse_all(source: Source) -> tuple[nodes.File, tuple[Diagnostic, ...]]:
    """The tree of what could be understood, and the syntax errors of the rest, in the order of the text.

    A definition that holds an error is left out of the tree, and its name stands in the tree's ``broken``.
    Never raises, whatever the text.
    """
    whole = Span(source, 0, len(source.text))
    if len(source.text) > MAX_FILE:
        return nodes.File((), lost=True, span=whole), (_too_large(Span(source, 0, 0), "characters"),)
    layout = Layout(source)
    parsing = _Parsing(layout)
    parts = parsing.run()
    errors = parsing.errors()
    if layout.longest > MAX_DEPTH // 2:
        parts = _shallow(parts, errors)
    if layout.adrift:
        parts = [_broken(part) if _holds(part, layout.adrift) else part for part in parts]
    errors.sort(key=lambda error: error.span.start)
    unnamed = [part for part in parts if isinstance(part, Word) and not part.text]
    tree = nodes.File(
        tuple(part for part in parts if not isinstance(part, Broken | Word)),
        tuple(layout.comments),
        broken=tuple(part.name for part in parts if isinstance(part, Broken)),
        lost=bool(unnamed) or (bool(errors) and not parts),
        span=whole,
    )
    return tree, tuple(errors)


@dataclass
class _Parsing:
    """One run of the parser over the words of a text, from error to error.

    It recovers as yacc does: it goes back to where the statement began, takes a `BROKEN` in the statement's
    place, and goes on at the statement's end.
    """

    layout: Layout
    found: list[Diagnostic] = field(default_factory=list)
    #: Where text was passed over, as (first, last) offsets.
    skipped: list[tuple[int, int]] = field(default_factory=list)

    def run(self) -> Parts:
        """The nodes of the file; `Broken` ones and `BROKEN` words stand for what does not parse."""
        words = self.layout.words
        parser = grammar().parse_interactive()
        # lark reads nothing of a token but its type
        feed = cast(Callable[[Word], None], parser.parser_state.feed_token)
        index = 0
        while len(self.found) < Report.LIMIT:
            try:
                while index < len(words):
                    feed(words[index])
                    index += 1
                return cast(Parts, parser.feed_eof())
            except UnexpectedToken:
                index = self._recover(parser, index)
        return []

    def errors(self) -> list[Diagnostic]:
        """Every error that is not the consequence of another."""
        kept = [
            error
            for error in self.layout.errors
            if error.code is not codes.UNMATCHED or not self._passed(error)
        ]
        return kept + self.found

    def _passed(self, error: Diagnostic) -> bool:
        return any(first <= error.span.start < last for first, last in self.skipped)

    def _recover(self, parser: InteractiveParser, index: int) -> int:
        """Takes the statement into which ``words[index]`` does not fit as broken; the index to go on at."""
        words = self.layout.words
        accepted = frozenset(parser.accepts())
        states, values = parser.parser_state.state_stack, parser.parser_state.value_stack
        begun: Parts = []
        depth = words[index].depth
        blocks = sum(map(_opens_braces, values))
        while BROKEN not in parser.choices() or blocks > depth:
            states.pop()
            begun.append(values.pop())
            blocks -= _opens_braces(begun[-1])
        begun.reverse()
        start = extent(begun[0]).start if begun else words[index].span.start
        first = bisect_left(words, start, hi=index, key=lambda word: word.span.start)
        if not self._explained(start, words[index].span.end):
            self.found.append(describe(self.layout.source, words, index, first, accepted))
        behind = self._behind(index, depth)
        end = words[behind + 1].span.start if behind + 1 < len(words) else len(self.layout.source.text)
        self.skipped.append((words[index].span.end, end))
        name = begun[1].text if depth == 0 and len(begun) > 1 and begun[0].type in _NAMED else ""
        broken = Word(BROKEN, name, Span(self.layout.source, start, end))
        parser.feed_token(cast(Token, broken))
        return behind

    def _explained(self, start: int, end: int) -> bool:
        """Whether an earlier error lies in the statement, so that this one is its consequence."""
        places = sorted(error.span.start for error in self.layout.errors)
        at = bisect_left(places, start)
        return at < len(places) and places[at] < end

    def _behind(self, index: int, depth: int) -> int:
        """The end of the statement around ``index``; between definitions, the end of all up to the next."""
        words = self.layout.words
        while index < len(words):
            if words[index].type == END and words[index].depth == depth:
                following = words[index + 1 : index + 2]
                if depth > 0 or not following or following[0].type in _DEFINES:
                    break
            index += 1
        return index


def _opens_braces(value: object) -> bool:
    return isinstance(value, Word) and value.type == "LBRACE"


def _holds(part: object, places: list[int]) -> bool:
    """Whether one of some places lies in a part of the file."""
    return isinstance(part, nodes.Node) and any(part.span.start <= place < part.span.end for place in places)


def _broken(part: object) -> Broken | object:
    """A definition of which nobody knows what belongs where; anything else as it is."""
    if isinstance(part, nodes.OpDefinition | nodes.CellDefinition | nodes.NetDefinition):
        return Broken(part.name, span=part.span)
    return part


# --- bounds


def _too_large(here: Span, unit: str) -> Diagnostic:
    return codes.FILE_SIZE.at(here, bound=f"{MAX_FILE:,} {unit}", help="split it and `use` the parts")


def _shallow(statements: Parts, errors: list[Diagnostic]) -> Parts:
    """The statements, without those that nest too deep; these are reported."""
    kept: Parts = []
    for each in statements:
        deep = _deepest(each) if isinstance(each, nodes.Node) and not isinstance(each, Broken) else None
        if deep is None:
            kept.append(each)
        else:
            errors.append(
                codes.NESTING.at(
                    deep, bound=f"{MAX_DEPTH} levels", help="name a part with `op` or `let` and use the name"
                )
            )
            kept.append(Broken(each.name, span=each.span))
    return kept


def _deepest(statement: nodes.Node) -> Span | None:
    """Where a statement nests too deep, if it does; takes no recursion."""
    pending = [(statement, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            return node.span
        pending.extend((child, depth + 1) for child in node.children())
    return None
