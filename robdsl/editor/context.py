"""Where in a text the cursor stands, read from its words alone: the text there is seldom whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from robdsl.diagnostics.source import Source
from robdsl.syntax.lexer import words
from robdsl.syntax.words import Word

_DEFINES = ("OP", "CELL", "NET", "SPACE")
_CONTINUES = ("VBAR", "PLUS", "ARROW", "THEN", "ELSE", "AND", "OR")
_OPEN_ENDED = ("NAME", "NUMBER", "STRING", "TRUE", "FALSE", "NONE", "RPAR", "RBRACE")


@dataclass
class Context:
    """What stands before the cursor.

    Attributes:
        prefix: the part of a word that is typed already.
        start: where that word begins.
        kind: of the definition around the cursor: ``op``, ``cell``, ``net``, ``space``, or "".
        name: its name.
        base: the space that a net or space stands in, or "".
        parameters: the words between the parentheses of its header.
        body: the words of the definition before the cursor, from its brace (or ``=``) on.
        statement: the words of the statement before the cursor.
        blocks: what the open braces belong to, outermost first: ``cell``, ``repeat``, ``pick NAME``, ``any``, and so on.
        calls: the callees of the calls that the cursor stands in, innermost last.
    """

    prefix: str
    start: int
    kind: str = ""
    name: str = ""
    base: str = ""
    parameters: list[str] = field(default_factory=list)
    body: list[Word] = field(default_factory=list)
    statement: list[Word] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    @property
    def last(self) -> str:
        """The type of the word before the cursor in its statement, or ""."""
        return self.statement[-1].type if self.statement else ""


def context_at(source: Source, offset: int) -> Context | None:
    """The context at an offset; None inside a comment or string."""
    before: list[Word] = []
    prefix, start = "", offset
    for word in words(source):
        if word.span.start >= offset:
            break
        inside = word.span.end >= offset
        if word.type in ("COMMENT", "STRING", "BAD_STRING") and inside:
            return None
        if inside and word.text[:1].isidentifier():
            prefix, start = source.text[word.span.start : offset], word.span.start
            break
        if word.type != "COMMENT":
            before.append(word)
    found = Context(prefix, start)
    reader = _Reader(found)
    for place, word in enumerate(before):
        reader.read(word, before[place + 1].type if place + 1 < len(before) else "")
    return found


@dataclass
class _Reader:
    """Reads words up to the cursor."""

    context: Context
    open: list[tuple[str, str]] = field(default_factory=list)  # the brackets, with what they belong to
    fresh: bool = True  # whether the next word begins a line

    def read(self, word: Word, following: str) -> None:
        context = self.context
        if word.type == "NEWLINE":
            ended = context.last in _OPEN_ENDED and following not in _CONTINUES
            if ended and not self._in_brackets():
                context.statement = []
            self.fresh = True
            return
        if self.fresh and word.type in (*_DEFINES, "USE") and word.span.column == 1:
            self._define("" if word.type == "USE" else word.text)
        self.fresh = False
        match word.type:
            case "SEMICOLON" if not self._in_brackets():
                context.statement = []
                return
            case "LBRACE":
                self._brace()
                context.body.append(word)
                return
            case "LPAR":
                last = context.statement[-1] if context.statement else None
                callee = last.text if last is not None and last.type == "NAME" else ""
                self.open.append(("(", callee))
            case "RPAR" | "RBRACE":
                self._close("(" if word.type == "RPAR" else "{")
        self._header(word)
        context.calls = [callee for bracket, callee in self.open if bracket == "(" and callee]
        context.body.append(word)
        context.statement.append(word)

    def _in_brackets(self) -> bool:
        return bool(self.open) and (self.open[-1][0] == "(" or self.open[-1][1] in ("any", "one"))

    def _define(self, kind: str) -> None:
        context = self.context
        context.kind, context.name, context.base = kind, "", ""
        context.parameters, context.body, context.statement, context.blocks = [], [], [], []
        self.open = []

    def _header(self, word: Word) -> None:
        """Takes in the name, parameters and base of a definition."""
        context = self.context
        if context.blocks or not context.kind or word.type != "NAME":
            return
        before = [each.type for each in context.statement]
        if len(before) == 1:
            context.name = word.text
        elif before[-1:] == ["IN"] and context.kind in ("net", "space"):
            context.base = word.text
        elif before[-1:] in (["LPAR"], ["COMMA"]) and len(self.open) == 1 and "EQUAL" not in before[:3]:
            context.parameters.append(word.text)

    def _brace(self) -> None:
        context = self.context
        types = [each.type for each in context.statement]
        if types[-1:] in (["ANY"], ["ONE"]):
            belongs = context.statement[-1].text
            context.statement.append(Word("LBRACE", "{", context.statement[-1].span))
        else:
            belongs = "repeat" if "REPEAT" in types else "pick" if "PICK" in types else context.kind
            if belongs == "pick":
                target = next(
                    (each.text for each in context.statement if each.type in ("NAME", "NUMBER")), ""
                )
                belongs = f"pick {target}"
            context.statement = []
        self.open.append(("{", belongs))
        self._blocks()

    def _close(self, bracket: str) -> None:
        while self.open:
            closed, belongs = self.open.pop()
            if closed == bracket:
                if bracket == "{" and belongs not in ("any", "one"):
                    self.context.statement = []
                break
        self._blocks()
        if not self.open and bracket == "{" and self.context.kind != "op":
            self.context.kind = ""

    def _blocks(self) -> None:
        self.context.blocks = [belongs for bracket, belongs in self.open if bracket == "{"]
