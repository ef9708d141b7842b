"""Rules: what they count, whom they mean, and what breaking one looks like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.load import load_space
from robdsl.graph.net import Space
from robdsl.graph.operations import Choice
from robdsl.graph.statistics import choice_statistics
from tests.graph.programs import check, found

#: Node order: p q a j b n out. A joined node stands between a and b, and counts; n has closed edges only.
CELL = """
cell c(w=3) {
    in p, q
    p, q -> a : any { relu, conv(3, w) }
    j = sum(a, q)
    a -> b : any { relu, conv(3, w) }
    j -> b : one { none, relu, max_pool(3, 1, 1) }
    j -> b : one { relu | relu, conv(1, w) }
    b -> n : relu
    n -> out : any { relu, sigmoid }
    b -> out : one { conv(3, w), none }
}
"""


def space(*rules: str, body: str = "pick c : c_\nrelu\nc") -> str:
    lines = "\n".join(f"require {rule}" for rule in rules)
    return f"{CELL.replace('cell c', 'cell c_')}\nspace s {{\ninput 3 x 8 x 8\n{body}\n{lines}\n}}\n"


def holds(rule: str, alpha: str) -> bool:
    try:
        load_space(space(rule)).net(alpha)
    except RobError as error:
        assert [each.code.id for each in error.diagnostics] == ["R509"]
        return False
    return True


#: p -> a, q -> a | a -> b, j -> b, j -> b | b -> out, n -> out
ALPHA = "10 11 | 01 2 0 | 1 11"


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("density(c)", "8 // 1.0"), ("count(c, relu)", "3"), ("count(c, conv)", "2"), ("count(c, sigmoid)", "1"),
        ("count(c, max_pool)", "1"), ("count(c, relu | relu)", "1"), ("direct(c, relu)", "2"), ("direct(c, conv)", "1"),
        ("skips(c, relu)", "1"), ("skips(c, conv)", "1"), ("direct(c, max_pool)", "1"), ("skips(c, max_pool)", "0"),
        ("direct(c, relu | relu)", "1"), ("indegree(c.a)", "2"), ("indegree(c.b)", "3"), ("indegree(c.out)", "1"),
    ],
)  # fmt: skip
def test_measures(measure: str, value: str) -> None:
    if measure == "density(c)":  # 3 + 3 of 6, 2 of 2 ones, 2 of 2, 0 of 1
        assert holds("density(c) == density(c)", ALPHA)
        assert holds(f"density(c) * {2 * 3 + 1 + 1 + 2 + 1} in 7.99..8.01", ALPHA)
    else:
        assert holds(f"{measure} == {value}", ALPHA)
        assert not holds(f"{measure} != {value}", ALPHA)


def test_direct_means_the_next_node_in_node_order() -> None:
    """`q -> a` is direct; `p -> a` skips q; `a -> b` skips the joined node; `n -> out` is direct, `b -> out` not."""
    (pick,) = load_space(space()).picks
    assert {str(edge): edge.direct for edge in pick.opens} == {
        "`p -> a`": False, "`q -> a`": True, "`a -> b`": False, "`j -> b`": True, "`b -> out`": False, "`n -> out`": True,
    }  # fmt: skip


def test_none_never_counts() -> None:
    assert (
        holds("density(c) == 0", "00 00 | 00 0 0 | 1 00") is False
    )  # the edge without `none` is always taken
    assert holds("indegree(c.b) == 1 and indegree(c.out) == 0", "00 00 | 00 0 0 | 1 00")
    assert found(space("count(c, none) == 0")) == ["R203 none"]


@st.composite
def _choices(draw: st.DrawFn) -> Choice:
    (pick,) = _SPACE.picks
    return tuple(draw(st.sampled_from(edge.options)) for edge in pick.opens)


_SPACE: Space = load_space(space())


@settings(max_examples=60)
@given(_choices())
def test_measures_are_those_of_plain_counting(choice: Choice) -> None:
    (pick,) = _SPACE.picks
    edges = [
        (edge, [edge.names[index] for index in chosen if edge.names[index] != "none"])
        for edge, chosen in zip(pick.opens, choice, strict=True)
    ]
    taken = [(edge, name) for edge, names in edges for name in names]
    stats = choice_statistics(pick, choice)
    assert stats.density == len(taken) / (3 * 2 + 1 + 1 + 2 + 1)
    for name in ("relu", "conv", "sigmoid", "max_pool", "relu | relu", "conv(1, w)"):
        if name in stats.counts:
            assert stats.counts[name] == sum(each == name for _, each in taken)
            assert stats.direct[name] == sum(each == name for edge, each in taken if edge.direct)
            assert stats.skips[name] == stats.counts[name] - stats.direct[name]
    assert stats.indegree == {
        node: sum(bool(names) for edge, names in edges if edge.target == node) for node in ("a", "b", "out")
    }
    rule = " and ".join(
        [f"count(c, relu) == {stats.counts['relu']}", f"direct(c, conv) == {stats.direct['conv']}", f"skips(c, relu) == {stats.skips['relu']}",
         f"indegree(c.b) == {stats.indegree['b']}", f"density(c) in {stats.density - 1e-9:.12f}..{stats.density + 1e-9:.12f}"]
    )  # fmt: skip
    assert load_space(space(rule)).choose([choice]).choices == (choice,)


# --- whom a rule means


MANY = "pick a : c_\nrelu\na\npick c_\nrepeat 2 { pick c_ }"


def alphas(*empty: int) -> list[str]:
    return ["00 00 | 00 0 0 | 1 00" if index in empty else ALPHA for index in range(4)]


@pytest.mark.parametrize(
    ("rule", "empty", "ok"),
    [
        ("density(a) > 0.5", (1, 2, 3), True), ("density(a) > 0.5", (0,), False), ("density(1) > 0.5", (0, 1, 3), True),
        ("density(1) > 0.5", (2,), False), ("density(c_) > 0.5", (), True), ("density(c_) > 0.5", (0,), False), ("density(c_) > 0.5", (3,), False),
        ("density(a) + density(0) > 1", (2, 3), True), ("density(a) + density(0) > 1", (0,), False),
        ("density(c_) >= density(2)", (3,), True), ("density(c_) >= density(2)", (1,), False), ("density(c_) == density(c_)", (1,), True),
        ("density(c_) > 0.5 or count(c_, relu) == 0", (0, 1, 2, 3), True),
    ],
)  # fmt: skip
def test_whom_a_rule_means(rule: str, empty: tuple[int, ...], ok: bool) -> None:
    made = load_space(space(rule, body=MANY))
    if ok:
        made.net(alphas(*empty))
    else:
        with pytest.raises(RobError) as caught:
            made.net(alphas(*empty))
        assert {each.code.id for each in caught.value.diagnostics} == {"R509"}


def test_each_pick_that_breaks_a_rule_is_told() -> None:
    with pytest.raises(RobError) as caught:
        load_space(space("density(c_) > 0.5", body=MANY)).net(alphas(0, 2))
    notes = [each.notes for each in caught.value.diagnostics]
    assert notes == [("`c_` means `pick a` here",), ("`c_` means `pick 1` here",)]


def test_two_cells_in_one_rule_mean_every_pair() -> None:
    text = """
        cell a {{ in x; x -> out : any {{ relu, sigmoid }} }}
        cell b {{ in x; x -> out : any {{ relu, sigmoid }} }}
        space s {{
            input 3 x 8 x 8
            repeat 2 {{ pick a; pick b }}
            require {}
        }}
        """
    made = load_space(text.format("density(a) + density(b) <= 1"))
    made.net(["10", "01", "00", "10"])
    with pytest.raises(RobError) as caught:
        made.net(["11", "01", "00", "11"])
    assert [each.label for each in caught.value.diagnostics] == [
        "density(a) = 1.0, density(b) = 0.5", "density(a) = 1.0, density(b) = 1.0",
    ]  # fmt: skip


def test_a_cell_that_no_turn_picks_is_no_mistake() -> None:
    text = space("density(c_) > 0.5", body="relu\nrepeat 0 { pick c_ }")
    assert found(text) == []
    load_space(text).net([])


def test_several_rules_are_told_at_once() -> None:
    with pytest.raises(RobError) as caught:
        load_space(space("count(c, relu) > 7", "count(c, conv) > 7", "true", "1 > 2 or density(c) > 0")).net(
            ALPHA
        )
    assert [each.span.text for each in caught.value.diagnostics] == [
        "require count(c, relu) > 7",
        "require count(c, conv) > 7",
    ]


def test_a_broken_rule_shows_the_choice_and_the_values() -> None:
    text = space("count(c, relu) < 3 and density(c) < 0.9") + f"net n in s {{\npick c = {ALPHA}\n}}"
    (error,) = check(text)
    assert (error.code.id, error.span.text) == ("R509", f"pick c = {ALPHA}")
    assert error.label == "count(c, relu) = 3, density(c) = 0.727273"
    assert [label.span.text for label in error.related] == ["require count(c, relu) < 3 and density(c) < 0.9"]


def test_measures_of_the_whole_net() -> None:
    text = space("params <= 300 and depth <= 3", "macs < 1M")
    assert load_space(text).supernet().cost.params > 300  # rules do not apply to it
    load_space(text).net("00 00 | 00 0 0 | 1 00")
    with pytest.raises(RobError, match="params = "):
        load_space(text).net("11 11 | 11 1 1 | 0 11")


def test_the_pick_of_the_tightest_rule_can_be_numbered() -> None:
    assert found(space("density(0) > 0", body="pick c_\npick c_")) == []


@pytest.mark.parametrize(
    ("rule", "errors"),
    [
        ("density(d) > 0", ["R208 d"]), ("density(7) > 0", ["R208 7"]), ("count(c, rleu) > 0", ["R203 rleu"]), ("indegree(c.z) > 0", ["R206 z"]),
        ("indegree(c.n) > 0", ["R206 n"]), ("indegree(c) > 0", ["R217 indegree(c)"]), ("density(c.a) > 0", ["R217 density(c.a)"]),
        ("density(c, relu) > 0", ["R217 density(c, relu)"]), ("count(c) > 0", ["R217 count(c)"]), ("dnsity(c) > 0", ["R210 dnsity"]),
        ("density(c)", ["R304 density(c)"]), ("count(c, relu) + true > 0", ["R304 true"]), ("params > dot", ["R304 dot"]),
        ("count(c, conv(3, w)) > 0", ["R203 conv(3, w)"]), ("count(c, conv(1, w)) >= 0", ["R203 conv(1, w)"]), ("count(c, relu | relu) >= 0", []),
        ("1 // count(c, relu) >= 0", []), ("c > 0", ["R304 c"]), ("density(c) > x.channels", ["R206 x"]),
    ],
)  # fmt: skip
def test_rules_that_make_no_sense(rule: str, errors: list[str]) -> None:
    assert found(space(rule)) == errors


def test_a_division_by_zero_is_found_where_it_happens() -> None:
    made = load_space(space("6 // count(c, relu) >= 0"))
    made.net(ALPHA)
    with pytest.raises(RobError) as caught:
        made.net("00 00 | 00 0 0 | 1 00")
    assert [each.code.id for each in caught.value.diagnostics] == ["R306"]


def test_the_alternative_in_a_measure_is_not_evaluated() -> None:
    """Its names mean nothing here, not even a `let` of the space, nor the measure `depth`."""
    text = CELL.replace("relu | relu, conv(1, w)", "conv(5, w), conv(1, depth)").replace(
        "c(w=3)", "c_(w=3, depth=3)"
    )
    rules = (
        "let w = density(c)\nrequire count(c, conv(1, depth)) >= 0 and w >= 0\nrequire count(c, conv) >= 0"
    )
    made = load_space(f"{text}\nspace s {{\ninput 3 x 8 x 8\npick c : c_\nc\n{rules}\n}}")
    assert [sorted(rule.whole) for rule in made.layout.rules] == [[], []]
