"""The parts that attacks are made of, against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robdsl.attacks.core.ball import L2Ball, LinfBall, make_ball
from robdsl.attacks.core.draws import Draws
from robdsl.attacks.core.hyperplane import project_onto_hyperplane
from robdsl.attacks.core.losses import cross_entropy, dlr, margin, summed_cross_entropy, targeted_dlr
from robdsl.attacks.core.remaining import Remaining
from robdsl.attacks.methods.auto_pgd import _checkpoints
from robdsl.attacks.methods.deep_fool import runners_up
from tests.attacks.nets import seeded

some = settings(max_examples=40, deadline=None)


def planes(seed: int, dimensions: int) -> tuple[Tensor, Tensor, Tensor]:
    """A few points of the box, some on its edges, and hyperplanes, some of whose normals have zeros."""
    generator = seeded(seed)
    points = (torch.rand(6, dimensions, generator=generator, dtype=torch.float64) * 1.6 - 0.3).clamp(0, 1)
    normals = torch.randn(6, dimensions, generator=generator, dtype=torch.float64)
    normals[1, ::2] = 0
    gaps = torch.randn(6, generator=generator, dtype=torch.float64)
    return points, normals, gaps


@some
@given(seed=st.integers(0, 10**6), dimensions=st.integers(1, 9))
def test_hyperplane_in_linf_is_the_linear_program(seed: int, dimensions: int) -> None:
    points, normals, gaps = planes(seed, dimensions)
    moved = project_onto_hyperplane(points, normals, gaps, "linf")
    assert bool(((moved >= -1e-12) & (moved <= 1 + 1e-12)).all())
    for x, w, gap, z in zip(points.numpy(), normals.numpy(), gaps.numpy(), moved.numpy(), strict=True):
        # Variables: the step in each coordinate, and its largest size, which is minimized.
        eye, ones = np.eye(dimensions), np.ones((dimensions, 1))
        best = scipy.optimize.linprog(
            np.r_[np.zeros(dimensions), 1.0],
            A_ub=np.block([[eye, -ones], [-eye, -ones]]),
            b_ub=np.zeros(2 * dimensions),
            A_eq=np.r_[w, 0.0][None],
            b_eq=[-gap],
            bounds=[*zip(-x, 1 - x, strict=True), (0, None)],
        )
        left = gap + w @ (z - x)
        if best.status == 0:
            assert abs(left) < 1e-9
            assert np.abs(z - x).max() == pytest.approx(best.fun, abs=1e-8)
        else:  # out of reach: as near as the box allows
            nearest = gap + np.where(w * -np.sign(gap) > 0, w * (1 - x), -w * x).sum()
            assert left == pytest.approx(nearest, abs=1e-9)


@some
@given(seed=st.integers(0, 10**6), dimensions=st.integers(1, 9))
def test_hyperplane_in_l2_is_the_quadratic_program(seed: int, dimensions: int) -> None:
    points, normals, gaps = planes(seed, dimensions)
    moved = project_onto_hyperplane(points, normals, gaps, "l2")
    assert bool(((moved >= -1e-12) & (moved <= 1 + 1e-12)).all())
    for x, w, gap, z in zip(points.numpy(), normals.numpy(), gaps.numpy(), moved.numpy(), strict=True):

        def beyond(multiplier: float, x: object = x, w: object = w, gap: float = gap) -> float:
            return float(gap + w @ (np.clip(x + multiplier * w, 0, 1) - x))  # type: ignore[operator]

        way = -math.copysign(1, gap)
        if np.sign(beyond(way * 1e9)) == np.sign(gap):
            assert abs(gap + w @ (z - x)) == pytest.approx(abs(beyond(way * 1e9)), abs=1e-6)
            continue
        root = scipy.optimize.brentq(beyond, 0, way * 1e9, xtol=1e-15, rtol=1e-14)
        assert np.allclose(z, np.clip(x + root * w, 0, 1), atol=1e-6)


@some
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 7))
def test_losses_are_what_the_papers_write(seed: int, classes: int) -> None:
    generator = seeded(seed)
    logits = torch.randn(4, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (4,), generator=generator)
    targets = (labels + 1 + torch.randint(classes - 1, (4,), generator=generator)) % classes
    got = [loss(logits, labels) for loss in (cross_entropy, margin, dlr)]
    towards = targeted_dlr(logits, labels, targets)
    assert float(summed_cross_entropy(logits, labels)) == pytest.approx(float(got[0].sum()))
    for row in range(4):
        z, y, t = logits[row].tolist(), int(labels[row]), int(targets[row])
        ordered = sorted(z, reverse=True)
        wrong = max(value for index, value in enumerate(z) if index != y)
        assert float(got[0][row]) == pytest.approx(math.log(sum(map(math.exp, z))) - z[y])
        assert float(got[1][row]) == pytest.approx(wrong - z[y])
        if classes >= 3:
            assert float(got[2][row]) == pytest.approx(-(z[y] - wrong) / (ordered[0] - ordered[2]))
        else:
            assert float(got[2][row]) == pytest.approx(wrong - z[y])
        if classes >= 4:
            scale = ordered[0] - (ordered[2] + ordered[3]) / 2
            assert float(towards[row]) == pytest.approx(-(z[y] - z[t]) / scale)


def test_the_rivals_are_the_wrong_classes_in_order() -> None:
    logits = torch.tensor([[1.0, 4.0, 3.0, 2.0], [9.0, 1.0, 2.0, 3.0]])
    assert runners_up(logits, torch.tensor([2, 0]), 9).tolist() == [[1, 3, 0], [3, 2, 1]]
    assert runners_up(logits, torch.tensor([2, 0]), 2).tolist() == [[1, 3], [3, 2]]


def test_checkpoints_of_a_hundred_steps_are_the_papers() -> None:
    """p = 0, 0.22, then p + max(p - previous - 0.03, 0.06), up to 1 (Croce & Hein 2020, section 3.1)."""
    previous, current, expected = 0.0, 0.22, []
    while current <= 1:
        expected.append(math.ceil(round(current * 100, 6)))
        previous, current = current, current + max(current - previous - 0.03, 0.06)
    assert list(_checkpoints(100)) == expected
    assert list(_checkpoints(100).values())[:4] == [22, 19, 16, 13]
    assert all(list(_checkpoints(steps)) for steps in range(1, 30))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.0, 1e-3, 2 / 255, 8 / 255, 0.3, 1.5, math.inf])
def test_linf_bounds_are_the_tightest_inside(dtype: torch.dtype, eps: float) -> None:
    images = torch.rand(2000, 1, generator=seeded(), dtype=torch.float64).to(dtype)
    images[:2, 0] = torch.tensor([0, 1])
    ball = LinfBall.around(images, eps)
    assert ball.lower.dtype == dtype
    exact = images.double()
    low, high = (exact - eps).clamp(0, 1), (exact + eps).clamp(0, 1)
    slack = 1e-16 if dtype == torch.float64 else 0.0
    assert bool((ball.lower.double() >= low - slack).all() and (ball.upper.double() <= high + slack).all())
    assert bool((ball.lower <= images).all() and (ball.upper >= images).all())
    if dtype != torch.float64:  # one more step outwards would leave the budget or the box
        below = torch.nextafter(ball.lower, torch.full_like(images, -1)).double()
        above = torch.nextafter(ball.upper, torch.full_like(images, 2)).double()
        assert bool((below < low).all() and (above > high).all())


@some
@given(seed=st.integers(0, 10**6), eps=st.sampled_from([0.1, 1.0, 5.0]))
def test_l2_projection_is_inside_and_leaves_insiders_alone(seed: int, eps: float) -> None:
    generator = seeded(seed)
    centres = torch.rand(5, 3, 4, 4, generator=generator)
    images = centres + torch.randn(5, 3, 4, 4, generator=generator)
    ball = L2Ball(centres, eps)
    projected = ball.project_(images.clone())
    assert float((projected - centres).double().flatten(1).norm(dim=1).max()) <= eps * (1 + 1e-6)
    assert float(projected.min()) >= 0 and float(projected.max()) <= 1
    assert torch.allclose(ball.project_(projected.clone()), projected, atol=1e-6)
    inside = (centres + 1e-3).clamp(0, 1)
    assert torch.allclose(ball.project_(inside.clone()), inside, atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_steps_have_their_length_and_direction(norm: str) -> None:
    images, gradient = torch.full((3, 1, 4, 4), 0.5), torch.randn(3, 1, 4, 4, generator=seeded())
    gradient[1] = 0
    gradient[2] = torch.nan
    ball = make_ball("linf" if norm == "linf" else "l2", images, 1.0)
    kept = gradient.clone()
    moved = ball.climb_(images.clone(), gradient, 0.25, torch.empty_like(images)) - images
    assert torch.equal(gradient.nan_to_num(7), kept.nan_to_num(7))
    expected = gradient[0].sign() / 4 if norm == "linf" else gradient[0] / gradient[0].norm() / 4
    assert torch.allclose(moved[0], expected)
    assert not moved[1:].any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball(norm: str) -> None:
    images = torch.full((4000, 1, 1, 2), 0.5)
    ball = make_ball("linf" if norm == "linf" else "l2", images, 0.25)
    offset = (ball.random_start(images, Draws(seeded(), images.device)) - images).flatten(1)
    assert float(ball.distances(images + offset.view_as(images), images).max()) <= 0.25 * (1 + 1e-6)
    assert float(offset.mean(0).abs().max()) < 0.01
    # Uniform: the share within half the radius is one half to the power of the dimension.
    inner = ball.distances(images + offset.view_as(images), images) <= 0.125
    assert float(inner.float().mean()) == pytest.approx(0.25, abs=0.03)


def test_a_random_start_without_a_budget_is_no_wider_than_the_box() -> None:
    """Uniform over a pixel's own range of one to either side, then clipped: half the draws end at an edge."""
    images = torch.full((4000, 1), 0.5)
    for eps in (1.0, 1.5, math.inf):
        start = make_ball("linf", images, eps).random_start(images, Draws(seeded(), images.device))
        assert float(((start == 0) | (start == 1)).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_draws_do_not_depend_on_the_dtype_they_are_rounded_to() -> None:
    device = torch.device("cpu")
    full = Draws(seeded(5), device).uniform(100)
    assert torch.equal(Draws(seeded(5), device).uniform(100, dtype=torch.bfloat16), full.bfloat16())
    signs = Draws(seeded(5), device).signs(1000)
    assert set(signs.tolist()) == {-1.0, 1.0} and abs(float(signs.mean())) < 0.1
    assert 0 <= Draws(seeded(), device).seed() < 2**31


def test_remaining_examples() -> None:
    images = torch.arange(16.0).view(16, 1)
    remaining = Remaining(images * 0 - 1)
    fooled = torch.zeros(16, dtype=torch.bool)
    fooled[3] = True
    remaining.record(fooled, images)
    assert remaining.keep() is None  # one of sixteen is not worth a new batch size
    fooled[[3, 5]] = torch.tensor([False, True])
    remaining.record(fooled, images + 100)
    keep = remaining.keep()
    assert keep is not None and keep.tolist() == [i for i in range(16) if i not in (3, 5)]
    final = remaining.finish(images[keep] + 200)
    expected = images + 200
    expected[3], expected[5] = 3, 105  # as they were when first fooled
    assert torch.equal(final, expected)
