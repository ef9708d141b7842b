"""The layout filter between lexer and parser: it decides where statements end.

A statement ends with its line, at ``;``, or before the ``}`` of its block. It goes on inside ``( )`` and
the braces of ``any`` and ``one``, after any word but a name, a value, ``none``, ``)`` or ``}``, and where
the next line begins with ``|``, ``+``, ``->``, ``then``, ``else``, ``and`` or ``or``. Each end becomes one
``_END``, so that the grammar need not know about lines. Comments are set aside, brackets are paired, and
what the lexer could not read becomes coded errors.
"""

from __future__ import annotations

import re
from dataclasses import replace

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Code, Diagnostic, Label, Report
from robdsl.diagnostics.source import Source, Span
from robdsl.syntax.lexer import words
from robdsl.syntax.nodes import Comment
from robdsl.syntax.words import END, Word, shortened

_ENDS_STATEMENT = frozenset({"NAME", "NUMBER", "STRING", "TRUE", "FALSE", "NONE", "RPAR", "RBRACE"})
_CONTINUES = frozenset({"VBAR", "PLUS", "ARROW", "THEN", "ELSE", "AND", "OR"})
_BEGINS_DEFINITION = frozenset({"USE", "OP", "CELL", "NET", "SPACE"})
#: Never inside `( )` or a choice, so that one of these at the start of a line shows that a bracket was
#: forgotten.
_BEGINS_STATEMENT = _BEGINS_DEFINITION | {"LET", "REQUIRE", "INPUT", "REPEAT", "PICK", "META"}
_CLOSING = {"LPAR": ("RPAR", ")"), "LBRACE": ("RBRACE", "}")}

_BLANKS = re.compile(r"[ \t\f]*")
_EXPONENT = re.compile(r"[0-9.]+[eE][+-]?[0-9]+")

#: How deep brackets may nest.
MAX_BRACKETS = 64
#: How many words one statement may have.
MAX_STATEMENT = 20_000
#: How many words a file may have.
MAX_WORDS = 400_000
#: How many digits a number may have.
MAX_DIGITS = 200


class Layout:
    """The words of one text as the parser wants them, with its comments and the errors found on the way.

    Attributes:
        words: balanced: every bracket in them has its partner, every statement its end.
        longest: how many words the longest statement has.
        adrift: where blocks inside definitions begin that are never closed: what follows may belong inside or behind.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.words: list[Word] = []
        self.comments: list[Comment] = []
        self.errors: list[Diagnostic] = []
        self.longest = 0
        self.adrift: list[int] = []
        #: The brackets that are open: (opening word, whether it opens a block of statements).
        self._open: list[tuple[Word, bool]] = []
        self._depth = 0
        self._statement = 0  # where in `words` the statement begins
        #: An opening brace that its indentation shows to be the forgotten one, should one turn out to be
        #: missing.
        self._suspect: Word | None = None
        self._read()

    def _read(self) -> None:
        new_line = True  # nothing but blanks and comments stands before the word on its line
        for word in words(self.source):
            if len(self.errors) >= Report.LIMIT:
                break
            kind = word.type
            if kind == "NEWLINE":
                new_line = True
                continue
            if kind == "COMMENT":
                self.comments.append(Comment(word.text.rstrip(), new_line, word.span))
                continue
            if kind.startswith("BAD_") or (kind == "NUMBER" and len(word.text) > MAX_DIGITS):
                self._bad(word)
                if kind == "BAD_CHARACTER":
                    continue
                kind = word.type
            first = new_line
            if first:
                if kind in _BEGINS_STATEMENT:
                    self._close_forgotten(word)
                    if not self._labelled(kind):
                        self._end()  # whatever is missing before it
                elif kind not in _CONTINUES:
                    self._end_line()
                new_line = False
            word.depth = self._depth
            if kind == "SEMICOLON":
                if self._in_block():
                    self._end()
                    continue
                self._separator_in_brackets(word)
            elif kind == "LPAR" or kind == "LBRACE":
                if not self._opens(word):
                    break
            elif (kind == "RPAR" or kind == "RBRACE") and not self._closes(word, first):
                continue
            elif kind == "ARROW" and not self._in_block():
                self._close_before_edge(word)
            self.words.append(word)
            if len(self.words) - self._statement > MAX_STATEMENT:
                self._stop(
                    codes.STATEMENT_SIZE,
                    self.words[self._statement].span,
                    f"{MAX_STATEMENT:,} words",
                    "name parts of it with `op` or `let`",
                )
                break
            if len(self.words) > MAX_WORDS:
                self._stop(codes.FILE_SIZE, word.span, f"{MAX_WORDS:,} words", "split it and `use` the parts")
                break
        else:
            self._finish()
            return
        self.words.clear()  # after a bound was hit nothing is parsed

    def _stop(self, code: Code, span: Span, bound: str, help: str) -> None:
        self.errors.append(code.at(span, bound=bound, help=help))

    # --- what the lexer gives

    def _bad(self, word: Word) -> None:
        """Reports a malformed word; a number or string goes on as some number or string."""
        if word.type == "BAD_CHARACTER":
            last = self.errors[-1] if self.errors else None
            if last is not None and last.code is codes.CHARACTER and last.span.end == word.span.start:
                self.errors[-1] = replace(last, span=last.span.to(word.span))  # a run of them is one mistake
                return
            character = word.text[0]
            shown = character if character.isprintable() else f"U+{ord(character):04X}"
            self.errors.append(codes.CHARACTER.at(word.span, _character_label(character), character=shown))
        elif word.type == "BAD_STRING":
            closed = len(word.text) > 1 and word.text.endswith('"')
            label = (
                'an escape that is neither `\\"` nor `\\\\`' if closed else "no closing quote on this line"
            )
            self.errors.append(
                codes.STRING.at(word.span, label, help='inside a string, write `\\"` and `\\\\`')
            )
            word.type = "STRING"
            word.text = '""'
        elif word.type == "NUMBER":
            self.errors.append(codes.LARGE_NUMBER.at(word.span, bound=f"{MAX_DIGITS} digits"))
            word.text = "1"
        else:
            if self.words and self.words[-1].type == "INPUT" and "x" in word.text:
                self.errors.append(codes.IMAGE_FORM.at(word.span, help="put spaces around each `x`"))
            else:
                self.errors.append(
                    codes.NUMBER.at(word.span, number=shortened(word.text), help=_number_help(word.text))
                )
            word.type = "NUMBER"
            word.text = "1"

    # --- brackets

    def _opens(self, word: Word) -> bool:
        """Keeps an opening bracket; False when there are too many."""
        alternatives = bool(self.words) and self.words[-1].type in ("ANY", "ONE")
        block = word.type == "LBRACE" and self._in_block() and not alternatives
        self._open.append((word, block))
        if block:
            self._depth += 1
            self._measure(len(self.words) + 1)
        if len(self._open) > MAX_BRACKETS:
            self._stop(
                codes.NESTING,
                word.span,
                f"{MAX_BRACKETS} brackets",
                "name a part with `op` or `let` and use the name",
            )
            return False
        return True

    def _closes(self, word: Word, first: bool) -> bool:
        """Pairs a closing bracket, the first of its line or not; False when it closes nothing and is left out."""
        opening = "LPAR" if word.type == "RPAR" else "LBRACE"
        partner = next(
            (i for i in reversed(range(len(self._open))) if self._open[i][0].type == opening), None
        )
        crossed = [] if partner is None else self._open[partner + 1 :]
        if partner is None or any(block for _, block in crossed):  # a `)` does not end a block
            self.errors.append(codes.UNMATCHED.at(word.span, bracket=word.text))
            return False
        for _ in crossed:
            self._close_as_forgotten(word.span)
        opened, block = self._open[-1]
        if opening == "LBRACE" and first:
            self._suspect = self._suspect or self._crooked(word, opened)
        if block:
            self._end()
            self._depth -= 1
            word.depth = self._depth
        self._open.pop()
        return True

    def _crooked(self, closing: Word, opened: Word) -> Word | None:
        """The opening brace, when its closing one, first on its line, stands where that of another should."""
        indent = self._indent(closing)
        if self._indent(opened) == indent:
            return None
        around = [word for word, block in self._open[:-1] if block]
        return opened if any(self._indent(word) == indent for word in around) else None

    def _indent(self, word: Word) -> int:
        """How far the line of a word is indented."""
        start = self._line(word)
        indentation = _BLANKS.match(self.source.text, start)
        return indentation.end() - start if indentation else 0

    def _line(self, word: Word) -> int:
        """Where the line of a word begins."""
        return self.source.text.rfind("\n", 0, word.span.start) + 1

    def _close_forgotten(self, word: Word) -> None:
        """Closes what was forgotten before a statement that begins a line, so that one slip is one error."""
        definition = word.type in _BEGINS_DEFINITION and self._line(word) == word.span.start
        while self._open and (definition or not self._open[-1][1]):
            self._close_as_forgotten(word.span)

    def _close_before_edge(self, arrow: Word) -> None:
        """Closes what must have been forgotten before the line on which ``a, b ->`` stands."""
        line, start = self._line(arrow), len(self.words)
        while (
            start
            and self.words[start - 1].type in ("NAME", "COMMA")
            and self.words[start - 1].span.start >= line
        ):
            start -= 1
        sources = self.words[start:]
        if not sources or (start and self.words[start - 1].span.start >= line):
            return
        del self.words[start:]
        while not self._in_block():
            self._close_as_forgotten(sources[0].span)
        self._end_line()
        self.words.extend(sources)

    def _close_as_forgotten(self, at: Span | None) -> None:
        """Puts the closing bracket that the text lacks before ``at`` (or at the end), and says so."""
        opened, block = self._open[-1]
        position = at.start if at is not None else len(self.source.text)
        if block:
            self._end()
            self._depth -= 1
        self._open.pop()
        kind, text = _CLOSING[opened.type]
        self.words.append(Word(kind, text, Span(self.source, position, position), self._depth))
        culprit = opened
        if block and self._suspect is not None:
            culprit, self._suspect = self._suspect, None
        if block and culprit.depth > 0:
            self.adrift.append(culprit.span.start)
        related = () if at is None else (Label(at, "expected it closed before this"),)
        self.errors.append(
            codes.UNCLOSED.at(culprit.span, "opened here", related=related, bracket=opened.text)
        )
        if block:
            self._end_line()

    def _labelled(self, kind: str) -> bool:
        """Whether ``name:`` stands before a ``pick`` or ``repeat`` that begins a line."""
        return kind in ("PICK", "REPEAT") and bool(self.words) and self.words[-1].type == "COLON"

    def _separator_in_brackets(self, word: Word) -> None:
        opened = self._open[-1][0]
        self.errors.append(
            codes.UNEXPECTED.at(
                word.span, f"expected `,` or `{_CLOSING[opened.type][1]}`", found=word.text,
                related=[Label(opened.span, "this is still open")],
            )
        )  # fmt: skip

    # --- ends of statements

    def _in_block(self) -> bool:
        return not self._open or self._open[-1][1]

    def _end_line(self) -> None:
        if self.words and self.words[-1].type in _ENDS_STATEMENT:
            self._end()

    def _end(self) -> None:
        if self._in_block() and self.words and self.words[-1].type not in (END, "LBRACE"):
            self._measure(len(self.words) + 1)
            position = self.words[-1].span.end
            self.words.append(Word(END, "", Span(self.source, position, position), self._depth))

    def _measure(self, following: int) -> None:
        self.longest = max(self.longest, following - self._statement)
        self._statement = following

    def _finish(self) -> None:
        while self._open:
            self._close_as_forgotten(None)
        self._end()


def _character_label(character: str) -> str:
    if character in "[]":
        return "brackets are `( )` and `{ }`"
    if character == "'":
        return 'strings stand in `"`'
    return ""


def _number_help(text: str) -> str:
    if _EXPONENT.fullmatch(text):
        return "there are no exponents; write the digits, or use `k`, `M` or `G`"
    return "a number is digits, perhaps `.` and digits, perhaps `k`, `M` or `G`; put a space before a name"
