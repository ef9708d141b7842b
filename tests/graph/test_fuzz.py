"""Whatever the text: mistakes are told, and nothing else is raised."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robdsl.diagnostics.diagnostic import RobError
from robdsl.diagnostics.render import render_all, to_json
from robdsl.diagnostics.source import Source
from robdsl.graph.load import check_source, load, load_space
from robdsl.graph.net import Net, Space
from robdsl.syntax.formatter import format_tree
from robdsl.syntax.parser import decode
from tests.graph.hostile import HOSTILE
from tests.strategies import bytes_like, files

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "archs").rglob("*.rob"), *(ROOT / "tests" / "data" / "programs").rglob("*.rob")])


def survives(source: Source, path: Path | None = None) -> bool:
    """Checks, shows and loads a text; whether it is a program."""
    found = check_source(source, path)
    assert render_all(found) or not found
    for each in found:
        to_json(each)
    errors = any(each.severity == "error" for each in found)
    for function in (load, load_space):
        try:
            made: Net | Space = function(source.text + "\n")
        except RobError as error:
            assert error.diagnostics and str(error)
        else:
            net = made if isinstance(made, Net) else made.supernet()
            assert net.cost.params >= 0 and net.graph.number_of_nodes() > 0
    return not errors


@settings(max_examples=60)
@given(files())
def test_random_trees(tree: object) -> None:
    survives(Source("random", format_tree(tree)))  # type: ignore[arg-type]  # a strategy of trees


@settings(max_examples=80)
@given(st.data())
def test_bytes_of_programs_changed(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(SOURCES))
    changed = data.draw(bytes_like(path.read_text(encoding="utf-8")))
    try:
        source = decode(changed, path.name)
    except RobError as error:
        assert [each.code.id for each in error.diagnostics] == ["R109"]
        return
    survives(source, path)


#: What a generator of sensible but careless programs chooses from.
_EXPRESSIONS = (
    "1",
    "2",
    "3",
    "width",
    "in.channels",
    "x.channels",
    "y.height",
    "2 * width",
    "width // 2",
    "4 // 0",
    "dot",
    "1G",
    "-1",
    "true",
    "a",
    "n",
)
_OPERATIONS = (
    "relu", "identity", "conv(3)", "conv(3, {e})", "conv({e})", "norm", "f({e})", "f", "g", "c({e})", "c", "d", "none", "flatten", "linear({e})",
    "max_pool({e})", "zero({e})", "any {{ relu, f({e}) }}", "one {{ none, conv(3) }}", "crop({e})", "nonlocal_mean({e})", "open_op",
)  # fmt: skip
_NODES = ("x", "y", "z", "out", "w")


class _Careless:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def expression(self) -> str:
        one = self.rng.choice(_EXPRESSIONS)
        if self.rng.random() < 0.3:
            one = f"{one} {self.rng.choice(['+', '-', '*', '//', '%', '==', '<', 'and'])} {self.rng.choice(_EXPRESSIONS)}"
        return one

    def operation(self) -> str:
        one = self.rng.choice(_OPERATIONS).format(e=self.expression())
        chance = self.rng.random()
        if chance < 0.2:
            return f"{one} | {self.operation()}"
        if chance < 0.3:
            return f"{one} + {self.operation()}"
        if chance < 0.4:
            return f"if {self.expression()} == {self.expression()} then {one} else {self.operation()}"
        return one

    def cell(self, name: str) -> str:
        lines = [f"in {self.rng.choice(['x', 'x, y', 'x'])}"]
        for _ in range(self.rng.randrange(1, 5)):
            source, target = self.rng.sample(_NODES, 2)
            lines.append(
                self.rng.choice([
                    f"{source} -> {target} : {self.operation()}", f"{source} -> {target}", f"{target} = {self.rng.choice(['concat', 'sum', 'mul'])}({source}, x)",
                    f"let a = {self.expression()}", f"require {self.expression()} == {self.expression()}", f"x -> out : {self.operation()}",
                ])
            )  # fmt: skip
        if self.rng.random() < 0.8:
            lines.append("x -> out : " + self.operation())
        return f"cell {name}(width=3) {{\n" + "\n".join(lines) + "\n}\n"

    def stages(self, picks: bool) -> str:
        lines = ["input 3 x 8 x 8"]
        for _ in range(self.rng.randrange(1, 6)):
            choices = [
                self.operation(),
                f"c({self.expression()})",
                f"repeat {self.expression()} {{ {self.operation()} }}",
                f"let n = {self.expression()}",
            ]
            if picks:
                choices += [
                    "pick c",
                    f"pick d({self.expression()})",
                    "pick p : c",
                    "p",
                    f"require density(p) > 0 and count(c, {self.operation()}) < 3",
                ]
            lines.append(self.rng.choice(choices))
        return "\n".join(lines)

    def program(self) -> str:
        parts = [
            "op norm = batch_norm", f"op f(n=3) = {self.operation()}", f"op g = {self.operation()}", "op open_op = any { relu, conv(3) }",
            self.cell("c"), self.cell("d"), f"net test(width=4) {{\n{self.stages(False)}\n}}", f"space s(width=4) {{\n{self.stages(True)}\n}}",
            f"space t in s({self.expression()}) {{\nrequire params < {self.expression()}\n}}", "net u in t {\npick p = 10\npick 0 { x -> out : relu }\n}",
        ]  # fmt: skip
        self.rng.shuffle(parts)
        return "\n".join(parts[: self.rng.randrange(4, len(parts) + 1)])


@pytest.mark.parametrize("seed", range(6))
def test_careless_programs(seed: int) -> None:
    careless = _Careless(random.Random(seed))
    programs = sum(survives(Source("careless", careless.program())) for _ in range(40))
    assert programs < 40  # carelessness shows


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_careless_programs_at_length(seed: int) -> None:
    careless = _Careless(random.Random(seed))
    for _ in range(100):
        survives(Source("careless", careless.program()))


@pytest.mark.parametrize(
    "name",
    [
        "an op that calls itself",
        "doubling",
        "repeat 1G",
        "lets of measures that double",
        "spaces in a long chain",
    ],
)
def test_hostile_programs_raise_nothing_else(name: str) -> None:
    survives(Source("hostile", HOSTILE[name][0]))
