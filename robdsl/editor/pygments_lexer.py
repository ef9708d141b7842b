"""Highlighting of ``.rob`` text with Pygments: ``pygmentize -l rob``, and code blocks in documentation."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

#: Keywords by what they do; a test holds them against the grammar.
DEFINITIONS = ("cell", "net", "op", "space", "use")
STATEMENTS = ("input", "let", "meta", "pick", "repeat", "require")
OPERATIONS = ("any", "else", "if", "none", "one", "then")
OPERATORS = ("and", "in", "not", "or")
CONSTANTS = ("false", "true")
#: The primitives; a test holds them against the language's.
PRIMITIVES = (
    "avg_pool", "batch_norm", "conv", "crop", "depthwise", "dropout", "flatten", "global_avg_pool", "identity", "linear",
    "max_pool", "nonlocal_mean", "relu", "sigmoid", "zero",
)  # fmt: skip


class RobLexer(RegexLexer):
    """Tokens of a ``.rob`` file."""

    name = "robdsl"
    aliases: ClassVar[list[str]] = ["rob", "robdsl"]
    filenames: ClassVar[list[str]] = ["*.rob"]
    mimetypes: ClassVar[list[str]] = ["text/x-rob"]
    url = ""

    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"\s+", Text),
            (r"#[^\n]*", Comment.Single),
            (r'"(\\.|[^"\\\n])*"', String.Double),
            (words(DEFINITIONS, r"\b", r"\b"), Keyword.Declaration),
            (words(STATEMENTS, r"\b", r"\b"), Keyword),
            (words(OPERATIONS, r"\b", r"\b"), Keyword),
            (words(OPERATORS, r"\b", r"\b"), Operator.Word),
            (words(CONSTANTS, r"\b", r"\b"), Keyword.Constant),
            (words(PRIMITIVES, r"\b", r"\b"), Name.Builtin),
            (r"[0-9]+(\.[0-9]+)?[kMG]?\b", Number),
            (r"[A-Za-z_][A-Za-z0-9_]*", Name),
            (r"->|\.\.|//|==|!=|<=|>=|[-+*%|<>=]", Operator),
            (r"[(){},:;.]", Punctuation),
        ]
    }
