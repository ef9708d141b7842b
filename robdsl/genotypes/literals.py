"""Python data as text: read through Python's own parser, of which only plain data is understood.

Nothing is evaluated. What looks like a call, ``Genotype(normal=[...])``, becomes a `Call`, which is data too.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from robdsl.genotypes.errors import GenotypeError

MAX_TEXT = 1 << 20
"""Longest text, in characters. A RobNet-free code has about 700; a file of a thousand of them fits."""

MAX_RANGE = 1000
"""Longest ``range(...)``."""

Literal: TypeAlias = "str | int | tuple[Literal, ...] | Call | None"
"""Lists, tuples and ranges are all tuples here."""


@dataclass(frozen=True)
class Call:
    """``NAME(a, key=b)``, as data.

    Attributes:
        name: what is called; of a dotted name the last part.
        arguments: those without a key.
        named: those with one.
    """

    name: str
    arguments: tuple[Literal, ...]
    named: Mapping[str, Literal]


def read_literals(text: str) -> Iterator[tuple[str | None, Literal]]:
    """Each assignment of plain data in a text, as (name, data); a bare value has no name.

    A JSON text is one bare value, and so is a bare string such as ``|nor_conv_3x3~0|+...`` after quoting. Other
    statements (imports, definitions, assignments of something computed) are passed over.

    Raises:
        GenotypeError: the text is too long, or no Python.
    """
    if len(text) > MAX_TEXT:
        raise GenotypeError(f"the text has {len(text):,} characters; {MAX_TEXT:,} are read at most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes and the like in a stranger's text
            tree = ast.parse(text.strip())
        for statement in tree.body:
            yield from _statement(statement)
    except SyntaxError as error:
        place = f"line {error.lineno}: " if error.lineno else ""
        raise GenotypeError(f"{place}this is neither a code nor Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise GenotypeError("this is neither a code nor Python, or nested too deep") from None


def _statement(statement: ast.stmt) -> Iterator[tuple[str | None, Literal]]:
    match statement:
        case ast.Assign(targets=targets, value=value):
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            names = [name]
        case ast.Expr(value=value):
            yield None, _literal(value)
            return
        case _:
            return
    try:
        found = _literal(value)
    except GenotypeError:
        return
    for name in names:
        yield name, found


def _literal(node: ast.expr) -> Literal:
    match node:
        case ast.Constant(value=str() | int() | None as value):
            return value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return tuple(map(_literal, elements))
        case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]):
            return _range(bounds)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments, keywords=keywords):
            named = {each.arg: _literal(each.value) for each in keywords if each.arg is not None}
            if len(named) == len(keywords):
                return Call(name, tuple(map(_literal, arguments)), named)
    raise GenotypeError(
        f"line {node.lineno}: only strings, numbers, lists, tuples and genotypes are read here"
    )


def _range(bounds: list[ast.expr]) -> tuple[int, ...]:
    values = [_literal(each) for each in bounds]
    if not 1 <= len(values) <= 2 or not all(
        isinstance(each, int) and 0 <= each < MAX_RANGE for each in values
    ):
        raise GenotypeError("a range has one or two bounds, small numbers")
    return tuple(range(*(each for each in values if isinstance(each, int))))
