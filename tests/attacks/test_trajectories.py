"""Attacks step by step: the images that they ask the model about are those of plain loops written from the papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robdsl.attacks import APGD, CWL2, Attack, DeepFool, FABTargeted, Square
from robdsl.attacks.core.hyperplane import project_onto_hyperplane
from tests.attacks.nets import seeded

CLASSES = 4


class Wavy(nn.Module):
    """A smooth net with many hills, which keeps what it was asked about; a `lead` for class 0 keeps it unfooled."""

    def __init__(self, seed: int, lead: float, frequency: float) -> None:
        super().__init__()
        self.first = torch.randn(48, 24, generator=seeded(seed), dtype=torch.float64) * frequency
        self.second = torch.randn(24, CLASSES, generator=seeded(seed + 1), dtype=torch.float64) / 5
        self.lead = lead * F.one_hot(torch.tensor(0), CLASSES)
        self.asked: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(images.detach().clone())
        return self.logits(images)

    def logits(self, images: Tensor) -> Tensor:
        return (images.flatten(1) @ self.first).sin() @ self.second + self.lead

    def behind(self, target: int) -> Callable[[Tensor], Tensor]:
        """How far the logit of a class lies above that of class 0."""
        return lambda images: self.logits(images)[:, target] - self.logits(images)[:, 0]


def picture(seed: int, stretch: float = 1.2) -> Tensor:
    """An image some of whose pixels lie at the edges of the box, or none with a smaller stretch."""
    images = torch.rand(1, 3, 4, 4, generator=seeded(seed), dtype=torch.float64)
    return ((images - 0.5) * stretch + 0.5).clamp(0, 1)


def gradient_of(function: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    point = point.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(point).sum(), point)
    return gradient


def asked_by(attack: Attack, net: Wavy, image: Tensor, **extra: Any) -> list[Tensor]:
    """What the model is asked about, and last the result."""
    net.asked.clear()
    result = attack.perturb(net, image, torch.zeros(len(image), dtype=torch.long), **extra)
    return [*net.asked, result]


def assert_same_way(asked: list[Tensor], expected: list[Tensor]) -> None:
    assert len(asked) >= len(expected)
    for step, (mine, plain) in enumerate(zip(asked, expected, strict=False)):
        distance = float((mine - plain).abs().max())
        assert distance < 1e-5, f"question {step} of {len(expected)} differs by {distance}"


class PlainAPGD:
    """Algorithm 1 of Croce and Hein (2020) for one image; at a checkpoint `<=`, as in their code (the paper has `<`)."""

    def __init__(self, net: Wavy, image: Tensor, start: Tensor, eps: float, norm: str) -> None:
        self.net, self.image, self.eps, self.norm = net, image, eps, norm
        self.asked = [start]
        self.sizes: list[float] = []
        self.reasons: list[str] = []  # why the step was halved

    def loss(self, x: Tensor) -> Tensor:
        return F.cross_entropy(self.net.logits(x), torch.zeros(1, dtype=torch.long), reduction="none")

    def value(self, x: Tensor) -> float:
        return float(self.loss(x))

    def project(self, x: Tensor) -> Tensor:
        offset = x - self.image
        if self.norm == "linf":
            offset = offset.clamp(-self.eps, self.eps)
        else:
            offset = offset * min(1.0, self.eps / max(float(offset.norm()), 1e-300))
        return (self.image + offset).clamp(0, 1)

    def step(self, x: Tensor, gradient: Tensor, size: float) -> Tensor:
        direction = gradient.sign() if self.norm == "linf" else gradient / gradient.norm()
        return self.project(x + size * direction)

    def run(self, steps: int, rho: float) -> None:
        x = previous = best = self.asked[0]
        value = best_value = value_at_check = float(self.loss(x))
        gradient = best_gradient = gradient_of(self.loss, x)
        size, raised, halved_before = 2 * self.eps, 0, True
        period, since, least = int(0.22 * steps), 0, max(int(0.06 * steps), 1)
        for number in range(steps):
            alpha = 0.75 if number else 1.0
            moved = self.project(
                x + alpha * (self.step(x, gradient, size) - x) + (1 - alpha) * (x - previous)
            )
            previous, x = x, moved
            self.asked.append(x)
            self.sizes.append(size)
            now, gradient = float(self.loss(x)), gradient_of(self.loss, x)
            raised += now > value
            value = now
            if now > best_value:
                best, best_value, best_gradient = x, now, gradient
            since += 1
            if since == period:
                slow = raised <= rho * period
                stuck = not halved_before and best_value <= value_at_check
                if slow or stuck:
                    self.reasons.append("both" if slow and stuck else "slow" if slow else "stuck")
                    size, x, gradient = size / 2, best, best_gradient
                halved_before, value_at_check = slow or stuck, best_value
                raised, since = 0, 0
                period = max(period - max(int(0.03 * steps), 1), least)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_sets_its_step_size_as_the_paper_does(norm: Any) -> None:
    eps = 0.03 if norm == "linf" else 0.2
    reasons: set[str] = set()
    halved = 0
    for seed in range(12):
        rho = (0.75, 0.5, 0.1)[
            seed % 3
        ]  # a small one leaves it to the second condition to see that nothing moves
        # In L2 a way over many hills is chaotic: rounding would grow to what a mistake is.
        net, image = Wavy(seed, lead=9, frequency=8 if norm == "linf" else 4), picture(seed)
        start = image.clone()
        if seed % 3 == 2:  # from a hilltop: the first checkpoint finds nothing better
            way = PlainAPGD(net, image, start, eps, norm)
            way.run(steps=60, rho=0.75)
            start = max(way.asked, key=way.value)
        plain = PlainAPGD(net, image, start, eps, norm)
        plain.run(steps=50 if seed % 2 and norm == "linf" else 20, rho=rho)
        attack = APGD(eps=eps, norm=norm, steps=len(plain.sizes), rho=rho)
        assert_same_way(asked_by(attack, net, image, start=start), plain.asked)
        reasons |= set(plain.reasons)
        halved += plain.sizes[-1] < plain.sizes[0]
    assert halved > 3
    assert {"slow", "stuck"} <= reasons  # each condition was alone the reason somewhere


def test_apgd_climbs_dlr_when_asked_to() -> None:
    """Its first step; cross-entropy would step elsewhere."""
    elsewhere = 0
    for seed in range(5):
        net, image = Wavy(seed, lead=1, frequency=1), picture(seed, 0.6)
        ways = []
        for loss in ("ce", "dlr"):
            start, first = asked_by(APGD(eps="0.01", steps=2, loss=loss), net, image, start=image)[:2]
            assert torch.equal(start, image)
            ways.append(first - image)

        def ratio(images: Tensor, net: Wavy = net) -> Tensor:
            logits = net.logits(images)
            ordered = logits.sort(dim=1, descending=True).values
            return (logits[:, 1:].amax(1) - logits[:, 0]) / (ordered[:, 0] - ordered[:, 2])

        assert torch.allclose(ways[1], 0.01 * gradient_of(ratio, image).sign())
        elsewhere += not torch.allclose(ways[0], ways[1])
    assert elsewhere


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(("overshoot", "relaxation"), [(0.02, 0.5), (0.2, 1.0)])
def test_deepfool_goes_to_the_nearest_linearized_boundary(
    norm: Any, overshoot: float, relaxation: float
) -> None:
    # At the edges two steps only: whether a pixel that was moved there lies at the edge is a matter of rounding.
    for seed, steps, stretch in ((0, 5, 0.6), (1, 5, 0.6), (2, 2, 1.2), (3, 2, 1.2)):
        net, image = Wavy(seed, lead=1, frequency=1), picture(seed, stretch)
        rivals = net.logits(image)[0, 1:].argsort(descending=True) + 1
        expected, total = [image, image], torch.zeros_like(image)  # the clean image ranks the rivals first
        for _ in range(steps):
            x, ways = expected[-1], []
            for rival in rivals.tolist():
                gradient = gradient_of(net.behind(rival), x)
                gradient = gradient * ~((gradient > 0) & (x >= 1)) * ~((gradient <= 0) & (x <= 0))
                gap = float((net.logits(x)[0, 0] - net.logits(x)[0, rival]).abs())
                length = float(gradient.abs().sum() if norm == "linf" else gradient.norm())
                direction = gradient.sign() if norm == "linf" else gradient / length
                ways.append((gap / length, direction))
            reach, direction = min(ways, key=lambda pair: pair[0])
            total = total + relaxation * (reach + 1e-4) * direction
            moved = (image + (1 + overshoot) * total).clamp(0, 1)
            total = (moved - image) / (1 + overshoot)
            expected.append(moved)
            if int(net.logits(moved).argmax()) != 0:
                break
        attack = DeepFool(eps=None, norm=norm, steps=steps, overshoot=overshoot, relaxation=relaxation)
        assert len(expected) > 2
        assert_same_way(asked_by(attack, net, image), expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab_mixes_both_projections(norm: Any) -> None:
    """Equations 9 to 11 of Croce and Hein (2020, FAB), and the way back after a success."""
    order = torch.inf if norm == "linf" else 2
    successes = 0
    for seed in range(8):
        net, image = Wavy(seed, lead=1, frequency=1 + seed % 3), picture(seed)
        if int(net.logits(image).argmax()) != 0:
            continue  # nothing to attack
        gap = net.behind(int(net.logits(image)[0, 1:].argmax()) + 1)
        x, expected = image, [image]
        found: list[Tensor] = []
        for _ in range(6):
            expected.append(x)
            normal = gradient_of(gap, x).flatten(1)
            at, from_clean = gap(x), gap(x) + (normal * (image - x).flatten(1)).sum(1)
            here = project_onto_hyperplane(x.flatten(1), normal, at, norm) - x.flatten(1)
            there = project_onto_hyperplane(image.flatten(1), normal, from_clean, norm) - image.flatten(1)
            lengths = [
                float(torch.linalg.vector_norm(each, ord=order).clamp_min(1e-8)) for each in (here, there)
            ]
            alpha = min(lengths[0] / sum(lengths), 0.1)
            mixed = (1 - alpha) * (x.flatten(1) + 1.05 * here) + alpha * (image.flatten(1) + 1.05 * there)
            x = mixed.clamp(0, 1).view_as(image)
            expected.append(x)
            if int(net.logits(x).argmax()) != 0:
                successes += 1
                found.append(x)
                x = 0.1 * image + 0.9 * x
        asked = asked_by(FABTargeted(eps=None, norm=norm, steps=6, targets=1), net, image)
        assert_same_way(asked, expected)
        if found:  # the nearest is the result
            offsets = [(each - image).flatten() for each in found]
            nearest = min(offsets, key=lambda offset: float(torch.linalg.vector_norm(offset, ord=order)))
            assert torch.allclose((asked[-1] - image).flatten(), nearest, atol=1e-5)
    assert successes > 4


@pytest.mark.parametrize("confidence", [0.0, 0.3])
def test_cw_l2_searches_its_constant_by_bisection(confidence: float) -> None:
    """Section VI.A of Carlini and Wagner (2017), with torch's own Adam."""
    constants: list[float] = []
    for seed in range(3):
        net, image = Wavy(seed, lead=0.7, frequency=1), picture(seed)
        expected: list[Tensor] = []
        constant, lower, upper = 0.0625, 0.0, float("inf")
        for _ in range(6):
            w = torch.atanh((2 * image - 1) * (1 - 1e-4)).requires_grad_(True)
            adam = torch.optim.Adam([w], lr=0.02)
            fooled = False
            for _ in range(15):
                x = (w.tanh() + 1) / 2
                expected.append(x.detach())
                logits = net.logits(x)
                behind = logits[:, 0] - logits[:, 1:].amax(1)
                fooled |= float(behind.detach()) < -confidence
                objective = (x - image).square().sum() + constant * (behind + confidence).clamp_min(0).sum()
                adam.zero_grad()
                objective.backward()
                adam.step()
            constants.append(constant)
            if fooled:
                upper = min(upper, constant)
            else:
                lower = max(lower, constant)
            constant = constant * 10 if upper == float("inf") else (lower + upper) / 2
        attack = CWL2(
            steps=15, binary_search_steps=6, learning_rate=0.02, initial_constant=0.0625, abort_early=False,
            confidence=confidence,
        )  # fmt: skip
        assert_same_way(asked_by(attack, net, image), expected)
    assert any(
        constant not in (0.0625, 0.625, 6.25, 62.5) for constant in constants
    )  # some searches bisected


def test_cw_l2_stops_a_constant_that_brings_no_progress() -> None:
    """Ten looks a run; the run ends at the first that is not better by a ten-thousandth."""
    net, image = Wavy(0, lead=50, frequency=0.1), picture(0)  # far from any boundary, and all but flat
    hopeless: dict[str, Any] = {"steps": 100, "binary_search_steps": 1, "initial_constant": 1e-3}
    asked = asked_by(CWL2(**hopeless, learning_rate=1e-9), net, image)
    full = asked_by(CWL2(**hopeless, learning_rate=1e-9, abort_early=False), net, image)
    assert (len(asked), len(full)) == (11 + 1, 100 + 1)  # steps 0 and 10 are the first two looks
    moving = asked_by(CWL2(**hopeless | {"initial_constant": 100.0}, learning_rate=1e-2), net, image)
    assert len(moving) > len(asked)


#: Of all queries, up to which the paper's code covers which share of p (its `p_selection`).
SQUARE_SCHEDULE = [
    (10, 1), (50, 2), (200, 4), (500, 8), (1000, 16), (2000, 32), (4000, 64), (6000, 128), (8000, 256), (10000, 512),
]  # fmt: skip


def test_square_halves_its_squares_when_the_paper_does() -> None:
    attack = Square()
    before = 0
    for last, divisor in SQUARE_SCHEDULE:
        assert attack._share(before + 1) == attack._share(last) == 0.8 / divisor
        before = last


def test_square_changes_one_square_and_keeps_what_helps() -> None:
    net = Wavy(3, lead=9, frequency=1)
    image = torch.rand(1, 3, 4, 4, generator=seeded(5), dtype=torch.float64)
    asked = asked_by(Square(eps="0.05", queries=80, initial_share=0.8), net, image, generator=seeded(6))
    low, high = (image - 0.05).clamp(0, 1), (image + 0.05).clamp(0, 1)
    current = asked[0]
    largest: dict[int, int] = {}

    def margin(x: Tensor) -> float:
        logits = net.logits(x)[0]
        return float(logits[1:].max() - logits[0])

    assert bool((torch.isclose(current, low) | torch.isclose(current, high)).all())
    assert torch.equal((current > image).all(2), (current >= image).any(2))  # stripes: a column has one sign
    for query, x in enumerate(asked[1:80], start=1):
        changed = (x != current).any(1)[0]
        assert bool((torch.isclose(x, low) | torch.isclose(x, high) | (x == current)).all())
        for channel in range(3):
            moved = (x != current)[0, channel]
            up = torch.isclose(x, high)[0, channel][moved]
            assert bool(up.all()) or not bool(up.any())
        if bool(changed.any()):
            rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
            side = int(max(rows.max() - rows.min(), columns.max() - columns.min())) + 1
            share = 0.8 / next(divisor for last, divisor in SQUARE_SCHEDULE if query <= last)
            allowed = max(round((share * 16) ** 0.5), 1)
            assert side <= allowed
            largest[allowed] = max(side, largest.get(allowed, 0))
        if margin(x) > margin(current):
            current = x
    assert largest == {4: 4, 3: 3, 2: 2}
