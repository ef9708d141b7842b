"""A code that is read and written again is the same code, in every format."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

import robdsl
from robdsl.genotypes import FORMATS, read_genotypes, write_genotype
from robdsl.genotypes.literals import read_literals

MANY = 1000
OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
DARTS = [
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
]
DENSE_ROB = ["none", "skip_connect", "sep_conv_3x3", "ResSepConv"]


def random_robnets(rng: random.Random) -> str:
    cells = rng.choice([1, 1, 4, 20])
    return repr([[rng.choice(["00", "01", "10", "11"]) for _ in range(13)] + ["01"] for _ in range(cells)])


def random_darts(rng: random.Random) -> str:
    """As published genotypes are: a node's two inputs in any order."""

    def cell() -> list[tuple[str, int]]:
        return [(rng.choice(DARTS), source) for node in range(4) for source in rng.sample(range(2 + node), 2)]

    concat = rng.choice(["range(2, 6)", "[2, 3, 4, 5]"])
    return f"Genotype(normal={cell()}, normal_concat={concat}, reduce={cell()}, reduce_concat={concat})"


def random_nas_bench_201(rng: random.Random) -> str:
    groups = (
        "|" + "".join(f"{rng.choice(OPERATIONS)}~{source}|" for source in range(node)) for node in (1, 2, 3)
    )
    return "+".join(groups)


def random_dense_rob(rng: random.Random) -> str:
    count = rng.choice([5, 8])
    reductions = sorted(rng.sample(range(count), 2))
    cells = []
    for place in range(count):
        groups = (
            "|".join(f"{rng.choice(DENSE_ROB)}~{source}" for source in range(node + 2)) for node in range(4)
        )
        text = "+".join(["init_node~2", *(f"|{group}|" for group in groups)])
        cells.append(f"{'reduce' if place in reductions else 'normal'}_{place}='{text}'")
    return f"DenseRobGenotype({', '.join(cells)})"


def random_dense_micro(rng: random.Random) -> str:
    """Any of two operations an edge, in any order."""
    cells = []
    for place in range(rng.choice([1, 3])):
        groups = []
        for node in range(4):
            possible = [
                f"{name}~{source}" for source in range(node + 2) for name in ("skip_connect", "sep_conv_3x3")
            ]
            chosen = rng.sample(possible, rng.randint(1, len(possible)))
            groups.append(f"|{'|'.join(chosen)}|" if node != 1 else "||")
        cells.append(f"cell_{place}='{'+'.join(['init_node~2', *groups])}'")
    return f"DenseMicroGenotype({', '.join(cells)})"


@pytest.mark.parametrize(
    ("format", "draw"),
    [
        ("robnets", random_robnets),
        ("darts", random_darts),
        ("nas-bench-201", random_nas_bench_201),
        ("aw-nas", random_dense_rob),
        ("aw-nas", random_dense_micro),
    ],
)
def test_a_thousand_codes_come_back(format: str, draw: Callable[[random.Random], str]) -> None:
    rng = random.Random(201)
    for _ in range(MANY):
        code = draw(rng)
        (net,) = read_genotypes(code)
        assert as_data(write_genotype(net, format)) == as_data(code)


def as_data(code: str) -> object:
    return code if code.startswith("|") else list(read_literals(code))


@pytest.mark.parametrize(
    ("format", "draw"),
    [
        ("darts", random_darts),
        ("aw-nas", random_dense_rob),
        ("aw-nas", random_dense_micro),
        ("robnets", random_robnets),
    ],
)
def test_through_rob_text(
    format: str, draw: Callable[[random.Random], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(7)
    path = tmp_path_factory.mktemp("texts") / "net.rob"
    for _ in range(5):
        code = draw(rng)
        (net,) = read_genotypes(code, name="mine")
        path.write_text(robdsl.format(net), encoding="utf-8")
        again = robdsl.load(path)
        assert again.hash == net.hash
        assert as_data(write_genotype(again, format)) == as_data(code)


def test_every_format_has_a_round_trip() -> None:
    assert set(FORMATS) == {"robnets", "darts", "nas-bench-201", "aw-nas"}


def test_an_edited_net_is_written_as_it_is_now() -> None:
    code = random_darts(random.Random(1))
    (net,) = read_genotypes(code)
    space = robdsl.load_space("darts")
    other = space.sample(3)
    edited = type(net)(net.name, net.layout, other.choices, net.meta)
    written = write_genotype(edited, "darts")
    (again,) = read_genotypes(written)
    assert again.choices == other.choices != net.choices
