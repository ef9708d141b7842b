"""Our attacks are at least as strong as the strongest backend, and stronger with more work or budget."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robdsl.attacks import (
    BACKENDS,
    CWL2,
    Attack,
    AutoAttack,
    DeepFool,
    FABTargeted,
    UnsupportedAttackError,
    get_backend,
    parse_attack,
)
from tests.attacks.nets import digits, seeded

NOISE = 0.02  # of the examples
slow = pytest.mark.slow


def fooled(attack: Attack, net: nn.Module, images: Tensor, labels: Tensor) -> int:
    return int(attack(net, images, labels, generator=seeded()).success.sum())


def fooled_by_backends(
    attack: Attack, net: nn.Module, images: Tensor, labels: Tensor, backends: tuple[str, ...] = BACKENDS
) -> dict[str, int]:
    counts = {}
    for name in backends:
        try:
            counts[name] = fooled(get_backend(name).adapt(attack), net, images, labels)
        except UnsupportedAttackError:
            continue
    return counts


@pytest.mark.parametrize("kind", ["natural", "robust"])
@pytest.mark.parametrize("eps", [pytest.param("8/255", marks=slow), "0.15", pytest.param("0.2", marks=slow)])
def test_deepfool_is_as_strong_as_the_best(eps: str, kind: str, digits_nets: dict[str, nn.Module]) -> None:
    images, labels = digits(24)
    attack = DeepFool(eps=eps)
    theirs = fooled_by_backends(attack, digits_nets[kind], images, labels)
    assert theirs.keys() == set(BACKENDS)
    assert fooled(attack, digits_nets[kind], images, labels) >= max(theirs.values()), theirs


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_deepfool_finds_nearer_images_than_foolbox(norm: Any, digits_nets: dict[str, nn.Module]) -> None:
    images, labels = digits(96)
    attack = DeepFool(eps=None, norm=norm)
    for net in digits_nets.values():
        distances = []
        for each in (attack, get_backend("foolbox").adapt(attack)):
            result = each(net, images, labels, generator=seeded())
            assert bool(result.success.all())
            offset = (result.images - images).flatten(1)
            distances.append(offset.abs().amax(1) if norm == "linf" else offset.norm(dim=1))
        assert float(distances[0].mean()) <= float(distances[1].mean())


@pytest.mark.parametrize("kind", ["natural", "robust"])
def test_cw_l2_finds_images_as_near_as_the_best(kind: str, digits_nets: dict[str, nn.Module]) -> None:
    images, labels = digits(16)
    net = digits_nets[kind]
    attack = CWL2(steps=100, binary_search_steps=4, initial_constant=0.1, learning_rate=0.05)
    ours = attack(net, images, labels, generator=seeded())
    assert bool(ours.success.all())
    mean = float((ours.images - images).flatten(1).norm(dim=1).mean())
    for name in ("torchattacks", "foolbox"):
        theirs = get_backend(name).adapt(attack)(net, images, labels, generator=seeded())
        # A failed search gets the largest distance of ours, which flatters it.
        lengths = (theirs.images - images).flatten(1).norm(dim=1)
        lengths[~theirs.success] = (ours.images - images).flatten(1).norm(dim=1).max()
        assert mean <= float(lengths.mean()) * 1.005, name


@pytest.mark.parametrize("kind", ["natural", "robust"])
@pytest.mark.parametrize(("norm", "eps"), [("linf", "0.15"), pytest.param("l2", "0.7", marks=slow)])
def test_autoattack_is_as_strong_as_the_best(
    kind: str, norm: Any, eps: str, digits_nets: dict[str, nn.Module]
) -> None:
    images, labels = digits(20)
    attack = AutoAttack(eps=eps, norm=norm, steps=30, queries=60)
    backends = (
        ("torchattacks", "art") if norm == "linf" else ("torchattacks",)
    )  # ART's Square divides by zero in L2
    theirs = fooled_by_backends(attack, digits_nets[kind], images, labels, backends)
    assert theirs.keys() == set(backends)
    assert fooled(attack, digits_nets[kind], images, labels) >= max(theirs.values()), theirs


@slow
@pytest.mark.parametrize("kind", ["natural", "robust"])
def test_autoattack_at_full_length_is_as_strong_as_the_best(
    kind: str, digits_nets: dict[str, nn.Module]
) -> None:
    images, labels = digits(64)
    for eps in ("0.1", "0.2"):
        attack = AutoAttack(eps=eps, queries=500)
        theirs = fooled_by_backends(attack, digits_nets[kind], images, labels)
        assert fooled(attack, digits_nets[kind], images, labels) >= max(theirs.values()), theirs


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab_finds_images_as_near_as_deepfool(norm: Any, robust_net: nn.Module) -> None:
    images, labels = digits(32)
    means = []
    for attack in (FABTargeted(eps=None, norm=norm, steps=30), DeepFool(eps=None, norm=norm)):
        result = attack(robust_net, images, labels)
        offset = (result.images - images).flatten(1)
        means.append(float((offset.abs().amax(1) if norm == "linf" else offset.norm(dim=1)).mean()))
        assert bool(result.success.all())
    assert means[0] <= means[1]


WORK: dict[str, list[dict[str, Any]]] = {
    "pgd": [{"steps": steps, "step_size": "0.04"} for steps in (1, 5, 20)],
    "bim": [{"steps": steps, "step_size": "0.04"} for steps in (1, 5, 20)],
    "cw": [{"steps": steps, "step_size": "0.04"} for steps in (1, 5, 20)],
    "deepfool": [{"steps": steps} for steps in (1, 5, 20)],
    "apgd_ce": [{"steps": steps} for steps in (1, 5, 20)],
    "apgd_t": [{"steps": 10, "targets": targets} for targets in (1, 3)],
    "fab_t": [{"steps": steps, "targets": 2} for steps in (2, 10)],
    "square": [{"queries": queries} for queries in (1, 30, 200)],
    "cw_l2": [{"eps": "0.7", "steps": 60, "binary_search_steps": search} for search in (2, 5)],
}


@pytest.mark.parametrize("name", sorted(WORK))
def test_more_work_is_never_weaker(name: str, robust_net: nn.Module) -> None:
    images, labels = digits(150)
    counts = [
        fooled(parse_attack(name, **{"eps": "0.15"} | settings), robust_net, images, labels)
        for settings in WORK[name]
    ]
    assert all(later >= earlier - NOISE * len(images) for earlier, later in pairwise(counts))
    assert counts[-1] > counts[0]


@pytest.mark.parametrize("name", sorted({*WORK, "fgsm", "mi_fgsm"} - {"cw_l2"}))
def test_a_larger_budget_is_never_weaker(name: str, robust_net: nn.Module) -> None:
    images, labels = digits(80)
    settings = WORK.get(name, [{}])[-1]
    counts = [
        fooled(parse_attack(name, **settings | {"eps": eps}), robust_net, images, labels)
        for eps in ("0", "0.05", "0.1", "0.2", "0.4")
    ]
    assert all(larger >= smaller for smaller, larger in pairwise(counts)), counts
    clean = int((robust_net(images).argmax(1) != labels).sum())
    assert counts[0] == clean and counts[-1] > len(images) / 2


def test_strong_attacks_are_stronger_than_weak_ones(robust_net: nn.Module) -> None:
    """The order that the literature has: FGSM < BIM <= PGD-100 <= AutoAttack."""
    images, labels = digits(150)
    counts = [
        fooled(parse_attack(name, eps="0.2", **settings), robust_net, images, labels)
        for name, settings in (
            ("fgsm", {}),
            ("bim", {"step_size": "0.02"}),
            ("pgd100", {"step_size": "0.02"}),
            ("autoattack", {"steps": 20, "queries": 50}),
        )
    ]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_seeds_matter(robust_net: nn.Module) -> None:
    """Another generator draws another start."""
    images, labels = digits(4)
    attack = parse_attack("pgd", steps=1)
    first, second = (attack(robust_net, images, labels, generator=seeded(seed)).images for seed in (0, 1))
    assert not torch.equal(first, second)
