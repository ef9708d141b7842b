"""Cells: nodes, edges, joins, what is known where, and what a cell must be."""

from __future__ import annotations

import networkx as nx
import pytest

from robdsl.graph.flatten import flatten
from robdsl.graph.operations import CellOperation, PrimitiveOperation, SumOperation
from tests.graph.programs import cell_of, check, found, net_of, only


def in_net(cell: str, call: str = "c") -> str:
    return f"{cell}\nnet n {{\ninput 3 x 8 x 8\n{call}\n}}\n"


def steps(cell: str, call: str = "") -> list[tuple[str, str]]:
    """Kind and key of all that a cell computes."""
    made = cell_of(cell, call)
    flat = flatten(CellOperation(made.in_shapes[-1], made.out_shape, made.span, cell=made), made.in_shapes)
    return [(step.kind, step.key) for step in flat.steps[flat.arity :]]


# --- nodes and edges


def test_node_order_is_first_mention_the_inputs_first() -> None:
    cell = cell_of(
        """
        cell c {
            b, d -> e : relu
            in a, b
            a -> d
            z = sum(e, b)
            e -> y : conv(3, z2.channels)
            z -> z2
            y, z2 -> out : conv(1, 4)
        }
        """.replace(
            "e -> y : conv(3, z2.channels)\n            z -> z2",
            "z -> z2\n            e -> y : conv(3, z2.channels)",
        )
    )
    assert list(cell.nodes) == ["a", "b", "d", "e", "z", "z2", "y", "out"]
    assert [node.index for node in cell.nodes.values()] == list(range(8))


def test_a_join_mentions_its_target_first() -> None:
    cell = cell_of("cell c {\nin x\nout = concat(m, l)\nx -> l\nx -> m\n}")
    assert list(cell.nodes) == ["x", "out", "m", "l"]


def test_names_in_expressions_are_no_mention() -> None:
    cell = cell_of(
        "cell c {\nin x\nx -> a\nlet w = a.channels\nrequire x.height == 8\nx -> b : conv(3, a.channels)\nb -> out\n}"
    )
    assert list(cell.nodes) == ["x", "a", "b", "out"]


def test_an_edge_statement_means_every_pair() -> None:
    cell = cell_of("cell c {\nin x\nx -> a, b\na, b -> d, e : relu\nd, e -> out\n}")
    pairs = [(edge.source, edge.target) for edge in cell.edges]
    assert pairs == [
        ("x", "a"),
        ("x", "b"),
        ("a", "d"),
        ("a", "e"),
        ("b", "d"),
        ("b", "e"),
        ("d", "out"),
        ("e", "out"),
    ]


def test_statements_about_one_pair_add_up() -> None:
    assert steps("cell c {\nin x\nx -> out : relu\nx -> out : sigmoid\nx -> out\n}") == [
        ("primitive", "x_to_out"), ("primitive", "x_to_out_2"), ("sum", "out"),
    ]  # fmt: skip


def test_an_edge_without_an_operation_is_the_identity() -> None:
    edge = cell_of("cell c {\nin x\nx -> out\n}").edges[0]
    (operation,) = edge.alternatives
    assert isinstance(operation, PrimitiveOperation) and operation.primitive.name == "identity"


def test_sums_keep_the_order_of_the_text() -> None:
    cell = "cell c {\nin x\nx -> b : sigmoid\nx -> a : relu\nb -> out : conv(1)\nx -> out : conv(3)\na -> out : conv(5)\n}"
    assert steps(cell)[-1] == ("sum", "out")
    made = cell_of(cell)
    assert [edge.source for edge in made.entering["out"]] == ["b", "x", "a"]


def test_bar_binds_tighter_than_plus() -> None:
    operation = net_of("relu | conv(3) + sigmoid | conv(1)").stages[0].operation
    assert isinstance(operation, SumOperation) and len(operation.parts) == 2


def test_edge_keys_never_collide() -> None:
    cell = cell_of("cell c {\nin a, a_to_b\na_to_b -> d : conv(1)\na -> b_to_d : conv(1)\na -> a_to_b_to_d : conv(1)\n"
                   "a -> d : conv(1)\na -> d : conv(3)\na -> d_2 : conv(1)\nb_to_d, a_to_b_to_d, d, d_2 -> out\n}",
                   "relu\nc")  # fmt: skip
    keys = [edge.key for edge in cell.edges]
    assert len(keys) == len(set(keys)) and not set(keys) & set(cell.nodes)


# --- joins


@pytest.mark.parametrize(
    ("join", "shape"),
    [
        ("concat(a, b)", (7, 8, 8)), ("concat(b)", (4, 8, 8)), ("concat(a, a, a)", (9, 8, 8)), ("sum(a, x)", (3, 8, 8)),
        ("mul(a, x)", (3, 8, 8)), ("mul(a, g)", (3, 8, 8)), ("mul(g, x, a)", (3, 8, 8)), ("mul(g, g)", (3, 1, 1)),
        ("concat(v, v)", (384,)), ("sum(v, v)", (192,)), ("mul(v, v)", (192,)),
    ],
)  # fmt: skip
def test_joins(join: str, shape: tuple[int, ...]) -> None:
    body = "x -> a : relu\nx -> b : conv(3, 4)\nx -> g : global_avg_pool\nx -> v : flatten"
    assert cell_of(f"cell c {{\nin x\n{body}\nout = {join}\n}}").out_shape == shape


@pytest.mark.parametrize(
    "join",
    [
        "sum(x, b)",
        "concat(x, h)",
        "concat(x, v)",
        "mul(x, b)",
        "mul(x, h)",
        "mul(b, g)",
        "mul(x, v)",
        "sum(x, g)",
        "mul(v, h)",
    ],
)
def test_joins_that_do_not_fit(join: str) -> None:
    body = "x -> b : conv(3, 4)\nx -> h : crop(1)\nx -> g : global_avg_pool\nx -> v : flatten"
    errors = [
        each
        for each in check(in_net(f"cell c {{\nin x\n{body}\nout = {join}\n}}"))
        if each.severity == "error"
    ]
    assert [each.code.id for each in errors] == ["R409"]
    assert len(errors[0].related) == 1  # both places are shown, each with its shape


def test_a_join_keeps_its_order() -> None:
    cell = cell_of("cell c {\nin x\nx -> a : conv(1, 2)\nx -> b : conv(1, 5)\nout = concat(b, a, x)\n}")
    assert cell.nodes["out"].operands == ("b", "a", "x")


def test_nodes_may_bear_the_names_of_joins_and_operations() -> None:
    cell = cell_of(
        "cell c {\nin x\nx -> concat : relu\nx -> relu : sigmoid\nsum = sum(concat, relu)\nsum -> out\n}"
    )
    assert list(cell.nodes) == ["x", "concat", "relu", "sum", "out"]


# --- what is known where


def test_the_inputs_are_known_above_their_statement() -> None:
    cell = cell_of("cell c {\nlet w = x.channels * 2\nx -> out : conv(3, w)\nin x\n}")
    assert cell.out_shape == (6, 8, 8)


def test_a_node_is_known_when_no_edge_into_it_follows() -> None:
    cell_of("cell c {\nin x\nx -> a : conv(3, 5)\nx -> b : conv(3, a.channels)\na, b -> out\n}")
    assert found("cell c {\nin x\nx -> a\nx -> b : conv(3, a.channels)\nx -> a\na, b -> out\n}") == [
        "R310 a.channels"
    ]
    assert found("cell c {\nin x\nx -> b : conv(3, a.channels)\nx -> a\na, b -> out\n}") == [
        "R310 a.channels"
    ]
    assert found("cell c {\nin x\nx -> a : conv(3, a.channels)\na -> out\n}") == ["R310 a.channels"]
    assert found("cell c {\nin x\nx -> b : conv(3, a.channels)\na = concat(x, x)\na, b -> out\n}") == [
        "R310 a.channels"
    ]


def test_what_feeds_a_known_node_may_follow() -> None:
    """None of y's edges are written below; those of its source are."""
    cell = cell_of(
        "cell c {\nin x\na -> y : relu\nx -> b : conv(3, y.channels)\nx -> a : conv(3, 5)\nb, y -> out\n}"
    )
    assert cell.nodes["b"].shape == (5, 8, 8)


def test_what_depends_on_itself() -> None:
    error = only(in_net("cell c {\nin x\na -> y : relu\nx -> a : conv(3, y.channels)\ny -> out\n}"))
    assert (error.code.id, error.span.text) == ("R311", "y.channels")


def test_a_let_is_known_from_its_line_on() -> None:
    assert (
        cell_of(
            "cell c(w) {\nin x\nlet half = w // 2\nlet more = half + 1\nx -> out : conv(3, more)\n}", "c(8)"
        ).out_shape[0]
        == 5
    )
    assert found("cell c {\nin x\nx -> out : conv(3, w)\nlet w = 4\n}") == ["R310 w"]
    assert found("cell c {\nin x\nlet a = b\nlet b = 4\nx -> out : conv(3, a)\n}") == ["R310 b"]
    assert found("cell c {\nin x\nrequire a > 2\nlet a = 4\nx -> out\n}") == ["R310 a"]
    assert found("net n {\ninput 3 x 8 x 8\nconv(3, w)\nlet w = 4\n}") == ["R310 w"]
    assert found("net n {\ninput 3 x 8 x s\nlet s = 8\nrelu\n}") == ["R310 s"]


def test_a_bad_let_is_one_mistake() -> None:
    text = in_net(
        "cell c {\nin x\nlet w = 1 // 0\nx -> a : conv(3, w)\na -> out : conv(3, 2 * w)\nrequire w > 3\n}"
    )
    assert found(text) == ["R306 0"]
    assert found("net n {\ninput 3 x 8 x 8\nlet w = 1 // 0\nconv(3, w)\nrequire w > 3\n}") == ["R306 0"]


def test_in_is_what_enters() -> None:
    definitions = """
        op double = conv(3, 2 * in.channels)
        op keep(width=in.channels) = conv(1, width)
        op by_size = if in.height > 4 then conv(3, in.channels, stride=2) else identity
        cell two(width=in.channels) {
            in p, q
            p, q -> out : conv(1, width)
        }
        """
    net = net_of("double | conv(3, in.channels + 1) | keep\nby_size | by_size\nconv(1, 5)\ntwo", definitions)
    assert [stage.shape for stage in net.stages] == [(7, 8, 8), (7, 4, 4), (5, 4, 4), (5, 4, 4)]


def test_in_is_the_source_on_an_edge() -> None:
    cell = cell_of(
        "cell c {\nin x\nx -> a : conv(3, 5)\na -> out : conv(1, in.channels * 2) | conv(1, in.channels + 1)\n}"
    )
    assert cell.out_shape == (11, 8, 8)


def test_in_means_the_last_input_of_a_cell_with_several() -> None:
    net = net_of(
        "conv(3, 4)\nconv(3, 6)\npair(in.channels)", "cell pair(w) {\nin p, q\np, q -> out : conv(1, w)\n}"
    )
    assert net.stages[-1].shape == (6, 8, 8)


@pytest.mark.parametrize(
    "text",
    [
        "net n(w=in.channels) {\ninput 3 x 8 x 8\nconv(3, w)\n}", "net n {\ninput 3 x 8 x 8\nlet w = in.channels\nconv(3, w)\n}",
        "net n {\ninput 3 x 8 x 8\nrequire in.channels == 3\nrelu\n}", "net n {\ninput 3 x 8 x 8\nrepeat in.channels { relu }\n}",
        "cell c {\nin x\nlet w = in.channels\nx -> out : conv(3, w)\n}", "cell c {\nin x\nrequire in.channels > 0\nx -> out\n}",
        "net n {\ninput in.width x 8 x 8\nrelu\n}",
    ],
)  # fmt: skip
def test_in_has_no_meaning_elsewhere(text: str) -> None:
    assert only(text).code.id == "R308"


# --- parameters and calls


def test_defaults_use_the_parameters_before_them() -> None:
    definitions = "op f(a, b=2 * a, c=a + b) = conv(1, c)"
    assert [
        net_of(call, definitions).stages[0].shape[0]
        for call in ("f(2)", "f(2, 3)", "f(2, c=9)", "f(b=1, a=5)")
    ] == [6, 5, 9, 6]
    assert found("op f(a=b, b=2) = conv(1, a)") == ["R310 b"]
    assert found("op f(a=a) = conv(1, a)") == ["R310 a"]


@pytest.mark.parametrize(
    ("call", "code", "culprit"),
    [
        ("f", "R301", "f"), ("f(1, 2, 3)", "R302", "3"), ("f(1, a=2)", "R303", "a=2"), ("f(a=1, a=2)", "R303", "a=2"),
        ("f(a=1, 2)", "R312", "2"), ("f(1, bb=2)", "R207", "bb"), ("relu(1)", "R302", "1"), ("conv", "R301", "conv"),
    ],
)  # fmt: skip
def test_calls_that_do_not_fit(call: str, code: str, culprit: str) -> None:
    assert f"{code} {culprit}" in found(f"op f(a, b=1) = conv(a, b)\nop g = {call}")


def test_parentheses_may_be_left_out() -> None:
    assert net_of("relu() | conv(3)").cost == net_of("relu | conv(3)").cost


@pytest.mark.parametrize(
    ("call", "code", "culprit"),
    [
        ("conv(0)", "R305", "0"), ("conv(3, stride=0)", "R305", "0"), ("conv(3, width=-1)", "R305", "-1"), ("conv(3.0)", "R304", "3.0"),
        ("conv(true)", "R304", "true"), ("conv(3, bias=1)", "R304", "1"), ("dropout(1.5)", "R305", "1.5"), ("dropout(dot)", "R304", "dot"),
        ("conv(1k, padding=2M)", "R305", "2M"), ("nonlocal_mean(1)", "R304", "1"), ("batch_norm(weight=true)", "R304", "true"),
        ("conv(3, 4, 1, -1)", "R305", "-1"), ("linear(3)", "R410", "linear(3)"), ("conv(9, padding=0)", "R410", "conv(9, padding=0)"),
        ("conv(3, 4, groups=2)", "R410", "conv(3, 4, groups=2)"), ("max_pool(3, padding=2)", "R410", "max_pool(3, padding=2)"),
        ("crop(8)", "R410", "crop(8)"), ("flatten | relu | crop(0)", "R410", "crop(0)"), ("flatten | zero(2)", "R410", "zero(2)"),
        ("conv(1, 1) | nonlocal_mean(gaussian)", "R410", "nonlocal_mean(gaussian)"),
    ],
)  # fmt: skip
def test_primitives_say_what_they_need(call: str, code: str, culprit: str) -> None:
    assert found(f"net n {{\ninput 3 x 8 x 8\n{call}\n}}") == [f"{code} {culprit}"]


# --- if and none


def test_if_reaches_as_far_right_as_it_can() -> None:
    one = net_of("if true then relu else relu | conv(3, 5)").stages[0]
    other = net_of("if false then relu else relu | conv(3, 5)").stages[0]
    assert (one.shape, other.shape) == ((3, 8, 8), (5, 8, 8))
    nested = "if {} then if {} then conv(1, 1) else conv(1, 2) else conv(1, 4)"
    widths = [
        net_of(nested.format(a, b)).stages[0].shape[0] for a in ("true", "false") for b in ("true", "false")
    ]
    assert widths == [1, 2, 4, 4]


def test_if_inside_a_chain_stands_in_parentheses() -> None:
    assert net_of("conv(1, 4) | (if in.channels == 4 then relu else flatten) | conv(1, 2)").stages[
        0
    ].shape == (2, 8, 8)
    assert found("op f = relu | if true then relu else sigmoid")[0].startswith("R111")


def test_the_branch_not_taken_is_not_worked_out() -> None:
    net_of("if true then relu else conv(3, 1 // 0)")
    assert (
        only("net n {\ninput 3 x 8 x 8\nif true then relu else nonsense\n}").code.id == "R203"
    )  # but it has to make sense


def test_none_is_the_absence_of_an_edge() -> None:
    cell = "cell c(deep) {\nin x\nx -> out : if deep then none else relu\nx -> out : conv(3)\n}"
    assert len(cell_of(cell, "c(true)").edges) == 1
    assert len(cell_of(cell, "c(false)").edges) == 2


def test_the_key_of_an_edge_does_not_depend_on_none() -> None:
    cell = "cell c(deep) {\nin x\nx -> out : if deep then none else relu\nx -> out : conv(3)\n}"
    assert {cell_of(cell, call).edges[-1].key for call in ("c(true)", "c(false)")} == {"x_to_out_2"}


def test_none_within_if_within_if() -> None:
    cell = "cell c(a, b) {\nin x\nx -> out : if a then (if b then none else relu) else none\nx -> out\n}"
    assert [
        len(cell_of(cell, f"c({a}, {b})").edges) for a in ("true", "false") for b in ("true", "false")
    ] == [1, 2, 1, 1]


def test_a_node_left_with_closed_nones_alone() -> None:
    text = in_net(
        "cell c(a) {\nin x\nx -> y : if a then none else relu\nx -> y : if a then none else conv(3)\ny, x -> out\n}",
        "c(true)",
    )
    error = only(text)
    assert error.code.id == "R412" and "`y`" in error.title
    assert [each.text for each in error.trace] == ["in `c(a=true)`"]


def test_an_op_that_is_none_by_condition_stands_on_edges_only() -> None:
    op = "op maybe(a) = if a then none else relu\n"
    assert len(cell_of(op + "cell c {\nin x\nx -> out : maybe(true)\nx -> out : maybe(false)\n}").edges) == 1
    assert found(op + "net n {\ninput 3 x 8 x 8\nmaybe(true)\n}") == ["R113 maybe(true)"]
    assert found(op + "net n {\ninput 3 x 8 x 8\nrelu | maybe(true)\n}") == ["R113 maybe(true)"]
    for kind in ("any", "one"):
        space = (
            op
            + f"cell c {{\nin x\nx -> out : {kind} {{ maybe(true), relu }}\n}}\nspace s {{\ninput 3 x 8 x 8\npick c\n}}"
        )
        assert found(space) == ["R113 maybe(true)"]


@pytest.mark.parametrize(
    "text",
    [
        "op f = none", "op f = relu | none", "op f = relu + none", "cell c {\nin x\nx -> out : none\n}", "op f = any { relu, none }",
        "net n {\ninput 3 x 8 x 8\nnone\n}", "op f = relu | (if true then relu else none)", "op f = one { none }", "op f = one { none, relu, none }",
        "net n {\ninput 3 x 8 x 8\nif true then relu else none\n}", "op f = one { (if true then none else relu), relu }",
    ],
)  # fmt: skip
def test_none_stands_nowhere_else(text: str) -> None:
    assert [each[:4] for each in found(text)] == ["R113"]


# --- the form of a cell


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("x -> out : relu", ["R401 c", "R407 x"]), ("in x\nin y\nx, y -> out", ["R402 in y"]), ("in x\nx -> y", ["R403 c"]),
        ("in x\nx -> out\nout -> x", ["R405 x"]), ("in x, x\nx -> out", ["R212 x"]), ("in x\nx = sum(x, x)\nx -> out", ["R405 x"]),
        ("in x\nout = sum(x, x)\nx -> out", ["R406 out"]), ("in x\nx -> out\nout = sum(x, x)", ["R406 out"]),
        ("in x\nout = sum(x, x)\nout = concat(x, x)", ["R406 out"]), ("in x\ny -> out", ["R407 y"]), ("in x\nout = sum(x, y)", ["R407 y"]),
        ("in x\nx -> a\na -> b\nb -> a\nb -> out", ["R404 b -> a"]), ("in x\nx -> out\nx -> a\na -> a", ["R404 a -> a"]),
        ("in x\nx -> a\na = sum(b, x)\na -> b\nb -> out", ["R406 a", "R404 a = sum(b, x)"]),
        ("in x\nx -> out\nx -> y", ["W401 y"]), ("in x, y\nx -> out", ["W401 y"]), ("in x\nx -> out\nout -> z", ["W401 z"]),
        ("in x\nx -> out : join(x)", ["R203 join"]), ("in x\nout = cat(x, x)", ["R215 cat"]), ("in x\nx -> width", ["R212 width", "R403 c"]),
        ("in x\nlet x = 3\nx -> out", ["R212 x"]), ("in x\nlet a = 3\nlet a = 4\nx -> out", ["R212 a"]), ("in x\nlet width = 3\nx -> out", ["R212 width"]),
        ("in x\nx -> out : x", ["R216 x"]), ("in x\nx -> out : width", ["R216 width"]), ("in x\nlet f = 2\nx -> out : f", ["R216 f"]),
    ],
)  # fmt: skip
def test_the_form_of_a_cell(body: str, wrong: list[str]) -> None:
    said = found(f"cell c(width=3) {{\n{body}\n}}")
    assert sorted(said) == sorted(wrong)


def test_a_long_cycle_is_told_from_its_beginning() -> None:
    error = only("cell c {\nin x\nx -> a\na -> b\nb -> d\nd -> a\nd -> out\n}")
    assert error.title == "the edges of `c` form a cycle: a -> b -> d -> a"
    assert error.span.text == "d -> a"


def test_a_warning_does_no_harm() -> None:
    net = net_of("c", "cell c {\nin x\nx -> dead : conv(3, 7)\nx -> out : relu\n}")
    assert [each.code.id for each in net.warnings] == ["W401", "W402"]
    assert net.stages[0].shape == (3, 8, 8)


def test_edges_into_one_node_give_one_shape() -> None:
    error = only(in_net("cell c {\nin x\nx -> y : conv(3, 4)\nx -> y : conv(3, 5)\ny -> out\n}"))
    assert error.code.id == "R409" and error.span.text == "conv(3, 5)"
    assert [label.span.text for label in error.related] == ["conv(3, 4)"]
    assert "4 x 8 x 8" in error.title and "5 x 8 x 8" in error.title


def test_parts_of_a_sum_give_one_shape() -> None:
    error = only("net n {\ninput 3 x 8 x 8\nconv(3, 4) + conv(3, 5)\n}")
    assert (error.code.id, error.span.text, error.related[0].span.text) == (
        "R409",
        "conv(3, 5)",
        "conv(3, 4)",
    )


def test_a_cell_with_several_inputs_stands_alone() -> None:
    two = "cell two {\nin p, q\np, q -> out\n}\n"
    assert found(two + "net n {\ninput 3 x 8 x 8\nrelu | two\n}") == ["R408 two"]
    assert found(two + "cell c {\nin x\nx -> out : two\n}") == ["R408 two"]
    assert found(two + "op f = two + relu") == ["R408 two"]
    assert found(two + "net n {\ninput 3 x 8 x 8\nif true then two else relu\n}") == ["R408 two"]
    assert net_of("a: two\ntwo", two).stages[0].name == "a"


def test_cells_act_as_operations() -> None:
    inner = "cell inner(w) {\nin x\nx -> out : conv(1, w)\n}\n"
    net = net_of(
        "inner(4) | relu | inner(5)\nouter",
        inner + "op twice = inner(6) | inner(6)\ncell outer {\nin x\nx -> out : twice + inner(6)\n}",
    )
    assert [stage.shape[0] for stage in net.stages] == [5, 6]
    keys = [
        f"{stage.name}.{step.key}"
        for stage in net.stages
        for step in flatten(stage.operation, [(3, 8, 8)]).steps
    ]
    assert "stage_0.inner_0.x_to_out" in keys and "outer_1.x_to_out.twice_0.inner_0.x_to_out" in keys


def test_require_shows_its_values() -> None:
    error = only(
        in_net("cell c(w) {\nin x\nrequire w % 2 == 0 and x.channels > w\nx -> out : conv(3, w)\n}", "c(5)")
    )
    assert (error.code.id, error.span.text) == ("R307", "require w % 2 == 0 and x.channels > w")
    assert error.label == "w = 5, x.channels = 3"
    assert [str(each.span) for each in error.trace] == ["<text>:8:1".replace("<text>", "test.rob")]


def test_many_mistakes_at_once() -> None:
    text = in_net(
        "cell c {\nin x\nx -> a : conv(0)\nx -> b : crop(9)\nx -> d : relu\na -> e : relu\nd -> g : linear(3)\ne, b, g -> out\n}"
    )
    assert found(text) == ["R305 0", "R410 crop(9)", "R410 linear(3)"]


def test_order_puts_sources_first() -> None:
    cell = cell_of("cell c {\nin x\nb -> out\na -> b : relu\nx -> a : relu\n}")
    graph = nx.DiGraph([(edge.source, edge.target) for edge in cell.edges])
    place = {name: index for index, name in enumerate(cell.order)}
    assert all(place[source] < place[target] for source, target in graph.edges)
    assert list(cell.nodes) == ["x", "b", "out", "a"]
