"""`let`s that speak of choices: they have no value before choices are made, so what uses them takes them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

from robdsl.diagnostics import codes
from robdsl.graph.values import Fault, Value, is_measure, subexpressions
from robdsl.syntax import nodes

#: How large, and how deep, an expression may become by taking in `let`s.
MAX_NODES = 10_000
MAX_DEPTH = 64

_Tree = TypeVar("_Tree", bound=nodes.Node)


class Deferred:
    """The `let`s of one net that speak of what was chosen.

    Args:
        values: parameters and other `let`s, whose names hide those of measures; it may still grow.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self._expressions: dict[str, nodes.Expr] = {}
        #: How many nodes each expression has, and how deep they nest.
        self._sizes: dict[str, tuple[int, int]] = {}

    def define(self, let: nodes.Let) -> None:
        """Takes in a `let`; raises `Fault` when its expression becomes too large."""
        self._sizes[let.name.name] = self._measured(let.value)
        self._expressions[let.name.name] = _substituted(let.value, self._expressions)

    def speaks_of_choices(self, expression: nodes.Expr) -> bool:
        """Whether an expression, or a `let` in it, speaks of choices."""
        return any(is_measure(each, self._values) or self._takes(each) for each in subexpressions(expression))

    def inline(self, tree: _Tree) -> _Tree:
        """A tree in which these `let`s are what they stand for; raises `Fault` when it becomes too large."""
        if not self._expressions or not any(self._takes(each) for each in subexpressions(tree)):
            return tree
        self._measured(tree)
        return _substituted(tree, self._expressions)

    def _takes(self, node: nodes.Node) -> bool:
        return isinstance(node, nodes.Name) and node.name in self._expressions

    def _measured(self, tree: nodes.Node) -> tuple[int, int]:
        """How many nodes a tree would have with these `let`s in it, and how deep they would nest."""
        total = deepest = 0
        pending: list[tuple[nodes.Node, int]] = [(tree, 1)]
        while pending:
            node, depth = pending.pop()
            size, below = self._sizes.get(node.name, (1, 1)) if isinstance(node, nodes.Name) else (1, 1)
            total, deepest = total + size, max(deepest, depth + below - 1)
            pending.extend((child, depth + 1) for child in node.children())
        if total > MAX_NODES:
            raise Fault(codes.STATEMENT_SIZE.at(tree.span, "with its `let`s", bound=f"{MAX_NODES:,} parts"))
        if deepest > MAX_DEPTH:
            raise Fault(codes.NESTING.at(tree.span, "with its `let`s", bound=f"{MAX_DEPTH} levels"))
        return total, deepest


def _substituted(tree: _Tree, values: Mapping[str, nodes.Expr]) -> _Tree:
    """The tree with names replaced by expressions; the alternative that a measure names stays as it is."""
    if isinstance(tree, nodes.Name) and tree.name in values:
        return values[tree.name]  # type: ignore[return-value]  # an expression for an expression
    if isinstance(tree, nodes.Measure):
        return tree
    changed: dict[str, object] = {}
    for field in fields(tree):
        value = getattr(tree, field.name)
        if isinstance(value, nodes.Node):
            changed[field.name] = _substituted(value, values)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(
                _substituted(each, values) if isinstance(each, nodes.Node) else each for each in value
            )
    return replace(tree, **changed)  # type: ignore[arg-type]  # the fields keep their types
