"""Alpha as a matrix says what the nets themselves say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import robdsl
from robdsl.analysis import AlphaError, alpha_matrix

SPACES: list[tuple[str, dict[str, Any]]] = [
    ("cell_based", {"width": 4, "layers": 5}),
    ("cell_free", {"width": 4, "layers": 4}),
    ("nas_bench_201", {}),
    ("darts", {"width": 4, "layers": 3}),
]


@pytest.mark.parametrize(("name", "parameters"), SPACES, ids=[name for name, _ in SPACES])
def test_the_matrix_agrees_with_the_nets(name: str, parameters: dict[str, Any]) -> None:
    space = robdsl.load_space(name, **parameters)
    nets = [space.sample(seed) for seed in range(12)]
    matrix = alpha_matrix([net.alpha for net in nets], space.picks)
    assert len(set(matrix.names)) == len(matrix.names) == matrix.values.shape[1]
    for row, net in zip(matrix.values, nets, strict=True):
        taken = {
            (pick.name, place, edge.source, edge.target, edge.names[index])
            for pick, choice in zip(net.layout.picks, net.choices, strict=True)
            for place, (edge, chosen) in enumerate(zip(pick.opens, choice, strict=True))
            for index in edge.taken(chosen)
        }
        found = {
            (c.pick, c.place, c.source, c.target, c.operation)
            for c, bit in zip(matrix.columns, row, strict=True)
            if bit
        }
        assert found == taken


@pytest.mark.parametrize(("name", "parameters"), SPACES, ids=[name for name, _ in SPACES])
def test_counts_agree_with_the_statistics_of_the_nets(name: str, parameters: dict[str, Any]) -> None:
    space = robdsl.load_space(name, **parameters)
    nets = [space.sample(seed) for seed in range(8)]
    matrix = alpha_matrix([net.alpha for net in nets], space.picks)
    for operation in matrix.operations:
        for direct, field in ((None, "counts"), (True, "direct"), (False, "skips")):
            expected = [
                np.mean([getattr(each, field).get(operation, 0) for each in net.stats().choices])
                for net in nets
            ]
            assert matrix.count([operation], direct) == pytest.approx(expected)


def test_a_frame_has_named_columns() -> None:
    space = robdsl.load_space("cell_based", width=4, layers=3)
    net = space.sample(3)
    frame = alpha_matrix([net.alpha], space.picks).frame()
    assert list(frame.columns)[:3] == ["x0 → n0: skip", "x0 → n0: sep_conv_3x3", "x1 → n0: skip"]
    assert "".join("".join(net.alpha).replace("|", "").split()) == "".join(map(str, frame.iloc[0]))


def test_picks_are_told_apart() -> None:
    space = robdsl.load_space("cell_free", width=4, layers=3)
    matrix = alpha_matrix([space.sample(0).alpha], space.picks)
    assert matrix.picks == ("0", "1", "2")
    assert matrix.names[0] == "0: x0 → n0: skip"


@pytest.mark.parametrize(
    ("alpha", "said"),
    [
        ([], "0 codes, and the space has 1 picks"),
        (["11", "11"], "2 codes"),
        (["11"], "has not one code for each open edge"),
        (["11 11 | 11 11 11 | 11 11 11 11 | 11 11 11 11 12"], "'12' is no code for the edge `n2 -> n3`"),
        (["11 11 | 11 11 11 | 11 11 11 11 | 11 11 11 11 1"], "'1' is no code"),
        (["11 11 | 11 11 11 | 11 11 11 11 | 11 11 11 11 \u0661\u0661"], "is no code"),
        (["x" * 1000], "..."),
    ],
)
def test_what_does_not_fit_is_said(alpha: list[str], said: str) -> None:
    space = robdsl.load_space("cell_based", width=4, layers=3)
    with pytest.raises(AlphaError, match=r"row 0") as caught:
        alpha_matrix([alpha], space.picks)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200
