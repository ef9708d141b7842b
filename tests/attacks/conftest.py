"""Nets trained once for all tests here."""

from __future__ import annotations

import pytest
from torch import nn

from tests.attacks.nets import train_digits


@pytest.fixture(scope="session")
def natural_net() -> nn.Module:
    return train_digits(eps=0, epochs=6)


@pytest.fixture(scope="session")
def robust_net() -> nn.Module:
    return train_digits(eps=0.15, epochs=8)


@pytest.fixture(scope="session")
def digits_nets(natural_net: nn.Module, robust_net: nn.Module) -> dict[str, nn.Module]:
    return {"natural": natural_net, "robust": robust_net}
