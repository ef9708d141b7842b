"""The one place where lark is set up."""

from __future__ import annotations

from functools import cache

from lark import Lark

from robdsl import resources
from robdsl.syntax.builder import Builder


@cache
def grammar() -> Lark:
    """The LALR parser of ``grammars/robdsl.lark``; it builds the syntax tree as it goes."""
    return Lark(
        (resources.folder("grammars") / "robdsl.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start="file",
        transformer=Builder(),
        keep_all_tokens=True,
        maybe_placeholders=False,
    )
