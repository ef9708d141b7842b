"""The matrix of sources and targets."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from robdsl.attacks import BIM, FGSM, PGD, transfer_matrix
from tests.attacks.nets import Snapshot, digits, train_digits


@pytest.fixture(scope="module")
def nets(digits_nets: dict[str, nn.Module]) -> dict[str, nn.Module]:
    return {**digits_nets, "copy": train_digits(eps=0, epochs=4, seed=7)}


ATTACKS = (FGSM(eps="0.15"), PGD(eps="0.15", step_size="0.03", steps=8))


def test_cells_count_what_the_target_gets_right(nets: dict[str, nn.Module]) -> None:
    images, labels = digits(60)
    batches = list(zip(images.split(25), labels.split(25), strict=True))
    done: list[int] = []
    matrix = transfer_matrix(nets, nets, [BIM(eps="0.15", steps=5)], batches, progress=done.append)
    assert done == [25, 50, 60] and matrix.total == 60
    for target, model in nets.items():
        clean = model(images).argmax(1) == labels
        assert matrix.natural[target] == int(clean.sum())
        for source, made_on in nets.items():
            made = BIM(eps="0.15", steps=5)(made_on, images, labels).images
            right = model(made).argmax(1) == labels
            assert matrix.correct[source, target, "bim5"] == int(right.sum())
            assert matrix.robust[source, target, "bim5"] == int((right & clean).sum())


def test_white_box_is_stronger_than_transfer(nets: dict[str, nn.Module]) -> None:
    batch = [digits(120)]
    matrix = transfer_matrix(nets, nets, ATTACKS, batch)
    for target in nets:
        for attack in matrix.attacks:
            others = [matrix.correct[source, target, attack] for source in nets if source != target]
            assert matrix.correct[target, target, attack] < min(others)
    # Images of an independently trained copy fool more than noise does, on the weaker net.
    assert matrix.accuracy("copy", "natural", "pgd8") < matrix.natural["natural"] / matrix.total - 0.1
    rows = matrix.rows()
    assert len(rows) == 3 * 3 * 2 and rows[0]["total"] == 120
    assert {row["attack"] for row in rows} == {"fgsm", "pgd8"}


def test_a_cell_does_not_depend_on_the_others(nets: dict[str, nn.Module]) -> None:
    images, labels = digits(40)
    batches = [(images[:20], labels[:20]), (images[20:], labels[20:])]
    whole = transfer_matrix(nets, nets, ATTACKS, batches, seed=5)
    one = transfer_matrix({"copy": nets["copy"]}, {"robust": nets["robust"]}, ATTACKS[1:], batches, seed=5)
    assert one.correct["copy", "robust", "pgd8"] == whole.correct["copy", "robust", "pgd8"]


def test_models_are_left_alone_and_empty_batches_are_fine(nets: dict[str, nn.Module]) -> None:
    model = copy.deepcopy(nets["natural"]).train()
    before = Snapshot(model)
    empty = (torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64))
    matrix = transfer_matrix({"a": model}, {"b": model}, ATTACKS, [empty, digits(3)])
    before.check()
    assert matrix.total == 3
    nothing = transfer_matrix({"a": model}, {"b": model}, ATTACKS, [])
    assert nothing.accuracy("a", "b", "fgsm") != nothing.accuracy("a", "b", "fgsm")


@pytest.mark.parametrize("attacks", [[], [FGSM(), FGSM(eps="1/255")]])
def test_what_makes_no_matrix_is_refused(attacks: list[FGSM], natural_net: nn.Module) -> None:
    with pytest.raises(ValueError, match="sources, targets, and attacks"):
        transfer_matrix({"a": natural_net}, {"a": natural_net}, attacks, [])
