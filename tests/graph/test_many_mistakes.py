"""As many mistakes as can be told apart are told in one go, and none that is only the consequence of another."""

from __future__ import annotations

import pytest

from tests.graph.programs import found


@pytest.mark.parametrize(
    ("stages", "wrong"),
    [
        ("conv(0, 4) | conv(3, 4) | conv(1, stride=0)", ["R305 0", "R305 0"]),
        ("conv(0, -1, bias=3)", ["R305 0", "R305 -1", "R304 3"]),
        ("conv(3, 4, groups=9) | relu | conv(in.channels, 0) | batch_norm(affine=2)", ["R410 conv(3, 4, groups=9)", "R305 0", "R304 2"]),
        ("conv(0) + max_pool(0) + relu", ["R305 0", "R305 0"]),
        ("conv(0) | (conv(1, 0) + relu) | (if 1 == 2 then conv(0) else crop(-1)) | (if in.channels == 3 then conv(0) else relu)",
         ["R305 0", "R305 0", "R305 -1"]),
        ("repeat 2 { conv(0) ; conv(1, 0) | relu ; linear(0.5) }", ["R305 0", "R305 0", "R304 0.5"]),
        ("repeat 0 - 1 { conv(0) }\nconv(dot)", ["R420 0 - 1", "R305 0", "R304 dot"]),
        ("repeat 1 // 0 { relu }\nlet v = 1 // 0\nconv(v) | conv(v, 0)", ["R306 0", "R306 0", "R305 0"]),
        ("block(0) | relu | block(dot, 1 // 0)\nblock(2, in.channels // 0)", ["R305 k", "R306 0"]),
        ("linear(2)\nrequire 1 > 2\nconv(0)", ["R410 linear(2)", "R307 require 1 > 2", "R305 0"]),
    ],
)  # fmt: skip
def test_mistakes_behind_another(stages: str, wrong: list[str]) -> None:
    text = f"op block(k, w=in.channels) = conv(k, w) | relu\nnet n {{\ninput 3 x 8 x 8\n{stages}\n}}\n"
    assert found(text) == wrong


def test_mistakes_in_a_cell() -> None:
    text = """
cell c(w) {
    in x
    x -> y   : any { conv(0), max_pool(0), relu | crop(-1) | conv(w, 0) }
    x -> y   : conv(-1) | conv(-2)
    y -> out
}
space s { input 3 x 8 x 8; pick p : c; p(3); linear(0); p(4, 5) }
"""
    assert found(text) == ["R302 5"]  # while the form is wrong, no values are looked at
    assert found(text.replace("p(4, 5)", "p(4)")) == [
        "R305 0", "R305 0", "R305 -1", "R305 0", "R305 -1", "R305 -2", "R305 0",
    ]  # fmt: skip


def test_one_wrong_argument_is_one_mistake_however_often_it_is_used() -> None:
    text = "op block(k) = conv(k, k) | conv(1, k) | conv(k)\nnet n {\ninput 3 x 8 x 8\nlet w = 0\nblock(w) | conv(w)\n}\n"
    assert found(text) == ["R305 k"]


@pytest.mark.parametrize(
    "definition",
    [
        "op f(n) = f(2*n) + f(2*n + 1)",
        "op f(n) = if n > 100 then conv(0) | linear(0) else f(2*n) + f(2*n + 1) + conv(0)",
        "op f(n) = conv(3) | f(2*n) | f(2*n + 1)",
        "cell f(n) { in x; x -> out : f(2*n); x -> out : f(2*n + 1) }",
    ],
)
def test_a_recursion_that_branches_ends(definition: str) -> None:
    """Each call fails, and beside each stands another one that differs: without a bound there would be 2^50 of them."""
    wrong = found(f"{definition}\nnet n {{ input 3 x 8 x 8; f(1) }}")
    assert 1 <= len(wrong) <= 4
    assert {each.split()[0] for each in wrong} <= {"R604", "R606", "R305"}


@pytest.mark.parametrize(
    "closed", ["}\n", "", "}\n\nnet m { input 3 x 8 x 8; flatten }\n", "\nop f = relu\n"]
)
def test_an_unclosed_repeat_is_one_mistake(closed: str) -> None:
    text = f"net n {{\n    input 3 x 8 x 8\n    repeat 2 {{\n        conv(3, 4)\n    flatten | linear(2)\n{closed}"
    wrong = found(text)
    assert set(wrong) == {"R102 {"} and len(wrong) <= 2  # the net's own brace may be missing too


def test_an_unclosed_repeat_does_not_hide_mistakes_elsewhere() -> None:
    text = "net n {\n    input 3 x 8 x 8\n    repeat 2 {\n        relu\n    flatten\n}\n\nop f = rleu\nnet m { input 3 x 8 x 8; conv(0) }\n"
    assert found(text) == ["R102 {", "R203 rleu", "R305 0"]


@pytest.mark.parametrize(
    "text",
    [
        "net n {{ input 3 x 8 x 8\n{} }}".format("conv(0)\n" * 500),
        "net n {{ input 3 x 8 x 8\n{} }}".format(" | ".join(["conv(0)"] * 500)),
        "net n {{ input 3 x 8 x 8\n{} }}".format(" + ".join(["conv(0)"] * 500)),
        "cell c {{ in x\n{} }}\nnet n {{ input 3 x 8 x 8; c }}".format("x -> out : conv(0)\n" * 500),
    ],
)
def test_there_is_an_end_to_mistakes(text: str) -> None:
    assert 50 <= len(found(text)) <= 60
