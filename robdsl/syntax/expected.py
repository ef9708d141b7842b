"""What to say about a word that does not fit: in the words of the language, never in the grammar's."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, did_you_mean
from robdsl.diagnostics.source import Source, Span
from robdsl.syntax.lexer import keywords
from robdsl.syntax.words import END, Word, shortened

_SHOWN = {
    "NAME": "a name", "NUMBER": "a number", "STRING": "a string", "EQUAL": "`=`", "COLON": "`:`",
    "ARROW": "`->`", "LPAR": "`(`", "LBRACE": "`{`", "DOT": "`.`", "DOTS": "`..`", "COMMA": "`,`",
    "VBAR": "`|`", "PLUS": "`+`", "MINUS": "`-`", "IN": "`in`", "AND": "`and`", "OR": "`or`",
    "THEN": "`then`", "ELSE": "`else`", "RPAR": "`)`", "RBRACE": "`}`", END: "the end of the statement",
}  # fmt: skip

_DEFINITION = {"CELL", "USE", "OP", "NET", "SPACE", "$END"}
_OPERATION = {"NONE", "ANY", "ONE", "IF", "NAME", "LPAR"}
_IN_NET = {"INPUT", "META", "LET", "REQUIRE", "REPEAT", "PICK", "RBRACE"} | _OPERATION
_IN_CELL = {"LET", "IN", "REQUIRE", "NAME", "RBRACE"}
_VALUE = {"TRUE", "FALSE", "NUMBER", "NAME", "LPAR", "IN", "MINUS", "NOT"}
_OPERATOR = {"STAR", "FLOOR_DIVIDE", "PERCENT", "MINUS", "COMPARISON", "IN", "AND", "OR", "PLUS"}
#: Sets of acceptable words that have a name, the most telling first: its signs, all of it, the name.
_GROUPS: tuple[tuple[set[str], set[str], str], ...] = (
    ({"CELL", "USE"}, _DEFINITION, "a definition (`use`, `op`, `cell`, `space` or `net`)"),
    ({"INPUT", "META"}, _IN_NET, "a statement of a net"),
    ({"LET", "IN"}, _IN_CELL, "a statement of a cell"),
    ({"NONE", "ANY"}, _OPERATION, "an operation"),
    ({"TRUE", "NUMBER"}, _VALUE, "a value"),
    ({"COMPARISON"}, _OPERATOR, "an operator"),
)

_STARTS = frozenset(
    {"NAME", "LET", "REQUIRE", "IN", "INPUT", "PICK", "REPEAT", "META", "USE", "OP", "CELL", "NET", "SPACE"}
)


@dataclass(frozen=True)
class Surprise:
    """A word that does not fit.

    Attributes:
        word: the word.
        before: the one before it, if any.
        after: the one behind it, if any.
        first: the first word of the statement (the word itself where it begins one).
        accepted: the types of words that would fit.
    """

    word: Word
    before: Word | None
    after: Word | None
    first: Word
    accepted: Set[str]

    @property
    def begins(self) -> bool:
        """Whether the word begins its statement."""
        return self.first is self.word

    @property
    def opens(self) -> bool:
        """Whether a brace follows."""
        return self.after is not None and self.after.type == "LBRACE"


def describe(source: Source, words: list[Word], index: int, start: int, accepted: Set[str]) -> Diagnostic:
    """The diagnostic for ``words[index]``, which does not fit into the statement from ``words[start]`` on."""
    surprise = Surprise(
        words[index],
        words[index - 1] if index else None,
        words[index + 1] if index + 1 < len(words) else None,
        words[start],
        accepted,
    )
    word, before = surprise.word, surprise.before
    label = f"expected {_one_of(accepted)}"
    help = next(filter(None, (hint(surprise) for hint in _HINTS)), None)
    if word.type == "IF" and before is not None and before.type in ("VBAR", "PLUS"):
        return codes.BARE_IF.at(word.span, help="put it in parentheses: `a | (if C then X else Y)`")
    if surprise.first.type == "INPUT" and not surprise.begins:
        span = _behind(source, before) if word.type == END else word.span
        wanted = "expected `x`" if "NAME" in accepted and "NUMBER" not in accepted else label
        return codes.IMAGE_FORM.at(span, wanted, help="for instance `input 3 x 32 x 32`")
    if word.text in keywords() and _is_name_wanted(surprise):
        return codes.KEYWORD_AS_NAME.at(word.span, keyword=word.text, help="choose another name")
    if word.type == END:
        return codes.INCOMPLETE.at(_behind(source, before), label, help=help)
    return codes.UNEXPECTED.at(word.span, label, found=shortened(word.text), help=help)


def _behind(source: Source, word: Word | None) -> Span:
    end = 0 if word is None else word.span.end
    return Span(source, end, end)


def _is_name_wanted(surprise: Surprise) -> bool:
    if "NAME" not in surprise.accepted:
        return False
    if surprise.begins:  # `net -> y : relu`
        return surprise.after is not None and surprise.after.type in ("ARROW", "COMMA", "EQUAL")
    if surprise.accepted & {"NONE", "NUMBER"}:  # `conv(any)`, but not `if then`
        return surprise.word.type in _STARTS | {"ANY", "ONE"} and not surprise.opens
    return True


def _one_of(accepted: Set[str]) -> str:
    rest = set(accepted)
    said: list[str] = []
    for signs, group, name in _GROUPS:
        if signs <= rest:
            said.append(name)
            rest -= group
    said.extend(shown for kind, shown in _SHOWN.items() if kind in rest)
    if not said:
        return "nothing more"
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + " or " + said[-1]


# --- hints: what the slips that people make look like


def _misspelt(surprise: Surprise) -> str | None:
    """`celll foo { ... }`, `requir x > 1`"""
    word, before = surprise.word, surprise.before
    if surprise.begins and word.type == "NAME" and "CELL" in surprise.accepted:
        return did_you_mean(word.text, ("use", "op", "cell", "space", "net"))
    if (
        before is surprise.first
        and before.type == "NAME"
        and word.type in ("NAME", "NUMBER", "STRING", "LPAR")
    ):
        inside_cell = "ARROW" in surprise.accepted
        others = ("in",) if inside_cell else ("input", "repeat", "pick", "meta")
        return did_you_mean(before.text, ("let", "require", *others))
    return None


def _second_statement(surprise: Surprise) -> str | None:
    if END in surprise.accepted and "NUMBER" not in surprise.accepted and surprise.word.type in _STARTS:
        return "one statement a line; put `;` between statements on one line"
    return None


def _trailing_comma(surprise: Surprise) -> str | None:
    before = surprise.before
    if before is not None and before.type == "COMMA" and surprise.word.type in ("RPAR", "RBRACE"):
        return "leave out the comma before it"
    return None


def _edge(surprise: Surprise) -> str | None:
    """`a -> b = X`, `a -> b -> c`, `n = relu`"""
    if {"COLON", END} <= surprise.accepted:
        if surprise.word.type == "EQUAL":
            return "the operation of an edge follows `:`, as in `a -> b : relu`"
        if surprise.word.type == "ARROW":
            return "an edge has one `->`; write a statement for each"
    if surprise.accepted == {"COMMA", "ARROW", "EQUAL"} and surprise.before is surprise.first:
        return "inside a cell, operations stand on edges: `a -> b : X`"
    if surprise.accepted == {"LPAR"} and surprise.first.type == "NAME":
        return "a join is written `n = concat(a, b)`, an edge `a -> n : X`"
    return None


def _unfinished_if(surprise: Surprise) -> str | None:
    return "every `if` has an `else`: `if C then X else Y`" if "ELSE" in surprise.accepted else None


def _second_comparison(surprise: Surprise) -> str | None:
    if surprise.word.type in ("COMPARISON", "IN") and surprise.accepted & {"AND", "OR"}:
        return "one comparison at a time: `a < b and b < c`"
    return None


def _fact(surprise: Surprise) -> str | None:
    if {"STRING", "NUMBER"} <= surprise.accepted:
        return 'a fact is a number or a string: `meta source = "where it came from"`'
    return None


def _decimal(surprise: Surprise) -> str | None:
    before = surprise.before
    if surprise.word.text == "." and (
        before is None or before.type == "NUMBER" or "NUMBER" in surprise.accepted
    ):
        return "a number has digits on both sides of its `.`"
    return None


_HINTS: tuple[Callable[[Surprise], str | None], ...] = (
    _misspelt,
    _trailing_comma,
    _edge,
    _second_comparison,
    _unfinished_if,
    _fact,
    _decimal,
    _second_statement,
)
