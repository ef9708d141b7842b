"""Properties of parser and formatter over random programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robdsl import resources
from robdsl.diagnostics.source import Source
from robdsl.syntax import nodes
from robdsl.syntax.formatter import format_checked, format_source, format_tree
from robdsl.syntax.parser import parse, read_source
from tests import strategies

PROGRAMS = Path(__file__).parents[1] / "data" / "programs"
SHIPPED = sorted([*PROGRAMS.rglob("*.rob"), *resources.folder("archs").rglob("*.rob")])


@settings(max_examples=200)
@given(strategies.files())
def test_every_tree_is_what_its_text_means(tree: nodes.File) -> None:
    assert parse(Source("<text>", format_tree(tree))) == tree


@given(strategies.files())
def test_formatting_twice_is_formatting_once(tree: nodes.File) -> None:
    text = format_tree(tree)
    assert format_tree(parse(Source("<text>", text))) == text


@given(st.data())
def test_blanks_line_ends_and_comments_do_not_change_the_tree(data: st.DataObject) -> None:
    tree = data.draw(strategies.files())
    text = data.draw(strategies.spellings(format_tree(tree)))
    again = parse(Source("<text>", text))
    assert again == tree
    format_checked(again)  # the laws hold for it, comments included


@given(st.data())
def test_only_blank_lines_and_comments_show_in_the_canonical_text(data: st.DataObject) -> None:
    canonical = format_tree(data.draw(strategies.files()))
    text = data.draw(strategies.spellings(canonical, gaps=False))
    assert format_source(Source("<text>", text)) == canonical


@given(strategies.expressions(), strategies.expressions())
@example(nodes.Number("1"), nodes.Number("1.0"))
def test_different_expressions_are_written_differently(first: nodes.Expr, second: nodes.Expr) -> None:
    def written(value: nodes.Expr) -> str:
        definition = nodes.CellDefinition(nodes.Ident("c"), (), (nodes.Require(value),))
        return format_tree(nodes.File((definition,)))

    assert (written(first) == written(second)) == (first == second)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_programs_are_canonical_but_for_comment_columns(path: Path) -> None:
    source = read_source(path)

    def squeezed(text: str) -> list[str]:
        return [" #".join(part.rstrip() for part in line.split("#", 1)) for line in text.splitlines()]

    assert squeezed(format_source(source)) == squeezed(source.text)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@settings(max_examples=3)
@given(data=st.data())
def test_shipped_programs_mean_the_same_in_any_layout(path: Path, data: st.DataObject) -> None:
    source = read_source(path)
    text = data.draw(strategies.spellings(source.text))
    assert parse(Source("<text>", text)) == parse(source)
