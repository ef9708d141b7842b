"""Where statements end: every clause of the language's rule, word for word."""

from __future__ import annotations

import pytest

from robdsl.diagnostics.source import Source
from robdsl.syntax import nodes
from robdsl.syntax.layout import Layout
from robdsl.syntax.parser import decode, parse, parse_all
from robdsl.syntax.words import END


def statements(text: str) -> int:
    """How many statements the layout filter sees."""
    return sum(word.type == END for word in Layout(Source("<text>", text)).words)


def body(text: str) -> tuple[nodes.CellStatement, ...]:
    """The statements of a cell with this body."""
    (cell,) = parse(Source("<text>", f"cell c {{{text}}}")).statements
    assert isinstance(cell, nodes.CellDefinition)
    return cell.body


@pytest.mark.parametrize(
    "separator", ["\n", ";", " ; ", "\n\n", "\n  # so\n", ";\n", "\n;", "  # so\n", ";;", ";\n;"]
)
def test_a_statement_ends_with_its_line_or_at_a_semicolon(separator: str) -> None:
    assert len(body(f" in x{separator}x -> y{separator}let a = 3 ")) == 3


def test_a_statement_ends_before_the_brace_of_its_block() -> None:
    assert len(body("in x; x -> out")) == 2
    assert statements("net a { repeat 3 { b } }") == 3


@pytest.mark.parametrize(
    "text",
    [
        "x -> y : conv(\n3\n,\n\n4\n)",  # inside ( )
        "x -> y : (\na\n)",
        "x -> y : any {\n a\n ,\n b\n }",  # inside the braces of any and one
        "x -> y : one\n{ a, b }",
        "x,\ny -> z",  # after any word but a name, a value, none, ) or }
        "x ->\ny",
        "x -> y :\na",
        "x -> y : a |\nb",
        "x -> y : a +\n\n# so\nb",
        "let\na =\n3",
        "require\nx ==\n3",
        "require x <\n3",
        "require not\nx",
        "require x and\ny",
        "require -\nx",
        "require x in\n1..\n5",
        "require x *\ny //\nz %\nw -\nv",
        "x -> y : if\nC then\na else\nb",
        "require p.\nheight == 3",
        "x\n-> y",  # where the next line begins with one of |, +, ->, then, else, and, or
        "x -> y : a\n| b",
        "x -> y : a\n\n  # blank and comment lines aside\n\n  | b",
        "x -> y : a\n+ b",
        "x -> y : if C\nthen a\nelse b",
        "require x\nand y\nor z",
        "let a = 1\n+ 2",
        "x -> y : any { a }\n",
        "x -> y : conv(3)  # so\n    | b",
    ],
)
def test_a_statement_goes_on(text: str) -> None:
    assert len(body(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "in x\nx -> y",
        "let a = 3\nlet b = 4",
        "let a = 5.5M\nlet b = true\nlet c = false",
        "x -> y : if C then a else none\nx -> z",
        "x -> y : conv(3)\nx -> z",
        "x -> y : any { a }\nx -> z",
        "let a = (3)\nlet b = -4",
    ],
)
def test_a_line_ends_a_statement_after_a_name_a_value_none_or_a_closing_bracket(text: str) -> None:
    assert len(body(text)) == len(text.splitlines())


def test_a_line_that_begins_with_minus_or_a_comparison_does_not_go_on() -> None:
    for text in ("let a = 1\n- 2", "let a = 1\n* 2", "require x\n== 3", "let a = x\n.height"):
        _, errors = parse_all(Source("<text>", f"cell c {{\n{text}\n}}"))
        assert errors[0].span.line == 3, text


def test_a_label_may_stand_above_its_stage() -> None:
    tree = parse(Source("<text>", "net a {\n first:\n repeat 3 { b }\n second:\n pick c\n}"))
    (net,) = tree.statements
    assert isinstance(net, nodes.NetDefinition)
    assert [type(each) for each in net.body] == [nodes.Repeat, nodes.PickStage]


def test_bits_go_on_only_at_a_bar() -> None:
    (net,) = parse(Source("<text>", "net a in b {\n pick c = 11 01 |\n 10\n | 00 11\n}")).statements
    assert isinstance(net, nodes.NetDefinition)
    (bits,) = net.body
    assert isinstance(bits, nodes.PickBits)
    assert [[code.text for code in group.codes] for group in bits.groups] == [
        ["11", "01"],
        ["10"],
        ["00", "11"],
    ]


def test_definitions_on_one_line_need_a_semicolon() -> None:
    assert len(parse(Source("<text>", "cell a { in x }; cell b { in x }")).statements) == 2
    _, errors = parse_all(Source("<text>", "cell a { in x } cell b { in x }"))
    assert [error.code.id for error in errors] == ["R104"]


@pytest.mark.parametrize("text", ["", "\n\n", ";", "; ;\n;", "# only a comment", "\n \t\n# so\n\f\n", "#"])
def test_a_file_may_say_nothing(text: str) -> None:
    assert parse(Source("<text>", text)).statements == ()
    assert statements(text) == 0


def test_comments_are_kept_with_their_places() -> None:
    comments = parse(Source("<text>", "# one  \nop a = b # two\n  # three\n;# four")).comments
    assert [(each.text, each.alone) for each in comments] == [
        ("# one", True),
        ("# two", False),
        ("# three", True),
        ("# four", False),
    ]
    assert [str(each.span) for each in comments] == ["<text>:1:1", "<text>:2:10", "<text>:3:3", "<text>:4:2"]


def test_a_byte_order_mark_and_crlf_are_accepted() -> None:
    source = decode(b"\xef\xbb\xbfop a = b\r\nop c = d\r\n", "f")
    tree = parse(source)
    assert [str(each.span) for each in tree.statements] == ["f:1:1", "f:2:1"]
    assert source.line(1) == "op a = b"


def test_columns_count_characters() -> None:
    tree = parse(Source("f", 'net a in b { meta k = "漢字 é"; meta m = 1 }'))
    assert [str(each.span) for each in tree.statements[0].children()][-1] == "f:1:31"
