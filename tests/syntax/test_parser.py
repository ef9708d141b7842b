"""What texts mean, and what is said of those that mean nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from robdsl.diagnostics.diagnostic import Diagnostic, RobError
from robdsl.diagnostics.source import Source
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_expression, show_operation
from robdsl.syntax.nodes import Attribute, Binary, Boolean, Ident, Name, Number, Unary, Within
from robdsl.syntax.parser import decode, parse, parse_all, read_source


def expression(text: str) -> nodes.Expr:
    (cell,) = parse(Source("<text>", f"cell c {{ require {text} }}")).statements
    assert isinstance(cell, nodes.CellDefinition)
    (require,) = cell.body
    assert isinstance(require, nodes.Require)
    return require.condition


def operation(text: str) -> nodes.Op:
    (definition,) = parse(Source("<text>", f"op f = {text}")).statements
    assert isinstance(definition, nodes.OpDefinition)
    return definition.body


def errors(text: str) -> tuple[Diagnostic, ...]:
    return parse_all(Source("f.rob", text))[1]


a, b, c, d = (Name(each) for each in "abcd")
WIDTH = Attribute(Ident("in"), Ident("width"))


# --- expressions


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a or b and c", Binary("or", a, Binary("and", b, c))),
        ("not a and b", Binary("and", Unary("not", a), b)),
        ("not a == b", Unary("not", Binary("==", a, b))),
        ("a == b or c != d", Binary("or", Binary("==", a, b), Binary("!=", c, d))),
        ("a + b < c", Binary("<", Binary("+", a, b), c)),
        ("a - b - c", Binary("-", Binary("-", a, b), c)),
        ("a - b * c", Binary("-", a, Binary("*", b, c))),
        ("a // b % c", Binary("%", Binary("//", a, b), c)),
        ("-a * b", Binary("*", Unary("-", a), b)),
        ("- -a", Unary("-", Unary("-", a))),
        ("a - -b", Binary("-", a, Unary("-", b))),
        ("(a + b) * c", Binary("*", Binary("+", a, b), c)),
        ("a in 1..5", Within(a, Number("1"), Number("5"))),
        ("a + 1 in b..c * 2", Within(Binary("+", a, Number("1")), b, Binary("*", c, Number("2")))),
        ("not a in b..c", Unary("not", Within(a, b, c))),
        ("in.width >= p.height", Binary(">=", WIDTH, Attribute(Ident("p"), Ident("height")))),
        ("in.width in in.width..5", Within(WIDTH, WIDTH, Number("5"))),
        ("true or false", Binary("or", Boolean(True), Boolean(False))),
        ("density(c) > 0", Binary(">", nodes.Measure(Ident("density"), Ident("c")), Number("0"))),
        ("indegree(c.n1)", nodes.Measure(Ident("indegree"), Ident("c"), Ident("n1"))),
        ("indegree(0.n1)", nodes.Measure(Ident("indegree"), Ident("0"), Ident("n1"))),
        ("count(3, skip)", nodes.Measure(Ident("count"), Ident("3"), None, nodes.Call(Ident("skip")))),
    ],
)  # fmt: skip
def test_expressions_bind_as_in_python(text: str, means: nodes.Expr) -> None:
    assert expression(text) == means


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("01", 1),
        ("36", 36),
        ("5.5M", 5_500_000),
        ("1.5k", 1500),
        ("2G", 2 * 10**9),
        ("0.5", 0.5),
        ("1.0", 1.0),
        ("0.0005k", 0.5),
        ("2.0k", 2000),
        ("12345678901234567890", 12345678901234567890),
    ],
)
def test_numbers(text: str, value: float) -> None:
    number = expression(text)
    assert isinstance(number, Number)
    assert (number.value, type(number.value)) == (value, type(value))


@pytest.mark.parametrize("text", ["3x", "1e5", "1.5e-3", "2K", "10km", "5.5m", "0x10", "1_000", "3x32x32"])
def test_what_is_no_number_is_one_error(text: str) -> None:
    (error,) = errors(f"op f = conv({text}) | relu\nop g = relu")
    assert (error.code.id, error.span.text) == ("R107", text)


@pytest.mark.parametrize("text", ["1.", ".5", "1.5.2", "1..", "1...5"])
def test_points_out_of_place(text: str) -> None:
    assert [error.code.id for error in errors(f"op f = conv({text})")] == ["R104"]


# --- operations


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a | b + c", "(a | b) + c"),
        ("a + b | c", "a + (b | c)"),
        ("if C then a else b | c", "if C then a else (b | c)"),
        ("if C then a | b else c + d", "if C then (a | b) else (c + d)"),
        ("if C then if D then a else b else c", "if C then (if D then a else b) else c"),
        ("(a)", "a"),
        ("((a | b))", "a | b"),
        ("a()", "a"),
        ("any { (a) }", "any { a }"),
    ],
)
def test_operations_mean_the_same(text: str, same: str) -> None:
    assert operation(text) == operation(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("(a | b) | c", "a | b | c"),
        ("a + (b + c)", "a + b + c"),
        ("conv(3)", "conv(03)"),
        ("a | (b + c)", "a | b + c"),
    ],
)
def test_operations_differ(text: str, other: str) -> None:
    assert operation(text) != operation(other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv( 3 ,3 * width,stride = 2 )", "conv(3, 3*width, stride=2)"),
        ("a|b+c", "(a | b) + c"),
        ("(if C then a else b)|c", "(if C then a else b) | c"),
        ("any{a,b|c}", "any { a, b | c }"),
        ("if(C)then(a)else if D then b else none", "if C then a else if D then b else none"),
        ("if C then if D then a else b else c", "if C then (if D then a else b) else c"),
    ],
)
def test_operations_are_shown_canonically(text: str, shown: str) -> None:
    assert show_operation(operation(text)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2*layers//3-layers//3-1", "2*layers // 3 - layers // 3 - 1"),
        ("a//b*c", "a // b * c"),
        ("a*(b//c)", "a*(b // c)"),
        ("a*b*c", "a*b*c"),
        ("(a+b)*c", "(a + b)*c"),
        ("a%b==c", "a % b == c"),
        ("a-(b-c)", "a - (b - c)"),
        ("((a-b)-c)", "a - b - c"),
        ("-(-a)", "-(-a)"),
        ("-(a+b)", "-(a + b)"),
        ("not(not a)", "not not a"),
        ("not(a and b)", "not (a and b)"),
        ("(a or b)and c", "(a or b) and c"),
        ("(a<b)==c", "(a < b) == c"),
        ("a in 1 ..n-1", "a in 1..n - 1"),
        ("count( c , a|b )", "count(c, a | b)"),
    ],
)
def test_expressions_are_shown_canonically(text: str, shown: str) -> None:
    assert show_expression(expression(text)) == shown
    assert expression(shown) == expression(text)


# --- strings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'""', ""),
        (r'"a # b { } ; c"', "a # b { } ; c"),
        (r'"\""', '"'),
        (r'"\\"', "\\"),
        (r'"\\\""', '\\"'),
        (r'"\\n"', r"\n"),
        ('"漢字\t"', "漢字\t"),
    ],
)
def test_strings(text: str, value: str) -> None:
    (net,) = parse(Source("<text>", f"net a in b {{ meta key = {text} }}")).statements
    assert isinstance(net, nodes.NetDefinition)
    assert net.body == (nodes.Meta(Ident("key"), nodes.Text(value)),)


@pytest.mark.parametrize("text", ['"a', r'"a\n"', r'"a\"', '"', '"a\nb"', '"\\\nb"'])
def test_malformed_strings(text: str) -> None:
    error = errors(f"net a in b {{\n meta key = {text}\n meta k = 3\n}}")[0]
    assert (error.code.id, error.span.line, error.span.column) == ("R108", 2, 13)


# --- spans


def test_every_node_knows_the_whole_of_its_text() -> None:
    text = "net n(width=3*4) in s(1) { l: repeat 2 { any { (a | b(x=-1)), none } } ; input 3 x 32 x 32 }"
    tree = parse(Source("<text>", text))
    found = {type(each).__name__: each.span.text for each in nodes.walk(tree)}
    assert found["File"] == found["NetDefinition"] == text
    assert found["Parameter"] == "width=3*4"
    assert found["Binary"] == "3*4"
    assert found["Repeat"] == "l: repeat 2 { any { (a | b(x=-1)), none } }"
    assert found["Chain"] == "(a | b(x=-1))"
    assert found["Argument"] == "x=-1"
    assert found["Nothing"] == "none"
    assert found["Image"] == "input 3 x 32 x 32"


# --- files


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RobError) as caught:
        read_source(tmp_path / "missing.rob")
    assert [each.code.id for each in caught.value.diagnostics] == ["R110"]
    assert "No such file" in str(caught.value)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.rob"
    os.mkfifo(pipe)  # reading it would wait for ever
    for path in (tmp_path, pipe):
        with pytest.raises(RobError, match="not a regular file"):
            read_source(path)


def test_a_name_that_no_file_can_have_is_an_error() -> None:
    with pytest.raises(RobError) as caught:
        read_source(Path("a\0b.rob"))
    assert [each.code.id for each in caught.value.diagnostics] == ["R110"]


def test_text_that_is_not_utf_8_names_its_byte() -> None:
    with pytest.raises(RobError, match=r"byte 9, line 2"):
        decode(b"op a = b\n\xff", "f.rob")
