"""No program takes all time or memory: each bound is hit, and says which it is."""

from __future__ import annotations

import pytest

from robdsl.diagnostics.diagnostic import RobError
from robdsl.diagnostics.source import Source
from robdsl.graph.load import check_source, load
from tests.graph.hostile import HOSTILE
from tests.graph.programs import check, net_of, only

#: Half a second to two seconds each.
SLOW = {
    "a tree of different calls", "a tree of different cells", "stages of long chains", "stages of long chains of a pick", "a repeat of a huge cell",
    "many edges with a long operation", "a long cell", "a long cycle", "twenty thousand edges on one pair", "a choice of thousands of edges",
    "a long chain of lets", "a long chain of lets in a cell", "a long chain of lets of measures",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in HOSTILE]
)
def test_hostile_programs(name: str) -> None:
    text, codes = HOSTILE[name]
    assert {each.code.id for each in check(text)} == codes


def test_ten_megabytes_of_brackets() -> None:
    for text in ("(" * 10_000_000, "{\n" * 5_000_000, "cell c { " + "}" * 10_000_000):
        assert [each.code.id for each in check_source(Source("t", text))] == ["R601"]


def test_the_bounds_leave_room() -> None:
    """Two thousand cells, a thousand picks, deep cells in cells, long chains."""
    assert len(load("robnet_large", layers=2000, width=4).stages) == 2002
    definitions = "op o0 = relu\n" + "".join(f"op o{k + 1} = o{k} | o{k // 2}\n" for k in range(14))
    assert net_of("o14", definitions).cost.primitives == 83
    assert len(net_of("repeat 4k { relu }").stages) == 4000


def test_recursion_shows_who_calls_whom() -> None:
    error = only("op a(n) = relu | b(n + 1)\nop b(n) = a(n)\nnet n {\ninput 3 x 8 x 8\na(0)\n}")
    assert error.code.id == "R604" and len(error.trace) == 8
    assert {each.text.split("(")[0] for each in error.trace} == {"in `a", "in `b"}


def test_an_op_of_the_same_arguments_never_ends() -> None:
    error = only("op a(n) = relu | a(n)\nnet n {\ninput 3 x 8 x 8\na(0)\n}")
    assert (error.code.id, error.span.text) == ("R604", "a(n)")
    assert "without end" in error.label


def test_a_recursion_that_ends_is_fine() -> None:
    net = net_of("f(5)", "op f(n) = if n == 0 then relu else conv(1, n) | f(n - 1)")
    assert net.stages[0].shape == (1, 8, 8)
    net = net_of(
        "f(4)", "cell f(n) {\nin x\nx -> y : conv(1, n)\ny -> out : if n == 1 then relu else f(n - 1)\n}"
    )
    assert net.stages[0].shape == (1, 8, 8) and net.cost.depth == 4


def test_no_more_is_said_than_helps() -> None:
    errors = check("".join(f"op a{k} = nonsense{k}\n" for k in range(300)))
    assert 50 <= len(errors) <= 60


def test_a_bound_raises_the_same_when_loading() -> None:
    with pytest.raises(RobError, match="R605"):
        load(HOSTILE["repeat 1G"][0])
