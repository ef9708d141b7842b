"""Nets back to text: what is written loads as the same net."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robdsl
from robdsl.diagnostics.source import Source
from robdsl.graph.index import shipped
from robdsl.graph.load import load, load_space
from robdsl.graph.net import Net
from robdsl.graph.values import Word
from robdsl.graph.writer import NotWritable, format_net
from robdsl.syntax.formatter import format_source

SHIPPED = [name for name, _ in shipped("net")]


def same(net: Net) -> str:
    """The text of a net, which loads as the same net, and is canonical."""
    text = format_net(net)
    again = load(text, net=net.name)
    assert (again.name, again.alpha, again.cost) == (net.name, net.alpha, net.cost)
    assert again.parameters == net.parameters
    assert [type(value) for value in again.parameters.values()] == [
        type(value) for value in net.parameters.values()
    ]
    assert dict(again.meta) == dict(net.meta)
    assert again.hash == net.hash
    assert [(stage.name, stage.shape, stage.inputs) for stage in again.stages] == [
        (stage.name, stage.shape, stage.inputs) for stage in net.stages
    ]
    assert nx.utils.graphs_equal(_plain(again), _plain(net))
    assert format_source(Source("t", text)) == text
    assert format_net(again) == text
    return text


def _plain(net: Net) -> nx.MultiDiGraph:
    """The graph without its places in texts."""
    graph = net.graph.copy()
    for node in graph.nodes.values():
        del node["span"]
    return graph


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_nets(name: str) -> None:
    same(load(name))


def test_what_ships_is_used() -> None:
    assert format_net(load("robnet_large")) == (
        "use spaces.cell_based\n\nnet robnet_large in cell_based {\n"
        "    pick c = 11 11 | 11 11 11 | 01 11 01 10 | 11 01 01 01 11\n}\n"
    )
    assert "use resnet\n" in format_net(load("resnet18"))


def test_parameters() -> None:
    assert "cell_based(width=8, classes=100)" in same(load("robnet_large", classes=100, width=8))
    assert "in cell_based {" in same(load("robnet_large_v2", width=36, layers=20))
    assert "classes=7" in same(load("resnet18", classes=7))
    text = "net n(a=1, b=2 * a, kind=dot, p=0.5, on=true) {\ninput 3 x 8 x 8\nconv(3, b) | nonlocal_mean(kind) | dropout(p)\n}\n"
    for given_ in (
        {},
        {"a": 2},
        {"b": 2, "a": 1},
        {"b": 3},
        {"kind": "gaussian"},
        {"p": 0},
        {"p": 1e-7},
        {"on": False},
        {"on": 1},
        {"a": 4, "p": 0.1},
    ):
        same(load(text, **given_))


def test_a_parameter_without_a_default_is_given_one() -> None:
    net = load("net n(w, k=w) {\ninput 3 x 8 x 8\nconv(3, k)\n}", w=4)
    assert "net n(w=4, k=w) {" in same(net)


def test_a_default_that_would_fail_for_the_others() -> None:
    net = load("net n(a=1, b=4 // a) {\ninput 3 x 8 x 8\nconv(3, b)\n}", a=0, b=3)
    assert "net n(a=0, b=3)" in same(net)


USER = """
op norm = batch_norm(affine=false)
op block(width) = conv(3, width) | norm
cell inner(width) {
    in x
    x -> out : block(width)
    x -> out : if x.channels == width then identity else conv(1, width)
}
cell open_(width) {
    in p, q
    p -> a : any { inner(width), conv(3, width) | relu, none_of_it(width) }
    q -> a : one { none, conv(1, width), inner(width) }
    a -> out : relu
}
op none_of_it(width) = conv(5, width)
op unused = relu
space root(width=4, deep=2) {
    input 3 x 8 x 8
    pick a : open_
    repeat deep { a(width) }
    last: pick open_(width)
    flatten | linear(10)
    meta source = "root"
}
space narrow in root(deep=1) {
    require density(a) < 1
}
net mine in narrow(width=6) {
    pick a = 100 1
    pick 0 = 001 0
    meta note = "a \\"quoted\\" thing"; meta score = -0.5; meta steps = 5.5M
}
net closed {
    input 3 x 8 x 8
    a: repeat 2 { inner(5) }
    conv(3, 4) | norm
    require params > 10
    meta kind = "closed"
}
"""


def test_definitions_of_the_user_are_written_out() -> None:
    text = same(load(USER, net="mine"))
    assert text.count("op ") == 3 and "unused" not in text and "closed" not in text
    text = same(
        load(
            USER,
            net="closed",
        )
    )
    assert "open_" not in text and "meta kind" in text
    same(load(USER, net="mine", width=3, deep=3))


def test_files_are_gathered_into_one(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "blocks.rob").write_text(
        "use norms\nuse resnet\nop block = conv(3, 5) | norm\ncell both {\nin x\nx -> out : basic(5) | block\n}\n"
    )
    (tmp_path / "lib" / "norms.rob").write_text("op norm = batch_norm\n")
    (tmp_path / "main.rob").write_text("use lib.blocks\nnet n {\ninput 3 x 8 x 8\nboth\nblock\n}\n")
    text = same(load(tmp_path / "main.rob"))
    assert text.startswith("use resnet\n") and "op norm" in text and "lib" not in text


def test_two_definitions_of_one_name_cannot_stand_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "na.rob").write_text("op norm = relu\n")
    (tmp_path / "nb.rob").write_text("op norm = sigmoid\n")
    (tmp_path / "a.rob").write_text("use na\nop a = norm\n")
    (tmp_path / "b.rob").write_text("use nb\nop b = norm\n")
    (tmp_path / "main.rob").write_text("use a\nuse b\nnet n {\ninput 3 x 8 x 8\na | b\n}\n")
    with pytest.raises(NotWritable, match="`norm`"):
        format_net(load(tmp_path / "main.rob"))
    (tmp_path / "c.rob").write_text("use robnet\nop c = sep_conv_3x3\n")
    (tmp_path / "main.rob").write_text("use a\nuse c\nnet n {\ninput 3 x 8 x 8\na | c\n}\n")
    with pytest.raises(NotWritable, match="`norm`"):
        format_net(load(tmp_path / "main.rob"))


def test_a_net_called_like_a_shipped_definition() -> None:
    space = load_space("cell_based", width=4, layers=5)
    alpha = "11 11 | 11 11 11 | 01 11 01 10 | 11 01 01 01 11"
    same(space.net(alpha, name="robnet_cell"))  # which is not seen where only the space is used
    same(space.net(alpha, name="robnet_large"))
    with pytest.raises(NotWritable, match="`cell_based`"):
        format_net(space.net(alpha, name="cell_based"))


def test_nets_taken_from_spaces() -> None:
    space = load_space("cell-free", width=4, layers=5)
    for seed in range(3):
        same(space.sample(seed))
    same(load_space(USER, space="narrow").net(["100 1", "001 0"]))
    same(load_space(USER, space="root").net(["111 1", "001 0"], name="another"))


def test_supernets() -> None:
    same(load_space("cell_based", width=4, layers=5).supernet())
    same(
        load_space("cell_based_small", width=4, layers=5).supernet()
    )  # written as a net of cell_based: budgets do not hold for it
    with pytest.raises(NotWritable, match="`one` edges"):
        format_net(load_space(USER, space="root").supernet())
    text = "cell c {\nin x\nx -> out : any { relu, sigmoid }\n}\nspace s {\ninput 3 x 8 x 8\npick c\nrequire density(0) < 1\n}\n"
    with pytest.raises(NotWritable, match="breaks a rule"):
        format_net(load_space(text).supernet())


def test_numbers_without_digits() -> None:
    net = load("net n(p=0.5) {\ninput 3 x 8 x 8\ndropout(p)\n}", p=1e-250)
    with pytest.raises(NotWritable, match="more digits"):
        format_net(net)


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "score"]),
        st.one_of(
            st.integers(-(10**17), 10**17), st.floats(-1e15, 1e15).filter(lambda x: x == 0 or abs(x) > 1e-100),
            st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20),
        ),
    )
)  # fmt: skip
def test_facts_are_kept(facts: dict[str, int | float | str]) -> None:
    net = load("net n {\ninput 3 x 8 x 8\nrelu\n}")
    again = load(format_net(Net(net.name, net.layout, net.choices, facts, net.definition)))
    assert dict(again.meta) == facts
    assert {key: type(value) for key, value in again.meta.items()} == {
        key: type(value) for key, value in facts.items()
    }


@settings(max_examples=40)
@given(
    st.one_of(
        st.integers(1, 50), st.booleans(), st.floats(0.001, 1), st.sampled_from(["dot", "gaussian", "word"])
    )
)
def test_values_of_parameters_are_kept(value: int | float | bool | str) -> None:
    net = load("net n(a=3) {\ninput 3 x 8 x 8\nrelu\nrequire a == a\n}", a=value)
    again = load(format_net(net))
    expected = Word(value) if isinstance(value, str) else value
    assert again.parameters == {"a": expected} and type(again.parameters["a"]) is type(expected)


def test_the_front_door() -> None:
    net = robdsl.load("robnet_free")
    assert robdsl.load(robdsl.format(net)).hash == net.hash
