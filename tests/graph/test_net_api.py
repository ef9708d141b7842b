"""What a program does with spaces and nets: codes in, nets out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.load import load, load_space
from tests.graph.programs import net_of

ALPHA = "11 11 | 11 11 11 | 01 11 01 10 | 11 01 01 01 11"
TEXT = "cell c {\nin x\nx -> out : any { relu, conv(3) }\nx -> out : one { sigmoid, relu }\n}\nspace s {\ninput 3 x 8 x 8\npick a : c\na\nrepeat 2 { pick c }\n}\n"


def test_alpha_as_text_list_and_mapping() -> None:
    space = load_space("cell_based", width=8, layers=5)
    assert space.net(ALPHA).alpha == space.net([ALPHA]).alpha == space.net({"c": ALPHA}).alpha == [ALPHA]
    space = load_space(TEXT)
    net = space.net(["10 0", "01 1", "11 0"])
    assert space.net({"1": "11 0", "a": "10 0", "0": "01 1"}).choices == net.choices
    assert space.net(net.alpha).choices == net.choices
    assert net.name == "s_net" and space.net(net.alpha, name="mine").name == "mine"


def test_blanks_and_lines_do_not_matter() -> None:
    assert load_space("cell_based").net(
        "  " + ALPHA.replace(" | ", "\n|  ").replace(" ", "\t") + "\n"
    ).alpha == [ALPHA]


@pytest.mark.parametrize(
    ("alpha", "code"),
    [
        ("11 11", "R501"), (ALPHA + " | 11", "R501"), (ALPHA.replace("11 11 11", "11 11", 1), "R502"), (ALPHA.replace("10", "12"), "R503"),
        (ALPHA.replace("10", "1"), "R503"), (ALPHA.replace("01 11 01 10", "01 11 01 10 01"), "R502"), ("", "R105"), ("relu", "R104"), ("|", "R104"),
        (ALPHA + " }", "R103"), (ALPHA + "; meta a = 3", "R104"), (ALPHA + " } net b in c { pick 0 = 11", "R104"), ("11 (", "R102"), ("é", "R101"),
        (ALPHA + " # comment", None), ("00 00 | 00 00 00 | 00 00 00 00 | 00 00 00 00 00", "R509"),
    ],
)  # fmt: skip
def test_bad_codes(alpha: str, code: str | None) -> None:
    space = load_space("cell_based", width=8, layers=5)
    if code is None:
        space.net(alpha)
        return
    with pytest.raises(RobError) as caught:
        space.net(alpha)
    assert code in [each.code.id for each in caught.value.diagnostics]
    assert str(caught.value)


def test_as_many_codes_as_picks() -> None:
    space = load_space(TEXT)
    for alpha in (
        "10 0",
        ["10 0"] * 2,
        ["10 0"] * 4,
        [],
        {"a": "10 0"},
        {"a": "10 0", "0": "10 0", "1": "10 0", "2": "10 0"},
        {},
    ):
        with pytest.raises(ValueError, match="alpha must have"):
            space.net(alpha)
    with pytest.raises(ValueError, match="too long"):
        space.net(["1" * 2_000_000] * 3)


def test_every_bad_code_is_told() -> None:
    with pytest.raises(RobError) as caught:
        load_space(TEXT).net(["1 0", "01 2", "11"])
    assert [each.code.id for each in caught.value.diagnostics] == ["R503", "R503", "R502"]


def test_choices_that_are_not_text() -> None:
    space = load_space(TEXT)
    net = space.choose([((0,), (1,)), ((), (0,)), ((0, 1), (0,))])
    assert net.alpha == ["10 1", "00 0", "11 0"]
    for choices in ([], [((0,), (1,))], [((0,), ())] * 3, [((1, 0), (0,))] * 3, [((0, 0), (0,))] * 3, [((2,), (0,))] * 3, [((0,), (0, 1))] * 3,
                    [((-1,), (0,))] * 3, [((0,),)] * 3):  # fmt: skip
        with pytest.raises(ValueError):
            space.choose(choices)


@pytest.mark.parametrize("name", ["two words", "", "net", "1st", "a-b", 'a"; import os'])
def test_a_net_has_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        load_space(TEXT).net(["10 0", "01 1", "11 0"], name=name)


def test_the_supernet_has_everything() -> None:
    net = load_space(TEXT).supernet()
    assert net.whole and net.name == "s_supernet"
    assert net.choices == (((0, 1), (0, 1)),) * 3
    assert net.cost.params == 3 * 81


def test_rules_do_not_apply_to_the_supernet() -> None:
    text = TEXT.replace("repeat 2", "require count(a, conv) == 0\nrepeat 2")
    assert load_space(text).supernet().cost.params == 3 * 81


def test_nets_know_their_space() -> None:
    net = load("robnet_large")
    assert net.space is not None and net.space.name == "cell_based"
    assert net.space.net(net.alpha).choices == net.choices
    assert net_of("relu").space is None and net_of("relu").alpha == []


def test_what_a_net_says_of_itself() -> None:
    net = load("resnet18", classes=7)
    assert (net.name, net.image, net.classes, net.parameters) == (
        "resnet18",
        (3, 32, 32),
        7,
        {"width": 64, "classes": 7},
    )
    assert repr(net) == "<Net resnet18: 10 stages, 11,172,423 parameters>"
    assert repr(load_space("cell_based")) == "<Space cell_based: 1 pick, 14 open edges>"


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=14, max_size=14).filter(any))
def test_alpha_there_and_back(states: list[int]) -> None:
    codes = iter(format(state, "02b") for state in states)
    alpha = " | ".join(" ".join(next(codes) for _ in range(count)) for count in (2, 3, 4, 5))
    net = _SPACE.net(alpha)
    assert net.alpha == [alpha]
    assert sum(code.count("1") for code in alpha.split()) / 28 == net.stats().density


_SPACE = load_space("cell_based", width=4, layers=5)
