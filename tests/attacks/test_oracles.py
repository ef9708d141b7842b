"""Our attacks against torchattacks and foolbox, step by step, from the same start."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Any

import pytest
import torch
import torchattacks
from torch import Tensor, nn

from robdsl.attacks import bim, cw, fgsm, mi_fgsm, pgd
from tests.attacks.nets import digits, seeded

foolbox: Any = import_module("foolbox")  # its annotations do not say what it exports
EPS, STEP = 0.15, 0.04


@pytest.fixture(scope="module", params=["natural", "robust"])
def problem(
    request: pytest.FixtureRequest, digits_nets: dict[str, nn.Module]
) -> tuple[nn.Module, Tensor, Tensor]:
    """In float64, where the sign of a gradient does not hang on the order of a sum."""
    images, labels = digits(64)
    return copy.deepcopy(digits_nets[request.param]).double(), images.double(), labels


def started(images: Tensor, seed: int, eps: float) -> Tensor:
    """Where torchattacks begins after this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        noise = torch.empty_like(images).uniform_(-eps, eps)
    return (images + noise).clamp(0, 1)


def same(ours: Tensor, theirs: Tensor) -> bool:
    return float((ours - theirs).abs().max()) <= 1e-6


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_pgd_is_that_of_torchattacks(problem: tuple[nn.Module, Tensor, Tensor], steps: int) -> None:
    net, images, labels = problem
    start = started(images, 11, EPS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        theirs = torchattacks.PGD(net, eps=EPS, alpha=STEP, steps=steps, random_start=True)(images, labels)
    ours = pgd(net, images, labels, eps=EPS, step_size=STEP, steps=steps, start=start)
    assert same(ours, theirs) and not same(ours, images)


def test_pgd_in_float32_too(robust_net: nn.Module) -> None:
    images, labels = digits(64)
    theirs = torchattacks.PGD(robust_net, eps=EPS, alpha=STEP, steps=10, random_start=False)(images, labels)
    assert same(bim(robust_net, images, labels, eps=EPS, step_size=STEP, steps=10), theirs)


def test_fgsm_is_that_of_torchattacks(problem: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, images, labels = problem
    theirs = torchattacks.FGSM(net, eps=EPS)(images, labels)
    assert same(fgsm(net, images, labels, eps=EPS), theirs)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_mi_fgsm_is_that_of_torchattacks(problem: tuple[nn.Module, Tensor, Tensor], decay: float) -> None:
    net, images, labels = problem
    theirs = torchattacks.MIFGSM(net, eps=EPS, alpha=EPS / 10, steps=10, decay=decay)(images, labels)
    assert same(mi_fgsm(net, images, labels, eps=EPS, steps=10, decay=decay), theirs)


def test_bim_is_that_of_foolbox(problem: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, images, labels = problem
    attack = foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=STEP, steps=9, random_start=False)
    assert same(bim(net, images, labels, eps=EPS, step_size=STEP, steps=9), _foolbox(attack, problem, EPS))


def test_l2_pgd_is_that_of_foolbox(problem: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, images, labels = problem
    attack = foolbox.attacks.L2BasicIterativeAttack(abs_stepsize=0.2, steps=9, random_start=False)
    ours = bim(net, images, labels, eps=0.8, step_size=0.2, steps=9, norm="l2")
    assert same(ours, _foolbox(attack, problem, 0.8))


def test_cw_is_the_pgd_loop_written_out_with_the_margin(problem: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, images, labels = problem
    made = images.clone()
    others = torch.nn.functional.one_hot(labels, 10) * -1e9
    for _ in range(9):
        made = made.detach().requires_grad_()
        logits = net(made)
        wrong = (logits + others).max(1).values
        (wrong - logits[torch.arange(len(labels)), labels]).sum().backward()
        assert made.grad is not None
        made = made.detach() + STEP * made.grad.sign()
        made = (images + (made - images).clamp(-EPS, EPS)).clamp(0, 1)
    assert same(cw(net, images, labels, eps=EPS, step_size=STEP, steps=9, random_start=False), made)


def test_a_random_start_is_as_good_as_any(robust_net: nn.Module) -> None:
    """Ours and torchattacks' random starts lead to the same accuracy within noise."""
    images, labels = digits()
    ours = pgd(robust_net, images, labels, eps=EPS, step_size=STEP, steps=10, generator=seeded())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = torchattacks.PGD(robust_net, eps=EPS, alpha=STEP, steps=10)(images, labels)
    with torch.no_grad():
        right = [float((robust_net(made).argmax(1) == labels).float().mean()) for made in (ours, theirs)]
    assert abs(right[0] - right[1]) < 0.02


def _foolbox(attack: Any, problem: tuple[nn.Module, Tensor, Tensor], eps: float) -> Tensor:
    net, images, labels = problem
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    made: Tensor = attack(model, images, foolbox.criteria.Misclassification(labels), epsilons=eps)[1]
    return made
