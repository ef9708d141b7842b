"""The grammar file is the one that is really used, and what is written beside it stays in step."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from lark import Lark

from robdsl import resources
from robdsl.diagnostics.source import Source
from robdsl.syntax.builder import Builder
from robdsl.syntax.grammar import grammar
from robdsl.syntax.layout import Layout
from robdsl.syntax.lexer import keywords, words

GRAMMAR = resources.folder("grammars") / "robdsl.lark"
PROGRAMS = sorted(resources.folder("archs").rglob("*.rob"))


def test_every_rule_has_its_method_and_every_method_its_rule() -> None:
    names = {str(rule.origin.name) for rule in grammar().rules if not rule.origin.name.startswith("_")}
    methods = {name for name in vars(Builder) if not name.startswith("_")}
    # what only passes on its one part has no method
    assert names - methods == {"operation", "negation"} - methods
    assert methods <= names


def test_keywords_are_those_of_the_language() -> None:
    listed = """use op cell space net in let require input repeat pick meta
    any one none if then else and or not true false"""
    assert keywords() == frozenset(listed.split())


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_words_are_those_of_larks_own_lexer(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    ours = [
        (word.type, word.text)
        for word in words(Source("<text>", text))
        if word.type not in ("NEWLINE", "COMMENT", "SEMICOLON")
    ]
    assert ours == [(token.type, str(token)) for token in grammar().lex(text)]


def test_the_grammar_is_lalr_without_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="lark"):
        Lark(GRAMMAR.read_text(encoding="utf-8"), parser="lalr", start="file", debug=True)
    assert not caplog.records


def test_layout_keeps_brackets_and_statements_paired() -> None:
    layout = Layout(Source("<text>", "cell a { in (x\n x -> y : any { b\n let c = 3 }\nnet d { e"))
    opened = sum(word.type in ("LPAR", "LBRACE") for word in layout.words)
    closed = sum(word.type in ("RPAR", "RBRACE") for word in layout.words)
    assert opened == closed == 4
