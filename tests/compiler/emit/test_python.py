"""Emitted Python: it computes what the compiled net computes, and reads as a person would write it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import robdsl
from robdsl.compiler.emit import emit_python, emit_text
from robdsl.graph.index import shipped
from robdsl.graph.net import Net, Space
from tests.compiler.emit.emitted import (
    IMPORTS,
    hold,
    hold_function,
    hold_structure,
    imports_of,
    model_of,
    ruff,
)
from tests.compiler.emit.random_programs import programs
from tests.conftest import Golden

SHIPPED = sorted(name for name, _ in shipped("net"))
SPACES = sorted(name for name, _ in shipped("space"))
GOLDEN = Path(__file__).parent / "golden"

#: Parameters that make nets and spaces small, where they have them.
SMALL: Mapping[str, int] = {"width": 4, "layers": 6, "cells": 2, "classes": 3, "size": 32}


def small(given: Mapping[str, object]) -> dict[str, Any]:
    """The small values of some parameters; of cells with two reductions among them, the two alone."""
    values = {name: value for name, value in SMALL.items() if name in given}
    return values | {"first": 0, "second": 1} if {"first", "second"} <= given.keys() else values


def small_net(name: str) -> Net:
    """A shipped net made small; where each cell has a choice of its own, with as many cells."""
    net = robdsl.load(name)
    parameters = small(net.parameters)
    if len(net.layout.picks) > 1:
        del parameters["layers"]
    return robdsl.load(name, **parameters)


def code_of(name: str) -> str:
    return emit_text(robdsl.load(name), "py")


# --- every net that ships


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_the_keys_of_every_shipped_net(name: str) -> None:
    net = robdsl.load(name)
    code = emit_text(net, "py")
    assert imports_of(code) <= IMPORTS
    hold_structure(net, code)


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in SHIPPED if each.startswith("robnet")])
def test_the_function_of_small_robnets(name: str) -> None:
    net = small_net(name)
    hold_function(net, emit_text(net, "py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in SHIPPED if not each.startswith("robnet")])
def test_the_function_of_every_other_shipped_net(name: str) -> None:
    net = small_net(name)
    hold_function(net, emit_text(net, "py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_the_supernet_of_every_shipped_space(name: str) -> None:
    parameters = small(robdsl.load_space(name).parameters)
    hold(robdsl.load_space(name, **parameters).supernet())


@pytest.mark.slow
def test_shipped_nets_are_formatted(tmp_path: Path) -> None:
    for name in SHIPPED:
        (tmp_path / f"{name}.py").write_text(code_of(name), encoding="utf-8")
    for name in SPACES:
        code = emit_text(robdsl.load_space(name).supernet(), "py")
        (tmp_path / f"{name}_space.py").write_text(code, encoding="utf-8")
    assert ruff(tmp_path) == ""


# --- as a person would write it


def test_the_longest_nets_are_short() -> None:
    lengths = {name: code_of(name).count("\n") for name in SHIPPED}
    assert max(lengths.values()) < 400, lengths


def test_a_class_for_each_cell_and_operation() -> None:
    classes = [each.name for each in ast.parse(code_of("robnet_free")).body if isinstance(each, ast.ClassDef)]
    assert classes[-5:] == ["Norm", "SepConv3x3", "FactorizedReduce", "RobnetCell", "RobnetFree"]


def test_twice_as_many_cells_take_a_row_each_and_no_code() -> None:
    codes = (
        "11 10 | 11 11 10 | 11 01 01 10 | 11 11 00 11 01",
        "11 00 | 01 10 01 | 00 10 10 00 | 01 11 10 11 00",
    )
    lines = {
        layers: emit_python(
            robdsl.load_space("cell_free", layers=layers).net([codes[n % 2] for n in range(layers)]), "x"
        ).count("\n")
        for layers in (12, 24)
    }
    assert lines[24] - lines[12] == 12


@pytest.mark.parametrize("name", ["robnet_free", "resnet50", "densenet121"])
def test_shipped_nets_as_they_are_written(name: str, golden: Golden) -> None:
    golden.check(GOLDEN / f"{name}.txt", code_of(name))


def test_a_net_with_everything_as_it_is_written(golden: Golden) -> None:
    golden.check(GOLDEN / "everything.txt", hold(robdsl.load(EVERYTHING), EVERYTHING))


EVERYTHING = """
op squeeze(ratio) = global_avg_pool | conv(1, in.channels // ratio) | relu | conv(1, ratio * in.channels) | sigmoid

cell excite(ratio=2) {
    in x
    x -> s : squeeze(ratio)
    out = mul(x, s)
}

cell block(width, stride=1) {
    in x
    x -> y : conv(3, width, stride) | batch_norm | excite
    x -> y : if stride == 1 and x.channels == width then identity else conv(1, width, stride) | batch_norm(weight=0)
    y -> z : relu
    z -> unused : conv(3)
    out = sum(y, z)
}

cell two(width) {
    in p, q
    p -> a : if p.height > q.height then conv(3, width, stride=2) else conv(3, width)
    q -> a : conv(1, width) + max_pool(3, stride=1, padding=1) | conv(1, width)
    out = concat(a, q)
}

net everything(classes=4) {
    input 3 x 12 x 12
    stem: conv(3, 4) | relu | nonlocal_mean(gaussian)
    layer1: repeat 3 { block(4) }
    layer2: repeat 2 { block(6, stride=2) ; dropout(0.1) | zero }
    identity
    cells: repeat 4 { two(4) }
    repeat 3 { conv(1, 5) | relu ; batch_norm }
    global_avg_pool | flatten | linear(classes)
    meta source = "here"
}
""".replace("conv(1, ratio * in.channels)", "conv(1, in.channels * ratio)")


# --- any net


@settings(max_examples=25)
@given(programs(), st.data())
def test_any_net(text: str, data: st.DataObject) -> None:
    hold(drawn(space_of(text), data), text)


@settings(max_examples=5)
@given(st.lists(programs(), min_size=6, max_size=6), st.data())
def test_any_net_is_formatted(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    for place, text in enumerate(texts):
        code = emit_python(drawn(space_of(text), data), text)
        (folder / f"drawn_{place}.py").write_text(code, encoding="utf-8")
    assert ruff(folder) == ""


def space_of(text: str) -> Space:
    try:
        return robdsl.load_space(text)
    except robdsl.RobError:
        assume(False)
        raise


def drawn(space: Space, data: st.DataObject) -> Net:
    """Any net of a space."""
    picked = [tuple(data.draw(st.sampled_from(edge.options)) for edge in pick.opens) for pick in space.picks]
    return space.choose(picked, "drawn")


OPEN = """
op changed(s=1) = one { none, identity, conv(3, in.channels, s), max_pool(3, s, padding=1) | batch_norm }
cell c(w, s=1) {
    in x
    x -> a : conv(3, w, s)
    a -> b : any { relu | conv(1), relu | conv(1), identity, conv(3) }
    a, b -> d : any { batch_norm, zero }
    a, b, d -> e : changed
    b -> e : any { conv(3) }
    d -> f : any { conv(1) }
    out = concat(e, d)
}
space open(w=3) {
    input 2 x 6 x 6
    pick q : c
    conv(3, 4)
    pick c(w)
    q(w) | relu
    pick c(w)
    q(w)
    pick c(2*w, s=2)
    repeat 3 { pick c(2*w) }
    flatten | linear(2)
}
"""


def open_nets() -> Iterator[Net]:
    """Nets in which little, nothing and everything is chosen."""
    space = robdsl.load_space(OPEN)
    yield space.supernet()
    for place in (0, -1):
        yield space.choose([tuple(edge.options[place] for edge in pick.opens) for pick in space.picks])
    for seed in range(4):
        yield space.sample(seed)


@pytest.mark.parametrize("net", list(open_nets()), ids=str)
def test_empty_edges_empty_nodes_and_dead_ones(net: Net) -> None:
    hold(net)


def test_an_empty_edge_has_no_module() -> None:
    net = robdsl.load_space("cell_free", width=2, layers=3).sample(1)
    empty = {
        f"robnet_cell_{place + 1}.{edge.source}_to_{edge.target}"
        for place, (pick, choice) in enumerate(zip(net.layout.picks, net.choices, strict=True))
        for edge, chosen in zip(pick.opens, choice, strict=True)
        if not chosen
    }
    assert empty
    assert not empty & {name for name, _ in model_of(emit_python(net, "x")).named_modules()}
