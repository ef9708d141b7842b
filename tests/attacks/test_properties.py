"""What holds for every attack, on random nets, budgets and data."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robdsl.attacks import ATTACKS, misclassified, to_fraction
from tests.attacks.nets import QUICK, Snapshot, problems, quick, seeded

PROBLEMS = problems()
BUDGETS = st.sampled_from(["0", "1/255", "8/255", "0.1", "1/3", "2"])
few = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
every_attack = pytest.mark.parametrize("name", sorted(QUICK))


def test_no_attack_is_left_out() -> None:
    assert QUICK.keys() == ATTACKS.keys()


@every_attack
@few
@given(problem=PROBLEMS, eps=BUDGETS, norm=st.sampled_from(["linf", "l2"]), seed=st.integers(0, 99))
def test_budget_bounds_verdict_and_no_side_effects(
    name: str, problem: tuple[nn.Module, Tensor, Tensor], eps: str, norm: str, seed: int
) -> None:
    model, images, labels = problem
    attack = quick(name, eps, norm)
    clean, truth, before = images.clone(), labels.clone(), Snapshot(model)
    result = attack(model, images, labels, generator=seeded(seed))
    before.check()
    assert torch.equal(images, clean) and torch.equal(labels, truth) and not images.requires_grad

    made = result.images
    assert made.shape == images.shape and made.dtype == images.dtype and not made.requires_grad
    assert made.data_ptr() != images.data_ptr()
    assert bool(made.isfinite().all()) and float(made.min()) >= 0 and float(made.max()) <= 1
    offset = (made.double() - images.double()).flatten(1)
    radius = float(to_fraction(eps))
    if attack.norm == "linf":  # in exact arithmetic: bounds are rounded inwards
        assert float(offset.abs().max()) <= radius
    else:
        assert float(offset.norm(dim=1).max()) <= radius * (1 + 1e-6) + 1e-7

    with torch.no_grad():
        assert torch.equal(result.success, misclassified(model.eval()(made), labels))
    assert attack.most_passes is not None
    forward, backward = attack.most_passes
    assert result.forward_passes <= forward and result.backward_passes <= backward


@every_attack
def test_what_nothing_fools_takes_the_most_passes(name: str) -> None:
    linear = nn.Linear(12, 4)
    with torch.no_grad():
        linear.bias.copy_(torch.tensor([1000.0, 0, 0, 0]))
    model = nn.Sequential(nn.Flatten(), linear).eval()
    attack = quick(name, "1/255")
    result = attack(model, torch.rand(3, 3, 2, 2), torch.zeros(3, dtype=torch.long), generator=seeded())
    assert not result.success.any()
    if name in ("deepfool", "cw_l2"):  # these stop where they get no farther
        return
    assert attack.most_passes == (result.forward_passes, result.backward_passes)


@every_attack
@few
@given(problem=PROBLEMS, seed=st.integers(0, 99))
def test_deterministic_under_a_seed(name: str, problem: tuple[nn.Module, Tensor, Tensor], seed: int) -> None:
    model, images, labels = problem
    attack = quick(name, "0.1")
    first = attack(model, images, labels, generator=seeded(seed))
    torch.rand(3)  # what else has been drawn does not matter
    second = attack(model, images, labels, generator=seeded(seed))
    assert torch.equal(first.images, second.images) and torch.equal(first.success, second.success)
    assert first.forward_passes == second.forward_passes
    assert first.backward_passes == second.backward_passes


@every_attack
@few
@given(
    problem=PROBLEMS,
    passes=st.integers(0, 12),
    error=st.sampled_from([KeyboardInterrupt, RuntimeError, MemoryError]),
)
def test_no_side_effects_when_interrupted(
    name: str, problem: tuple[nn.Module, Tensor, Tensor], passes: int, error: type[BaseException]
) -> None:
    model, images, labels = problem
    before = Snapshot(model)
    left = passes

    def interrupt(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise error("stop")

    hook = model.register_forward_pre_hook(interrupt)
    try:
        quick(name, "0.1")(model, images, labels, generator=seeded())
    except error:
        assert left < 0
    else:
        assert left >= 0
    finally:
        hook.remove()
    before.check()


@every_attack
def test_zero_budget_moves_nothing(name: str, natural_net: nn.Module) -> None:
    images, labels = torch.rand(4, 1, 8, 8, generator=seeded()), torch.arange(4)
    result = quick(name, "0")(natural_net, images, labels, generator=seeded())
    assert torch.equal(result.images, images)


@every_attack
def test_empty_batch(name: str, natural_net: nn.Module) -> None:
    result = quick(name)(natural_net, torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64))
    assert result.images.shape == (0, 1, 8, 8) and result.success.shape == (0,)
    assert result.forward_passes == 0 and result.backward_passes == 0


@every_attack
def test_everything_fooled_already(name: str, natural_net: nn.Module) -> None:
    images = torch.rand(5, 1, 8, 8, generator=seeded())
    with torch.no_grad():
        labels = natural_net(images).argmin(1)
    result = quick(name)(natural_net, images, labels, generator=seeded())
    assert bool(result.success.all())
