"""Highlighters know the words of the grammar, all of them and no others."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pygments import lex
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Token

from robdsl.editor import pygments_lexer
from robdsl.editor.pygments_lexer import RobLexer
from robdsl.graph.primitives import signatures
from robdsl.graph.program import shipped_files
from robdsl.syntax.lexer import keywords, words
from robdsl.syntax.parser import source_of

VSCODE = Path(__file__).parents[2] / "editors" / "vscode"
GRAMMAR = VSCODE / "syntaxes" / "rob.tmLanguage.json"


def grammar() -> dict[str, Any]:
    made = json.loads(GRAMMAR.read_text(encoding="utf-8"))
    assert isinstance(made, dict)
    return made


def alternatives(scope: str) -> set[str]:
    """The words that a rule of the TextMate grammar matches."""
    found: set[str] = set()
    for rule in grammar()["patterns"]:
        listed = re.fullmatch(r"\\b\(([a-z_|]+)\)\\b", rule.get("match", ""))
        if listed and rule["name"].startswith(scope):
            found.update(listed.group(1).split("|"))
    return found


def test_the_keywords_of_the_textmate_grammar_are_those_of_the_language() -> None:
    assert alternatives("keyword") | alternatives("constant.language") == keywords()
    assert alternatives("support.function") == signatures().keys()


def test_the_keywords_of_the_pygments_lexer_are_those_of_the_language() -> None:
    lists = (
        pygments_lexer.DEFINITIONS,
        pygments_lexer.STATEMENTS,
        pygments_lexer.OPERATIONS,
        pygments_lexer.OPERATORS,
        pygments_lexer.CONSTANTS,
    )
    assert {word for each in lists for word in each} == keywords()
    assert set(pygments_lexer.PRIMITIVES) == signatures().keys()


@pytest.mark.parametrize("path", sorted(shipped_files()), ids=lambda path: path.stem)
def test_pygments_reads_the_words_that_the_language_reads(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    ours = [each.text for each in words(source_of(text, path.name)) if each.type != "NEWLINE"]
    tokens = [(kind, value) for kind, value in lex(text, RobLexer()) if value.strip()]
    assert [value for _, value in tokens] == ours
    assert not [value for kind, value in tokens if _is(kind, Error)]
    sorts = (Comment, Keyword, Name, Number, Operator, Token.Punctuation, Token.Literal)
    assert all(any(_is(kind, sort) for sort in sorts) for kind, _ in tokens)


def test_the_package_brings_the_lexer_along() -> None:
    project = tomllib.loads((VSCODE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"]["pygments.lexers"]["rob"].partition(":")
    assert getattr(import_module(module), name) is RobLexer
    assert "rob" in RobLexer.aliases and "*.rob" in RobLexer.filenames


def test_the_extension_names_files_that_are_there() -> None:
    package = json.loads((VSCODE / "package.json").read_text(encoding="utf-8"))
    contributed = package["contributes"]
    named = [
        package["main"],
        contributed["languages"][0]["configuration"],
        contributed["grammars"][0]["path"],
        "README.md",
        "LICENSE",
    ]
    assert all((VSCODE / each).is_file() for each in named)
    assert contributed["grammars"][0]["scopeName"] == grammar()["scopeName"]
    code = (VSCODE / package["main"]).read_text(encoding="utf-8")
    assert all(each["command"] in code for each in contributed["commands"]) and "robdsl.drawCell" in code
    for rule in grammar()["patterns"]:
        re.compile(rule.get("match") or rule["begin"])


def _is(kind: Any, sort: Any) -> bool:
    """Whether a kind of token is of a sort."""
    return kind in sort
