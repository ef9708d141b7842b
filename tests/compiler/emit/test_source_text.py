"""Emitted classes say what the text says: its parameters, its expressions, its conditions, and no others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import robdsl
from robdsl.compiler.emit import emit_text
from robdsl.compiler.emit.python.amounts import Amount
from robdsl.compiler.emit.python.source_text import SourceText
from robdsl.diagnostics.source import Source
from robdsl.graph.values import Fault, Scope, Value, evaluate
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse
from tests.compiler.emit.emitted import hold

VALUES: dict[str, tuple[Value, ...]] = {"a": (1, 2, 36), "b": (3, 3, 3), "c": (True, False, True)}
CHANNELS = (16, 32, 7)


def texts() -> st.SearchStrategy[str]:
    """Expressions of the language, as text with every operand in parentheses."""
    leaves = st.sampled_from(["1", "2", "36", "a", "b", "c", "true", "in.channels", "half"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        signs = st.sampled_from(["+", "-", "*", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or"])
        return st.one_of(
            st.tuples(inner, signs, inner).map(lambda each: f"({each[0]}) {each[1]} ({each[2]})"),
            st.tuples(st.sampled_from(["-", "not "]), inner).map(lambda each: f"{each[0]}({each[1]})"),
            st.tuples(inner, inner, inner).map(lambda each: f"({each[0]}) in ({each[1]})..({each[2]})"),
        )

    return st.recursive(leaves, larger, max_leaves=8)


@given(texts())
def test_an_expression_in_python_has_the_value_that_it_has_in_the_language(text: str) -> None:
    cell = f"cell f(a, b, c) {{ in x; let half = a * 2 - 1; let told = {text}; x -> out }}"
    (definition,) = parse(Source("t", cell)).definitions
    assert isinstance(definition, nodes.CellDefinition)
    written = next(
        each.value for each in definition.body if isinstance(each, nodes.Let) and each.name.name == "told"
    )
    amount = Amount(CHANNELS, "channels")
    read = SourceText(definition, {name: name for name in VALUES}, VALUES, lambda name: amount)
    said = read.say(written, range(3), amount)
    for place, channels in enumerate(CHANNELS):
        values = {name: each[place] for name, each in VALUES.items()}
        half = values["a"] * 2 - 1  # type: ignore[operator]  # it is a number
        scope = Scope({**values, "half": half}, entering=(channels, 4, 4))
        try:
            expected = evaluate(written, scope)
        except Fault:
            continue  # then it may or may not be said
        if said is None:
            continue
        assert said.values[place] == expected and type(said.values[place]) is type(expected)
        ours = eval(said.code, {}, {**values, "channels": channels})  # code that was just written here
        assert ours == expected and type(ours) is type(expected), said.code


def test_what_has_values_and_no_heights_is_said() -> None:
    cell = "cell f(a, b, c) { in x; let t = not (a - (b - 2) * -a // 3 == x.channels % (a + 4)) or a in 1..b; x -> out }"
    (definition,) = parse(Source("t", cell)).definitions
    read = SourceText(
        definition, {name: name for name in VALUES}, VALUES, lambda name: Amount(CHANNELS, "width")
    )
    let = next(each for each in nodes.walk(definition) if isinstance(each, nodes.Let))
    said = read.say(let.value, range(3))
    assert said is not None
    assert said.code == "not a - (b - 2) * -a // 3 == width % (a + 4) or 1 <= a <= b"


#: All widths are six times the stride, by chance.
CHANCE = """
cell res(w, stride=1) {
    in x
    x -> y   : conv(3, w, stride) | batch_norm
    x -> y   : conv(1, w, stride)
    y -> out : relu
}
op squeezed(w, ratio) = conv(1, w // ratio) | conv(1, w) | batch_norm(weight=0.5)
net chance {
    input 3 x 16 x 16
    conv(3, 6)
    res(6, 1)
    res(12, 2)
    res(12, stride=2)
    res(18, stride=3)
    squeezed(36, 6) | squeezed(12, 2)
    global_avg_pool | flatten | linear(18)
}
"""


def test_arithmetic_that_only_happens_to_hold_is_not_written() -> None:
    code = hold(robdsl.load(CHANCE), CHANCE)
    assert set(_arithmetic(code)) == {"w // ratio"}
    assert _signatures(code) == {"Res": ["channels", "w", "stride"], "Squeezed": ["channels", "w", "ratio"]}


def test_a_number_that_only_happens_to_be_a_parameter_stays_a_number() -> None:
    text = """
cell c(width, growth) {
    in x
    x -> y   : conv(3, width) | batch_norm | conv(1, growth) | conv(3)
    y -> out : conv(5, 2*growth + 1, padding=2) | conv(width)
}
net n { input 3 x 8 x 8; c(3, 3); c(3, growth=3); flatten | linear(2) }
"""
    code = hold(robdsl.load(text), text)
    assert "nn.Conv2d(channels, width, 3, padding=1, bias=False)" in code
    assert "nn.Conv2d(width, growth, 1, bias=False)" in code
    assert "nn.Conv2d(growth, growth, 3, padding=1, bias=False)" in code
    assert "nn.Conv2d(growth, 2 * growth + 1, 5, padding=2, bias=False)" in code
    assert "width, padding=width // 2, bias=False" in " ".join(code.split())


def test_conditions_of_the_text_are_the_conditions_of_the_code() -> None:
    text = """
op maybe(wide, deep) = if wide and not deep then conv(3, 8) else (if deep then relu else batch_norm | conv(1, 8))
cell c(kind, n) {
    in x
    x -> y   : if kind == dot or n in 2..3 then conv(3, 8) else maybe(kind == gaussian, n > 4)
    y -> out : relu
}
net told { input 8 x 8 x 8; c(dot, 1); c(gaussian, 1); c(gaussian, 9); c(other, 0); flatten | linear(2) }
"""
    code = hold(robdsl.load(text), text)
    for condition in ('if kind == "dot" or 2 <= n <= 3:', "if wide and not deep:", "if deep:"):
        assert condition in code


def test_definitions_of_one_name_in_two_files_are_two_classes(tmp_path: Path) -> None:
    (tmp_path / "far.rob").write_text("op unit(w) = conv(1, 3*w) | batch_norm\n", encoding="utf-8")
    near = "use far\nop theirs(w) = unit(2*w) | unit(w)\n"
    (tmp_path / "near.rob").write_text(near, encoding="utf-8")
    ours = "use near\nop unit(w) = conv(3, w) | batch_norm\nnet mine { input 3 x 8 x 8; theirs(2) | unit(4) | unit(5); flatten | linear(2) }\n"
    (tmp_path / "mine.rob").write_text(ours, encoding="utf-8")
    code = hold(robdsl.load(tmp_path / "mine.rob"))
    assert "Unit(channels, 2 * w)" in code and "conv_0=nn.Conv2d(channels, 3 * w, 1, bias=False)" in code
    assert "Unit2(6, w=4)" in code and "conv_0=nn.Conv2d(channels, w, 3, padding=1, bias=False)" in code


def test_every_shipped_class_has_the_parameters_of_its_text() -> None:
    net = robdsl.load("resnet50_imagenet")
    signatures = _signatures(emit_text(net, "py"))
    assert signatures["Bottleneck"] == ["channels", "width", "stride"]


def _classes(code: str) -> Iterator[ast.ClassDef]:
    """The classes of definitions: those whose docstring says so."""
    for each in ast.parse(code).body:
        if isinstance(each, ast.ClassDef) and (ast.get_docstring(each) or "").startswith("The "):
            about = ast.get_docstring(each) or ""
            if about.startswith(("The cell `", "The operation `")):
                yield each


def _arithmetic(code: str) -> Iterator[str]:
    for each in ast.walk(ast.parse(code)):
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Mult | ast.FloorDiv | ast.Mod | ast.Sub):
            yield ast.unparse(each)


def _signatures(code: str) -> dict[str, list[str]]:
    found = {}
    for each in _classes(code):
        init = next(
            made for made in each.body if isinstance(made, ast.FunctionDef) and made.name == "__init__"
        )
        found[each.name] = [argument.arg for argument in init.args.args[1:]]
    return found
