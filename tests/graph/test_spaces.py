"""Spaces: parameters through chains of spaces, narrower spaces, picks, and the nets taken from them."""

from __future__ import annotations

import pytest

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.flatten import flatten
from robdsl.graph.load import load, load_space
from tests.graph.programs import check, found, only

BASE = """
cell c(w) {
    in x
    x -> out : any { conv(3, w), conv(1, w) | relu }
}
space root(width=4, layers=2, classes=10) {
    input 3 x 8 x 8
    pick a : c
    repeat layers { a(width) }
    pick c(2 * width)
    global_avg_pool | flatten | linear(classes)
    require density(a) > 0
}
"""
NET = "pick a = 10; pick 0 = 01"


def test_arguments_become_defaults_all_the_way_down() -> None:
    text = (
        BASE
        + f"space narrow in root(width=8) {{ }}\nspace narrower in narrow(5, classes=7) {{ }}\nnet n in narrower(layers=1) {{\n{NET}\n}}\n"
    )
    assert load(text).parameters == {"width": 5, "layers": 1, "classes": 7}
    assert load(text, classes=100, width=6).parameters == {"width": 6, "layers": 1, "classes": 100}
    assert load_space(text, space="narrow").parameters == {"width": 8, "layers": 2, "classes": 10}
    assert load_space(text, space="narrower", layers=9).parameters == {"width": 5, "layers": 9, "classes": 7}


def test_an_argument_may_speak_of_the_parameters_before_it() -> None:
    text = BASE + f"net n in root(6, layers=width // 2) {{\n{NET}\n}}\n"
    assert load(text).parameters["layers"] == 3
    assert load(text, width=8).parameters["layers"] == 4


def test_names_of_the_last_space() -> None:
    text = BASE + f"space narrow in root {{ }}\nnet n in narrow {{\n{NET}\n}}\n"
    net = load(text)
    assert net.space is not None and net.space.name == "narrow"
    assert [bound.name for bound in net.layout.spaces] == ["root", "narrow"]


@pytest.mark.parametrize(
    ("net", "errors"),
    [
        ("net n in root(widht=3)", ["R207 widht"]), ("net n in root(1, 2, 3, 4)", ["R302 4"]), ("net n in root(1, width=2)", ["R303 width=2"]),
        ("net n in root(width=1, 2)", ["R312 2"]), ("net n(width=3) in root", ["R421 width=3"]), ("net n in roott", ["R205 roott"]),
        ("net n in c(3)", ["R205 c"]), ("net n in n", ["R205 n"]), ("net n in root(width=in.channels)", ["R308 in"]),
        ("net n in root(width=dot)", ["R304 w"]), ("net n in root(width=0)", ["R305 w"]), ("net n in root(layers=1//0)", ["R306 0"]),
    ],
)  # fmt: skip
def test_what_stands_in_a_space(net: str, errors: list[str]) -> None:
    said = found(f"{BASE}{net} {{\n{NET}\n}}\n")
    assert len(said) == 1 and any(said[0].startswith(error) for error in errors)


def test_a_wrong_argument_of_a_space_is_told_where_it_is_used() -> None:
    (error,) = check(f"{BASE}net n in root(width=0) {{\n{NET}\n}}\n")
    assert error.span.text == "w" and [each.text for each in error.trace] == ["in `c(w=0)`"]


def test_spaces_in_a_circle() -> None:
    error = only("space a in b { }\nspace b in d { }\nspace d in a { }\n")
    assert (error.code.id, error.span.text, [each.span.text for each in error.related]) == (
        "R218",
        "b",
        ["b", "d"],
    )
    assert only("space a in a { }").code.id == "R218"
    assert [each[:4] for each in found("space a in b { }\nspace b in a { }\nnet n in a { }\n")] == ["R218"]


def test_spaces_nest_only_so_deep() -> None:
    chain = "".join(f"space s{index + 1} in s{index} {{ }}\n" for index in range(40))
    assert {each[:4] for each in found(BASE.replace("root", "s0") + chain)} == {"R604"}


def test_a_space_without_a_default() -> None:
    text = BASE.replace("width=4", "width") + f"net n in root {{\n{NET}\n}}\nnet m in root(3) {{\n{NET}\n}}\n"
    assert found(text) == []
    assert load(text, net="m").parameters["width"] == 3
    assert load(text, net="n", width=5).parameters["width"] == 5
    with pytest.raises(RobError, match="needs a value for `width`"):
        load(text, net="n")


def test_a_parameter_that_is_not_there() -> None:
    with pytest.raises(RobError, match="has no parameter `widht`") as caught:
        load_space(BASE, widht=3)
    assert caught.value.diagnostics[0].help == "did you mean `width`?"


# --- narrower spaces


def test_rules_add_up() -> None:
    text = (
        BASE
        + "space narrow in root {\nrequire count(a, conv) < 1\n}\nspace narrower in narrow {\nrequire density(0) == 0.5\n}\n"
    )

    def net(a: str, b: str) -> str:
        return text + f"net n in narrower {{\npick a = {a}\npick 0 = {b}\n}}\n"

    load(net("01", "10"))
    assert only(net("00", "10")).title == "`n` breaks a rule of `root`"
    assert only(net("11", "10")).title == "`n` breaks a rule of `narrow`"
    assert only(net("01", "11")).title == "`n` breaks a rule of `narrower`"
    assert [each.title for each in check(net("11", "11"))] == [
        "`n` breaks a rule of `narrow`",
        "`n` breaks a rule of `narrower`",
    ]


@pytest.mark.parametrize(
    "statement",
    ["relu", "pick b : c", "pick a = 11", "let a = 3", "input 3 x 8 x 8", "repeat 2 { relu }", "pick c(3)"],
)
def test_a_narrower_space_holds_rules_and_facts(statement: str) -> None:
    assert [
        each[:4]
        for each in found(f"{BASE}space narrow in root {{\nmeta a = 3\nrequire true\n{statement}\n}}\n")
    ] == ["R114"]


def test_a_narrower_space_sees_the_values_of_the_root() -> None:
    text = (
        BASE.replace("    pick a : c\n", "    pick a : c\n    let half = width // 2\n")
        + "space narrow in root {\nrequire half == 2\n}\n"
    )
    assert found(text) == []
    with pytest.raises(RobError, match="half = 3"):
        load_space(text, space="narrow", width=6)


# --- picks


def test_a_named_pick_stands_in_chains_sums_and_conditions() -> None:
    text = """
        cell c(w) {
            in x
            x -> out : any { conv(3, w), conv(1, w) }
        }
        space s(deep=true) {
            input 3 x 8 x 8
            pick a : c
            a(8) | relu | a(6)
            a(6) + conv(5, 6)
            relu | (if deep then a(4) else conv(1, 4))
            stem: a(2)
        }
        net n in s { pick a = 01 }
        """
    net = load(text)
    assert len(net.layout.picks) == 1
    assert [stage.shape[0] for stage in net.stages] == [6, 6, 4, 2]
    assert net.cost.params == 3 * 8 + 8 * 6 + 6 * 6 + 6 * 6 * 25 + 6 * 4 + 4 * 2
    keys = [step.key for step in flatten(net.stages[0].operation, [(3, 8, 8)]).steps]
    assert keys == ["input", "c_0.x_to_out.alternative_1", "relu_1", "c_2.x_to_out.alternative_1"]
    assert load(text, deep=False).cost.params == net.cost.params


def test_a_pick_of_a_cell_with_several_inputs_stands_alone() -> None:
    text = "cell c {{\nin p, q\np, q -> out : any {{ relu, sigmoid }}\n}}\nspace s {{\ninput 3 x 8 x 8\npick a : c\n{}\n}}\n"
    assert found(text.format("a\na")) == []
    assert found(text.format("relu | a")) == ["R408 a"]
    assert found(text.format("a + relu")) == ["R408 a"]


def test_each_turn_of_a_pick_stage_is_a_new_pick() -> None:
    space = load_space(
        BASE.replace("repeat layers { a(width) }", "repeat layers { pick c(width) }"), layers=3
    )
    assert [(pick.name, pick.cell) for pick in space.picks] == [
        ("a", "c"),
        ("0", "c"),
        ("1", "c"),
        ("2", "c"),
        ("3", "c"),
    ]


def test_a_pick_that_no_turn_uses_is_still_a_pick() -> None:
    text = BASE + f"net n in root {{\n{NET}\n}}\n"
    assert load(text, layers=0).alpha == ["10", "01"]
    assert load_space(text, layers=0).picks[0].opens == load_space(text).picks[0].opens


def test_a_pick_may_be_used_above_its_line() -> None:
    moved = BASE.replace("    pick a : c\n", "").replace("    require", "    pick a : c\n    require")
    assert [pick.name for pick in load_space(moved).picks] == ["a", "0"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("pick c : c\nc(3)", ["R213 c"]), ("pick relu : c\nrelu(3)", ["R202 relu", "R302 3"]), ("pick a : cc\na(3)", ["R203 cc"]),
        ("pick a : closed\na", ["R417 closed"]), ("pick a : f\na", ["R203 f"]), ("pick closed", ["R417 closed"]), ("pick cc(3)", ["R203 cc"]),
        ("pick a : c\npick a : c\na(3)", ["R212 a"]), ("pick w : c\nw(3)", ["R212 w"]), ("repeat 1 { pick a : c }\na(3)", ["R114 pick a : c"]),
        ("pick a : c\na", ["R301 a"]), ("pick c", ["R301 c"]), ("pick c(3, 4)", ["R302 4"]), ("c(3)", ["R416 c"]), ("pick a : c\nlet a = 3\na(3)", ["R212 a"]),
    ],
)  # fmt: skip
def test_picks_that_are_wrong(body: str, errors: list[str]) -> None:
    definitions = "cell c(w) {\nin x\nx -> out : any { conv(3, w), conv(1, w) }\n}\ncell closed {\nin x\nx -> out\n}\nop f = any { relu, sigmoid }\n"
    assert sorted(found(f"{definitions}space s(w=3) {{\ninput 3 x 8 x 8\n{body}\n}}\n")) == sorted(errors)


def test_open_cells_are_used_through_picks_only() -> None:
    definitions = "cell c(w=3) {\nin x\nx -> out : any { conv(3, w), conv(1, w) }\n}\n"
    assert found(definitions + "cell d {\nin x\nx -> out : c\n}") == ["R416 c"]
    assert found(definitions + "op f = c | relu") == ["R416 c"]
    error = only(definitions + "net n {\ninput 3 x 8 x 8\nc(4)\n}")
    assert (error.code.id, error.help) == ("R416", "write `pick c(4)`")


# --- open operations


def test_an_op_may_be_an_open_edge() -> None:
    text = """
        op choice(stride=1) = any { conv(3, 6, stride), conv(1, 6, stride) | relu }
        op again(stride=2) = choice(stride)
        cell c {
            in x
            x -> a : choice
            x -> b : again
            b -> d : again(1)
            a -> e : max_pool(2)
            d, e -> out
        }
        space s { input 3 x 8 x 8; pick c }
        """
    space = load_space(text)
    (pick,) = space.picks
    assert list(map(str, pick.opens)) == ["`x -> a`", "`x -> b`", "`b -> d`"]
    assert {edge.names for edge in pick.opens} == {
        (["conv", "3, 6, stride)"][0], "conv(1, 6, stride) | relu")
    }
    cell = space.supernet().stages[0].operation.cell  # type: ignore[attr-defined]  # a stage that is a cell
    assert {name: node.shape for name, node in cell.nodes.items()} == {
        "x": (3, 8, 8), "a": (6, 8, 8), "b": (6, 4, 4), "d": (6, 4, 4), "e": (6, 4, 4), "out": (6, 4, 4),
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "x -> out : choice | relu", "x -> out : relu + choice", "x -> out : if true then choice else relu", "x -> out : any { choice, relu }",
        "x -> out : one { choice, relu }",
    ],
)  # fmt: skip
def test_an_open_operation_stands_only_as_a_whole_edge(body: str) -> None:
    assert [
        each[:4] for each in found(f"op choice = any {{ relu, sigmoid }}\ncell c {{\nin x\n{body}\n}}")
    ] == ["R422"]


@pytest.mark.parametrize(
    "body",
    [
        "x -> out : any { relu, sigmoid } | relu", "x -> out : relu + any { relu, sigmoid }", "x -> out : if true then any { relu } else relu",
        "x -> out : any { any { relu }, relu }", "x -> out : one { one { relu }, relu }",
    ],
)  # fmt: skip
def test_an_open_edge_is_the_whole_right_side(body: str) -> None:
    assert [each[:4] for each in found(f"cell c {{\nin x\n{body}\n}}")] == ["R112"]


def test_alternatives_give_one_shape() -> None:
    error = only(
        "cell c {\nin x\nx -> out : any { relu, conv(3, 5), conv(3, 6) }\n}\nspace s {\ninput 3 x 8 x 8\npick c\n}"
    )
    assert (error.code.id, error.span.text, error.related[0].span.text) == ("R411", "conv(3, 5)", "relu")


def test_too_many_alternatives() -> None:
    convs = ", ".join(f"conv({2 * k + 1})" for k in range(17))
    assert [each[:4] for each in found(f"op f = any {{ {convs} }}")] == ["R611"]


def test_a_space_may_choose_nothing() -> None:
    space = load_space("space s {\ninput 3 x 8 x 8\nrelu\n}")
    assert space.picks == () and space.net([]).alpha == []
    assert load("space s {\ninput 3 x 8 x 8\nrelu\n}\nnet n in s { }").stages[0].name == "stage_0"
