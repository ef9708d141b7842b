"""Statements as lines of canonical text, with their indentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robdsl.syntax import nodes
from robdsl.syntax.breaking import (
    INDENT,
    Lines,
    break_call,
    break_expression,
    break_list,
    break_operation,
    fill,
    fits,
)
from robdsl.syntax.formatting import (
    show_call,
    show_expression,
    show_names,
    show_operation,
    show_parameter,
    show_parameters,
)

#: `a ->` is not moved further right than this to stand under a longer list of sources.
_PADDING = 6
#: Edges whose sources and targets take more than this are written for themselves.
_ALIGNED = 56
#: Operations that begin behind this column and do not fit begin on a line of their own.
_FAR_RIGHT = 48


def statement_lines(statement: nodes.Node, indent: int) -> Lines:
    """The lines of a statement without a block."""
    margin = " " * indent
    match statement:
        case nodes.Use():
            return [f"{margin}use {statement.dotted}"]
        case nodes.OpDefinition():
            return _op(statement)
        case nodes.Inputs(names=names):
            return fill([f"{margin}in", *_listed(names)], 0, indent + INDENT)
        case nodes.Edge():
            return next(edge_lines([statement], indent))
        case nodes.Join():
            return _join(statement, indent)
        case nodes.Let(name=name, value=value):
            return _let(f"{margin}let {name} =", value, indent)
        case nodes.Require(condition=condition):
            lines = break_expression(condition, indent + len("require "), indent + INDENT)
            return [f"{margin}require {lines[0]}", *lines[1:]]
        case nodes.Image(channels=channels, height=height, width=width, crosses=crosses):
            sizes = [_size(each) for each in (channels, height, width)]
            return [f"{margin}input {sizes[0]} {crosses[0]} {sizes[1]} {crosses[1]} {sizes[2]}"]
        case nodes.Stage(operation=operation):
            lead = margin + _label(statement.label)
            lines = break_operation(operation, len(lead), indent)
            return [lead + lines[0], *lines[1:]]
        case nodes.PickStage(cell=cell):
            lead = f"{margin}{_label(statement.label)}pick "
            lines = break_call(cell, len(lead), indent)
            return [lead + lines[0], *lines[1:]]
        case nodes.PickDeclaration(name=name, cell=picked):
            return [f"{margin}pick {name} : {picked}"]
        case nodes.PickBits():
            return _bits(statement, indent)
        case nodes.Meta(key=key, value=fact):
            return [f"{margin}meta {key} = {_fact(fact)}"]
    raise TypeError(f"not a statement: {type(statement).__name__}")


def header_lines(statement: nodes.Node, indent: int) -> Lines | None:
    """What stands before the block of a statement; None for a statement that has none."""
    margin = " " * indent
    match statement:
        case nodes.CellDefinition(name=name, parameters=parameters):
            return _definition(f"cell {name}", parameters, None)
        case nodes.NetDefinition(kind=kind, name=name, parameters=parameters, base=base):
            return _definition(f"{kind} {name}", parameters, base)
        case nodes.Repeat(label=label, count=count):
            return [f"{margin}{_label(label)}repeat {show_expression(count)}"]
        case nodes.PickEdges(target=target):
            return [f"{margin}pick {target}"]
    return None


# --- edges


def edge_lines(edges: Sequence[nodes.Edge], indent: int) -> Iterator[Lines]:
    """The lines of each of some edges that follow each other: their ``->`` and their ``:`` stand under each
    other.

    A list of sources that is much longer than another sticks out; the ``:`` of all stand where the longest
    sources and the longest targets would put them.
    """
    plain = [(show_names(edge.sources), show_names(edge.targets)) for edge in edges]
    aligned = [len(sources) + len(targets) + 4 <= _ALIGNED for sources, targets in plain]
    widths = [len(sources) for (sources, _), fit in zip(plain, aligned, strict=True) if fit]
    arrow = max((width for width in widths if width - min(widths) <= _PADDING), default=0)
    ends = [
        (max(arrow, len(sources)), len(targets))
        for edge, (sources, targets), fit in zip(edges, plain, aligned, strict=True)
        if fit and edge.operation is not None
    ]
    colon = (
        max((sources for sources, _ in ends), default=0)
        + 4
        + max((targets for _, targets in ends), default=0)
    )
    if colon > _ALIGNED:
        arrow = colon = 0
    for edge, (sources, targets), fit in zip(edges, plain, aligned, strict=True):
        if fit:
            yield _edge(edge, f"{sources:<{arrow}} -> {targets}", colon, indent)
        else:
            yield _long_edge(edge, indent)


def _edge(edge: nodes.Edge, ends: str, colon: int, indent: int) -> Lines:
    margin = " " * indent
    if edge.operation is None:
        return [margin + ends]
    lead = f"{margin}{ends:<{colon}} :"
    column = len(lead) + 1
    if column > _FAR_RIGHT and not fits(show_operation(edge.operation), column):
        return [lead, *_below(edge.operation, indent)]
    lines = break_operation(edge.operation, column, indent)
    return [f"{lead} {lines[0]}", *lines[1:]]


def _long_edge(edge: nodes.Edge, indent: int) -> Lines:
    """An edge with more names than one line should hold before the operation."""
    words = [*_listed(edge.sources), *_listed(edge.targets)]
    words[len(edge.sources)] = f"-> {words[len(edge.sources)]}"
    if edge.operation is None:
        return fill([" " * indent + words[0], *words[1:]], 0, indent + INDENT)
    words[-1] += " :"
    lines = fill([" " * indent + words[0], *words[1:]], 0, indent + INDENT)
    flat = show_operation(edge.operation)
    if fits(flat, len(lines[-1]) + 1):
        return [*lines[:-1], f"{lines[-1]} {flat}"]
    return [*lines, *_below(edge.operation, indent)]


def _below(operation: nodes.Op, indent: int) -> Lines:
    """An operation on lines of its own."""
    lines = break_operation(operation, indent + INDENT, indent + INDENT)
    return [" " * (indent + INDENT) + lines[0], *lines[1:]]


# --- definitions


def _op(definition: nodes.OpDefinition) -> Lines:
    head = f"op {definition.name}{show_parameters(definition.parameters)} ="
    flat = show_operation(definition.body)
    if fits(f"{head} {flat}", 0):
        return [f"{head} {flat}"]
    lines = [head]
    if not fits(head, 0) and definition.parameters:
        lines = break_list(f"op {definition.name}(", map(show_parameter, definition.parameters), ") =", 0)
    if isinstance(definition.body, nodes.Choice) and not fits(flat, INDENT):
        body = break_operation(definition.body, len(lines[-1]) + 1, 0)
        return [*lines[:-1], f"{lines[-1]} {body[0]}", *body[1:]]
    return [*lines, *_below(definition.body, 0)]


def _definition(name: str, parameters: Sequence[nodes.Parameter], base: nodes.Call | None) -> Lines:
    """The header of a block definition, without its brace."""
    base_text = "" if base is None else f" in {show_call(base)}"
    line = f"{name}{show_parameters(parameters)}{base_text}"
    if fits(line, 0, 2):
        return [line]
    lines = [name]
    if parameters:
        lines = break_list(f"{name}(", map(show_parameter, parameters), ")", 0)
    if base is None:
        return lines
    called = break_call(base, len(lines[-1]) + 4, 0, 2)
    return [*lines[:-1], f"{lines[-1]} in {called[0]}", *called[1:]]


# --- other statements


def _join(join: nodes.Join, indent: int) -> Lines:
    margin = " " * indent
    head, names = f"{margin}{join.target} = {join.kind}(", show_names(join.operands)
    if fits(f"{head}{names})", 0):
        return [f"{head}{names})"]
    inner = " " * (indent + INDENT)
    first, *rest = _listed(join.operands)
    return [head, *fill([inner + first, *rest], 0, indent + INDENT), f"{margin})"]


def _let(head: str, value: nodes.Expr, indent: int) -> Lines:
    lines = break_expression(value, len(head) + 1, indent + INDENT)
    if len(lines) == 1 and not fits(f"{head} {lines[0]}", 0):
        return [head, " " * (indent + INDENT) + lines[0]]
    return [f"{head} {lines[0]}", *lines[1:]]


def _bits(bits: nodes.PickBits, indent: int) -> Lines:
    """``pick c = 11 11 | 10 01``; further lines have their ``|`` under the ``=``."""
    head = f"{' ' * indent}pick {bits.target} ="
    first, *rest = [" ".join(code.text for code in group.codes) for group in bits.groups]
    return fill([f"{head} {first}", *(f"| {group}" for group in rest)], 0, len(head) - 1)


def _label(label: nodes.Ident | None) -> str:
    return "" if label is None else f"{label}: "


def _listed(names: Sequence[nodes.Ident]) -> list[str]:
    """The names, each but the last with a comma behind it."""
    return [*(f"{name}," for name in names[:-1]), str(names[-1])]


def _size(size: nodes.Expr) -> str:
    """A size of an image: arithmetic, or anything in parentheses."""
    loose = isinstance(size, nodes.Within) or (isinstance(size, nodes.Unary) and size.operator == "not")
    loose = loose or (isinstance(size, nodes.Binary) and size.operator not in ("+", "-", "*", "//", "%"))
    return f"({show_expression(size)})" if loose else show_expression(size)


def _fact(fact: nodes.Number | nodes.Text | nodes.Unary) -> str:
    if isinstance(fact, nodes.Text):
        return '"' + fact.value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return show_expression(fact)
