"""The syntax tree of a ``.rob`` file.

Nodes are values: equal when they say the same, wherever they stand. Spans and comments take no part in
equality, so that ``parse(format(tree)) == parse(text)`` is plain equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from robdsl.diagnostics.source import NOWHERE, Span


@dataclass(frozen=True)
class Node:
    """Anything the parser makes; ``span`` is where it stands."""

    span: Span = field(default=NOWHERE, compare=False, repr=False, kw_only=True)

    def children(self) -> Iterator[Node]:
        """The nodes directly below this one, in the order of the text."""
        for value in vars(self).values():
            if isinstance(value, Node):
                yield value
            elif isinstance(value, tuple):
                yield from (item for item in value if isinstance(item, Node))


def walk(node: Node) -> Iterator[Node]:
    """``node`` and everything below it, parents first, in the order of the text; takes no recursion."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(list(current.children())))


@dataclass(frozen=True)
class Ident(Node):
    """A name that is being introduced or pointed at."""

    name: str

    def __str__(self) -> str:
        return self.name


# --- expressions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number(Node):
    """``text`` is as written: alpha needs the digits of ``01``."""

    text: str

    @property
    def value(self) -> int | float:
        """The number meant: ``5.5M`` is the integer 5500000."""
        return _number_of(self.text)


@lru_cache(maxsize=1024)
def _number_of(text: str) -> int | float:
    scale = {"k": 10**3, "M": 10**6, "G": 10**9}.get(text[-1], 1)
    exact = Fraction(text.rstrip("kMG")) * scale
    if exact.denominator == 1 and (scale > 1 or "." not in text):
        return exact.numerator
    return float(exact)


@dataclass(frozen=True)
class Boolean(Node):
    """``true`` or ``false``"""

    value: bool


@dataclass(frozen=True)
class Name(Node):
    """A parameter, a `let`, a measure of the whole net, or a word."""

    name: str


@dataclass(frozen=True)
class Attribute(Node):
    """``V.channels``; ``value`` is ``in`` or the name of an input or node."""

    value: Ident
    attribute: Ident


@dataclass(frozen=True)
class Unary(Node):
    """``-x`` or ``not x``"""

    operator: Literal["-", "not"]
    operand: Expr


@dataclass(frozen=True)
class Binary(Node):
    """Arithmetic, one comparison, ``and`` or ``or``."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Within(Node):
    """``value in low..high``, both ends included."""

    value: Expr
    low: Expr
    high: Expr


@dataclass(frozen=True)
class Measure(Node):
    """``density(c)``, ``count(c, OP)``, ``indegree(c.n1)``: a statistic of a pick's open edges.

    ``target`` is a pick's name or number or a cell's name, ``node`` what follows its dot, ``operation`` the
    alternative.
    """

    function: Ident
    target: Ident
    node: Ident | None = None
    operation: Op | None = None


Expr = Number | Boolean | Name | Attribute | Unary | Binary | Within | Measure


# --- operations ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Argument(Node):
    """By place when ``name`` is None, else by name."""

    name: Ident | None
    value: Expr


@dataclass(frozen=True)
class Call(Node):
    """A primitive, an operation, a cell or a pick, with its arguments."""

    callee: Ident
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class Chain(Node):
    """``X | Y``: one after the other."""

    parts: tuple[Op, ...]


@dataclass(frozen=True)
class Sum(Node):
    """``X + Y``: in parallel, summed. In a long-form choice: the alternatives chosen."""

    parts: tuple[Op, ...]


@dataclass(frozen=True)
class If(Node):
    """``if C then X else Y``, decided while the net is elaborated."""

    condition: Expr
    then: Op
    otherwise: Op


@dataclass(frozen=True)
class Nothing(Node):
    """``none``: the absence of an edge."""


@dataclass(frozen=True)
class Choice(Node):
    """``any { X, Y }`` or ``one { X, Y }``: an open edge."""

    kind: Literal["any", "one"]
    alternatives: tuple[Op, ...]


Op = Call | Chain | Sum | If | Nothing | Choice


# --- statements of cells ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inputs(Node):
    """``in a, b``"""

    names: tuple[Ident, ...]


@dataclass(frozen=True)
class Edge(Node):
    """``a, b -> c, d : X``; without an operation it is the identity. Also a line of a long-form choice."""

    sources: tuple[Ident, ...]
    targets: tuple[Ident, ...]
    operation: Op | None = None


@dataclass(frozen=True)
class Join(Node):
    """``n = concat(a, b)``"""

    target: Ident
    kind: Ident
    operands: tuple[Ident, ...]


@dataclass(frozen=True)
class Let(Node):
    """``let name = EXPR``"""

    name: Ident
    value: Expr


@dataclass(frozen=True)
class Require(Node):
    """``require EXPR``"""

    condition: Expr


CellStatement = Inputs | Edge | Join | Let | Require


# --- statements of nets and spaces -----------------------------------------------------------------------


@dataclass(frozen=True)
class Image(Node):
    """``input C x H x W``; ``crosses`` are the two words between the sizes, which must be ``x``."""

    channels: Expr
    height: Expr
    width: Expr
    crosses: tuple[Ident, Ident] = (Ident("x"), Ident("x"))


@dataclass(frozen=True)
class Stage(Node):
    """An operation, a cell or a named pick, fed by the stages before it."""

    label: Ident | None
    operation: Op


@dataclass(frozen=True)
class PickStage(Node):
    """``pick robnet_cell(width)``: a stage that chooses for itself."""

    label: Ident | None
    cell: Call


@dataclass(frozen=True)
class Repeat(Node):
    """``repeat N { ... }``"""

    label: Ident | None
    count: Expr
    body: tuple[NetStatement, ...]


@dataclass(frozen=True)
class PickDeclaration(Node):
    """``pick c : robnet_cell``: one choice that every ``c(...)`` stage shares."""

    name: Ident
    cell: Ident


@dataclass(frozen=True)
class PickBits(Node):
    """``pick c = 11 10 | ...``: the groups of alpha; ``target`` is a name or a number."""

    target: Ident
    groups: tuple[BitGroup, ...]


@dataclass(frozen=True)
class BitGroup(Node):
    """The open edges into one node, in the order of their sources."""

    codes: tuple[Number, ...]


@dataclass(frozen=True)
class PickEdges(Node):
    """``pick c { x0 -> n0 : skip }``: the same choice, spelled out."""

    target: Ident
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Text(Node):
    """A string, unescaped."""

    value: str


@dataclass(frozen=True)
class Meta(Node):
    """``meta key = value``"""

    key: Ident
    value: Number | Text | Unary


NetStatement = (
    Image | Stage | PickStage | Repeat | PickDeclaration | PickBits | PickEdges | Let | Require | Meta
)


# --- definitions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter(Node):
    """``width`` or ``stride=1``"""

    name: Ident
    default: Expr | None = None


@dataclass(frozen=True)
class Use(Node):
    """``use a.b``"""

    path: tuple[Ident, ...]

    @property
    def dotted(self) -> str:
        return ".".join(part.name for part in self.path)


@dataclass(frozen=True)
class OpDefinition(Node):
    """``op NAME(parameters) = X``"""

    name: Ident
    parameters: tuple[Parameter, ...]
    body: Op


@dataclass(frozen=True)
class CellDefinition(Node):
    """``cell NAME(parameters) { ... }``"""

    name: Ident
    parameters: tuple[Parameter, ...]
    body: tuple[CellStatement, ...]


@dataclass(frozen=True)
class NetDefinition(Node):
    """A ``net`` or a ``space``; ``base`` is the space that it stands in."""

    kind: Literal["net", "space"]
    name: Ident
    parameters: tuple[Parameter, ...]
    base: Call | None
    body: tuple[NetStatement, ...]


Definition = OpDefinition | CellDefinition | NetDefinition


@dataclass(frozen=True)
class Comment:
    """``text`` starts with ``#``; ``alone`` when nothing but blanks stands before it on its line."""

    text: str
    alone: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class File(Node):
    """A whole file.

    Attributes:
        broken: the names of definitions that hold a syntax error and are left out of ``statements``.
        lost: whether anything else was left out, a ``use`` for instance, so that names may be missing.
    """

    statements: tuple[Use | Definition, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False)
    broken: tuple[Ident, ...] = field(default=(), compare=False)
    lost: bool = field(default=False, compare=False)

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(each for each in self.statements if isinstance(each, Use))

    @property
    def definitions(self) -> tuple[Definition, ...]:
        return tuple(each for each in self.statements if not isinstance(each, Use))
