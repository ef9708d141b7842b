"""The table that compares attacks with those of other libraries."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from benchmarks.bench_strength import Row, attacks, measure, table
from robdsl.attacks import CWL2, DeepFool, UnsupportedAttackError, get_backend
from tests.attacks.nets import digits, seeded, train_digits


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return train_digits(eps=0, epochs=1)


def test_a_row_counts_what_each_library_fools(net: nn.Module) -> None:
    images, labels = digits(12)
    attack = DeepFool(eps="8/255")
    row = measure("natural", net, "DeepFool", attack, images, labels)
    assert row.ours == int(attack(net, images, labels, generator=seeded()).success.sum())
    for backend, count in row.theirs.items():
        theirs = get_backend(backend).adapt(attack)(net, images, labels, generator=seeded())
        assert count == int(theirs.success.sum())
    assert row.theirs.keys() == {"torchattacks", "foolbox", "art"}
    assert f"| natural | DeepFool | fooled of 12 | {row.ours} |" in table([row])


def test_distances_and_what_a_library_lacks(net: nn.Module) -> None:
    images, labels = digits(6)
    attack = CWL2(steps=10, binary_search_steps=2, initial_constant=1.0, learning_rate=0.1)
    row = measure("natural", net, "C&W", attack, images, labels)
    assert row.measure == "mean distance" and row.ours > 0
    lacking = {name for name, value in row.theirs.items() if value is None}
    for name in row.theirs:
        if name in lacking:
            with pytest.raises(UnsupportedAttackError):
                get_backend(name).adapt(attack)
        else:
            get_backend(name).adapt(attack)


@pytest.mark.parametrize(
    ("measured", "ours", "holds"),
    [("fooled", 5, True), ("fooled", 4, False), ("mean distance", 3.02, True), ("mean distance", 3.1, False)],
)
def test_the_best_of_the_others_decides(measured: str, ours: float, holds: bool) -> None:
    row = Row("n", "a", measured, 9, ours, {"x": 5, "y": None, "z": 3})
    assert replace(row, theirs={"x": 5, "y": None, "z": 3}).holds == holds
    assert "| 5 | - | 3 |" in table([row])


def test_what_the_issue_names_is_compared() -> None:
    kinds = [attack.kind for _, attack in attacks(3, 4)]
    assert {kind: kinds.count(kind) for kind in kinds} == {"deepfool": 2, "autoattack": 2, "cw_l2": 1}
