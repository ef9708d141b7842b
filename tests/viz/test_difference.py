"""Differences: against alphas read independently, with sizes of `Net.stats`, in words and as a picture."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robdsl
from robdsl.graph.net import Net
from robdsl.viz.difference import compare, difference_picture, lines
from robdsl.viz.difference.pairing import pairs

OPERATIONS = ("skip", "sep_conv_3x3")
SOURCES = (("x0", "x1"), ("x0", "x1", "n0"), ("x0", "x1", "n0", "n1"), ("x0", "x1", "n0", "n1", "n2"))


def edges_of(alpha: str) -> set[tuple[str, str, str]]:
    """The edges of a RobNet cell from its bits, read without the library."""
    return {
        (SOURCES[node][place], f"n{node}", OPERATIONS[bit])
        for node, group in enumerate(alpha.split("|"))
        for place, code in enumerate(group.split())
        for bit in range(2)
        if code[bit] == "1"
    }


def free(seed: int, layers: int = 5) -> Net:
    return robdsl.load_space("cell_free", width=4, layers=layers).sample(random.Random(seed))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=15)
def test_edges_that_differ_are_those_whose_bits_differ(one: int, two: int) -> None:
    before, after = free(one), free(two)
    found = {cell.before: cell for cell in compare(before, after).cells}
    for number, (ours, theirs) in enumerate(zip(before.alpha, after.alpha, strict=True)):
        left, right = edges_of(ours), edges_of(theirs)
        if left == right:
            assert number not in found
            continue
        cell = found[number]
        assert (cell.before, cell.after) == (number, number)
        assert set(cell.added) == right - left and set(cell.removed) == left - right
        closed = 2 + 4  # the two that prepare the inputs, and the four that are joined
        assert cell.kept == len(left & right) + closed


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=10)
def test_there_and_back_are_opposites(one: int, two: int) -> None:
    before, after = free(one), free(two)
    there, back = compare(before, after), compare(after, before)
    assert [(c.added, c.removed, c.kept) for c in there.cells] == [
        (c.removed, c.added, c.kept) for c in back.cells
    ]
    assert there.differs == back.differs == (before.alpha != after.alpha or before.hash != after.hash)
    for name, change in there.sizes.items():
        assert (change.before, change.after) == (back.sizes[name].after, back.sizes[name].before)


def test_a_net_does_not_differ_from_itself_under_another_name() -> None:
    net = robdsl.load("robnet_large")
    assert net.space is not None
    same = net.space.net(net.alpha, name="another")
    difference = compare(net, same)
    assert not difference.differs and difference.same_function and difference.equal == 20
    assert lines(difference) == ["robnet_large -> another", "  no difference: both compute the same function"]


def test_sizes_are_those_of_the_nets() -> None:
    before, after = robdsl.load("robnet_small"), robdsl.load("robnet_medium")
    difference = compare(before, after)
    for name in ("params", "macs", "depth", "density"):
        change = difference.sizes[name]
        assert (change.before, change.after) == (getattr(before.stats(), name), getattr(after.stats(), name))
    for cell in difference.cells:
        assert cell.before is not None and cell.after is not None
        assert cell.params.before == before.cells[cell.before].graph["params"]
        assert cell.macs.after == after.cells[cell.after].graph["macs"]
    said = lines(difference)
    assert "  parameters: 4,359,574 -> 5,614,102 (+28.8%)" in said
    assert "cells 0–19 (robnet_cell)" in said
    assert [each for each in said if each.startswith("  +")] == [
        "  + n1 -> n3: sep_conv_3x3",
        "  + x0 -> n1: sep_conv_3x3",
        "  + x0 -> n2: skip",
        "  + x1 -> n2: sep_conv_3x3",
    ]


def test_a_longer_net_has_more_cells_at_each_resolution() -> None:
    difference = compare(robdsl.load("robnet_large"), robdsl.load("robnet_large", net="robnet_large_v2"))
    assert {name: (c.before, c.after) for name, c in difference.parameters.items()} == {
        "width": ("36", "64"), "layers": ("20", "33"),
    }  # fmt: skip
    fresh = [cell for cell in difference.cells if cell.before is None]
    assert len(fresh) == 13
    assert Counter(str(cell.shape.after).split(" × ")[-1] for cell in fresh) == {"32": 5, "16": 4, "8": 4}
    assert not any(cell.rewired for cell in difference.cells if cell.before is not None)
    assert "  the same edges and operations" in lines(difference)


@given(st.integers(3, 30), st.integers(3, 30))
@settings(max_examples=15)
def test_every_stage_is_paired_once_and_in_order(one: int, two: int) -> None:
    before, after = free(1, one), free(1, two)
    found = pairs(before, after)
    assert sorted(a for a, _ in found if a is not None) == list(range(len(before.stages)))
    assert sorted(b for _, b in found if b is not None) == list(range(len(after.stages)))
    both = [(a, b) for a, b in found if a is not None and b is not None]
    assert both == sorted(both) and all(
        before.stages[a].shape[1:] == after.stages[b].shape[1:] for a, b in both
    )
    assert len(both) >= min(one, two)


def test_nodes_and_closed_stages() -> None:
    text = """
    cell c {{ in x
        x -> a : {first}
        {middle}
        a -> out : relu
    }}
    net n {{ input 3 x 8 x 8
        conv(3, {width}) | batch_norm
        c
        global_avg_pool | flatten | linear(2) }}
    """
    before = robdsl.load(text.format(first="conv(3)", middle="", width=4))
    after = robdsl.load(
        text.format(first="conv(3) | relu", middle="x -> b : conv(1)\n b -> a : relu", width=4)
    )
    (cell,) = compare(before, after).cells
    assert cell.nodes_added == ("b",) and cell.nodes_removed == ()
    assert cell.added == (("b", "a", "relu"), ("x", "a", "conv | relu"), ("x", "b", "conv"))
    assert cell.removed == (("x", "a", "conv"),)
    wider = compare(before, robdsl.load(text.format(first="conv(3)", middle="", width=8)))
    assert [(c.before, c.after) for c in wider.stages] == [
        ("conv | batch_norm, 4 × 8 × 8, 116 parameters", "conv | batch_norm, 8 × 8 × 8, 232 parameters"),
        (
            "global_avg_pool | flatten | linear, 2, 10 parameters",
            "global_avg_pool | flatten | linear, 2, 18 parameters",
        ),
    ]


@pytest.mark.parametrize(
    ("one", "two"), [("robnet_small", "robnet_medium"), ("resnet18", "resnet50"), ("robnet_free", "resnet18")]
)
def test_the_picture_says_the_same(one: str, two: str) -> None:
    before, after = robdsl.load(one), robdsl.load(two)
    difference, picture = compare(before, after), difference_picture(before, after)
    drawn = Counter(
        (c.facts["change"], *(end.split("/")[1] for end in (c.source, c.target)), c.label)
        for c in picture.curves("edge")
        if "change" in c.facts
    )
    groups = {(c.before is None, c.after is None, c.wiring): c for c in difference.cells}
    closed = {"concat", "sum", "mul"}
    expected = Counter(
        (change, *edge)
        for cell in groups.values()
        for change, edges in (("added", cell.added), ("removed", cell.removed))
        for edge in edges
        if edge[2] not in closed
    )
    assert drawn == expected
    signs = Counter(box.label for box in picture.boxes("mark"))
    assert signs["+"] + signs["−"] == expected.total() + 2  # and those of the legend


def test_json_is_plain() -> None:
    difference = compare(robdsl.load("robnet_small"), robdsl.load("robnet_free"))
    read = json.loads(json.dumps(difference.to_json()))
    assert read["differs"] is True and read["sizes"]["cells"] == {"before": 20, "after": 20}
    assert len(read["cells"]) + read["equal"] == 20
    assert set(map(tuple, read["cells"][0]["added"])) == set(difference.cells[0].added)
