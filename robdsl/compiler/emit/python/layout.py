"""Python expressions laid out as `ruff format` would leave them: on one line, or with items on lines of their own.

A group with an item a line ends in a comma, which tells the formatter to leave it so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 88


@dataclass(frozen=True)
class Item:
    """One item of a group: ``before`` is its keyword, key or star."""

    code: Code
    before: str = ""


@dataclass(frozen=True)
class Group:
    """A call, or a tuple, list or dict: ``head`` ends in the opening bracket."""

    head: str
    items: tuple[Item, ...]
    tail: str = ")"


@dataclass(frozen=True)
class Repeated:
    """``*(element for ... in ...)``, as an item of a group."""

    element: Code
    source: str


Code = str | Group | Repeated


def call(function: str, *arguments: Code, **keywords: Code) -> Group:
    """A call; keywords stand in the order given."""
    named = tuple(Item(code, f"{name}=") for name, code in keywords.items())
    return Group(f"{function}(", (*map(Item, arguments), *named))


def tuple_of(items: Iterable[Code]) -> Group:
    """A tuple display."""
    return Group("(", tuple(map(Item, items)))


def named_call(function: str, parts: Sequence[tuple[str, Code]]) -> Group:
    """A call with keywords, also such as begin with a digit."""
    if not all(name.isidentifier() for name, _ in parts):
        return Group(f"{function}(", (Item(dict_of(parts), "**"),))
    return Group(f"{function}(", tuple(Item(code, f"{name}=") for name, code in parts))


def dict_of(parts: Iterable[tuple[str, Code]]) -> Group:
    """A dict display with names for keys."""
    return Group("{", tuple(Item(code, f'"{name}": ') for name, code in parts), "}")


def _stands_alone(item: Item) -> bool:
    """Whether an item gets a line of its own as soon as its group is broken: the parts of a chain."""
    return isinstance(item.code, Repeated) or (isinstance(item.code, Group) and bool(item.before))


def flat(code: Code) -> str:
    """The code on one line."""
    match code:
        case str():
            return code
        case Repeated():
            return f"*({flat(code.element)} {code.source})"
        case Group():
            items = [item.before + flat(item.code) for item in code.items]
            comma = "," if code.head == "(" and len(items) == 1 else ""
            return f"{code.head}{', '.join(items)}{comma}{code.tail}"


def lines(code: Code, indent: int, before: str = "", after: str = "") -> list[str]:
    """The lines of ``before``, the code and ``after``; only the first and the last may have the outer parts."""
    margin = " " * indent
    line = f"{margin}{before}{flat(code)}{after}"
    if len(line) <= WIDTH or isinstance(code, str):
        return [line]
    match code:
        case Repeated():
            inner = [*lines(code.element, indent + 4), f"{margin}    {code.source}"]
            return [f"{margin}{before}*(", *inner, f"{margin}){after}"]
        case Group(items=()):
            return [line]
        case Group() if code.head[:-1] and not any(map(_stands_alone, code.items)):
            inside = f"{margin}    {', '.join(item.before + flat(item.code) for item in code.items)}"
            if len(inside) <= WIDTH:
                return [f"{margin}{before}{code.head}", inside, f"{margin}{code.tail}{after}"]
    match code:
        case Group():
            inner = [each for item in code.items for each in lines(item.code, indent + 4, item.before, ",")]
            return [f"{margin}{before}{code.head}", *inner, f"{margin}{code.tail}{after}"]
