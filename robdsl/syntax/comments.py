"""Where comments belong.

A comment behind a statement on its last line stays there, and one on a line of its own stays above the
statement below it. One inside a statement moves above the statement, since that is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from robdsl.diagnostics.source import Source, Span
from robdsl.syntax import nodes
from robdsl.syntax.nodes import Comment, Node

#: Statements that hold a block of others.
BLOCKS = (nodes.CellDefinition, nodes.NetDefinition, nodes.Repeat, nodes.PickEdges)

#: What may stand between the header of a block and its brace.
_BEFORE_BRACE = re.compile(r"(?:\s|\(|\)|#[^\n]*)*\{")


@dataclass
class Item:
    """A line of comment or a statement, as it will be written.

    Attributes:
        blank: whether the author left a blank line before it.
        trailing: the comment behind a statement.
        opening: the comment behind the opening brace of its block.
        body: what is in its block.
    """

    content: Node | Comment
    blank: bool = False
    trailing: Comment | None = None
    opening: Comment | None = None
    body: tuple[Item, ...] = ()


def arrange(file: nodes.File) -> list[Item]:
    """The statements and comments of a file, in the order in which they are written."""
    return _Arrangement(file.span.source, file.comments).block(
        file.statements, len(file.span.source.text) + 1
    )


def body_of(statement: Node) -> Sequence[Node]:
    """The statements in the block of a statement."""
    match statement:
        case nodes.CellDefinition(body=body) | nodes.NetDefinition(body=body) | nodes.Repeat(body=body):
            return body
        case nodes.PickEdges(edges=edges):
            return edges
    return ()


class _Arrangement:
    """Hands out the comments of one source, each once, in order."""

    def __init__(self, source: Source, comments: Sequence[Comment]) -> None:
        self._source = source
        self._comments = comments
        self._next = 0

    def block(self, statements: Sequence[Node], end: int) -> list[Item]:
        """The items of a block that ends at offset ``end``."""
        items: list[Item] = []
        for index, statement in enumerate(statements):
            following = statements[index + 1].span if index + 1 < len(statements) else None
            bound = following.start if following is not None and following.source is self._source else end
            items += self._statement(statement, bound)
        items += [Item(comment, self._blank(comment.span)) for comment in self._take(end)]
        if items:
            items[0].blank = False
        return items

    def _statement(self, statement: Node, end: int) -> list[Item]:
        """A statement, behind which something else begins at ``end``, and the comments before it."""
        span = statement.span
        if span.source is not self._source:  # a program put it here
            return [_bare(statement)]
        items = [Item(comment, self._blank(comment.span)) for comment in self._take(span.start)]
        blank = self._blank(span)
        brace = self._brace(statement)
        inside = self._take(span.end if brace is None else brace)
        item = _bare(statement)
        if brace is not None:
            body = body_of(statement)
            item.opening = self._behind(brace, body[0].span.start if body else span.end)
            item.body = tuple(self.block(body, span.end))
        items += [Item(comment, blank and index == 0) for index, comment in enumerate(inside)]
        item.blank = blank and not inside
        item.trailing = self._behind(span.end, end)
        return [*items, item]

    def _take(self, end: int) -> Sequence[Comment]:
        """The next comments, up to an offset."""
        first = self._next
        while self._next < len(self._comments) and self._comments[self._next].span.start < end:
            self._next += 1
        return self._comments[first : self._next]

    def _behind(self, offset: int, end: int) -> Comment | None:
        """The comment that follows ``offset`` on the same line, if it begins before ``end``."""
        if self._next == len(self._comments):
            return None
        comment = self._comments[self._next]
        start = comment.span.start
        if not offset <= start < end or "\n" in self._source.text[offset:start]:
            return None
        self._next += 1
        return comment

    def _blank(self, span: Span) -> bool:
        """Whether a blank line stands before what begins a line."""
        text = self._source.text
        line = text.rfind("\n", 0, span.start) + 1
        if line == 0 or text[line : span.start].strip():
            return False
        return not text[text.rfind("\n", 0, line - 1) + 1 : line].strip()

    def _brace(self, statement: Node) -> int | None:
        """The offset behind the opening brace of a block; None where the text has no such brace."""
        if not isinstance(statement, BLOCKS):
            return None
        children = list(statement.children())
        header = [each.span for each in children[: len(children) - len(body_of(statement))]]
        if any(span.source is not self._source for span in header):
            return None
        found = _BEFORE_BRACE.match(self._source.text, max(span.end for span in header), statement.span.end)
        return found.end() if found else None


def _bare(statement: Node) -> Item:
    """A statement without comments."""
    return Item(statement, body=tuple(map(_bare, body_of(statement))))
