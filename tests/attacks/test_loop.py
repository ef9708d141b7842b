"""PGD's loop is as lean as it can be: what one more step asks of the device, operation by operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from robdsl.attacks import PGD, Norm, undisturbed
from tests.attacks.nets import digits, seeded

SYNCHRONIZING = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "item", "masked_select", "unique")


class Recorder(TorchDispatchMode):
    """Counts the operations that reach the device, backward passes included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has left this one without annotations
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def recorded(program: Callable[[], object]) -> Counter[str]:
    recorder = Recorder()
    with recorder:
        program()
    return recorder.counts


def own_passes(model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    images = images.clone()
    with undisturbed(model):
        for _ in range(steps):
            loss = F.cross_entropy(model(images.requires_grad_()), labels, reduction="sum")
            torch.autograd.grad(loss, images)
            images.requires_grad_(False)


@pytest.mark.parametrize(
    ("norm", "extra"),
    [
        ("linf", {"aten.sign.out": 1, "aten.add_.Tensor": 1, "aten.clamp_.Tensor": 1}),
        ("l2", None),
    ],
)
def test_one_more_step_is_its_passes_and_three_operations_in_place(
    norm: Norm, extra: dict[str, int] | None, natural_net: nn.Module
) -> None:
    images, labels = digits(4)

    def attack(steps: int) -> Counter[str]:
        pgd = PGD(steps=steps, norm=norm)
        return recorded(lambda: pgd.perturb(natural_net, images, labels, generator=seeded()))

    step = attack(4)
    step.subtract(attack(3))
    passes = recorded(lambda: own_passes(natural_net, images, labels, 4))
    passes.subtract(recorded(lambda: own_passes(natural_net, images, labels, 3)))
    step.subtract(passes)
    beyond = {name: count for name, count in step.items() if count and "detach" not in name}
    assert min(beyond.values()) > 0
    if extra is not None:
        assert beyond == extra


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nothing_waits_for_the_device(norm: Norm, natural_net: nn.Module) -> None:
    images, labels = digits(4)
    attack = PGD(steps=3, norm=norm)
    counts = recorded(lambda: attack.perturb(natural_net, images, labels, generator=seeded()))
    waits = [name for name in counts if any(f"aten.{kind}" in name for kind in SYNCHRONIZING)]
    assert counts and not waits
    skipping = PGD(steps=3, norm=norm, skip_fooled=True)
    counts = recorded(lambda: skipping.perturb(natural_net, images, labels, generator=seeded()))
    assert any("aten.nonzero" in name for name in counts)  # the recorder sees what it should


def test_the_weights_ask_for_no_gradients(natural_net: nn.Module) -> None:
    """A convolution's backward is told to leave the weights out."""
    wanted: list[list[bool]] = []

    class Masks(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "convolution_backward" in str(func):
                wanted.append(list(args[-1]))
            return func(*args, **(kwargs or {}))

    images, labels = digits(4)
    with Masks():  # type: ignore[no-untyped-call]  # as above
        PGD(steps=2).perturb(natural_net, images, labels, generator=seeded())
    assert len(wanted) == 4 and all(mask == [True, False, False] for mask in wanted)
