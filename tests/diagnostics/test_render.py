"""How errors look, to the letter."""

from __future__ import annotations

import json
import unicodedata
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robdsl.diagnostics.diagnostic import Code, Diagnostic, Label, Report, RobError
from robdsl.diagnostics.render import render, render_all, to_json
from robdsl.diagnostics.source import NOWHERE, Source, Span

ERROR = Code("R203", "unknown operation `{name}`", "")
WARNING = Code("W401", "`out` cannot be reached from `{name}`", "", severity="warning")


def at(source: Source, text: str, occurrence: int = 1) -> Span:
    """The place of a text in a source."""
    start = -1
    for _ in range(occurrence):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def looks(diagnostic: Diagnostic, wanted: str) -> None:
    assert render(diagnostic) == dedent(wanted).strip("\n")


def test_the_form_of_the_language_page() -> None:
    source = Source("archs/mine.rob", "\n\n\n    x0, x1 -> n0 : skip + sepconv_3x3\n")
    diagnostic = ERROR.at(
        at(source, "sepconv_3x3"),
        name="sepconv_3x3",
        help="this edge of `robnet_cell` offers `skip` and `sep_conv_3x3`",
    )
    looks(
        diagnostic,
        """
        error[R203]: unknown operation `sepconv_3x3`
          --> archs/mine.rob:4:27
           |
         4 |     x0, x1 -> n0 : skip + sepconv_3x3
           |                           ^^^^^^^^^^^
           = help: this edge of `robnet_cell` offers `skip` and `sep_conv_3x3`
        """,
    )


def test_a_warning_with_a_label_and_a_wider_gutter() -> None:
    source = Source("f.rob", "\n" * 99 + "x -> dead : relu\n")
    looks(
        WARNING.at(at(source, "dead"), "never used", name="dead", notes=["one", "two\nlines"]),
        """
        warning[W401]: `out` cannot be reached from `dead`
            --> f.rob:100:6
             |
         100 | x -> dead : relu
             |      ^^^^ never used
             = note: one
             = note: two
                     lines
        """,
    )


def test_two_places_on_one_line() -> None:
    source = Source("f.rob", "x -> y : conv(3, stride=1, stride=2)\n")
    looks(
        ERROR.at(
            at(source, "stride=2"),
            "given again",
            name="x",
            related=[Label(at(source, "stride=1"), "first given here")],
        ),
        """
        error[R203]: unknown operation `x`
          --> f.rob:1:28
           |
         1 | x -> y : conv(3, stride=1, stride=2)
           |                  --------  ^^^^^^^^ given again
           |                  |
           |                  first given here
        """,
    )


def test_three_places_on_one_line() -> None:
    source = Source("f.rob", "x -> y : a | b | c\n")
    labels = [Label(at(source, "a"), "first"), Label(at(source, "c"), "third")]
    looks(
        ERROR.at(at(source, "b"), "second", name="x", related=labels),
        """
        error[R203]: unknown operation `x`
          --> f.rob:1:14
           |
         1 | x -> y : a | b | c
           |          -   ^   - third
           |          |   |
           |          |   second
           |          first
        """,
    )


def test_a_place_inside_another() -> None:
    source = Source("f.rob", "x -> y : conv(3, 4)\n")
    looks(
        ERROR.at(
            at(source, "3"), "this", name="x", related=[Label(at(source, "conv(3, 4)"), "in this call")]
        ),
        """
        error[R203]: unknown operation `x`
          --> f.rob:1:15
           |
         1 | x -> y : conv(3, 4)
           |          -----^---- in this call
           |               |
           |               this
        """,
    )


def test_places_on_other_lines_are_shown_in_order() -> None:
    source = Source("f.rob", "op a = relu\nop b = relu\n\nop c = relu\n\n\n\nop a = conv(3)\n")
    labels = [Label(at(source, "a"), "first defined here"), Label(at(source, "c"), "between")]
    looks(
        ERROR.at(at(source, "a =", 2), "again here", name="a", related=labels),
        """
        error[R203]: unknown operation `a`
          --> f.rob:8:4
           |
         1 | op a = relu
           |    - first defined here
        ...
         4 | op c = relu
           |    - between
        ...
         8 | op a = conv(3)
           |    ^^^ again here
        """,
    )


def test_a_single_line_between_two_is_shown() -> None:
    source = Source("f.rob", "op a = relu\nop b = relu\nop a = conv(3)\n")
    looks(
        ERROR.at(at(source, "a", 2), name="a", related=[Label(at(source, "a"), "first")]),
        """
        error[R203]: unknown operation `a`
          --> f.rob:3:4
           |
         1 | op a = relu
           |    - first
         2 | op b = relu
         3 | op a = conv(3)
           |    ^
        """,
    )


def test_a_place_in_another_file() -> None:
    source, other = Source("f.rob", "op a = relu\n"), Source("lib/g.rob", "\n" * 11 + "op a = conv(3)\n")
    looks(
        ERROR.at(
            at(source, "a"), "again", name="a", related=[Label(at(other, "a"), "first")], help="rename it"
        ),
        """
        error[R203]: unknown operation `a`
           --> f.rob:1:4
            |
          1 | op a = relu
            |    ^ again
            |
           ::: lib/g.rob:12:4
            |
         12 | op a = conv(3)
            |    - first
            = help: rename it
        """,
    )


def test_the_calls_that_led_there() -> None:
    source = Source("f.rob", "op a = b\nop b = c\n")
    trace = [
        Label(at(source, "b"), "in `b`"),
        Label(Span(Source("g.rob", "a"), 0, 1), "in `a`"),
        Label(NOWHERE, "in `n`"),
    ]
    looks(
        ERROR.at(at(source, "c"), name="c", trace=trace, notes=["a note"]),
        """
        error[R203]: unknown operation `c`
          --> f.rob:2:8
           |
         2 | op b = c
           |        ^
           = note: a note
           = note: in `b`, called at f.rob:1:8
           = note: in `a`, called at g.rob:1:1
           = note: in `n`, called at <built>
        """,
    )


def test_a_long_trace_is_cut_in_the_middle() -> None:
    source = Source("f.rob", "a")
    trace = [Label(Span(source, 0, 1), f"in `f{index}`") for index in range(100)]
    lines = render(ERROR.at(Span(source, 0, 1), name="a", trace=trace)).splitlines()
    assert lines[5:] == [
        *(f"   = note: in `f{index}`, called at f.rob:1:1" for index in range(6)),
        "   = note: ... 92 more calls ...",
        *(f"   = note: in `f{index}`, called at f.rob:1:1" for index in (98, 99)),
    ]


def test_tabs_and_wide_characters_keep_the_columns() -> None:
    source = Source("f.rob", 'meta\tk = "漢字\u0301é" x\n')
    looks(
        ERROR.at(at(source, "x"), "here", name="x", related=[Label(at(source, "漢字\u0301"), "wide")]),
        """
        error[R203]: unknown operation `x`
          --> f.rob:1:17
           |
         1 | meta    k = "漢字\u0301é" x
           |              ----   ^ here
           |              |
           |              wide
        """,
    )


def test_places_of_several_lines() -> None:
    source = Source("f.rob", "x -> y : if C then a\n         else b\n\n\n\nz\n")
    two, many = Span(source, 9, 36), Span(source, 9, len(source.text) - 1)
    looks(
        ERROR.at(two, "all of this", name="x"),
        """
        error[R203]: unknown operation `x`
          --> f.rob:1:10
           |
         1 | x -> y : if C then a
           |          ^^^^^^^^^^^
         2 |          else b
           |          ^^^^^^ all of this
        """,
    )
    looks(
        ERROR.at(many, "all of this", name="x"),
        """
        error[R203]: unknown operation `x`
          --> f.rob:1:10
           |
         1 | x -> y : if C then a
           |          ^^^^^^^^^^^
        ...
         6 | z
           | ^ all of this
        """,
    )


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [("op a =", "1:7", "op a ="), ("op a =\n", "2:1", ""), ("a\n\nb", "3:2", "b")],
)
def test_the_end_of_a_file(text: str, place: str, line: str) -> None:
    end = Span(Source("f.rob", text), len(text), len(text))
    _, arrow, bar, shown, mark = render(ERROR.at(end, "more", name="x")).splitlines()
    assert (arrow, bar) == (f"  --> f.rob:{place}", "   |")
    assert shown == f" {place[0]} | {line}".rstrip()
    assert mark == "   | " + " " * len(line) + "^ more"


def test_an_empty_source_has_a_place_but_no_lines() -> None:
    looks(
        ERROR.at(Span(Source("gone.rob", ""), 0, 0), "never shown", name="x", help="look elsewhere"),
        """
        error[R203]: unknown operation `x`
          --> gone.rob:1:1
           = help: look elsewhere
        """,
    )


def test_a_tree_made_by_a_program_has_no_place() -> None:
    assert render(ERROR.at(NOWHERE, name="x")).splitlines()[1] == "  --> <built>"


def test_a_long_line_is_shown_around_the_mark() -> None:
    source = Source("f.rob", "op a = " + " | ".join(f"relu{index}" for index in range(1000)) + "\n")
    lines = render(ERROR.at(at(source, "relu500"), "this", name="x")).splitlines()
    assert lines[3].startswith(" 1 | ...") and lines[3].endswith("...") and len(lines[3]) == 5 + 126
    assert lines[4] == "   | " + " " * 33 + "^^^^^^^ this"
    assert lines[3][5 + 33 :].startswith("relu500 | relu501")


def test_marks_far_apart_on_a_long_line_are_shown_one_after_the_other() -> None:
    source = Source("f.rob", "op a = " + " | ".join(f"relu{index}" for index in range(1000)) + "\n")
    labels = [Label(at(source, "relu1 "), "far before"), Label(at(source, "relu501"), "near")]
    lines = render(ERROR.at(at(source, "relu500"), "this", name="x", related=labels)).splitlines()
    assert lines[4:7] == [
        "   | " + " " * 33 + "^^^^^^^   ------- near",
        "   | " + " " * 33 + "|",
        "   | " + " " * 33 + "this",
    ]
    assert lines[7].startswith(" 1 | op a = relu0 | relu1 |")
    assert lines[8] == "   |                ----- far before"


def test_control_characters_are_made_visible() -> None:
    source = Source("\x1b[2J.rob", "op \x1b[31m\u202e\x07 = relu\n")
    label = "\x1b]0;title\x07"
    looks(
        ERROR.at(at(source, "= "), label, name="\r\x9b", help="a\x1bb\nc", notes=["\ud800"]),
        r"""
        error[R203]: unknown operation `\x0d\x9b`
          --> \x1b[2J.rob:1:12
           |
         1 | op \x1b[31m\u202e\x07 = relu
           |                       ^ \x1b]0;title\x07
           = note: \ud800
           = help: a\x1bb
                   c
        """,
    )


def test_texts_of_any_length_stay_short() -> None:
    source = Source("f.rob", "a" * 100_000)
    text = render(ERROR.at(Span(source, 0, 100_000), "b" * 100_000, name="c" * 100_000, help="d" * 100_000))
    assert len(text) < 5000


def test_colors_change_nothing_else() -> None:
    source, other = Source("f.rob", "op a = relu\n"), Source("g.rob", "op b = relu\n")
    diagnostic = ERROR.at(
        at(source, "a"), "this", name="a", related=[Label(at(other, "b"), "that")], help="so"
    )
    colored = render(diagnostic, color=True)
    assert "\x1b[1;31merror[R203]\x1b[0m" in colored
    plain = colored
    for code in ("\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert plain == render(diagnostic)


def test_many_are_parted_by_blank_lines_and_bounded() -> None:
    source = Source("f.rob", "a" * 1000)
    many = [ERROR.at(Span(source, index, index + 1), name=index) for index in range(Report.LIMIT + 7)]
    blocks = render_all(many).split("\n\n")
    assert blocks[:-1] == [render(each) for each in many[: Report.LIMIT]]
    assert blocks[-1] == "... and 7 more"
    assert render_all([]) == ""


def test_an_exception_shows_what_it_holds() -> None:
    diagnostic = ERROR.at(Span(Source("f.rob", "a"), 0, 1), name="a")
    assert str(RobError([diagnostic])) == "\n" + render(diagnostic)


def test_json_holds_everything() -> None:
    source, other = Source("f.rob", "op a =\n b\n"), Source("g.rob", "c")
    diagnostic = ERROR.at(
        Span(source, 3, 9), "label", name="a", most=3, exact=0.5, path=Source, help="help", notes=["note"],
        related=[Label(Span(other, 0, 1), "there")], trace=[Label(Span(other, 0, 0), "in `c`")],
    )  # fmt: skip
    found = to_json(diagnostic)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "code": "R203",
        "severity": "error",
        "title": "unknown operation `a`",
        "label": "label",
        "path": "f.rob",
        "line": 1,
        "column": 4,
        "end_line": 2,
        "end_column": 3,
        "fields": {"name": "a", "most": 3, "exact": 0.5, "path": str(Source)},
        "related": [
            {"label": "there", "path": "g.rob", "line": 1, "column": 1, "end_line": 1, "end_column": 2}
        ],
        "notes": ["note"],
        "help": "help",
        "trace": [
            {"label": "in `c`", "path": "g.rob", "line": 1, "column": 1, "end_line": 1, "end_column": 1}
        ],
    }


@given(st.data())
def test_anything_can_be_shown(data: st.DataObject) -> None:
    text = data.draw(st.text(max_size=60) | st.text(alphabet="a\n\t漢\u0301 ", max_size=60))
    source = Source(data.draw(st.text(max_size=5)), text)

    def place() -> Span:
        start, end = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        return Span(source, start, end)

    labels = [Label(place(), data.draw(st.text(max_size=5))) for _ in range(data.draw(st.integers(0, 3)))]
    diagnostic = ERROR.at(
        place(), data.draw(st.text(max_size=5)), name=data.draw(st.text(max_size=5)), related=labels
    )
    shown = render(diagnostic)
    assert all(
        unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        for line in shown.split("\n")
        for character in line
    )
    assert not any(line.endswith(" ") for line in shown.split("\n")[2:])
    json.dumps(to_json(diagnostic))
