"""Expressions: values, precedence, types and bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.load import load
from robdsl.graph.values import Scope, Value, Word, evaluate, show_value
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_expression
from robdsl.syntax.parser import parse, source_of
from tests.graph.programs import check, found, only, shape_of, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("7 // 2 * 2", "6"), ("2 * 7 % 4", "2"), ("10 - 4 - 3", "3"),
        ("-7 // 2", "-4"), ("-(7 // 2)", "-3"), ("-7 % 3", "2"), ("7 % -3", "-2"), ("- - 3", "3"), ("2 * -3", "-6"),
        ("7.5 // 2", "3.0"), ("7.5 % 2", "1.5"), ("0.1 + 0.2", "0.3"), ("2 * 3.5", "7.0"),
        ("1 + 1 == 2", "true"), ("not 1 == 2", "true"), ("not true or true", "true"), ("not (true or true)", "false"),
        ("true or true and false", "true"), ("(true or true) and false", "false"),
        ("3 in 1..3", "true"), ("1 in 1..3", "true"), ("0 in 1..3", "false"), ("1 + 3 in 2 * 2..5", "true"),
        ("2 < 3", "true"), ("3 <= 3", "true"), ("3 > 3", "false"), ("3 >= 4", "false"), ("3 != 3", "false"),
        ("1 == 1.0", "true"), ("true == 1", "false"), ("dot == dot", "true"), ("dot == 1", "false"),
        ("dot != gaussian", "true"), ("not not true", "true"), ("1 < 2 and 2 < 3", "true"),
        ("5.5M", "5500000"), ("1k", "1000"), ("2G", "2000000000"), ("1.5k", "1500"), ("0.5", "0.5"), ("007", "7"),
        ("1.0", "1.0"), ("1.0005k", "1000.5"), ("0.00001", "0.00001"), ("word", "word"), ("true", "true"),
    ],
)  # fmt: skip
def test_values(text: str, value: str) -> None:
    if text == "word":  # a word says nothing of itself
        assert value_of("word == word") == "true"
    else:
        assert value_of(text) == value


@pytest.mark.parametrize("text", ["false and 1 // 0 == 1", "true or 1 // 0 == 1", "not (false and nonsense)"])
def test_what_need_not_be_known_is_not_looked_at(text: str) -> None:
    value_of(text)


@pytest.mark.parametrize(
    ("text", "code", "culprit"),
    [
        ("1 + true", "R304", "true"), ("dot * 2", "R304", "dot"), ("-true", "R304", "true"), ("not 1", "R304", "1"),
        ("1 and true", "R304", "1"), ("true and 1", "R304", "1"), ("true or 1 < true", None, ""),
        ("1 < dot", "R304", "dot"), ("1 in 1..dot", "R304", "dot"), ("dot in 1..2", "R304", "dot"), ("5 in 9..dot", "R304", "dot"),
        ("1 // 0", "R306", "0"), ("1 % (3 - 3)", "R306", "(3 - 3)"), ("1 // 0.0", "R306", "0.0"),
        ("1G * 1G * 2", "R607", "1G * 1G * 2"), ("999999999999999999999", "R607", "999999999999999999999"),
        ("in.channels", "R308", "in"), ("x.channels", "R206", "x"), ("density(c) + 1 + true", "R208", "c"),
    ],
)  # fmt: skip
def test_what_has_no_value(text: str, code: str | None, culprit: str) -> None:
    program = f"net test {{\ninput 3 x 8 x 8\nlet value = {text}\nrelu\nrequire value == 0 or true\n}}\n"
    assert found(program) == ([] if code is None else [f"{code} {culprit}"])


@pytest.mark.parametrize(
    ("text", "python"),
    [(f"{a} {op} {b}", f"{a} {op} {b}") for a in (7, -7, 7.5) for op in ("//", "%") for b in (2, -2, 0.5)],
)
def test_division_is_pythons(text: str, python: str) -> None:
    assert float(value_of(text)) == eval(python)


# --- against Python


def _expressions(depth: int) -> st.SearchStrategy[str]:
    """Arithmetic of integers that Python understands too."""
    if depth == 0:
        return st.integers(0, 9).map(str)
    below = _expressions(depth - 1)
    operators = st.sampled_from(["+", "-", "*", "//", "%", "<", "<=", "==", "!=", ">", ">="])
    return st.one_of(
        below,
        st.tuples(below, operators, below).map(
            lambda parts: (
                f"({parts[0]}) {parts[1]} {parts[2]}" if parts[1] in "< <= == != > >=" else " ".join(parts)
            )
        ),
        below.map(lambda inner: f"-{inner}"),
        below.map(lambda inner: f"({inner})"),
    )


@given(_expressions(4))
def test_arithmetic_is_pythons(text: str) -> None:
    """Where both know a value: Python also compares chains and adds booleans, which is an error here."""
    from robdsl.graph.values import Fault

    try:
        tree = parse(source_of(f"net n {{\nlet a = {text}\n}}", "t")).definitions[0]
    except RobError:  # a second comparison, which Python would chain
        return
    assert isinstance(tree, nodes.NetDefinition) and isinstance(tree.body[0], nodes.Let)
    try:
        value = evaluate(tree.body[0].value, Scope())
    except Fault as fault:
        if fault.diagnostic.code.id == "R306":
            with pytest.raises(ZeroDivisionError):
                eval(text)
        else:
            assert fault.diagnostic.code.id in ("R304", "R607")
        return
    expected = eval(text)
    assert value == expected and type(value) is type(expected)


@given(
    st.one_of(
        st.integers(-(10**18), 10**18),
        st.floats(-(10**15), 10**15).filter(lambda x: x == 0 or abs(x) > 1e-150),
        st.booleans(),
    )
)
def test_a_value_is_shown_as_it_is_written(value: int | float | bool) -> None:
    text = show_value(value)
    tree = parse(source_of(f"net n {{\nlet a = {text}\n}}", "t")).definitions[0]
    assert isinstance(tree, nodes.NetDefinition) and isinstance(tree.body[0], nodes.Let)
    read = evaluate(tree.body[0].value, Scope())
    assert read == value and type(read) is type(value)
    assert "e" not in text.removeprefix("-") or text in ("true", "false")


# --- words and names


def test_a_name_that_is_nothing_else_is_a_word() -> None:
    assert shape_of("nonlocal_mean(dot)") == (3, 8, 8)
    assert shape_of("nonlocal_mean(kind=gaussian)") == (3, 8, 8)
    assert found("net n {\ninput 3 x 8 x 8\nnonlocal_mean(cosine)\n}") == ["R305 cosine"]


def test_a_word_goes_through_parameters() -> None:
    definitions = "op attend(kind) = nonlocal_mean(kind)"
    assert shape_of("attend(dot)", definitions=definitions) == (3, 8, 8)
    net = load("net n(how) {\ninput 3 x 8 x 8\nnonlocal_mean(how)\n}", how="gaussian")
    assert net.parameters == {"how": Word("gaussian")}


def test_a_word_is_never_an_operation() -> None:
    error = only(
        "op twice(what) = what | what\nnet n {\ninput 3 x 8 x 8\nrelu\n}".replace(
            "what | what", "relu | what"
        )
    )
    assert (error.code.id, error.span.text) == ("R216", "what")


def test_a_parameter_hides_a_measure() -> None:
    text = "net n(depth=2, params=8) {\ninput 3 x 8 x 8\nrepeat depth { conv(3, params) }\nrequire depth == 2 and params == 8\n}"
    net = load(text)
    assert len(net.stages) == 2 and net.layout.rules == ()


def test_measures_that_are_no_parameters() -> None:
    text = "net n {{\ninput 3 x 8 x 8\nconv(3, 8) | batch_norm\nflatten | linear(5)\nrequire {}\n}}"
    for rule in ("params == 3*8*9 + 16 + 8*64*5 + 5", "macs == 27*8*64 + 512*5", "depth == 2"):
        load(text.format(rule))
    error = only(text.format("depth < 2"))
    assert (error.code.id, error.label) == ("R307", "depth = 2")


@pytest.mark.parametrize("stage", ["conv(3, params)", "conv(3, 2 * depth)", "if macs then relu else sigmoid"])
def test_measures_are_known_in_rules_only(stage: str) -> None:
    assert only(f"net n {{\ninput 3 x 8 x 8\n{stage}\n}}").code.id == "R309"


def test_measures_of_picks_are_known_in_rules_only() -> None:
    assert found("cell c {\nin x\nx -> out : conv(3, density(a))\n}") == ["R309 density(a)"]
    assert found("net n {\ninput 3 x 8 x 8\nconv(3, count(c, relu))\n}") == ["R309 count(c, relu)"]


def test_a_let_of_measures_is_as_its_expression() -> None:
    text = "net n {{\ninput 3 x 8 x 8\nlet small = params < {}\nlet half = params // 2\nconv(3, 8)\nrequire small and half == 108\n}}"
    load(text.format(1000))
    assert only(text.format(100)).code.id == "R307"


def test_a_let_of_measures_stands_in_no_stage() -> None:
    assert only("net n {\ninput 3 x 8 x 8\nlet w = params\nconv(3, w)\n}").code.id == "R309"


def test_an_almost_known_name_is_suspected() -> None:
    (warning,) = check("op f(stride=1) = if stide == 1 then relu else sigmoid")
    assert (warning.code.id, warning.severity, warning.span.text) == ("W301", "warning", "stide")
    assert warning.help == "did you mean `stride`?"


def test_a_word_where_a_number_belongs_is_perhaps_a_slip() -> None:
    error = only("net n(width=8) {\ninput 3 x 8 x 8\nconv(3, widht)\n}")
    assert (error.code.id, error.help) == ("R304", "did you mean `width`?")


# --- shapes


def test_shapes_of_values() -> None:
    cell = """
        cell c {{
            in p, q
            q -> y : conv(3, 8, stride=2)
            {}
            y -> out
        }}
        net n {{
            input 3 x 8 x 6
            conv(3, 4)
            relu | crop(2)
            c
        }}
        """
    for rule in (
        "p.channels == 4 and p.height == 8 and p.width == 6", "q.height == 6 and q.width == 4", "y.channels == 8 and y.height == 3",
        "p.shape != q.shape", "y.shape == y.shape", "not (p.shape == y.shape)",
    ):  # fmt: skip
        assert found(cell.format(f"require {rule}")) == ["W401 p"], rule
    (*_, broken) = check(cell.format("require y.height > y.width and p.shape == y.shape"))
    assert broken.label == "y.height = 3, y.width = 2, p.shape = 4 x 8 x 6, y.shape = 8 x 3 x 2"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("x.shape < x.shape", "R304"), ("x.shape + 1 == 2", "R304"), ("x.shape == 3", "R304"), ("3 != x.shape", "R304"),
        ("x.shape", "R304"), ("x == 3", "R304"), ("x.size == 3", "R209"), ("z.shape == x.shape", "R206"),
        ("x.chanels == 3", "R209"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_of_shapes(rule: str, code: str) -> None:
    text = f"cell c {{\nin x\nx -> out : relu\nrequire {rule}\n}}\nnet n {{\ninput 3 x 8 x 8\nc\n}}"
    assert [each.code.id for each in check(text)] == [code]


def test_a_flattened_value_has_no_height() -> None:
    text = "cell c {\nin x\nx -> y : flatten\nrequire y.channels == 192\ny -> out : linear(y.height)\n}\nnet n {\ninput 3 x 8 x 8\nc\n}"
    error = only(text)
    assert (error.code.id, error.span.text) == ("R209", "y.height")
    assert "192 features" in error.label


def test_a_shape_cannot_be_an_argument() -> None:
    assert (
        only("cell c {\nin x\nx -> out : conv(x.shape)\n}\nnet n {\ninput 3 x 8 x 8\nc\n}").code.id == "R304"
    )


def test_what_is_shown_reads_back() -> None:
    tree = nodes.Binary("+", nodes.Number("1"), nodes.Binary("*", nodes.Number("2"), nodes.Name("a")))
    values: dict[str, Value] = {"a": 5}
    assert show_expression(tree) == "1 + 2*a" and evaluate(tree, Scope(values)) == 11
