"""Tree to canonical text.

The laws that hold on every run: the text means the same tree, formatting it again changes nothing, and every
comment of the source is in it, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import RobError
from robdsl.diagnostics.source import Source, Span
from robdsl.syntax import nodes
from robdsl.syntax.breaking import INDENT, WIDTH
from robdsl.syntax.comments import Item, arrange
from robdsl.syntax.nodes import Comment
from robdsl.syntax.parser import MAX_FILE, parse
from robdsl.syntax.statements import edge_lines, header_lines, statement_lines

_DEFINES_BLOCK = (nodes.CellDefinition, nodes.NetDefinition)


class FormatError(RuntimeError):
    """A tree holds what no text can say, or the formatter is wrong: its text would not mean the same."""


def format_source(source: Source) -> str:
    """The canonical text of a source.

    Raises:
        RobError: the source has syntax errors, or its canonical text would be too large to be read again.
        FormatError: the formatter broke one of its laws; nothing should be written then.
    """
    return format_checked(parse(source))


def format_checked(file: nodes.File) -> str:
    """As `format_tree`, with its laws checked.

    Raises:
        RobError: the text would be too large to be read again.
        FormatError: a law does not hold.
    """
    text = format_tree(file)
    if len(text) > MAX_FILE:
        help = "its canonical text would be; split it and `use` the parts"
        raise RobError(
            [codes.FILE_SIZE.at(Span(file.span.source, 0, 0), bound=f"{MAX_FILE:,} characters", help=help)]
        )
    try:
        again = parse(Source("<formatted>", text))
    except RobError as error:
        raise FormatError(f"the formatted text does not parse:{error}") from error
    if again != file:
        raise FormatError("the formatted text means another tree")
    if [comment.text for comment in again.comments] != [comment.text for comment in file.comments]:
        raise FormatError("the formatted text does not hold the same comments")
    if format_tree(again) != text:
        raise FormatError("formatting twice differs from formatting once")
    return text


def format_tree(file: nodes.File) -> str:
    """The canonical text of a tree, whether parsed or made by a program, with the comments that it holds."""
    items = arrange(file)
    _part_definitions(items)
    return "".join(line + "\n" for line in _block(items, 0))


def _part_definitions(items: Sequence[Item]) -> None:
    """Sees to a blank line around every definition with a block, and above the comments that lead to it."""
    leads = False  # whether the item behind is such a definition, or a comment right above one
    for before, item in reversed(list(pairwise(items))):
        leads = isinstance(item.content, _DEFINES_BLOCK) or (isinstance(item.content, Comment) and leads)
        attached = isinstance(before.content, Comment) and not item.blank
        if isinstance(before.content, _DEFINES_BLOCK) or (leads and not attached):
            item.blank = True
        leads = leads and attached


def _block(items: Sequence[Item], indent: int) -> Iterator[str]:
    """The lines of the items of one block."""
    for group in _groups(items):
        if len(group) > 1 or isinstance(group[0].content, nodes.Edge):
            edges = [each.content for each in group if isinstance(each.content, nodes.Edge)]
            written = list(edge_lines(edges, indent))
        else:
            written = [_item_lines(group[0], indent)]
        for item, lines in zip(group, written, strict=True):
            if item.blank:
                yield ""
            yield from _with_comment(lines, item.trailing)


def _groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items one by one, but edges with no blank line and no comment between them together."""
    group: list[Item] = []
    for item in items:
        aligned = isinstance(item.content, nodes.Edge)
        if group and not (aligned and not item.blank and isinstance(group[-1].content, nodes.Edge)):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _item_lines(item: Item, indent: int) -> list[str]:
    """The lines of a comment or a statement, indented."""
    margin = " " * indent
    content = item.content
    if isinstance(content, Comment):
        return [margin + content.text]
    header = header_lines(content, indent)
    if header is None:
        return statement_lines(content, indent)
    if not item.body and item.opening is None:
        return [*header[:-1], header[-1] + " { }"]
    line = _on_one_line(item, header)
    if line is not None:
        return [line]
    opened = _with_comment([*header[:-1], header[-1] + " {"], item.opening)
    return [*opened, *_block(item.body, indent + INDENT), margin + "}"]


def _on_one_line(item: Item, header: Sequence[str]) -> str | None:
    """``repeat 3 { c(width) }``, where that fits."""
    if (
        not isinstance(item.content, nodes.Repeat)
        or len(header) > 1
        or len(item.body) != 1
        or item.opening is not None
    ):
        return None
    inner = item.body[0]
    if (
        isinstance(inner.content, Comment)
        or inner.trailing is not None
        or header_lines(inner.content, 0) is not None
    ):
        return None
    body = statement_lines(inner.content, 0)
    line = f"{header[0]} {{ {body[0]} }}"
    return line if len(body) == 1 and len(line) <= WIDTH else None


def _with_comment(lines: list[str], comment: Comment | None) -> list[str]:
    return lines if comment is None else [*lines[:-1], f"{lines[-1]}  {comment.text}"]
