"""Text from strangers stays text: in SVG, in DOT, in pages."""

from __future__ import annotations

import string
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pygraphviz
from hypothesis import given, settings
from hypothesis import strategies as st

import robdsl
from robdsl.diagnostics.display import visible
from robdsl.viz.dot import dot
from robdsl.viz.lettering import shown
from robdsl.viz.page import page
from robdsl.viz.picture import Box, Curve, Picture, Stroke, Text
from robdsl.viz.subject import Subject
from robdsl.viz.svg import svg
from tests.viz.hostile import HOSTILE, literal
from tests.viz.test_page import Page

SVG = "{http://www.w3.org/2000/svg}"
NASTY = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="\"\\<>&;{}[]=/-!'\n\r\t\x00\u202e\u2028lNGrn" + string.ascii_letters[:4], max_size=30),
    st.sampled_from(
        [
            "</script>",
            "]]>",
            "<!--",
            "\\N",
            "\\",
            '"',
            "&quot;",
            "&amp;lt;",
            "<b>x</b>",
            "<<b>>",
            "%",
            "\ud800",
        ]
    ),
)


def picture(texts: list[str]) -> Picture:
    a, b, label, fact, text, title = texts
    names = f"a{a}", f"b{b}"
    ink = Stroke("#000000")
    boxes = tuple(
        Box(name, 20 + 60 * n, 20, 30, 20, "node", "#ffffff", ink, label, facts={fact: fact})
        for n, name in enumerate(names)
    )
    path = ((35.0, 20.0), (40.0, 20.0), (50.0, 20.0), (65.0, 20.0))
    curve = Curve(f"c{label}", *names, (path,), ink, "edge", label, 5, {fact: text})
    return Picture(120, 60, (*boxes, curve, Text(10, 50, text)), title)


@given(st.lists(NASTY, min_size=6, max_size=6))
def test_svg_says_the_text_and_has_no_other_elements(texts: list[str]) -> None:
    root = ElementTree.fromstring(svg(picture(texts)))
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg", "title", "rect", "g", "path", "polygon", "text",
    }  # fmt: skip
    groups = list(root.iter(f"{SVG}g"))
    assert [each.get("data-id") for each in groups] == [
        shown(m) for m in (f"a{texts[0]}", f"b{texts[1]}", f"c{texts[2]}")
    ]
    assert list(root.iter(f"{SVG}text"))[-1].text in (shown(texts[4]), None if not shown(texts[4]) else "")
    for each in root.iter():
        assert not {name for name in each.attrib if name.startswith("on") or "href" in name}


@given(st.lists(NASTY, min_size=6, max_size=6))
@settings(max_examples=60)
def test_dot_is_read_back_by_graphviz_as_it_was_meant(texts: list[str]) -> None:
    graph = pygraphviz.AGraph(string=dot(picture(texts)))
    a, b = f"a{texts[0]}", f"b{texts[1]}"
    named = [node for node in graph.nodes() if node.attr["class"] == "node"]
    names = [shown(each).replace("\\", "\\\\") for each in (a, b)]  # DOT keeps both of two backslashes
    assert [str(node) for node in named] == names
    (edge,) = [edge for edge in graph.edges() if edge.attr["class"] == "edge"]
    assert list(edge) == names
    assert len(graph.nodes()) == 5  # two corners, a text, two nodes
    for node in named:  # what Graphviz shows of a label: escapes and entities undone
        if texts[2]:
            label = unescape(node.attr["label"].replace("\\\\", "\0")).replace("\0", "\\")
            assert label.split("\\n") == [shown(line) for line in texts[2].split("\n")]


@given(st.lists(NASTY, min_size=1, max_size=4))
@settings(max_examples=25)
def test_meta_of_a_file_is_only_text(texts: list[str]) -> None:
    texts = [
        visible(" ".join(text.split())) for text in texts
    ]  # the language has no control characters in strings
    metas = "\n".join(f"meta k{number} = {literal(text)}" for number, text in enumerate(texts))
    source = f"net a {{ # </script>\ninput 3 x 4 x 4\nglobal_avg_pool | flatten | linear(2)\n{metas}\n}}"
    _, text = page(Subject.of(robdsl.load(source)))
    read = Page(text)
    assert read.inside["dd"][: len(texts)] == texts
    assert len(read.all("script")) == 2 and not read.all("img")
    assert read.inside["code"] == source.split("\n")


def test_a_hostile_program_in_every_text_format(tmp_path: Path) -> None:
    net = robdsl.load(HOSTILE)
    _, text = page(Subject.of(net))
    read = Page(text)
    assert read.inside["dd"] == [str(value) for value in net.meta.values()]
    assert len(read.all("script")) == 2
    assert not [tag for tag, _ in read.elements if tag in ("img", "b", "object")]
    from robdsl.viz.drawing import picture_of

    for options in ({}, {"all_cells": True}, {"cell": 0}):
        drawn = picture_of(Subject.of(net), **options)
        graph = pygraphviz.AGraph(string=dot(drawn))
        assert {"node", "edge"} <= {str(node).split("/")[-1] for node in graph.nodes()}
        ElementTree.fromstring(svg(drawn))
