"""What an attack may not change, beyond what the properties cover on ordinary nets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robdsl.attacks import PGD, Mode, Square, pgd, undisturbed
from tests.attacks.nets import Snapshot, digits, digits_net, seeded


class Counting(nn.Module):
    """Changes its buffers in every mode: one in place, one by putting another tensor there."""

    changed: Tensor
    replaced: Tensor

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("changed", torch.zeros(2))
        self.register_buffer("replaced", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        self.changed += 1
        self.replaced = self.replaced + 1
        return logits


@pytest.mark.parametrize("mode", ["eval", "keep"])
def test_buffers_that_change_in_every_mode_come_back(mode: Mode) -> None:
    model = Counting(digits_net()).eval()
    before = Snapshot(model)
    PGD(steps=3, mode=mode)(model, *digits(4), generator=seeded())
    before.check()
    model(digits(4)[0])
    assert model.changed.tolist() == [1, 1] and model.replaced.tolist() == [1, 1]


def test_a_training_attack_moves_running_statistics_and_nothing_else() -> None:
    model = digits_net().eval()
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    assert norm.num_batches_tracked is not None
    mean = norm.running_mean.clone()
    x, y = digits(8)
    moved = pgd(model, x, y, steps=3, mode="train", generator=seeded())
    assert not torch.equal(norm.running_mean, mean) and int(norm.num_batches_tracked) == 3
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not torch.equal(moved, pgd(model, x, y, steps=3, generator=seeded()))


def test_mode_keep_leaves_a_mixed_model_mixed() -> None:
    model = digits_net().train()
    model[1].eval()
    seen: list[bool] = []
    hooks = [layer.register_forward_hook(lambda layer, *_: seen.append(layer.training)) for layer in model]
    pgd(model, *digits(2), steps=1, mode="keep", generator=seeded())
    assert seen == [True, False, True, True, True, True, True, True]
    seen.clear()
    pgd(model, *digits(2), steps=1, generator=seeded())
    assert seen == [False] * 8
    for hook in hooks:
        hook.remove()


def test_a_pending_backward_pass_survives_an_attack() -> None:
    model = digits_net().eval()
    x, y = digits(8)
    loss = nn.functional.cross_entropy(model(x), y)
    pgd(model, x, y, steps=2, generator=seeded())
    loss.backward()  # fails if an attack writes to what the graph has saved
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_parameters_need_no_gradient_while_attacked() -> None:
    model = digits_net()
    model[0].weight.requires_grad_(False)
    seen: list[bool] = []
    hook = model.register_forward_pre_hook(
        lambda module, _: seen.append(any(parameter.requires_grad for parameter in module.parameters()))
    )
    pgd(model, *digits(2), steps=2, generator=seeded())
    hook.remove()
    assert seen == [False, False]
    assert [parameter.requires_grad for parameter in model.parameters()] == [False] + [True] * 9


def test_modules_that_refuse_eval() -> None:
    """As exported programs do."""

    class Exported(nn.Sequential):
        def train(self, mode: bool = True) -> Exported:
            raise RuntimeError("call nothing of the kind")

    model = Exported(*digits_net())
    pgd(model, *digits(2), steps=1, generator=seeded())
    assert model.training


def test_nested_guards_unwind() -> None:
    model = digits_net().train()
    before = Snapshot(model)
    with undisturbed(model), undisturbed(model, "train"):
        assert model.training
    before.check()


def test_shared_and_missing_parts() -> None:
    shared = nn.BatchNorm2d(1)
    model = nn.Sequential(shared, shared, nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten())
    before = Snapshot(model)
    PGD(steps=2)(model, torch.full((3, 1, 2, 2), 0.5), torch.zeros(3).long(), generator=seeded())
    before.check()


def test_no_gradient_is_wanted_of_a_black_box() -> None:
    model = digits_net()
    x, y = digits(3)
    with torch.no_grad():
        result = Square(queries=4)(model, x, y, generator=seeded())
    assert result.backward_passes == 0


def test_data_parallel_wrappers_are_asked_inside() -> None:
    """`DistributedDataParallel` without its process group: only the module inside may be called."""
    inner = digits_net()
    wrapper = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = inner
    x, y = digits(4)
    assert torch.equal(
        pgd(wrapper, x, y, steps=2, generator=seeded()), pgd(inner, x, y, steps=2, generator=seeded())
    )


@pytest.mark.parametrize("kind", ["fx", "export", "compile"])
def test_models_that_tools_have_made(kind: str) -> None:
    net = digits_net().eval()
    x, y = digits(6)
    model: Any
    if kind == "fx":
        model = torch.fx.symbolic_trace(net)
    elif kind == "export":
        model = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    else:
        model = torch.compile(net, backend="aot_eager")
    before = Snapshot(net)
    expected = PGD(steps=3, restarts=2)(net, x, y, generator=seeded())
    result = PGD(steps=3, restarts=2)(model, x, y, generator=seeded())
    before.check()
    assert torch.equal(result.images, expected.images)
