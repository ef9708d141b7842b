"""Open edges and what is chosen for them: alpha, the long form, and both ways between them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robdsl.diagnostics.source import Source
from robdsl.graph.choices import alpha_text
from robdsl.graph.flatten import flatten
from robdsl.graph.load import load, load_space
from robdsl.graph.net import Net
from robdsl.graph.respell import respell
from robdsl.syntax.formatter import format_tree
from robdsl.syntax.nodes import PickEdges
from tests.graph.programs import found, only

#: Two kinds of edges, two edges on one pair, a joined node between, alternatives that share a name or have none.
CELL = """
op choose(stride=1) = any { relu, conv(3, stride=stride) }
op chosen = choose
cell mixed(w=3) {
    in p, q
    q -> b : one { none, conv(3, w), relu }
    q -> b : one { conv(1, w), conv(5, w), relu | conv(1, w) }
    p -> a : any { conv(1, w) | relu, sigmoid, relu + sigmoid }
    m = concat(p, q)
    m -> b : conv(1, w)
    q, a -> out : chosen
    b -> out
    q -> out : choose(1)
}
space mixtures(w=3) {
    input w x 8 x 8
    pick c : mixed
    relu
    repeat 2 { c(w) }
}
"""


def chosen(choice: str) -> Net:
    return load(f"{CELL}\nnet n in mixtures {{\npick c {choice}\n}}")


def wrong(choice: str) -> list[str]:
    return found(f"{CELL}\nnet n in mixtures {{\npick c {choice}\n}}")


def test_the_order_of_alpha() -> None:
    """By destination, then by source, both in node order; two edges of one pair as they are written."""
    (pick,) = load_space(CELL).picks
    assert list(map(str, pick.opens)) == [
        "`q -> b`",
        "`q -> b`",
        "`p -> a`",
        "`q -> out`",
        "`q -> out`",
        "`a -> out`",
    ]
    assert [len(edges) for _, edges in pick.groups] == [2, 1, 3]
    assert [edge.names for edge in pick.opens] == [
        ("none", "conv", "relu"), ("conv(1, w)", "conv(5, w)", "relu | conv(1, w)"), ("conv(1, w) | relu", "sigmoid", "relu + sigmoid"),
        ("relu", "conv"), ("relu", "conv"), ("relu", "conv"),
    ]  # fmt: skip


def test_bits_and_indices() -> None:
    net = chosen("= 1 2 | 011 | 10 01 00")
    assert net.choices == (((1,), (2,), (1, 2), (0,), (1,), ()),)
    assert net.alpha == ["1 2 | 011 | 10 01 00"]


def test_the_long_form() -> None:
    net = chosen(
        """{
        q -> b : conv + (relu | conv(1, w))
        p -> a : sigmoid; p -> a : relu + sigmoid
        q -> out : relu
        q -> out : conv
    }""".replace("q -> out : relu\n        q -> out : conv", "q, q -> out : relu")
    )
    assert net.alpha == ["1 2 | 011 | 10 10 00"]


def test_what_is_not_mentioned_is_empty() -> None:
    assert chosen("{ q -> b : conv(5, w) }").alpha == ["0 1 | 000 | 00 00 00"]
    assert chosen("{ q -> b : none; q -> b : conv(5, w) }").alpha == ["0 1 | 000 | 00 00 00"]


def test_a_sum_that_is_one_alternative_comes_first() -> None:
    assert chosen("{ q -> b : conv(1, w); p -> a : relu + sigmoid }").alpha == ["0 0 | 001 | 00 00 00"]


def test_identity_may_go_unsaid() -> None:
    text = "cell c {\nin x\nx -> out : any { identity, relu }\n}\nspace s {\ninput 3 x 8 x 8\npick c\n}\n"
    assert load(text + "net n in s {\npick 0 { x -> out }\n}").alpha == ["10"]
    assert found(text.replace("identity", "sigmoid") + "net n in s {\npick 0 { x -> out }\n}") == [
        "R203 x -> out"
    ]


def test_names_only_stand_for_themselves() -> None:
    """Nothing in an alternative is evaluated, and no `use` is needed."""
    text = "use spaces.cell_based\nnet n in cell_based {\npick c { x0 -> n0 : skip + sep_conv_3x3 }\n}"
    assert load(text).alpha == ["11 00 | 00 00 00 | 00 00 00 00 | 00 00 00 00 00"]


@pytest.mark.parametrize(
    ("choice", "errors"),
    [
        ("= 0 0 | 000", ["R501 0 0 | 000"]), ("= 0 0 | 000 | 00 00", ["R502 00 00"]), ("= 0 0 | 000 | 00 00 0", ["R503 0"]),
        ("= 3 0 | 000 | 00 00 00", ["R503 3"]), ("= 01 0 | 000 | 00 00 00", ["R503 01"]), ("= 0 0 | 00 | 00 00 00", ["R503 00"]),
        ("= 0 0 | 002 | 00 1.0 0k", ["R503 002", "R503 1.0", "R503 0k"]), ("= 0 | 000 | 00", ["R502 0", "R502 00"]),
        ("{ }", ["R508 c"]), ("{ q -> b : conv(1, w) + conv(5, w) }", ["R508 conv(5, w)"]), ("{ q -> b : relu + conv + conv(1, w) }", ["R508 conv"]),
        ("{ q -> b : conv(1, w); p -> a : sigmoid + sigmoid }", ["R507 sigmoid"]), ("{ q -> b : conv(1, w); p -> a : sigmoid; p -> a : sigmoid }", ["R507 sigmoid"]),
        ("{ q -> b : conv(1, w); q -> out : relu + relu + relu }", ["R507 relu"]), ("{ q -> b : conv(1, w); m -> b : conv }", ["R506 m"]),
        ("{ q -> b : conv(1, w); p -> out : relu }", ["R506 p -> out"]), ("{ q -> b : conv(1, w); qq -> out : relu }", ["R506 qq"]),
        ("{ q -> b : conv(1, w); a -> out : conv(3, stride=stride) }", ["R203 conv(3, stride=stride)"]), ("{ q -> b : conv(1, 3) }", ["R203 conv(1, 3)"]),
        ("{ q -> b : conv(1, w); a -> out : if true then relu else conv }", ["R510 if true then relu else conv"]),
        ("{ q -> b : conv(1, w); a -> out : any { relu, conv } }", ["R510 any { relu, conv }"]), ("{ q -> b : conv(1, w); a -> out : rleu }", ["R203 rleu"]),
        ("{ q -> b : conv(1, w); a -> out : relu | conv }", ["R203 relu | conv"]), ("{ q -> b : conv(1, w); a -> out : none }", ["R203 none"]),
    ],
)  # fmt: skip
def test_choices_that_do_not_fit(choice: str, errors: list[str]) -> None:
    assert wrong(choice) == errors


def test_the_hint_lists_what_an_edge_offers() -> None:
    text = "use spaces.cell_based\nnet n in cell_based {\npick c { x0, x1 -> n0 : skip + sepconv_3x3 }\n}"
    error = only(text)
    assert error.title == "unknown operation `sepconv_3x3`" and error.span.text == "sepconv_3x3"
    assert error.help == "this edge of `robnet_cell` offers `skip` and `sep_conv_3x3`"


# --- picks of a net


SPACE = "cell c {\nin x\nx -> out : any { relu, sigmoid }\n}\nspace s(n=2) {\ninput 3 x 8 x 8\npick one_ : c\none_\nrepeat n { pick c; relu }\npick c\n}\n"


def test_picks_are_numbered_in_the_order_of_the_net() -> None:
    space = load_space(SPACE)
    assert [pick.name for pick in space.picks] == ["one_", "0", "1", "2"]
    assert [len(load_space(SPACE, n=n).picks) for n in (0, 1, 5)] == [2, 3, 7]
    text = SPACE + "net n in s {\npick 2 = 01\npick one_ = 11\npick 0 = 10\npick 1 { }\n}"
    assert load(text).alpha == ["11", "10", "00", "01"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11", ["R504 n"]), ("pick one_ = 11", ["R504 n"]), ("", ["R504 n"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; pick 3 = 11", ["R208 3"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; pick 1 = 11", ["R505 1"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; pick 01 = 11", ["R505 01"]),
        ("pick oen_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11", ["R208 oen_", "R504 n"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; relu", ["R114 relu"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; require true", ["R114 require true"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; input 3 x 8 x 8", ["R114 input 3 x 8 x 8"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; let a = 3", ["R114 let a = 3"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; pick d : c", ["R114 pick d : c"]),
        ("pick one_ = 11; pick 0 = 11; pick 1 = 11; pick 2 = 11; meta a = 3", []),
    ],
)  # fmt: skip
def test_a_net_holds_one_pick_for_each(body: str, errors: list[str]) -> None:
    assert found(f"{SPACE}net n in s {{\n{body}\n}}") == errors


def test_leading_zeros_of_a_number_mean_nothing() -> None:
    assert load(SPACE + "net n in s {\npick 02 = 01\npick one_ = 11\npick 00 = 10\npick 1 { }\n}").alpha == [
        "11",
        "10",
        "00",
        "01",
    ]


def test_missing_picks_are_listed() -> None:
    error = only(f"{SPACE}net n in s {{\npick 0 = 11\n}}")
    assert "`pick one_`" in error.title and error.notes == ("and 2 more: 1, 2",)


def test_a_missing_pick_comes_with_its_form() -> None:
    error = only(f"{SPACE}net n in s {{\npick 0 = 11\n}}")
    assert error.help is not None
    form = error.help.removeprefix("write `pick one_ = ").partition("`")[0]
    picks = "".join(f"pick {name} = {form}\n" for name in ("one_", "0", "1", "2"))
    load(f"{SPACE}net n in s {{\n{picks}}}")
    line = error.help.partition("{ ")[2].partition(" }")[0]
    assert found(f"{SPACE}net n in s {{\npick one_ {{ {line} }}\n{picks.partition(chr(10))[2]}}}") == []


# --- what choices mean


def test_open_edges_left_empty_give_zeros() -> None:
    text = "cell c {\nin x\nx -> y : any { conv(3, 5, stride=2), max_pool(2) | conv(1, 5) }\ny -> out : relu\n}\nspace s {\ninput 3 x 8 x 8\npick c\n}\n"
    net = load(text + "net n in s {\npick 0 = 00\n}")
    flat = flatten(net.stages[0].operation, [(3, 8, 8)])
    assert [(step.kind, step.shape) for step in flat.steps[1:]] == [
        ("zeros", (5, 4, 4)),
        ("primitive", (5, 4, 4)),
    ]
    assert net.cost.params == 0


def test_a_one_edge_without_none_is_never_empty() -> None:
    text = "cell c {\nin x\nx -> out : one { relu, sigmoid }\n}\nspace s {\ninput 3 x 8 x 8\npick c\n}\n"
    assert only(text + "net n in s {\npick 0 { }\n}").code.id == "R508"
    assert load(text + "net n in s {\npick 0 = 1\n}").alpha == ["1"]


def test_a_shared_choice_shares_no_weights() -> None:
    net = load_space("cell_based", width=4, layers=5).net("01 01 | 01 01 01 | 01 01 01 01 | 01 01 01 01 01")
    free = load_space("cell_free", width=4, layers=5).net(
        ["01 01 | 01 01 01 | 01 01 01 01 | 01 01 01 01 01"] * 5
    )
    assert net.cost == free.cost


def test_keys_do_not_depend_on_what_is_chosen() -> None:
    def keys(net: Net) -> set[str]:
        cell = net.stages[1]
        flat = flatten(cell.operation, [net.stages[0].shape] * 2)
        return {step.key for step in (*flat.steps, *flat.idle) if step.primitive is not None}

    space = load_space(CELL)
    every = keys(space.supernet())
    for alpha in ("1 2 | 011 | 10 01 00", "0 0 | 111 | 11 11 11", "2 1 | 000 | 01 01 01"):
        assert keys(space.net(alpha)) <= every


@pytest.mark.parametrize(
    ("alternatives", "labels"),
    [
        ("skip, conv(3)", ("skip", "conv")), ("conv(3), conv(5)", ("alternative_0", "alternative_1")),
        ("relu | conv(3), conv(5)", ("alternative_0", "conv")), ("alternative_1, relu | relu", ("alternative_1", "alternative_1_2")),
    ],
)  # fmt: skip
def test_names_of_alternatives_in_keys(alternatives: str, labels: tuple[str, ...]) -> None:
    definitions = "op skip = relu\nop alternative_1 = relu\n"
    text = f"{definitions}cell c {{\nin x\nx -> out : any {{ {alternatives} }}\n}}\nspace s {{\ninput 3 x 8 x 8\npick c\n}}\n"
    operation = load_space(text).supernet().stages[0].operation
    assert operation.cell.edges[0].labels == labels  # type: ignore[attr-defined]  # a stage that is a cell


# --- from one form to the other


def test_what_the_long_form_cannot_say_stays_bits() -> None:
    """The second of two edges alone; two alternatives whose sum is a third."""
    text = "cell c {\nin x\nx -> out : any { relu, sigmoid, relu + sigmoid }\nx -> out : any { relu, identity }\n}\nspace s {\ninput 3 x 8 x 8\npick c\n}\n"
    for alpha, said in (
        ("110 00", False),
        ("001 00", True),
        ("101 00", True),
        ("000 10", False),
        ("100 10", True),
        ("010 01", True),
    ):
        source = Source("t", text + f"net n in s {{\npick 0 = {alpha}\n}}\n")
        tree = respell(source, None, "edges")
        assert isinstance(tree.definitions[-1].body[0], PickEdges) is said, alpha  # type: ignore[index]
        assert load(format_tree(tree)).alpha == [alpha]


@st.composite
def _choices(draw: st.DrawFn) -> tuple[tuple[int, ...], ...]:
    (pick,) = load_space(CELL).picks
    return tuple(draw(st.sampled_from(edge.options)) for edge in pick.opens)


@settings(max_examples=40)
@given(_choices())
def test_both_forms_mean_the_same(choice: tuple[tuple[int, ...], ...]) -> None:
    space = load_space(CELL)
    (pick,) = space.picks
    alpha = alpha_text(pick, choice)
    assert space.net(alpha).choices == (choice,)
    text = f"{CELL}\nnet n in mixtures {{\npick c = {alpha}\n}}\n"
    spelled = format_tree(respell(Source("t", text), None, "edges"))
    assert load(spelled).choices == (choice,)
    assert load(format_tree(respell(Source("t", spelled), None, "alpha"))).choices == (choice,)
