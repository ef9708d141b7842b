"""Square's changes in L2, written out plainly from the paper (Andriushchenko et al. 2020, algorithm 3 and eq. 2)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from robdsl.attacks.core.ball import L2Ball
from robdsl.attacks.core.draws import Draws
from robdsl.attacks.methods.random_search import Square, _bump, _propose, _pyramid, _start
from tests.attacks.nets import seeded

CPU = torch.device("cpu")


def plain_pyramid(rows: int, columns: int) -> Tensor:
    """Rectangles around the middle, each one pixel wider all around; the r-th adds 1 / r^2."""
    steps = torch.zeros(rows, columns)
    for row in range(rows):
        for column in range(columns):
            ring = max(abs(row - rows // 2), abs(column - columns // 2))
            last = max(rows // 2, columns // 2) + 1
            steps[row, column] = sum(1 / r**2 for r in range(ring + 1, last + 1))
    pyramid: Tensor = steps / steps.norm()
    return pyramid


def plain_bump(side: int, *, lying: bool) -> Tensor:
    """One pyramid up and one down, together of norm one."""
    half = side // 2
    bump = torch.cat([plain_pyramid(half, side), -plain_pyramid(side - half, side)]) / math.sqrt(2)
    return bump if lying else bump.T


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (2, 5), (3, 5), (4, 4), (7, 2)])
def test_pyramids_are_the_papers(rows: int, columns: int) -> None:
    torch.testing.assert_close(_pyramid(rows, columns), plain_pyramid(rows, columns))


def test_bumps_are_two_pyramids_side_by_side_or_one_above_the_other() -> None:
    for side in (2, 3, 5, 6):
        ways = set()
        for seed in range(8):
            bump = _bump(side, Draws(seeded(seed), CPU))
            lying = bool(Draws(seeded(seed), CPU).integers(2, 1))
            torch.testing.assert_close(bump, plain_bump(side, lying=lying))
            ways.add(lying)
        assert ways == {False, True}
    assert _bump(1, Draws(seeded(), CPU)).tolist() == [[1.0]]


@pytest.mark.parametrize(("height", "width"), [(8, 9), (12, 13), (17, 16)])
def test_the_start_is_a_grid_of_bumps_at_the_full_budget(height: int, width: int) -> None:
    """As many as fit, in the middle of the image, each channel of each with a sign of its own."""
    images = torch.full((3, 2, height, width), 0.5, dtype=torch.float64)
    moved = _start(L2Ball(images, 0.4), images, Draws(seeded(1), CPU)) - images
    torch.testing.assert_close(moved.flatten(1).norm(dim=1), torch.full((3,), 0.4, dtype=torch.float64))
    side = min(height, width) // 5
    top, left = (height % side) // 2, (width % side) // 2
    down, across = height // side, width // side
    tiles = moved[:, :, top : top + down * side, left : left + across * side]
    assert float(tiles.square().sum()) == pytest.approx(float(moved.square().sum()))  # nothing beside them
    tiles = tiles.unfold(2, side, side).unfold(3, side, side).reshape(-1, side, side)
    shape = _bump(side, Draws(seeded(1), CPU)).double()
    heights = (tiles * shape).sum((1, 2), keepdim=True)
    torch.testing.assert_close(tiles, heights * shape, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(heights.abs(), heights.abs()[:1].expand_as(heights))
    assert {-1.0, 1.0} == set(heights.sign().flatten().tolist())


@pytest.mark.parametrize("eps", [0.3, 3.0])
@pytest.mark.parametrize("share", [0.02, 0.2, 1.0])
def test_a_change_moves_mass_from_one_window_to_another(share: float, eps: float) -> None:
    n, channels, height, width = 4, 3, 7, 9
    for seed in range(6):
        centres = torch.rand(n, channels, height, width, generator=seeded(seed), dtype=torch.float64)
        noise = torch.randn(n, channels, height, width, generator=seeded(seed + 1), dtype=torch.float64)
        ball = L2Ball(centres, eps)
        images = ball.project_(
            centres + noise * (0.004 if seed % 2 else 1)
        )  # some of the budget left, or none
        side = min(max(round(math.sqrt(share * height * width)), 3) | 1, height)
        draws = Draws(seeded(seed + 2), CPU)
        places = [draws.integers(length - side + 1, n, 1) for length in (height, width, height, width)]
        bump = plain_bump(side, lying=bool(draws.integers(2, 1))).double()
        signs = draws.signs(n, channels, 1, 1, dtype=torch.float64)

        expected = (images - centres).clone()
        for example in range(n):
            row, column, row_away, column_away = (int(each[example]) for each in places)
            to = (slice(row, row + side), slice(column, column + side))
            away = (slice(row_away, row_away + side), slice(column_away, column_away + side))
            spare = max(eps**2 - float(expected[example].square().sum()), 0) / channels
            for channel in range(channels):
                change = expected[example, channel]
                touched = torch.zeros_like(change, dtype=torch.bool)
                touched[to] = touched[away] = True
                mass = float(change[touched].square().sum())
                before = change[to] / change[to].norm()
                direction = before + bump * signs[example, channel]
                change[away] = 0
                change[to] = direction / direction.norm() * math.sqrt(mass + spare)
            expected[example] *= eps / expected[example].norm()
        expected = ball.project_(centres + expected)

        assert Square(initial_share=share)._share(1) == share
        proposal = _propose(ball, images, share, Draws(seeded(seed + 2), CPU))
        torch.testing.assert_close(proposal, expected, rtol=1e-6, atol=1e-7)
