"""Drawings as files: every format, whole nets, contact sheets, and nets too large to draw."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pygraphviz
import pytest

import robdsl
from robdsl.graph.net import Net, Space
from robdsl.viz import FORMATS, DrawingError, draw, rendering
from robdsl.viz.drawing import encoded, picture_of
from robdsl.viz.picture import Picture
from robdsl.viz.subject import Subject
from tests.viz.test_cells import nets, spaces

MAGIC = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF", ".dot": b"digraph"}
SVG = "{http://www.w3.org/2000/svg}"


def whole(name: str) -> Picture:
    return picture_of(Subject.of(robdsl.load(name)))


def assert_says_the_same(picture: Picture, net: Net) -> None:
    """A picture of a whole net has every cell with every node and edge, every stage, and what feeds it."""
    boxes = {box.id for box in picture.boxes("input", "node", "join")}
    assert boxes >= {f"{cell.graph['name']}/{node}" for cell in net.cells for node in cell.nodes}
    edges = Counter((c.source, c.target, c.label) for c in picture.curves("edge", "join"))
    assert edges == Counter(
        (f"{cell.graph['name']}/{s}", f"{cell.graph['name']}/{t}", d["op"])
        for cell in net.cells
        for s, t, d in cell.edges(data=True)
    )
    assert {box.id for box in picture.boxes("stage")} == {stage.name for stage in net.stages}
    fed = {(c.source, c.target) for c in picture.curves("flow")}
    names = [stage.name for stage in net.stages]
    assert fed == {
        (names[i] if i >= 0 else "input", stage.name) for stage in net.stages for i in stage.inputs
    }


@pytest.mark.parametrize("name", nets())
def test_the_whole_of_every_shipped_net(name: str) -> None:
    net = robdsl.load(name)
    assert_says_the_same(whole(name), net)


@pytest.mark.parametrize("suffix", [each for each in FORMATS if each in MAGIC])
@pytest.mark.parametrize("name", ["robnet_small", "resnet18"])
def test_formats(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    draw(robdsl.load(name), path)
    assert path.read_bytes().startswith(MAGIC[suffix])
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*nets(), *spaces()])
def test_every_shipped_net_and_space_in_every_format(name: str) -> None:
    found: Net | Space = robdsl.load(name) if name in nets() else robdsl.load_space(name)
    subject = Subject.of(found)
    pictures = [picture_of(subject)]
    if subject.cells:
        pictures += [picture_of(subject, all_cells=True), picture_of(subject, cell=0)]
    for picture in pictures:
        for suffix, magic in MAGIC.items():
            assert encoded(picture, suffix).startswith(magic)


def test_svg_has_the_text_as_text_and_every_node_and_edge() -> None:
    net = robdsl.load("robnet_large")
    root = ElementTree.fromstring(picture_of(Subject.of(net), cell=5).svg())
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"p", "q", "x0", "x1", "n0", "n1", "n2", "n3", "out", "skip", "sep_conv_3x3"} <= set(texts)
    ids = {each.get("data-id") for each in root.iter(f"{SVG}g")}
    assert ids >= set(net.cells[5].nodes)
    labels = Counter(each.get("data-label") for each in root.iter(f"{SVG}g") if each.get("class") == "edge")
    assert (labels["skip"], labels["sep_conv_3x3"]) == (9, 13)


def test_pdf_has_the_text_as_text() -> None:
    import zlib

    data = encoded(picture_of(Subject.of(robdsl.load("robnet_large")), cell=5), ".pdf")
    streams = [
        zlib.decompress(each)
        for each in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S)
        if each[:1] == b"x"
    ]
    assert b"/FontFile" in data or any(b"/FontFile" in each for each in streams)
    assert any(b"Tj" in each or b"TJ" in each for each in streams)


def test_dot_has_every_node_edge_and_label() -> None:
    net = robdsl.load("robnet_large")
    cell = net.cells[5]
    graph = pygraphviz.AGraph(string=encoded(picture_of(Subject.of(net), cell=5), ".dot").decode())
    drawn = [node for node in graph.nodes() if node.attr["class"] in ("input", "node", "join")]
    assert {str(node): node.attr["label"].split("\\n")[0] for node in drawn} == {
        name: name for name in cell.nodes
    }
    edges = [edge for edge in graph.edges() if edge.attr["class"] in ("edge", "join")]
    said = sorted((*edge, edge.attr["comment"]) for edge in edges)
    assert said == sorted((s, t, d["op"]) for s, t, d in cell.edges(data=True))


def test_a_contact_sheet_aligns_the_cells() -> None:
    net = robdsl.load("robnet_free")
    picture = picture_of(Subject.of(net), all_cells=True)
    boxes = {box.id: box for box in picture.boxes("input", "node", "join")}
    for cell in net.cells:
        name = cell.graph["name"]
        assert len({boxes[f"{name}/{node}"].y for node in cell.nodes}) == 1
    rows = {boxes[f"{cell.graph['name']}/x0"].y for cell in net.cells}
    columns = {boxes[f"{cell.graph['name']}/x0"].x for cell in net.cells}
    assert len(rows) * len(columns) == 20
    titles = {text.text for text in picture.texts()}
    assert {f"{number}: robnet_cell_{number + 1}" for number in range(20)} <= titles


def test_a_contact_sheet_draws_cells_that_are_alike_once() -> None:
    picture = picture_of(Subject.of(robdsl.load("robnet_large")), all_cells=True)
    assert {"0–6, 8–13, 15–19: robnet_cell", "7, 14: robnet_cell"} <= {text.text for text in picture.texts()}


def test_no_text_lies_on_another_and_none_leaves_the_page() -> None:
    from itertools import combinations

    from robdsl.viz.lettering import width

    subject = Subject.of(robdsl.load("robnet_free"))
    for picture in (picture_of(subject), picture_of(subject, all_cells=True), picture_of(subject, cell=7)):
        areas = []
        for text in picture.texts():
            wide = width(text.text, text.size, bold=text.bold)
            left = text.x - {"start": 0, "middle": wide / 2, "end": wide}[text.anchor]
            areas.append((left, text.y - text.size / 2, left + wide, text.y + text.size / 2, text.text))
            assert left >= 0 and left + wide <= picture.width and text.y + text.size / 2 <= picture.height
        for one, two in combinations(areas, 2):
            assert one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1], (one, two)


def test_a_net_of_two_thousand_nodes_falls_back_to_cells_and_says_so(tmp_path: Path) -> None:
    space = robdsl.load_space("cell_based", width=4, layers=230)
    net = space.sample(1)
    picture = draw(net, tmp_path / "large.svg")
    assert sum(len(cell) for cell in net.cells) > 2000
    (note,) = picture.notes
    assert "2,070 nodes in 230 cells, too many to open them all" in note and "--cell N" in note
    assert note in (tmp_path / "large.svg").read_text(encoding="utf-8")
    assert len(picture.boxes("stage")) == len(net.stages)
    assert not picture.boxes("node")


def test_more_stages_than_fit_are_left_out_in_the_middle() -> None:
    stages = "conv(1)\n" * 3000
    net = robdsl.load(f"net long {{\ninput 3 x 8 x 8\n{stages}global_avg_pool | flatten | linear(2)\n}}")
    picture = picture_of(Subject.of(net))
    assert "3,001 stages are too many to draw: the middle ones are left out" in picture.notes
    assert len(picture.boxes("stage")) == 600
    assert any(text.text == "2,401 more stages" for text in picture.texts())


def test_spaces_are_drawn_with_all_that_they_offer() -> None:
    space = robdsl.load_space("cell_based")
    picture = picture_of(Subject.of(space), cell=0)
    labels = Counter(curve.label for curve in picture.curves("edge"))
    assert (labels["skip"], labels["sep_conv_3x3"]) == (14, 14)


@pytest.mark.parametrize("wrong", ["20", "nothing", "-1", "9" * 50])
def test_cells_that_there_are_not(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"has no cell .*numbered 0 to 19 and called robnet_cell_1, "):
        picture_of(Subject.of(robdsl.load("robnet_large")), cell=wrong)


def test_cells_by_name_and_by_number() -> None:
    subject = Subject.of(robdsl.load("robnet_free"))
    assert picture_of(subject, cell="robnet_cell_8") == picture_of(subject, cell=7)


def test_without_graphviz_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rendering, "find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    net = robdsl.load("robnet_small")
    with pytest.raises(DrawingError, match="pip install pygraphviz"):
        draw(net, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
    draw(net, tmp_path / "a.svg")
    draw(net, tmp_path / "a.dot")


def test_a_system_graphviz_is_used_where_the_wheel_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\nprintf "%%PDF-%s %s" "$1" "$2"; cat >/dev/null\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(rendering, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    draw(robdsl.load("robnet_small"), tmp_path / "a.pdf", cell=0)
    assert (tmp_path / "a.pdf").read_bytes() == b"%PDF--Knop2 -Tpdf"


def test_a_crash_of_graphviz_is_an_error_like_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rendering, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(DrawingError, match="Graphviz could not write the picture"):
        draw(robdsl.load("robnet_small"), tmp_path / "a.png", cell=0)


def test_drawing_needs_no_torch() -> None:
    program = (
        "import sys, robdsl; from robdsl.viz import draw; from pathlib import Path; import tempfile\n"
        "folder = Path(tempfile.mkdtemp())\n"
        "net = robdsl.load('robnet_small')\n"
        "for name in ('a.svg', 'a.dot'): draw(net, folder / name, supernet=True)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
