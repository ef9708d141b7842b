"""A recorded step gives what the steps themselves give; on a CPU nothing is recorded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from robdsl.attacks import PGD, pgd
from robdsl.attacks.core.ball import LinfBall
from robdsl.attacks.core.graphed import graphed_steps
from tests.attacks.recording import record_on_cpu


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )


def batch(device: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(4, 3, 8, 8, generator=generator).to(device), torch.arange(4).to(device)


def _plainly(attack: Callable[[], Tensor]) -> Tensor:
    """What an attack gives outside of any `graphed_steps`."""
    return Context().run(attack)


def test_nothing_is_recorded_on_a_cpu() -> None:
    net, (images, labels) = model().eval(), batch("cpu")
    plain = pgd(net, images, labels, steps=3, random_start=False)
    with graphed_steps() as graphs:
        found = pgd(net, images, labels, steps=3, random_start=False)
    assert torch.equal(found, plain)
    assert graphs.replays == graphs.refused == 0
    assert graphs.plain == 3


@pytest.fixture
def replayed_on_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Records on a CPU; called, by other means."""
    record_on_cpu(monkeypatch)
    return partial(record_on_cpu, monkeypatch)


@pytest.mark.usefixtures("replayed_on_cpu")
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_steps_are_replayed_from_the_second_time_on(mode: Literal["eval", "train"]) -> None:
    plain_net, net = model(), model()
    with graphed_steps() as graphs:
        for number in range(4):
            images, labels = batch("cpu", seed=number)
            plain = _plainly(partial(pgd, plain_net, images, labels, steps=3, mode=mode, random_start=False))
            found = pgd(net, images, labels, steps=3, mode=mode, random_start=False)
            assert torch.equal(found, plain)
            for one, other in zip(net.buffers(), plain_net.buffers(), strict=True):
                assert torch.equal(one, other)
    assert (graphs.plain, graphs.replays, graphs.refused) == (3, 9, 0)


@pytest.mark.usefixtures("replayed_on_cpu")
def test_passes_are_counted_as_without() -> None:
    net, (images, labels) = model().eval(), batch("cpu")
    attack = PGD(steps=4, random_start=False)
    plain = attack(net, images, labels)
    with graphed_steps():
        results = [attack(net, images, labels) for _ in range(3)]
    for result in results:
        assert torch.equal(result.images, plain.images)
        assert (result.forward_passes, result.backward_images) == (
            plain.forward_passes,
            plain.backward_images,
        )


@pytest.mark.usefixtures("replayed_on_cpu")
def test_what_differs_has_a_graph_of_its_own() -> None:
    (images, labels), nets = batch("cpu"), [model().eval() for _ in range(2)]
    settings: list[dict[str, Any]] = [
        {}, {"step_size": 1 / 255}, {"loss": "margin"}, {"mode": "train"}, {"norm": "l2", "step_size": 0.1},
    ]  # fmt: skip
    with graphed_steps(most=3) as graphs:
        for net in nets:
            for each in settings:
                plain = _plainly(
                    partial(pgd, copy.deepcopy(net), images, labels, steps=2, random_start=False, **each)
                )
                for _ in range(3):
                    found = pgd(
                        copy.deepcopy(net) if "mode" in each else net,
                        images,
                        labels,
                        steps=2,
                        random_start=False,
                        **each,
                    )
                    assert torch.equal(found, plain)
    # Of each net: three kinds twice replayed; copies and the other norm never.
    assert graphs.replays == 2 * 3 * 2 * 2


def test_a_refusal_is_said_once_and_costs_no_more(
    replayed_on_cpu: Callable[[Callable[[Callable[[], None]], None]], None],
) -> None:
    asked = []

    def refuse(take: Callable[[], None]) -> None:
        asked.append(take)
        take()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    replayed_on_cpu(refuse)
    net, (images, labels) = model().eval(), batch("cpu")
    plain = _plainly(lambda: pgd(net, images, labels, steps=2, random_start=False))
    with graphed_steps() as graphs:
        for _ in range(4):
            assert torch.equal(pgd(net, images, labels, steps=2, random_start=False), plain)
    assert len(asked) == graphs.refused == 1
    assert (graphs.plain, graphs.replays) == (8, 0)
    assert graphs.reason == "operation not permitted when stream is capturing"


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
        for _ in range(3):  # the first time plainly
            nets[1].load_state_dict(model().state_dict())
            found = pgd(nets[1], images, labels, steps=5, random_start=False, mode=mode)
            torch.testing.assert_close(found, plain)
            for one, other in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
                torch.testing.assert_close(one, other)
    assert (graphs.plain, graphs.replays, graphs.refused) == (5, 10, 0)


@pytest.mark.gpu
def test_what_changes_its_shape_is_attacked_step_by_step() -> None:
    net, (images, labels) = model().cuda().eval(), batch("cuda")
    with graphed_steps() as graphs:
        for count in range(1, 5):
            pgd(net, images[:count], labels[:count], steps=2)
    assert (graphs.plain, graphs.replays) == (8, 0)


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
        for _ in range(3):
            found = pgd(net, images, labels, steps=3, random_start=False)
    torch.testing.assert_close(found, plain)
    assert (graphs.refused, graphs.plain) == (1, 9)
    assert graphs.reason
