"""What is said of texts that do not parse: the real slip, whatever else stands by itself, and no echoes."""

from __future__ import annotations

import pytest

from robdsl.diagnostics.diagnostic import Diagnostic
from robdsl.diagnostics.source import Source
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse_all


def errors(text: str) -> tuple[Diagnostic, ...]:
    return parse_all(Source("f.rob", text))[1]


def said(text: str) -> list[str]:
    """The code and place of every error."""
    return [f"{error.code.id} {error.span.line}:{error.span.column}" for error in errors(text)]


def test_many_errors_are_told_in_one_go() -> None:
    text = """\
op a = relu |
op = relu
cell c {
    in x
    x -> : relu
    x -> y : conv(1e5)
    let any = 3
    x -> out : relu
}
op d = relu )
net e { repeat { relu } ; conv(3,) }
op f = relu
"""
    assert said(text) == [
        "R105 1:14",
        "R104 2:4",
        "R104 5:10",
        "R107 6:19",
        "R106 7:9",
        "R103 10:13",
        "R104 11:16",
        "R104 11:34",
    ]


def test_what_does_not_parse_is_left_out_and_named() -> None:
    tree, _ = parse_all(
        Source("<text>", "op a = b |\ncell c { x -> }\nnet d { repeat 2 { repeat } }\nop e = f\nuse 3")
    )
    assert [each.name for each in tree.broken] == ["a", "c", "d"]
    assert [type(each) for each in tree.statements] == [nodes.OpDefinition]
    assert tree.lost


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (
            "cell c {\n in x\n x -> y : conv(3, 4\n y -> out : relu\n}\nop g = relu |",
            ["R102 3:15", "R105 6:14"],
        ),
        (
            "cell c {\n in x\n x -> y : any { a, b\n y -> out : relu\n}\nop g = relu |",
            ["R102 3:15", "R105 6:14"],
        ),
        ("cell c {\n in x\n x -> y : any { a, (b }\n y -> out\n}", ["R102 3:20"]),
        ("net n {\n conv(3\n let a = 3\n}", ["R102 2:6"]),
        ("cell c {\n in x\n x -> out\n\ncell d {\n in x\n x -> out\n}", ["R102 1:8"]),
        ("cell c {\n in x\n x -> out\n", ["R102 1:8"]),
        ("net n {\n    repeat 3 {\n        relu\n    conv(3)\n}\nnet m { a }", ["R102 2:14"]),
        ("net n {\n  repeat 3 {\n    a\n  }\n  repeat 3 {\n    a\n}\n", ["R102 5:12"]),
        ("cell c(x)\n in x\n x -> out\n}\nop g = relu |", ["R105 1:10", "R105 5:14"]),
        ("celll c {\n in x\n x -> out\n}\nop g = relu |", ["R104 1:1", "R105 5:14"]),
        ("x -> y\ny -> z\n}\n", ["R104 1:1"]),
        ("op a = conv(3; 4)", ["R104 1:14"]),
        ("op a = conv((3)", ["R102 1:12"]),
        ("op a = conv(3))", ["R103 1:15"]),
        ("op a = (relu}\nop b = relu", ["R102 1:8", "R103 1:13"]),
        ("net a {\n b(c)\n}(\n", ["R102 3:2"]),
    ],
)
def test_a_forgotten_bracket_is_one_error_where_it_is_missing(text: str, places: list[str]) -> None:
    assert said(text) == places


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("celll c { in x }", "did you mean `cell`?"),
        ("cell c {\n in x\n requir x > 3\n}", "did you mean `require`?"),
        ("net n { metta k = 3 }", "did you mean `meta`?"),
        ("cell c { x -> y = relu }", "the operation of an edge follows `:`, as in `a -> b : relu`"),
        ("cell c { x -> y -> z }", "an edge has one `->`; write a statement for each"),
        ("cell c { y = relu }", "a join is written `n = concat(a, b)`, an edge `a -> n : X`"),
        ("cell c { conv(3) }", "inside a cell, operations stand on edges: `a -> b : X`"),
        ("op f = if a then b", "every `if` has an `else`: `if C then X else Y`"),
        ("cell c { require 1 < 2 < 3 }", "one comparison at a time: `a < b and b < c`"),
        ("op f = conv(3,)", "leave out the comma before it"),
        ("op f = any { a, }", "leave out the comma before it"),
        ("net n { meta k = word }", 'a fact is a number or a string: `meta source = "where it came from"`'),
        ("net n { relu relu }", "one statement a line; put `;` between statements on one line"),
        ("op f = conv(.5)", "a number has digits on both sides of its `.`"),
        ("op f = conv(1e5)", "there are no exponents; write the digits, or use `k`, `M` or `G`"),
        ("net n { input 3x32x32 }", "put spaces around each `x`"),
        ("net n { input 3, 32, 32 }", "for instance `input 3 x 32 x 32`"),
        ("op f = relu | if a then b else c", "put it in parentheses: `a | (if C then X else Y)`"),
    ],
)
def test_common_slips_get_a_hint(text: str, help: str) -> None:
    (error,) = errors(text)
    assert error.help == help


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("3", "expected a definition (`use`, `op`, `cell`, `space` or `net`)"),
        ("cell c { 3 }", "expected a statement of a cell"),
        ("net c { 3 }", "expected a statement of a net"),
        ("op f = 3", "expected an operation"),
        ("op f = a | 3", "expected an operation"),
        ("op f = conv(=)", "expected a value or `)`"),
        ("op f = conv(1 2)", "expected an operator, `,` or `)`"),
        ("op f", "expected `=` or `(`"),
        ("use 3", "expected a name"),
        ("net n { pick = 3 }", "expected a name or a number"),
        ("op f = conv(3)(4)", "expected `|`, `+` or the end of the statement"),
    ],
)
def test_the_label_says_what_could_stand_here(text: str, label: str) -> None:
    (error,) = errors(text)
    assert error.label == label


@pytest.mark.parametrize(
    "keyword",
    [
        "use",
        "op",
        "cell",
        "space",
        "net",
        "in",
        "let",
        "require",
        "input",
        "repeat",
        "pick",
        "meta",
        "any",
        "one",
        "none",
        "if",
        "then",
        "else",
        "and",
        "or",
        "not",
        "true",
        "false",
    ],
)
def test_keywords_are_no_names(keyword: str) -> None:
    for text in (f"op {keyword} = relu", f"cell c {{ let {keyword} = 3 }}", f"use a.{keyword}"):
        (error,) = errors(text)
        assert (error.code.id, error.span.text) == ("R106", keyword)
    (error,) = errors(f"cell c {{ x -> {keyword} : relu }}")
    assert error.code.id == "R106"


@pytest.mark.parametrize(
    "name", ["x", "out", "concat", "sum", "mul", "params", "depth", "_", "inn", "Net", "channels"]
)
def test_everything_else_is_a_name(name: str) -> None:
    assert not errors(
        f"op {name} = {name}\ncell c({name}) {{ in {name}; {name} -> {name} : {name}({name}={name}) }}"
    )


def test_errors_stop_at_a_bound() -> None:
    assert len(errors("cell c { x -> }\n" * 500)) == 50
    assert len(errors("op f = a )\n" * 500)) == 50
