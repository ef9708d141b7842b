"""A recorded step gives what the steps themselves give; on a CPU nothing is recorded."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from robdsl.attacks import pgd
from robdsl.attacks.core.ball import LinfBall
from robdsl.attacks.core.graphed import graphed_steps


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )


def batch(device: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 8, 8, generator=generator).to(device), torch.arange(4).to(device)


def test_nothing_is_recorded_on_a_cpu() -> None:
    net, (images, labels) = model().eval(), batch("cpu")
    plain = pgd(net, images, labels, steps=3, random_start=False)
    with graphed_steps() as graphs:
        found = pgd(net, images, labels, steps=3, random_start=False)
    assert torch.equal(found, plain)
    assert graphs.replays == graphs.refused == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_step_in_one_is_climbing_and_projecting(dtype: torch.dtype) -> None:
    images = batch("cpu")[0].to(dtype)
    ball = LinfBall.around(images, 8 / 255)
    gradient = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    gradient[0, 0] = torch.nan
    scratch = torch.empty_like(images)
    found, expected = images.clone(), images.clone()
    for _ in range(6):
        ball.ascend_(found, gradient, 2 / 255, scratch)
        ball.project_(ball.climb_(expected, gradient, 2 / 255, scratch))
        torch.ops.robdsl.pgd_step_(images, gradient, ball.lower, ball.upper, 2 / 255)
    assert torch.equal(found, expected)
    assert torch.equal(images, expected)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_recorded_steps_are_the_steps(mode: Literal["eval", "train"]) -> None:
    (images, labels), nets = batch("cuda"), [model().cuda() for _ in range(2)]
    plain = pgd(nets[0], images, labels, steps=5, random_start=False, mode=mode)
    with graphed_steps() as graphs:
        for _ in range(2):
            nets[1].load_state_dict(model().state_dict())
            found = pgd(nets[1], images, labels, steps=5, random_start=False, mode=mode)
            torch.testing.assert_close(found, plain)
            for one, other in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
                torch.testing.assert_close(one, other)
    assert graphs.replays == 10
    assert graphs.refused == 0


@pytest.mark.gpu
def test_a_model_that_waits_for_the_device_is_attacked_step_by_step() -> None:
    class Waiting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x * float(x.sum().item() > -1))  # type: ignore[no-any-return]  # nn.Module returns Any

    net, (images, labels) = Waiting().cuda().eval(), batch("cuda")
    plain = pgd(net, images, labels, steps=3, random_start=False)
    with graphed_steps() as graphs:
        found = pgd(net, images, labels, steps=3, random_start=False)
    torch.testing.assert_close(found, plain)
    assert graphs.refused == 1
