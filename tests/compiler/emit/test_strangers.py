"""What a stranger's file says becomes no code: names, facts and comments in emitted Python."""

from __future__ import annotations

import ast
import builtins
import keyword
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import robdsl
from robdsl.compiler.emit import emit_python, emit_text
from robdsl.compiler.emit.python.docstrings import docstring
from robdsl.compiler.emit.python.names import Names
from tests.compiler.emit.emitted import IMPORTS, hold, imports_of, ruff

NAMES = """
op train = conv(1) | batch_norm
op print = relu | conv(3)
op torch = train | print
op nn(stride=1) = if stride == 1 then identity else conv(3, in.channels, stride)
op __x = conv(1)
op Chain = batch_norm | relu
op __init__ = conv(1) + identity
cell forward(width, self=2) {
    in lambda, class
    lambda -> print : train
    class -> print : conv(1, lambda.channels) | relu
    print -> torch : conv(1, width)
    torch -> import : conv(1, width)
    import -> __y : __x
    __y -> _ : __x | __init__
    print -> nn : conv(3, width) | torch
    print, torch, import, _, nn -> out
}
cell Sum(width) {
    in x
    x -> total : conv(1, width)
    total -> x0 : Chain
    x0 -> functional : torch
    t = mul(total, functional)
    functional, t -> out
}
net half {
    input 2 x 8 x 8
    train: conv(1, 4)
    train_: train
    graph: forward(4)
    parameters: conv(1, 4) | __init__
    __class__: forward(4)
    __a: Sum(3)
    stage_1: Sum(4)
    nn(2)
    nn
    global_avg_pool | flatten | linear(3)
}
"""

FACTS = (
    r"""
net facts {
    input 1 x 4 x 4
    flatten | linear(2)   # """
    + '"""'
    + r""" import os
    meta a = "\"\"\" + __import__('os').system('false') + \"\"\""
    meta b = "\\"
    meta c = "{x} %s '''"
    meta d = "RIGHT\\"
    meta e = "\\N{DEL} \\u0041 \\x41 \\"
    meta __import__ = "\\\"\"\""
}
""".replace("RIGHT", "\u202e\u2028\x00\x0b\x1b é 日本 \t")
)

RECURSIVE = """
op f(n) = if n == 0 then conv(1) else relu | f(n - 1) | batch_norm
op g(n) = if n == 0 then identity else f(n) | h(n - 1)
op h(n) = if n == 0 then batch_norm else g(n - 1)
cell k(n) {
    in x
    x -> a : if n == 0 then conv(1) else k(n - 1)
    a, x -> out : relu
}
net recursive {
    input 2 x 4 x 4
    f(3)
    f(1)
    g(4)
    g(3)
    k(2)
    k(0)
    k(1)
    flatten | linear(2)
}
"""

VECTORS = """
op act(w) = linear(w) | batch_norm | relu
op scaled = batch_norm(weight=0.5)
net vectors {
    input 3 x 4 x 4
    scaled | conv(3, 4) | scaled | zero(2) | batch_norm(weight=0)
    identity + zero
    flatten
    act(5) | scaled
    act(7) | zero | scaled
    linear(3) + (linear(3) | batch_norm(affine=false))
}
"""

THREE = """
cell three(w) {
    in a, b, c
    a, b, c -> n : conv(3, w)
    n -> out : batch_norm
}
net three_inputs {
    input 3 x 6 x 6
    conv(1, 2)
    three(2)
    repeat 4 { three(3) }
    conv(1, 2)
    identity
    three(3)
    flatten | linear(2)
}
"""

PROGRAMS = {"names": NAMES, "facts": FACTS, "recursive": RECURSIVE, "vectors": VECTORS, "three": THREE}


@pytest.mark.parametrize("name", PROGRAMS)
def test_odd_programs(name: str) -> None:
    hold(robdsl.load(PROGRAMS[name]), PROGRAMS[name])


def test_odd_programs_are_formatted(tmp_path: Path) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / f"{name}.py").write_text(emit_python(robdsl.load(text), text), encoding="utf-8")
    assert ruff(tmp_path) == ""


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_what_we_write_is_called(name: str) -> None:
    """Every call is of torch, of what the file defines, or of a few harmless builtins."""
    code = emit_text(robdsl.load(PROGRAMS[name]), "py")
    tree = ast.parse(code)
    defined = {each.name for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef)}
    harmless = {"super", "range", "enumerate", "zip", "filter", "setattr", "any", "list", "dict", "partial"}
    local = {"part", "first", "edge", "build", "stage"}
    called = {
        each.func.id
        for each in ast.walk(tree)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    }
    assert called <= defined | harmless | local
    assert imports_of(code) <= IMPORTS
    assert not defined & set(dir(builtins))


@given(st.text(st.characters(codec=None)) | st.text(alphabet="\\\"'\n\t\r {}N\u202e", max_size=30))
def test_any_text_stays_text(text: str) -> None:
    """The text comes back from the docstring, but for blanks at ends of lines."""
    code = "\n".join(docstring(f"title\n\n{text}"))
    (statement,) = ast.parse(code).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    lines = [line.rstrip() for line in str(statement.value.value).split("\n")]
    wanted = [_expanded(line).rstrip() for line in f"title\n\n{text}".split("\n")]
    assert "\n".join(lines).rstrip() == "\n".join(wanted).rstrip()
    assert all(character == "\n" or character.isprintable() for character in code)


def _expanded(line: str) -> str:
    said = line.lstrip(" \t")
    return line[: len(line) - len(said)].expandtabs(4) + said


@given(st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,60}", fullmatch=True), max_size=20))
def test_any_names_are_kept_apart(names: list[str]) -> None:
    given_out = Names()
    made = [given_out.variable(name) for name in names] + [given_out.class_(name, "Cell") for name in names]
    assert len(set(made)) == len(made)
    for name in made:
        assert name.isidentifier() and not keyword.iskeyword(name) and not hasattr(builtins, name)
        assert not name.startswith("_") and len(name) < 60
