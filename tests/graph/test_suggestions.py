"""Did you mean: every unknown name is answered with the known one that is nearest, or with what is known."""

from __future__ import annotations

import pytest

from tests.graph.programs import check, found

CELL = "op double(width) = conv(3, 2 * width)\ncell block(width=3) {\nin first\nfirst -> middle : relu\nmiddle -> out : conv(3, width)\n}\n"
OPEN = "cell choose(width=3) {\nin first\nfirst -> middle : any { skip, conv(3, width) }\nmiddle -> out\n}\nop skip = identity\n"
SPACE = OPEN + "space every(depth=2) {\ninput 3 x 8 x 8\npick shared : choose\nshared\npick choose\n}\n"


@pytest.mark.parametrize(
    ("text", "code", "culprit", "help"),
    [
        ("op f = cnov(3)", "R203", "cnov", "did you mean `conv`?"),
        (CELL + "op f = duble(3)", "R203", "duble", "did you mean `double`?"),
        (CELL + "op f = blok(3)", "R203", "blok", "did you mean `block`?"),
        ("op f = robnet_cell", "R203", "robnet_cell", "`use robnet` defines it"),
        ("op f = conv(3, widht=3)", "R207", "widht", "did you mean `width`?"),
        ("op f = dropout(0.5, rate=3)", "R207", "rate", "it has `p`"),
        ("op f = relu(inplace=true)", "R207", "inplace", "it has none"),
        (CELL + "op f = double(widt=3)", "R207", "widt", "did you mean `width`?"),
        ("cell c {\nin first\nfirst -> out : conv(3, frist.channels)\n}", "R206", "frist", "did you mean `first`?"),
        ("cell c {\nin first\nfrst -> out\nfirst -> out\n}", "R407", "frst", "did you mean `first`?"),
        ("cell c {\nin x\nx -> out : conv(3, in.chanels)\n}", "R209", "chanels", "did you mean `channels`?"),
        ("cell c {\nin x\nout = conct(x, x)\n}", "R215", "conct", "did you mean `concat`?"),
        ("cell c {\nin x\nout = plus(x, x)\n}", "R215", "plus", "joins are `concat`, `sum` and `mul`"),
        (SPACE + "net n in evry {\npick shared = 11; pick 0 = 11\n}", "R205", "evry", "did you mean `every`?"),
        ("net n in cell_based { pick c { } }", "R205", "cell_based", "`use spaces.cell_based` defines it"),
        (SPACE + "net n in every(dpth=3) {\npick shared = 11; pick 0 = 11\n}", "R207", "dpth", "did you mean `depth`?"),
        (SPACE + "net n in every {\npick shred = 11; pick shared = 11; pick 0 = 11\n}", "R208", "shred", "did you mean `shared`?"),
        (SPACE + "net n in every {\npick 7 = 11; pick shared = 11; pick 0 = 11\n}", "R208", "7", "they are numbered from 0 to 0"),
        (SPACE + "net n in every {\npick shared { frist -> middle : skip }; pick 0 = 11\n}", "R506", "frist", "did you mean `first`?"),
        (SPACE + "net n in every {\npick shared { first -> middle : skp }; pick 0 = 11\n}", "R203", "skp", "this edge of `choose` offers `skip` and `conv`"),
        (SPACE + "net n in every {\npick shared { middle -> middle : skip }; pick 0 = 11\n}", "R506", "middle -> middle", "open edges go to `middle` from `first`"),
        (SPACE.replace("pick shared : choose", "pick shared : chose"), "R203", "chose", "did you mean `choose`?"),
        (SPACE.replace("pick choose", "pick chose"), "R203", "chose", "did you mean `choose`?"),
        (SPACE.replace("pick choose", "pick choose\nrequire desity(shared) > 0"), "R210", "desity", "did you mean `density`?"),
        (SPACE.replace("pick choose", "pick choose\nrequire density(shred) > 0"), "R208", "shred", "did you mean `shared`?"),
        (SPACE.replace("pick choose", "pick choose\nrequire count(shared, skp) > 0"), "R203", "skp", "did you mean `skip`?"),
        (SPACE.replace("pick choose", "pick choose\nrequire indegree(shared.midle) > 0"), "R206", "midle", "did you mean `middle`?"),
        ("use spaces.cell_fre", "R204", "use spaces.cell_fre", "did you mean `spaces.cell_free`?"),
        ("net n(width=8) {\ninput 3 x 8 x 8\nconv(3, widht)\n}", "R304", "widht", "did you mean `width`?"),
        ("op f(stride=1) = if strid == 1 then relu else sigmoid", "W301", "strid", "did you mean `stride`?"),
    ],
)  # fmt: skip
def test_the_nearest_known_name(text: str, code: str, culprit: str, help: str) -> None:
    matching = [each for each in check(text) if each.code.id == code]
    assert [(each.span.text, each.help) for each in matching] == [(culprit, help)]


def test_nothing_is_suggested_for_what_is_like_nothing() -> None:
    (error,) = check("op f = qqqqqqqq")
    assert error.help is None


def test_many_mistakes_are_told_at_once() -> None:
    text = """
        use nowhere_at_all
        op a = relu | if true then relu else sigmoid
        cell b { in x; x -> y : conv(0); y -> out : relu; z -> out; x -> out : conv(3, x.chanels) }
        net n { input 3 x 8 x 8; conv(3, 4) | linear(3) }
        net m { conv(1.5); repeat -1 { relu } }
        """
    assert found(text) == [
        "R111 if",
        "R204 use nowhere_at_all",
        "R407 z",
        "R209 chanels",
        "R410 linear(3)",
        "R413 m",
    ]


def test_a_slip_is_one_mistake() -> None:
    """What depends on a broken definition is not blamed for it."""
    text = "op a = relu || sigmoid\nop b = a | relu\ncell c {\nin x\nx -> out : b\nx -> out : a\n}\nnet n {\ninput 3 x 8 x 8\nc\nb\n}\n"
    assert [each[:4] for each in found(text)] == ["R104"]
    text = "cell c {\nin x\nx -> out : conv(0)\n}\nnet n {\ninput 3 x 8 x 8\nrepeat 3 { c }\nc | relu\n}\nnet m {\ninput 3 x 8 x 8\nc\n}\n"
    assert found(text) == ["R305 0"]
