"""The same attacks on a CUDA device."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from robdsl.attacks import ATTACKS, PGD, Precision
from tests.attacks.nets import digits, quick, seeded

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_results_stay_on_the_device_and_in_the_budget(name: str, natural_net: nn.Module) -> None:
    net = copy.deepcopy(natural_net).cuda()
    images, labels = (tensor.cuda() for tensor in digits(16))
    result = quick(name)(net, images, labels, generator=seeded())  # a generator of the CPU is fine
    assert result.images.device == images.device and result.success.device == images.device
    assert bool(result.images.isfinite().all())
    if name != "cw_l2":
        assert float((result.images.double() - images.double()).abs().max()) <= 8 / 255
    again = quick(name)(net, images, labels, generator=seeded())
    assert int((again.success != result.success).sum()) <= 1


@pytest.mark.parametrize("name", ["fgsm", "bim", "mi_fgsm"])
def test_the_device_agrees_with_the_cpu(name: str, natural_net: nn.Module) -> None:
    net = copy.deepcopy(natural_net).double()
    images, labels = digits(16)
    here = quick(name)(net, images.double(), labels)
    there = quick(name)(net.cuda(), images.double().cuda(), labels.cuda())
    assert float((there.images.cpu() - here.images).abs().max()) <= 1e-6


def test_nothing_waits_for_the_device(natural_net: nn.Module) -> None:
    net = copy.deepcopy(natural_net).cuda()
    images, labels = (tensor.cuda() for tensor in digits(16))
    generator = torch.Generator("cuda").manual_seed(0)
    attack = PGD(steps=3)
    attack.perturb(net, images, labels, generator=generator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        attack.perturb(net, images, labels, generator=generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["bf16", "tf32", "float32"])
def test_precisions(precision: Precision, natural_net: nn.Module) -> None:
    net = copy.deepcopy(natural_net).cuda()
    images, labels = (tensor.cuda() for tensor in digits(64))
    counts = [
        int(PGD(eps="0.1", precision=each)(net, images, labels, generator=seeded()).success.sum())
        for each in (precision, "float32")
    ]
    assert abs(counts[0] - counts[1]) <= 3
