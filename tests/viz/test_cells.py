"""A cell's picture says what its graph says, and is laid out so that it can be read."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import networkx as nx
import pytest

import robdsl
from robdsl.graph.index import shipped
from robdsl.graph.net import Net
from robdsl.viz import cell_drawing
from robdsl.viz.picture import Box, Curve, Picture

Cell = nx.MultiDiGraph


def nets() -> list[str]:
    return sorted(name for name, _ in shipped("net"))


def spaces() -> list[str]:
    return sorted(name for name, _ in shipped("space"))


def nodes_of(picture: Picture) -> dict[str, str]:
    return {box.id: box.label.split("\n")[0] for box in picture.boxes("input", "node", "join")}


def edges_of(picture: Picture) -> list[tuple[str, str, str]]:
    return sorted((curve.source, curve.target, curve.label) for curve in picture.curves("edge", "join"))


def assert_says_the_same(picture: Picture, cell: nx.MultiDiGraph[str]) -> None:
    assert set(nodes_of(picture)) == set(cell.nodes)
    assert edges_of(picture) == sorted((s, t, d["op"]) for s, t, d in cell.edges(data=True))


def cells_that_differ(net: Net) -> list[nx.MultiDiGraph[str]]:
    """One cell of each definition and choice."""
    return list(
        {(each.graph["cell"], each.graph["alpha"], tuple(each.edges)): each for each in net.cells}.values()
    )


@pytest.mark.parametrize("name", nets())
def test_nodes_edges_and_operations_of_every_shipped_net(name: str) -> None:
    net = robdsl.load(name)
    for cell in cells_that_differ(net)[:3]:
        assert_says_the_same(cell_drawing(cell), cell)


@pytest.mark.parametrize("name", spaces())
def test_nodes_edges_and_operations_of_every_shipped_space(name: str) -> None:
    space = robdsl.load_space(name)
    whole, net = space.supernet(), space.sample(random.Random(name))
    assert_says_the_same(cell_drawing(whole.cells[0]), whole.cells[0])
    assert_says_the_same(cell_drawing(net.cells[-1], offered=whole.cells[-1]), net.cells[-1])


def test_direct_edges_lie_on_the_spine_and_skips_arch() -> None:
    net = robdsl.load("robnet_large")
    cell = net.cells[5]
    picture = cell_drawing(cell)
    y = next(box.y for box in picture.boxes("node"))
    for curve in picture.curves("edge"):
        edge = cell.edges[curve.source, curve.target, curve.id]
        (spline,) = curve.splines
        furthest = max(abs(py - y) for _, py in spline)
        if edge["direct"]:
            assert len({py for _, py in spline}) == 1 and furthest < 17
        elif edge["choice"] is not None:
            assert furthest > 30


def test_parallel_operations_are_apart() -> None:
    picture = cell_drawing(robdsl.load_space("darts").supernet().cells[0])
    for one, two in combinations(picture.curves("edge"), 2):
        if (one.source, one.target) == (two.source, two.target):
            assert one.splines != two.splines
            assert (one.stroke.colour, one.stroke.dash) != (two.stroke.colour, two.stroke.dash)


def test_every_choice_has_its_edges_in_the_same_places() -> None:
    space = robdsl.load_space("cell_free")
    whole = space.supernet()
    full = {curve.id: curve.splines for curve in cell_drawing(whole.cells[3]).curves("edge")}
    for seed in range(3):
        cell = space.sample(random.Random(seed)).cells[3]
        for curve in cell_drawing(cell, offered=whole.cells[3]).curves("edge"):
            assert curve.splines == full[curve.id]


def test_boxes_do_not_overlap_and_all_is_inside() -> None:
    for name in ("robnet_large", "resnet50", "densenet121"):
        for cell in cells_that_differ(robdsl.load(name))[:2]:
            picture = cell_drawing(cell)
            boxes = sorted(picture.boxes("input", "node", "join"), key=lambda box: box.x)
            for left, right in pairwise(boxes):
                assert left.x + left.width / 2 < right.x - right.width / 2
            for mark in picture.marks:
                points = _points(mark)
                assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in points), mark


def _points(mark: object) -> list[tuple[float, float]]:
    match mark:
        case Box():
            return [
                (mark.x - mark.width / 2, mark.y - mark.height / 2),
                (mark.x + mark.width / 2, mark.y + mark.height / 2),
            ]
        case Curve():
            return [(x, y) for spline in mark.splines for x, y in (spline[0], spline[-1])]
    return []


def test_weights_thicken_lines_and_show_their_sign() -> None:
    cell = robdsl.load_space("cell_based").supernet().cells[5]
    picture = cell_drawing(cell, weights={("x0", "n3", "sep_conv_3x3"): 2.0, ("x1", "n3", "skip"): -1.0})
    by_id = {curve.id: curve for curve in picture.curves("edge")}
    assert by_id["x0_to_n3.sep_conv_3x3"].stroke.width > by_id["x1_to_n3.skip"].stroke.width
    assert by_id["x1_to_n3.skip"].stroke.width > by_id["x1_to_n2.skip"].stroke.width
    assert sorted(box.label for box in picture.boxes("mark")) == ["+", "−"]


def test_what_is_offered_is_faint() -> None:
    net = robdsl.load("robnet_large")
    assert net.space is not None
    whole = net.space.supernet().cells[5]
    picture = cell_drawing(net.cells[5], offered=whole, faint=True)
    assert edges_of(picture) == sorted((s, t, d["op"]) for s, t, d in whole.edges(data=True))
    chosen = {key for _, _, key in net.cells[5].edges(keys=True)}
    strong = {curve.id for curve in picture.curves("edge") if "chosen" not in curve.facts}
    assert strong == {key for key in chosen if "[" not in key}
