"""The parser's reductions to tree nodes.

One method a rule of the grammar. It is called with the rule's words and the nodes already made below it,
punctuation included, so that every node knows the whole of its span. A test holds the methods and the rules
in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from lark import Transformer, Tree

from robdsl.diagnostics.source import Span
from robdsl.syntax import nodes
from robdsl.syntax.nodes import Ident, Node
from robdsl.syntax.words import BROKEN, END, Word

_Some = TypeVar("_Some", bound=Node)

#: What a rule is made of: words, nodes, and tuples of nodes (parameter and name lists).
Parts = list[Any]


@dataclass(frozen=True)
class Broken(Node):
    """A definition that holds a statement which does not parse."""

    name: Ident


class Builder(Transformer[Word, Any]):
    """Makes the nodes."""

    # --- files and definitions

    def file(self, parts: Parts) -> Parts:
        kept = (part for part in parts if not (isinstance(part, Word) and part.type == END))
        return [
            Broken(_ident(part), span=part.span) if isinstance(part, Word) and part.text else part
            for part in kept
        ]

    def use(self, parts: Parts) -> nodes.Use:
        return nodes.Use(_idents(parts), span=_span(parts))

    def op_definition(self, parts: Parts) -> nodes.OpDefinition:
        return nodes.OpDefinition(_ident(parts[1]), _list_of(parts), parts[-1], span=_span(parts))

    def cell_definition(self, parts: Parts) -> nodes.CellDefinition | Broken:
        name, body, span = _ident(parts[1]), _block(parts), _span(parts)
        return (
            Broken(name, span=span)
            if body is None
            else nodes.CellDefinition(name, _list_of(parts), body, span=span)
        )

    def net_definition(self, parts: Parts) -> nodes.NetDefinition | Broken:
        name, body, span = _ident(parts[1]), _block(parts), _span(parts)
        if body is None:
            return Broken(name, span=span)
        base = next((part for part in parts if isinstance(part, nodes.Call)), None)
        kind = cast(Any, parts[0].text)  # the grammar allows `net` and `space`
        return nodes.NetDefinition(kind, name, _list_of(parts), base, body, span=span)

    def base(self, parts: Parts) -> nodes.Call:
        return cast(nodes.Call, parts[1])

    def parameters(self, parts: Parts) -> tuple[nodes.Parameter, ...]:
        return _nodes(parts, nodes.Parameter)

    def parameter(self, parts: Parts) -> nodes.Parameter:
        return nodes.Parameter(_ident(parts[0]), parts[2] if len(parts) > 1 else None, span=_span(parts))

    # --- cells

    def inputs(self, parts: Parts) -> nodes.Inputs:
        return nodes.Inputs(_idents(parts), span=_span(parts))

    def names(self, parts: Parts) -> tuple[Ident, ...]:
        return _idents(parts)

    def edge(self, parts: Parts) -> nodes.Edge:
        return nodes.Edge(parts[0], parts[2], parts[4] if len(parts) > 3 else None, span=_span(parts))

    def join(self, parts: Parts) -> nodes.Join:
        return nodes.Join(_ident(parts[0]), _ident(parts[2]), parts[4], span=_span(parts))

    def let(self, parts: Parts) -> nodes.Let:
        return nodes.Let(_ident(parts[1]), parts[3], span=_span(parts))

    def require(self, parts: Parts) -> nodes.Require:
        return nodes.Require(parts[1], span=_span(parts))

    # --- nets and spaces

    def image(self, parts: Parts) -> nodes.Image:
        crosses = (_ident(parts[2]), _ident(parts[4]))
        return nodes.Image(parts[1], parts[3], parts[5], crosses, span=_span(parts))

    def stage(self, parts: Parts) -> nodes.Stage:
        return nodes.Stage(_label(parts), parts[-1], span=_span(parts))

    def pick_stage(self, parts: Parts) -> nodes.PickStage:
        return nodes.PickStage(_label(parts), parts[-1], span=_span(parts))

    def repeat(self, parts: Parts) -> nodes.Repeat | Word:
        body = _block(parts)
        if body is None:
            return Word(BROKEN, "", _span(parts))
        label = _label(parts)
        return nodes.Repeat(label, parts[1 if label is None else 2], body, span=_span(parts))

    def label(self, parts: Parts) -> Ident:
        return _ident(parts[0])

    def pick_declaration(self, parts: Parts) -> nodes.PickDeclaration:
        name, cell = _idents(parts)
        return nodes.PickDeclaration(name, cell, span=_span(parts))

    def pick_bits(self, parts: Parts) -> nodes.PickBits:
        return nodes.PickBits(_ident(parts[1]), _nodes(parts, nodes.BitGroup), span=_span(parts))

    def bit_group(self, parts: Parts) -> nodes.BitGroup:
        return nodes.BitGroup(
            tuple(nodes.Number(part.text, span=part.span) for part in parts), span=_span(parts)
        )

    def pick_edges(self, parts: Parts) -> nodes.PickEdges | Word:
        body = _block(parts)
        if body is None:
            return Word(BROKEN, "", _span(parts))
        return nodes.PickEdges(_ident(parts[1]), body, span=_span(parts))

    def meta(self, parts: Parts) -> nodes.Meta:
        return nodes.Meta(_ident(parts[1]), parts[3], span=_span(parts))

    def negative_number(self, parts: Parts) -> nodes.Unary:
        return self.signed(parts)

    def text(self, parts: Parts) -> nodes.Text:
        value = parts[0].text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        return nodes.Text(value, span=parts[0].span)

    # --- operations

    def conditional(self, parts: Parts) -> nodes.If:
        return nodes.If(parts[1], parts[3], parts[5], span=_span(parts))

    def sum(self, parts: Parts) -> nodes.Sum:
        return nodes.Sum(tuple(parts[::2]), span=_span(parts))

    def chain(self, parts: Parts) -> nodes.Chain:
        return nodes.Chain(tuple(parts[::2]), span=_span(parts))

    def grouped(self, parts: Parts) -> Node:
        return replace(cast(Node, parts[1]), span=_span(parts))

    def parenthesis(self, parts: Parts) -> Node:
        return self.grouped(parts)

    def nothing(self, parts: Parts) -> nodes.Nothing:
        return nodes.Nothing(span=parts[0].span)

    def choice(self, parts: Parts) -> nodes.Choice:
        kind = cast(Any, parts[0].text)  # the grammar allows `any` and `one`
        alternatives = cast(tuple[nodes.Op, ...], _nodes(parts, Node))
        return nodes.Choice(kind, alternatives, span=_span(parts))

    def call(self, parts: Parts) -> nodes.Call:
        return nodes.Call(_ident(parts[0]), _nodes(parts, nodes.Argument), span=_span(parts))

    def argument(self, parts: Parts) -> nodes.Argument:
        return nodes.Argument(_ident(parts[0]) if len(parts) > 1 else None, parts[-1], span=_span(parts))

    # --- expressions

    def expression(self, parts: Parts) -> Node:
        """``a or b or c`` and the like: from left to right."""
        left = cast(nodes.Expr, parts[0])
        for operator, right in zip(parts[1::2], parts[2::2], strict=True):
            left = nodes.Binary(operator.text, left, right, span=left.span.to(right.span))
        return left

    def conjunction(self, parts: Parts) -> Node:
        return self.expression(parts)

    def comparison(self, parts: Parts) -> Node:
        return self.expression(parts)

    def arithmetic(self, parts: Parts) -> Node:
        return self.expression(parts)

    def product(self, parts: Parts) -> Node:
        return self.expression(parts)

    def negation(self, parts: Parts) -> nodes.Unary:
        return nodes.Unary("not", parts[1], span=_span(parts))

    def signed(self, parts: Parts) -> nodes.Unary:
        return nodes.Unary("-", parts[1], span=_span(parts))

    def within(self, parts: Parts) -> nodes.Within:
        return nodes.Within(parts[0], parts[2], parts[4], span=_span(parts))

    def number(self, parts: Parts) -> nodes.Number:
        return nodes.Number(parts[0].text, span=parts[0].span)

    def boolean(self, parts: Parts) -> nodes.Boolean:
        return nodes.Boolean(parts[0].text == "true", span=parts[0].span)

    def name(self, parts: Parts) -> nodes.Name:
        return nodes.Name(parts[0].text, span=parts[0].span)

    def attribute(self, parts: Parts) -> nodes.Attribute:
        return nodes.Attribute(_ident(parts[0]), _ident(parts[2]), span=_span(parts))

    def measure(self, parts: Parts) -> nodes.Measure:
        names = [part for part in parts if isinstance(part, Word) and part.type in ("NAME", "NUMBER")]
        operation = cast(nodes.Op, parts[-2]) if isinstance(parts[-2], Node) else None
        node = _ident(names[2]) if len(names) > 2 else None
        return nodes.Measure(_ident(names[0]), _ident(names[1]), node, operation, span=_span(parts))


# --- helpers


def extent(part: Word | Node | Tree[Any] | Sequence[Node]) -> Span:
    """Where a part of a rule stands: a word, a node, a list of names, or a repetition not yet ended."""
    while isinstance(part, Tree):
        part = part.children[0]
    if isinstance(part, Word | Node):
        return part.span
    return part[0].span.to(part[-1].span)


def _span(parts: Parts) -> Span:
    first, last = extent(parts[0]), extent(parts[-1])
    return Span(first.source, first.start, last.end)


def _ident(word: Word) -> Ident:
    return Ident(word.text, span=word.span)


def _idents(parts: Parts) -> tuple[Ident, ...]:
    return tuple(
        Ident(part.text, span=part.span) for part in parts if isinstance(part, Word) and part.type == "NAME"
    )


def _nodes(parts: Parts, kind: type[_Some]) -> tuple[_Some, ...]:
    return tuple(part for part in parts if isinstance(part, kind))


def _list_of(parts: Parts) -> tuple[nodes.Parameter, ...]:
    """The parameter list of a definition, which follows its name."""
    return parts[2] if isinstance(parts[2], tuple) else ()


def _block(parts: Parts) -> tuple[Any, ...] | None:
    """The statements between the braces; None when one of them does not parse."""
    opening = next(i for i, part in enumerate(parts) if isinstance(part, Word) and part.type == "LBRACE")
    body = parts[opening + 1 :]
    broken = any(isinstance(part, Word) and part.type == BROKEN for part in body)
    return None if broken else _nodes(body, Node)


def _label(parts: Parts) -> Ident | None:
    return parts[0] if isinstance(parts[0], Ident) else None
