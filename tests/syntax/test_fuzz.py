"""Whatever the text, the parser answers with a tree or with coded errors that can be shown."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark

from robdsl import resources
from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, RobError
from robdsl.diagnostics.render import render_all, to_json
from robdsl.diagnostics.source import Source
from robdsl.syntax.formatter import format_source, format_tree
from robdsl.syntax.grammar import grammar
from robdsl.syntax.parser import decode, parse, parse_all
from tests import strategies

PROGRAMS = sorted(
    path.read_text(encoding="utf-8")
    for folder in (Path(__file__).parents[1] / "data" / "programs", resources.folder("archs"))
    for path in folder.rglob("*.rob")
)

PUNCTUATION = 'ab1 .:|+->=<(){}#";\n\r\t\\,*/%\ufeff\u202e\x1b'


def errors_of(text: str | bytes) -> tuple[Diagnostic, ...]:
    """The errors of a text; fails when they cannot be shown, or when a sound text breaks a law."""
    try:
        source = decode(text, "<fuzz>") if isinstance(text, bytes) else Source("<fuzz>", text)
        tree, errors = parse_all(source)
    except RobError as error:
        errors = error.diagnostics
    else:
        if not errors:
            format_source(source)
            assert not tree.broken and not tree.lost
    for each in errors:
        assert each.code in codes.ALL
        assert 0 <= each.span.start <= each.span.end <= len(each.span.source.text)
    assert all(character.isprintable() or character == "\n" for character in render_all(errors))
    json.dumps([to_json(each) for each in errors])
    return errors


@settings(max_examples=100)
@given(st.data())
def test_changed_programs(data: st.DataObject) -> None:
    errors_of(data.draw(strategies.bytes_like(data.draw(st.sampled_from(PROGRAMS)))))


@settings(max_examples=100)
@given(st.data())
def test_changed_random_programs(data: st.DataObject) -> None:
    errors_of(data.draw(strategies.bytes_like(format_tree(data.draw(strategies.files())))))


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    errors_of(data)


@given(
    st.text(max_size=100) | st.text(alphabet='ab1 .:|+->=<(){}#";\n\r\t\\,*/%\ufeff\u202e\x1b', max_size=100)
)
def test_random_text(text: str) -> None:
    errors_of(text)


MADE_BY_US = {"_END": st.just("\n"), "BROKEN": st.just("op a = b"), "NAME": st.sampled_from([" a ", " b "])}


@settings(max_examples=20)
@given(from_lark(grammar(), explicit=MADE_BY_US))
def test_texts_of_the_grammar(text: str) -> None:
    errors_of(text)


@given(st.data())
def test_one_broken_statement_is_one_error(data: st.DataObject) -> None:
    """A statement that does not parse costs its definition, and nothing else."""
    tree = data.draw(strategies.files())
    lines = format_tree(tree).split("\n")
    starts = [0, *(index + 1 for index, line in enumerate(lines) if line == "}")]
    at = data.draw(st.sampled_from(starts))
    lines[at:at] = ["", "cell broken {", "    in x", "    x -> : relu", "    x -> out : (relu", "}", ""]
    found, errors = parse_all(Source("<text>", "\n".join(lines)))
    assert [error.code.id for error in errors] == ["R104", "R102"]
    assert [name.name for name in found.broken] == ["broken"]
    assert found.statements == tree.statements


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_bracket_left_out_is_found(program: str) -> None:
    """Every program without one of its brackets is an error, and every error says where."""
    tree = parse(Source("<text>", program))
    places = [index for index, character in enumerate(_without_comments(program)) if character in "(){}"]
    for place in random.Random(0).sample(places, min(6, len(places))):
        errors = errors_of(program[:place] + program[place + 1 :])
        assert errors, f"nothing said about the missing {program[place]} at {place}"
        assert tree.statements


def _without_comments(text: str) -> str:
    return "\n".join(line.split("#")[0].ljust(len(line)) for line in text.split("\n"))


BIG = 999_000


def _repeated(piece: str) -> Callable[[], str]:
    return lambda: piece * (BIG // len(piece))


def _wrapped(before: str, piece: str, after: str, count: int | None = None) -> Callable[[], str]:
    return lambda: before + piece * (count or (BIG - len(before + after)) // len(piece)) + after


HOSTILE: dict[str, tuple[Callable[[], str], str | None]] = {
    "(": (_repeated("("), "R602"),
    "{": (_repeated("{"), "R602"),
    "any {": (_wrapped("op x = ", "any { ", ""), "R602"),
    ")": (_repeated(")"), "R103"),
    "cell a {": (_repeated("cell a {\n"), "R102"),
    "[": (_repeated("["), "R101"),
    "nul": (_repeated("\0"), "R101"),
    "quotes": (_repeated('"'), "R603"),
    "backslashes": (_repeated('"\\'), "R108"),
    "digits": (_wrapped("op a = conv(", "9", ")\n"), "R607"),
    "name": (_wrapped("op ", "a", " = relu\n"), None),
    "(a ->": (_wrapped("cell c { in x; x -> ", "(a->", "b }"), "R602"),
    "a -> in ( )": (_wrapped("op x = (", "a->", "b)"), "R603"),
    "one line": (_wrapped("net n { ", "repeat 1 { a }; ", "}", 40_000), None),
    "a |": (_wrapped("op x = ", "a | ", "a"), "R603"),
    "not": (_wrapped("cell a { in x; require ", "not ", "x }"), "R603"),
    "-": (_wrapped("cell a { in x; require ", "- ", "x }"), "R603"),
    "if then": (_wrapped("op x = ", "if a then ", ""), "R603"),
    "if else": (_wrapped("op x = ", "if a then b else ", "c", 3000), "R602"),
    "signs": (_wrapped("cell a { in x; require ", "- ", "1 }", 15_000), "R602"),
    "terms": (_wrapped("cell a { in x; require ", "1 + ", "1 }", 9_000), "R602"),
    "names": (_wrapped("cell a { ", "a, ", "a -> b }", 9_000), None),
    "bits": (_wrapped("net a in b { pick c = ", "10 ", "}", 15_000), None),
    "lines": (_repeated("\n"), None),
    "semicolons": (_repeated(";"), None),
    "comments": (_repeated("#\n"), None),
    "words": (_repeated("a\n"), "R601"),
    "uses": (_repeated("use a\n"), "R601"),
    "marks": (_repeated("\u202e a"), "R101"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_million_characters(name: str) -> None:
    """Nothing takes forever, or more than a bounded stack."""
    text, code = HOSTILE[name]
    _, errors = parse_all(Source("<big>", text()))
    assert (errors[0].code.id if errors else None) == code
    assert len(render_all(errors)) < 100_000


def test_a_text_that_is_too_large_is_not_read() -> None:
    assert [error.code.id for error in errors_of("#" * 1_000_001)] == ["R601"]
    assert [error.code.id for error in errors_of(b"#" * 1_000_001)] == ["R601"]


@pytest.mark.slow
def test_a_large_program_parses() -> None:
    line = "    n{0} -> n{1} : relu | conv(3, 4*width, stride=2) | batch_norm(affine=false)  # so\n"
    body = "".join(line.format(index, index + 1) for index in range(10_000))
    tree, errors = parse_all(Source("<big>", f"cell big(width) {{\n    in n0\n{body}}}\n"))
    assert not errors
    assert len(tree.comments) == 10_000
