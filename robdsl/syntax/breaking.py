"""Operations and expressions that do not fit on one line.

Every function gives lines of which the first has no indentation, since something stands before it, and the
others have all of theirs. Where a line breaks depends on the tree alone, so that formatting twice is
formatting once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from robdsl.syntax import nodes
from robdsl.syntax.formatting import (
    show_argument,
    show_conditions,
    show_expression,
    show_operation,
    show_part,
    show_then,
    stands_alone,
)

#: How wide a line may be, in characters.
WIDTH = 88
INDENT = 4

Lines = list[str]


def fits(text: str, column: int, reserve: int = 0) -> bool:
    """Whether ``text`` fits on a line from ``column`` on, with ``reserve`` characters to follow."""
    return column + len(text) + reserve <= WIDTH


def break_operation(operation: nodes.Op, column: int, indent: int, reserve: int = 0) -> Lines:
    """The lines of an operation.

    Args:
        operation: what to write.
        column: where its first line begins.
        indent: the indentation of the line on which it begins.
        reserve: how many characters follow its last line.
    """
    flat = show_operation(operation)
    if fits(flat, column, reserve):
        return [flat]
    match operation:
        case nodes.Chain(parts=parts):
            return _break_parts(parts, "|", column, indent, reserve)
        case nodes.Sum(parts=parts):
            return _break_parts(parts, "+", column, indent, reserve)
        case nodes.If():
            return _break_if(operation, column, reserve)
        case nodes.Choice():
            return _break_choice(operation, indent)
        case nodes.Call():
            return break_call(operation, column, indent, reserve)
        case nodes.Nothing():
            return [flat]


def break_call(call: nodes.Call, column: int, indent: int, reserve: int = 0) -> Lines:
    """The lines of a call: all on one, or an argument on each."""
    flat = show_operation(call)
    if fits(flat, column, reserve) or not call.arguments:
        return [flat]
    return break_list(f"{call.callee}(", map(show_argument, call.arguments), ")", indent)


def break_list(opening: str, items: Iterable[str], closing: str, indent: int) -> Lines:
    """A bracket, an item a line, and the closing bracket under the line of the opening one."""
    shown = [" " * (indent + INDENT) + item for item in items]
    return [opening, *(item + "," for item in shown[:-1]), *shown[-1:], " " * indent + closing]


def fill(words: Sequence[str], column: int, hang: int) -> Lines:
    """As many words on a line as fit; lines after the first begin at ``hang``."""
    lines = [words[0]]
    for word in words[1:]:
        start = column if len(lines) == 1 else 0  # later lines hold their indentation
        if fits(f"{lines[-1]} {word}", start):
            lines[-1] += f" {word}"
        else:
            lines.append(" " * hang + word)
    return lines


def _break_parts(parts: Sequence[nodes.Op], mark: str, column: int, indent: int, reserve: int) -> Lines:
    """A chain or a sum: as many parts on a line as fit, a line breaks before its mark."""
    hang = column if column > indent else indent + INDENT
    lines: Lines = []
    full = True  # nothing more goes on the last line
    for index, part in enumerate(parts):
        text = show_part(part)
        behind = reserve if index == len(parts) - 1 else 0
        if not full and fits(f"{lines[-1]} {mark} {text}", column if len(lines) == 1 else 0, behind):
            lines[-1] += f" {mark} {text}"
            continue
        lead = "" if index == 0 else " " * hang + f"{mark} "
        start = column if index == 0 else len(lead)
        broken = _break_part(part, start, indent if index == 0 else hang, behind)
        full = len(broken) > 1
        lines += [lead + broken[0], *broken[1:]]
    return lines


def _break_part(part: nodes.Op, column: int, indent: int, reserve: int) -> Lines:
    if stands_alone(part):
        return break_operation(part, column, indent, reserve)
    lines = break_operation(part, column + 1, indent, reserve + 1)
    lines[0] = f"({lines[0]}"
    lines[-1] += ")"
    return lines


def _break_if(operation: nodes.If, column: int, reserve: int) -> Lines:
    """``if C then X``, ``else if D then Y``, ``else Z``: a line each; ``then`` on its own where needed."""
    lines: Lines = []
    lead, margin = "if ", ""
    while True:
        head = f"{lead}{show_expression(operation.condition)} then {show_then(operation)}"
        if fits(head, column):
            lines.append(margin + head)
        else:
            margin_width = column + len(lead)
            condition = break_expression(operation.condition, margin_width, margin_width)
            lines += [margin + lead + condition[0], *condition[1:]]
            lines += _led("then ", operation.then, column, 0, nested=isinstance(operation.then, nodes.If))
        margin = " " * column
        if not isinstance(operation.otherwise, nodes.If):
            return lines + _led("else ", operation.otherwise, column, reserve, nested=False)
        operation, lead = operation.otherwise, "else if "


def _led(lead: str, branch: nodes.Op, column: int, reserve: int, *, nested: bool) -> Lines:
    """A branch of an `if` on lines of its own."""
    start = column + len(lead)
    broken = (
        _break_part(branch, start, column, reserve)
        if nested
        else break_operation(branch, start, column, reserve)
    )
    return [" " * column + lead + broken[0], *broken[1:]]


def _break_choice(choice: nodes.Choice, indent: int) -> Lines:
    """An alternative a line."""
    lines = [f"{choice.kind} {{"]
    inner = indent + INDENT
    for index, alternative in enumerate(choice.alternatives):
        comma = "," if index < len(choice.alternatives) - 1 else ""
        broken = break_operation(alternative, inner, inner, len(comma))
        lines += [" " * inner + broken[0], *broken[1:]]
        lines[-1] += comma
    return [*lines, " " * indent + "}"]


def break_expression(expression: nodes.Expr, column: int, hang: int) -> Lines:
    """The lines of an expression: its outermost ``and`` or ``or`` begin lines, at ``hang``."""
    flat = show_expression(expression)
    conditions = show_conditions(expression)
    if fits(flat, column) or conditions is None:
        return [flat]
    return [conditions[0], *(" " * hang + condition for condition in conditions[1:])]
