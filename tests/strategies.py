"""Random programs: syntax trees of the whole language, and texts that mean them.

Every tree here is one that some text parses to. It says nothing sensible: names are not defined, and choices
and `none` stand where only the grammar, and no later check, lets them stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from robdsl.syntax import nodes
from robdsl.syntax.layout import Layout
from robdsl.syntax.parser import source_of
from robdsl.syntax.words import END, Word

_Some = TypeVar("_Some")

_NAMES = (
    "x", "out", "n0", "n1", "p", "c", "k", "M", "_", "X_9", "e5", "concat", "sum", "depth", "conv", "relu",
    "nets", "in_", "anyone", "factorized_reduce", "a_name_that_is_really_rather_long_for_a_name", "x" * 90,
)  # fmt: skip
_NUMBERS = ("1", "0", "3", "01", "36", "5.5M", "2k", "1G", "0.25", "1234.125k", "007")
_OPERATORS = ("+", "-", "*", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or")


class Grower:
    """Draws syntax trees.

    One class with plain methods, because strategies built of strategies take ten times as long.
    """

    def __init__(self, draw: DrawFn) -> None:
        self._draw = draw

    def pick(self, options: Sequence[_Some]) -> _Some:
        """One of some options; the first is the simplest."""
        return options[self._draw(st.integers(0, len(options) - 1))]

    def several(self, make: Callable[[], _Some], least: int = 0, most: int = 3) -> tuple[_Some, ...]:
        return tuple(make() for _ in range(self._draw(st.integers(least, most))))

    def maybe(self, make: Callable[[], _Some]) -> _Some | None:
        return make() if self._draw(st.booleans()) else None

    def ident(self) -> nodes.Ident:
        return nodes.Ident(self.pick(_NAMES))

    def number(self) -> nodes.Number:
        return nodes.Number(self.pick(_NUMBERS))

    # --- expressions

    def expression(self, depth: int = 3) -> nodes.Expr:
        """A value, arithmetic, a comparison or a condition."""

        def inner() -> nodes.Expr:
            return self.expression(depth - 1)

        choice = self._draw(st.integers(0, 10 if depth else 4))
        match choice:
            case 0 | 1:
                return self.number()
            case 2:
                return nodes.Name(self.pick(_NAMES))
            case 3:
                return nodes.Boolean(self.pick((True, False)))
            case 4:
                return nodes.Attribute(self.pick((nodes.Ident("in"), nodes.Ident("x"))), self.ident())
            case 5:
                return nodes.Unary(self.pick(("-", "not")), inner())
            case 6:
                return nodes.Within(inner(), inner(), inner())
            case 7:
                target = nodes.Ident(self.pick(("c", "0", "17")))
                operation = self.maybe(lambda: self.operation(1))
                return nodes.Measure(self.ident(), target, self.maybe(self.ident), operation)
            case _:
                return nodes.Binary(self.pick(_OPERATORS), inner(), inner())

    # --- operations

    def call(self, depth: int = 1) -> nodes.Call:
        return nodes.Call(self.ident(), self.several(lambda: self.argument(depth)))

    def argument(self, depth: int) -> nodes.Argument:
        return nodes.Argument(self.maybe(self.ident), self.expression(depth))

    def operation(self, depth: int = 3) -> nodes.Op:
        """A call, a chain, a sum, an `if` or a choice."""

        def inner() -> nodes.Op:
            return self.operation(depth - 1)

        choice = self._draw(st.integers(0, 7 if depth else 3))
        match choice:
            case 0:
                return nodes.Call(self.ident())
            case 1 | 2:
                return self.call()
            case 3:
                return nodes.Nothing()
            case 4:
                return nodes.Chain(self.several(inner, 2, 5))
            case 5:
                return nodes.Sum(self.several(inner, 2, 4))
            case 6:
                return nodes.If(self.expression(2), inner(), inner())
            case _:
                return nodes.Choice(self.pick(("any", "one")), self.several(inner, 1, 4))

    # --- statements

    def edge(self) -> nodes.Edge:
        most = self.pick((2, 2, 12))
        ends = self.several(self.ident, 1, most), self.several(self.ident, 1, most)
        return nodes.Edge(*ends, self.maybe(self.operation))

    def cell_statement(self) -> nodes.CellStatement:
        match self._draw(st.integers(0, 5)):
            case 0 | 1:
                return self.edge()
            case 2:
                return nodes.Inputs(self.several(self.ident, 1, 9))
            case 3:
                return nodes.Join(self.ident(), self.ident(), self.several(self.ident, 1, 9))
            case 4:
                return nodes.Let(self.ident(), self.expression())
            case _:
                return nodes.Require(self.expression(4))

    def net_statement(self, depth: int = 2) -> nodes.NetStatement:
        """A statement of a net or space, whether or not it fits into one of them."""
        target = nodes.Ident(self.pick(("c", "0", "17")))
        match self._draw(st.integers(0, 10 if depth else 9)):
            case 0 | 1:
                return nodes.Stage(self.maybe(self.ident), self.operation())
            case 2:
                return nodes.PickStage(self.maybe(self.ident), self.call(2))
            case 3:
                return nodes.Image(self.expression(2), self.expression(1), self.expression(1))
            case 4:
                return nodes.PickDeclaration(self.ident(), self.ident())
            case 5:
                return nodes.PickBits(target, self.several(self.bit_group, 1, 8))
            case 6:
                return nodes.PickEdges(target, self.several(self.edge))
            case 7:
                return nodes.Let(self.ident(), self.expression())
            case 8:
                return nodes.Require(self.expression(4))
            case 9:
                return nodes.Meta(self.ident(), self.fact())
            case _:
                body = self.several(lambda: self.net_statement(depth - 1))
                return nodes.Repeat(self.maybe(self.ident), self.expression(2), body)

    def bit_group(self) -> nodes.BitGroup:
        return nodes.BitGroup(self.several(self.number, 1, 9))

    def fact(self) -> nodes.Number | nodes.Text | nodes.Unary:
        match self._draw(st.integers(0, 3)):
            case 0:
                return self.number()
            case 1:
                return nodes.Unary("-", self.number())
            case 2:
                return nodes.Text(self._draw(st.text(alphabet='"\\ a#{', max_size=6)))
            case _:
                return nodes.Text(
                    self._draw(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=9))
                )

    # --- files

    def statement(self) -> nodes.Use | nodes.Definition:
        """Whatever stands in a file."""
        match self._draw(st.integers(0, 5)):
            case 0:
                return nodes.Use(self.several(self.ident, 1))
            case 1:
                return nodes.OpDefinition(self.ident(), self.several(self.parameter), self.operation(4))
            case 2 | 3:
                body = self.several(self.cell_statement, 0, 5)
                return nodes.CellDefinition(self.ident(), self.several(self.parameter), body)
            case _:
                statements = self.several(self.net_statement, 0, 5)
                kind: tuple[Literal["net", "space"], ...] = ("net", "space")
                base = self.maybe(self.call)
                return nodes.NetDefinition(
                    self.pick(kind), self.ident(), self.several(self.parameter), base, statements
                )

    def parameter(self) -> nodes.Parameter:
        return nodes.Parameter(self.ident(), self.maybe(lambda: self.expression(2)))


@st.composite
def expressions(draw: DrawFn, depth: int = 4) -> nodes.Expr:
    """Values, arithmetic, comparisons and conditions."""
    return Grower(draw).expression(depth)


@st.composite
def operations(draw: DrawFn, depth: int = 4) -> nodes.Op:
    """Chains, sums, conditions and choices."""
    return Grower(draw).operation(depth)


@st.composite
def files(draw: DrawFn, at_most: int = 2) -> nodes.File:
    """Whole files."""
    grower = Grower(draw)
    return nodes.File(grower.several(grower.statement, 0, at_most))


# --- texts


_BLANKS = (" ", "  ", "\t ")
_LINE_ENDS = ("\n", " ; ", "; \n", " ;\n ;")
_GAPS = ("\n\n", "\n\n\n  \n", " # a comment\n", "\n  # alone\n", ' #} " ( #\n\n#\n')


@st.composite
def spellings(draw: DrawFn, text: str, gaps: bool = True) -> str:
    """Another text with the words of ``text``: other blanks, line ends and `;`.

    Lines are broken wherever the language lets a statement go on. With ``gaps`` there are blank lines and
    comments.
    """
    layout = Layout(source_of(text, "<text>"))
    assert not layout.errors
    written: list[str] = []
    brackets: list[bool] = []  # for each open bracket, whether it opens a block
    for index, word in enumerate(layout.words):
        following = layout.words[index + 1] if index + 1 < len(layout.words) else None
        if word.type in ("LPAR", "LBRACE"):
            brackets.append(word.type == "LBRACE" and layout.words[index - 1].type not in ("ANY", "ONE"))
        elif word.type in ("RPAR", "RBRACE"):
            brackets.pop()
        options = _between(word, following, all(brackets[-1:]), gaps)
        written += [word.text, options[draw(st.integers(0, len(options) - 1))]]
    return "".join(written)


def _between(word: Word, following: Word | None, in_block: bool, gaps: bool) -> Sequence[str]:
    """What may stand behind a word."""
    wide = _GAPS if gaps else ()
    if word.type == END:
        last = following is None or following.type == "RBRACE"
        return (*_LINE_ENDS, *wide, *_BLANKS) if last else (*_LINE_ENDS, *wide)
    ends_statement = ("NAME", "NUMBER", "STRING", "TRUE", "FALSE", "NONE", "RPAR", "RBRACE")
    goes_on = following is not None and following.type in (
        "VBAR",
        "PLUS",
        "ARROW",
        "THEN",
        "ELSE",
        "AND",
        "OR",
    )
    if not in_block or word.type not in ends_statement or goes_on:
        return (*_BLANKS, *_BLANKS, "\n\t", *wide)
    return _BLANKS


def bytes_like(text: str) -> SearchStrategy[bytes]:
    """The bytes of a text with some of them changed, left out, doubled or moved."""
    data = text.encode()
    places = st.integers(0, max(0, len(data) - 1))
    words = [
        "(",
        ")",
        "{",
        "}",
        "|",
        "+",
        "->",
        ":",
        "=",
        ",",
        ";",
        "#",
        '"',
        "\\",
        "\n",
        "any",
        "if",
        "in",
        "01",
        "1e9",
    ]
    pieces = st.one_of(st.binary(max_size=3), st.sampled_from([word.encode() for word in words]))
    edits: SearchStrategy[Callable[[bytes], bytes]] = st.one_of(
        st.builds(lambda at, new: lambda old: old[:at] + new + old[at:], places, pieces),
        st.builds(lambda at, new: lambda old: old[:at] + new + old[at + len(new) :], places, pieces),
        st.builds(lambda at, size: lambda old: old[:at] + old[at + size :], places, st.integers(1, 30)),
        st.builds(lambda at, to: lambda old: old[:at] + old[to:at] + old[at:], places, places),
        st.builds(lambda at: lambda old: old[:at], places),
    )

    def edited(chosen: list[Callable[[bytes], bytes]]) -> bytes:
        result = data
        for edit in chosen:
            result = edit(result)
        return result

    return st.lists(edits, min_size=1, max_size=5).map(edited)
