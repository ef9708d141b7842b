"""Nets: stages and what feeds them, repeats, labels, images and facts."""

from __future__ import annotations

import pytest

from robdsl.graph.load import load
from robdsl.graph.values import Word
from tests.graph.programs import found, net_of, only

PAIR = "cell pair(w=4) {\nin p, q\np -> a : global_avg_pool | conv(1, w)\nq -> b : global_avg_pool | conv(1, w)\na, b -> out\n}\n"
TRIPLE = "cell triple {\nin a, b, c\nx = concat(a, b, c)\nx -> out\n}\n"


def names(stages: str, definitions: str = "") -> list[str]:
    return [stage.name for stage in net_of(stages, definitions).stages]


# --- what feeds what


def test_a_statement_is_one_stage_however_long() -> None:
    net = net_of("conv(3, 4) | relu | conv(3, 5)\nrelu")
    assert [stage.inputs for stage in net.stages] == [(-1,), (0,)]


def test_a_cell_is_fed_the_most_recent_outputs() -> None:
    net = net_of(
        "relu\nrelu\nrelu\npair\ntriple2",
        PAIR
        + "cell triple2 {\nin a, b, c\na -> x : global_avg_pool\nb -> y : global_avg_pool\nc -> z : conv(1, 3)\nx, y, z -> out\n}",
    )
    assert [stage.inputs for stage in net.stages] == [(-1,), (0,), (1,), (1, 2), (1, 2, 3)]


def test_the_earliest_output_again_where_there_are_too_few() -> None:
    net = net_of("conv(3, 4)\ntriple\nglobal_avg_pool", TRIPLE)
    assert [stage.inputs for stage in net.stages] == [(-1,), (0, 0, 0), (1,)]
    net = net_of("conv(3, 4)\nrelu\ntriple", TRIPLE)
    assert net.stages[-1].inputs == (0, 0, 1)


def test_the_image_counts_for_the_first_stage_only() -> None:
    assert net_of("triple", TRIPLE).stages[0].inputs == (-1, -1, -1)
    assert net_of("triple", TRIPLE).stages[0].shape == (9, 8, 8)
    assert net_of("relu\npair", PAIR).stages[1].inputs == (0, 0)


def test_each_turn_of_a_repeat_adds_outputs() -> None:
    net = net_of("conv(3, 4)\nrepeat 2 { relu; sigmoid }\npair", PAIR)
    assert [stage.inputs for stage in net.stages] == [(-1,), (0,), (1,), (2,), (3,), (3, 4)]


def test_a_repeat_of_nothing_adds_nothing() -> None:
    net = net_of("conv(3, 4)\nrepeat 0 { relu }\nrepeat 3 - 3 { conv(99) }\npair", PAIR)
    assert [stage.inputs for stage in net.stages] == [(-1,), (0, 0)]


def test_a_negative_repeat() -> None:
    error = only("net n(k=2) {\ninput 3 x 8 x 8\nrelu\nrepeat k - 3 { relu }\n}")
    assert (error.code.id, error.span.text, error.title) == ("R420", "k - 3", "`repeat` of -1 turns")


@pytest.mark.parametrize("count", ["1.5", "true", "dot", "1k // 2.0"])
def test_a_repeat_counts_turns(count: str) -> None:
    assert only(f"net n {{\ninput 3 x 8 x 8\nrelu\nrepeat {count} {{ relu }}\n}}").code.id == "R304"


def test_repeats_nest() -> None:
    net = net_of("repeat 2 { repeat 3 { relu }; conv(3, 2 * in.channels) }")
    assert [stage.shape[0] for stage in net.stages] == [3, 3, 3, 6, 6, 6, 6, 12]


def test_shapes_follow_the_turns() -> None:
    assert [stage.shape for stage in net_of("repeat 3 { conv(3, in.channels + 1, stride=2) }").stages] == [
        (4, 4, 4), (5, 2, 2), (6, 1, 1),
    ]  # fmt: skip


def test_the_last_stage_is_the_result() -> None:
    net = net_of("flatten | linear(7)")
    assert (net.classes, net.stages[-1].shape) == (7, (7,))


# --- images


def test_an_image_may_be_computed() -> None:
    net = load("net n(c=1, s=8) {\nlet twice = 2 * s\ninput c x s x twice\nrelu\n}", s=4)
    assert net.image == (1, 4, 8)
    assert net_of("relu", image="2*2 x 8 - 1 x 9 // 2").image == (4, 7, 4)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("relu", ["R413 n"]), ("input 3 x 8 x 8", ["R415 n"]), ("input 3 x 8 x 8\nrelu\ninput 3 x 8 x 8", ["R414 input 3 x 8 x 8"]),
        ("input 3 x 8 x 8\ninput 1 x 2 x 2\nrelu", ["R414 input 1 x 2 x 2"]), ("relu\ninput 3 x 8 x 8", ["R414 input 3 x 8 x 8"]),
        ("repeat 1 { input 3 x 8 x 8 }\nrelu", ["R414 input 3 x 8 x 8"]), ("input 3 y 8 x 8\nrelu", ["R115 y"]),
        ("input 0 x 8 x 8\nrelu", ["R305 0"]), ("input 3 x 8.5 x 8\nrelu", ["R304 8.5"]), ("input 3 x -8 x 8\nrelu", ["R305 -8"]),
        ("input 3 x 8 x 8\nrepeat 0 { relu }", ["R415 n"]), ("input 3 x 8 x 8\nlet a = 1", ["R415 n"]),
    ],
)  # fmt: skip
def test_images_and_stages_that_are_wrong(body: str, wrong: list[str]) -> None:
    assert found(f"net n {{\n{body}\n}}") == wrong


# --- names


def test_names_made_up() -> None:
    assert names("conv(3, 4) | relu\npair\nrelu\nrepeat 2 { pair }", PAIR) == [
        "stage_0",
        "pair_1",
        "stage_2",
        "pair_3",
        "pair_4",
    ]


def test_labels_name_stages() -> None:
    assert names("stem: conv(3, 4)\nmix: pair\nrelu", PAIR) == ["stem", "mix", "stage_2"]


def test_labels_name_the_turns_of_a_repeat() -> None:
    assert names("layer1: repeat 3 { relu }\nlayer2: repeat 2 { pair }", PAIR) == [
        "layer1.0", "layer1.1", "layer1.2", "layer2.0", "layer2.1",
    ]  # fmt: skip
    assert names("a: repeat 2 { let k = 3; conv(k) }") == ["a.0", "a.1"]


def test_labels_inside_repeats() -> None:
    assert names("repeat 2 { a: relu; sigmoid; b: relu }") == [
        "a.0",
        "stage_1",
        "b.0",
        "a.1",
        "stage_4",
        "b.1",
    ]
    assert names("l: repeat 2 { a: relu; sigmoid; b: relu; sigmoid }") == [
        "l.0.a", "l.0.0", "l.0.b", "l.0.1", "l.1.a", "l.1.0", "l.1.b", "l.1.1",
    ]  # fmt: skip
    assert names("l: repeat 2 { m: repeat 2 { relu } }") == ["l.0.m.0", "l.0.m.1", "l.1.m.0", "l.1.m.1"]
    assert names("repeat 2 { m: repeat 2 { relu } }") == ["m.0", "m.1", "m.2", "m.3"]
    assert names("l: repeat 2 { repeat 2 { a: relu; relu } }") == [
        "l.0.a.0", "l.0.0", "l.0.a.1", "l.0.1", "l.1.a.0", "l.1.0", "l.1.a.1", "l.1.1",
    ]  # fmt: skip
    assert names("l: repeat 2 { a: relu }\nm: repeat 2 { a: relu }") == ["l.0.a", "l.1.a", "m.0.a", "m.1.a"]


def test_long_turns_have_names_of_their_own() -> None:
    made = names("l: repeat 2 { " + "; ".join(["relu"] * 100) + " }")
    assert len(made) == len(set(made)) == 200 and made[99] == "l.0.99"


def test_a_label_may_look_like_a_name_made_up() -> None:
    made = names("stage_1: relu\nrelu\nstage_2: relu")
    assert made == ["stage_1", "stage_1_", "stage_2"]


@pytest.mark.parametrize(
    "body",
    [
        "a: relu\na: relu",
        "a: relu\na: repeat 2 { relu }",
        "repeat 2 { a: relu }\na: relu",
        "l: repeat 2 { a: relu; a: relu }",
    ],
)
def test_labels_differ(body: str) -> None:
    error = only(f"net n {{\ninput 3 x 8 x 8\n{body}\n}}")
    assert error.code.id == "R419" and len(error.related) == 1


# --- statements


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("pick c : open", ["R418 pick c : open", "R415 n"]), ("pick open", ["R418 pick open"]), ("relu\npick c = 11", ["R114 pick c = 11"]),
        ("relu\npick c { x -> out : relu }", ["R114 pick c { x -> out : relu }"]), ("open", ["R416 open"]), ("relu | open", ["R416 open"]),
        ("repeat 2 { relu; meta a = 3 }", ["R114 meta a = 3"]), ("any { relu, sigmoid }", ["R112 any { relu, sigmoid }"]),
        ("relu\nlet a = 1\nlet a = 2", ["R212 a"]), ("relu\nlet w = 1", ["R212 w"]), ("relu\nmeta a = 1\nmeta a = 2", ["R212 a"]),
        ("relu\nrequire density(c) > 0", ["R208 c"]), ("n", ["R216 n"]), ("w", ["R216 w"]), ("choose", ["R422 choose"]),
    ],
)  # fmt: skip
def test_statements_that_do_not_stand_in_a_net(body: str, wrong: list[str]) -> None:
    definitions = (
        "cell open {\nin x\nx -> out : any { relu, sigmoid }\n}\nop choose = any { relu, sigmoid }\n"
    )
    assert sorted(found(f"{definitions}net n(w=3) {{\ninput 3 x 8 x 8\n{body}\n}}")) == sorted(wrong)


def test_a_let_inside_a_repeat_is_worked_out_in_each_turn() -> None:
    assert [
        stage.shape[0] for stage in net_of("repeat 2 { let w = 5; conv(1, w) }\nconv(1, w + 1)").stages
    ] == [5, 5, 6]


def test_facts() -> None:
    net = load(r"""net n {
        meta source = "a \"quoted\" \\ path { # no comment"
        meta score = 52.74; meta offset = -3
        input 3 x 8 x 8
        relu
        meta params = 5.5M; meta empty = ""
    }""")
    assert dict(net.meta) == {
        "source": 'a "quoted" \\ path { # no comment',
        "score": 52.74,
        "offset": -3,
        "params": 5_500_000,
        "empty": "",
    }


def test_a_requirement_of_a_net() -> None:
    error = only("net n(width=6) {\ninput 3 x 8 x 8\nrequire width % 4 == 0\nconv(3, width)\n}")
    assert (error.code.id, error.span.text, error.label) == ("R307", "require width % 4 == 0", "width = 6")


def test_a_mistake_in_a_rule_does_not_hide_the_next() -> None:
    text = "net n {\ninput 3 x 8 x 8\nlet a = 1 // 0\nrequire 1 > 2\nrequire dot < 3\nrelu | conv(0)\n}"
    assert found(text) == ["R306 0", "R307 require 1 > 2", "R304 dot", "R305 0"]


# --- loading


def test_parameters_from_outside() -> None:
    text = "net n(width, deep=true, rate=0.5, kind=dot, depth=2 * width) {\ninput 3 x 8 x 8\nconv(3, depth) | dropout(rate) | nonlocal_mean(kind)\n}"
    net = load(text, width=3, deep=False, rate=0, kind="gaussian")
    assert net.parameters == {"width": 3, "deep": False, "rate": 0, "kind": Word("gaussian"), "depth": 6}


@pytest.mark.parametrize("value", [None, [1], "two words", "net", "", b"dot", 1j])
def test_parameters_that_are_no_values(value: object) -> None:
    with pytest.raises(TypeError):
        load("net n(w) {\ninput 3 x 8 x 8\nconv(3, w)\n}", w=value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**19, -1e30])
def test_parameters_that_are_too_much(value: float) -> None:
    with pytest.raises(ValueError):
        load("net n(w) {\ninput 3 x 8 x 8\nconv(3, w)\n}", w=value)


def test_parameters_of_numpy() -> None:
    import numpy as np

    net = load("net n(w, p) {\ninput 3 x 8 x 8\nconv(3, w) | dropout(p)\n}", w=np.int64(4), p=np.float32(0.5))
    assert net.parameters == {"w": 4, "p": 0.5} and type(net.parameters["w"]) is int


def test_a_net_without_a_default_is_checked_for_its_form_only() -> None:
    assert found("net n(w) {\ninput 3 x 8 x 8\nconv(3, w)\n}") == []
    assert found("net n(w) {\ninput 3 x 8 x 8\nconv(3, w) | nonsense\n}") == ["R203 nonsense"]


def test_the_parameter_what_is_like_any_other() -> None:
    assert load("net n(what) {\ninput 3 x 8 x 8\nconv(3, what)\n}", what=5).stages[0].shape[0] == 5
