"""Each check finds what it is for, and a sound model passes them all."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robdsl.attacks import CHECKS, PGD, Finding, Square, check_results, preflight
from tests.attacks.nets import Snapshot, digits, digits_net, seeded


class Wrapped(nn.Module):
    """A net with something done to its input or output."""

    def __init__(
        self, net: nn.Module, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.net(self.before(x)))


def same(x: Tensor) -> Tensor:
    return x


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


def test_a_sound_model_passes(digits_nets: dict[str, nn.Module]) -> None:
    for net in digits_nets.values():
        assert preflight(net, *digits(64)) == ()


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        ("A101", same, lambda z: z.softmax(1)),
        ("A104", same, lambda z: z + torch.randn_like(z)),
        ("A105", same, lambda z: z - z.mean(0)),
        ("A106", same, lambda z: z.detach()),
        ("A106", lambda x: (x * 255).round().byte().float() / 255, same),
        ("A107", lambda x: (x * 16).round() / 16, same),
        ("A107", same, lambda z: z * 1e4),
        ("A108", same, lambda z: z / 0),
        ("A109", same, lambda z: -z),
        ("A109", same, lambda z: z / 100 + 10 * torch.eye(10)[6]),  # the class of more than a tenth of them
        ("A110", same, lambda z: z[:, :5]),
    ],
)
def test_what_each_check_is_for(
    code: str,
    before: Callable[[Tensor], Tensor],
    after: Callable[[Tensor], Tensor],
    natural_net: nn.Module,
) -> None:
    found = preflight(Wrapped(natural_net, before, after).eval(), *digits(64))
    assert codes(found) == [code]
    assert (found[0].level, found[0].title, found[0].help) == (
        CHECKS[code].level,
        CHECKS[code].title,
        CHECKS[code].help,
    )
    assert found[0].detail


def test_gradients_that_are_not_numbers(natural_net: nn.Module) -> None:
    def root(z: Tensor) -> Tensor:  # sqrt(0) has an infinite slope, times zero
        return z + (z * 0).sqrt()

    found = preflight(Wrapped(natural_net, same, root).eval(), *digits(8))
    assert codes(found) == ["A108"] and "gradients of 8 of 8" in found[0].detail


def test_images_beyond_the_box(natural_net: nn.Module) -> None:
    images, labels = digits(32)
    found = preflight(natural_net, images * 1.001 - 0.0005, labels)
    assert codes(found) == ["A102"] and "-0.0005 to 1" in found[0].detail
    for beyond in (images * 0.5 - 0.001, images * 0.5 + 0.501):  # below alone, above alone
        assert "A102" in codes(preflight(natural_net, beyond, labels))
    images[0, 0, 0, 0] = torch.nan
    assert "A102" in codes(preflight(natural_net, images, labels))


def test_training_mode(natural_net: nn.Module) -> None:
    model = nn.Sequential(copy.deepcopy(natural_net), nn.Dropout(0.5))
    model[1].train()
    model.training = False
    model.zero_grad()
    before = Snapshot(model)
    found = preflight(model, *digits(64))
    before.check()
    assert codes(found) == ["A103"] and "1" in found[0].detail


def test_a_dropout_that_stays_on_is_random(natural_net: nn.Module) -> None:
    model = Wrapped(natural_net, lambda x: nn.functional.dropout(x, 0.2, training=True), same).eval()
    assert codes(preflight(model, *digits(64))) == ["A104"]


def test_norms_without_running_statistics_depend_on_the_batch() -> None:
    norm = nn.BatchNorm2d(1, track_running_stats=False)
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(64, 10)).eval()
    assert "A105" in codes(preflight(model, *digits(64)))


def test_the_model_is_left_as_it_was() -> None:
    model = digits_net().train()
    before = Snapshot(model)
    with torch.inference_mode():
        preflight(model, *digits(8))
    before.check()


def test_black_boxes_must_not_be_stronger() -> None:
    none, some = torch.zeros(6, dtype=torch.bool), torch.tensor([True, True, False, False, False, False])
    every = torch.ones(6, dtype=torch.bool)
    assert check_results({"fgsm": some, "pgd20": every, "square": some}) == ()
    found = check_results({"fgsm": none, "pgd20": some, "square": every})
    assert codes(found) == ["A111"] and found[0].detail == "square alone fools 4 images of 6"
    assert codes(check_results({"pgd20": some, "transfer": every}, black_box=["transfer"])) == ["A111"]
    assert check_results({"square": every}) == ()
    assert check_results({}) == ()


def test_one_step_must_not_be_stronger_than_many() -> None:
    some = torch.tensor([True, False, False])
    found = check_results({"fgsm": torch.ones(3, dtype=torch.bool), "pgd20": some, "deepfool": some})
    assert codes(found) == ["A112"] and found[0].detail == "fgsm fools 3, pgd20 fools 1"
    assert check_results({"fgsm": some, "pgd20": some}) == ()


def test_masked_gradients_are_seen_in_results(natural_net: nn.Module) -> None:
    """A net that rounds its input hides from PGD and not from Square; the check says so."""

    class Rounding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = natural_net((x * 8).round() / 8)
            return logits

    images, labels = digits(48)
    model = Rounding().eval()
    fooled = {
        attack.kind: attack(model, images, labels, generator=seeded()).success
        for attack in (PGD(eps="0.2", steps=5), Square(eps="0.2", queries=80))
    }
    assert codes(check_results(fooled)) == ["A111"]


def test_the_catalogue_is_complete_and_stable() -> None:
    assert list(CHECKS) == [f"A1{number:02}" for number in range(1, 13)]
    for check in CHECKS.values():
        assert check.level in ("error", "warning") and check.title and check.help
        assert not check.title.endswith(".")
