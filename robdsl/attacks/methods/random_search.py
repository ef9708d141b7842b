"""Square: random search with square-shaped changes, by logits alone (Andriushchenko et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robdsl.attacks.core.ball import Ball, L2Ball, LinfBall, l2_norms, per_example
from robdsl.attacks.core.draws import Draws
from robdsl.attacks.core.interface import Attack, Problem
from robdsl.attacks.core.losses import margin
from robdsl.attacks.core.query import misclassified
from robdsl.attacks.core.remaining import Remaining

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclass(frozen=True, kw_only=True)
class Square(Attack):
    """Changes a random square of each image, keeps what raises the margin, and makes the squares smaller.

    Needs no gradient, so it also works where gradients are masked: where it beats the gradient attacks,
    those were not to be believed (see `check_results`). Fooled examples leave.

    Attributes:
        queries: forward passes for each example and restart.
        restarts: searches from new starts, on examples not fooled so far.
        initial_share: the share of the image's pixels that the first squares cover, the paper's p.
    """

    queries: int = 5000
    restarts: int = 1
    initial_share: float = 0.8

    kind: ClassVar[str] = "square"
    gradient_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("queries", 1)
        self._at_least("restarts", 1)
        if not 0 < self.initial_share <= 1:
            raise ValueError(f"square: initial_share must be in (0, 1], not {self.initial_share}")

    @property
    def most_passes(self) -> tuple[int, int]:
        """See `Attack`."""
        again = self.restarts if self.restarts > 1 else 0
        return self.restarts * self.queries + again + 1, 0

    def _perturb(self, problem: Problem) -> Tensor:
        if problem.images.ndim != 4:
            raise ValueError(f"square needs images (N, C, H, W), not of shape {tuple(problem.images.shape)}")
        final = problem.images.clone()
        left = torch.arange(len(final), device=final.device)
        for _ in range(self.restarts):
            part = problem.select(left)
            final[left] = tried = self._search(part)
            if self.restarts > 1:
                left = left[~part.query.fooled(tried, part.labels)]
        return final

    def _search(self, problem: Problem) -> Tensor:
        query, ball, labels, draws = problem.query, problem.ball, problem.labels, problem.draws
        images = _start(ball, problem.images, draws)
        logits = query.logits(images)
        remaining = Remaining(problem.images)
        remaining.record(misclassified(logits, labels), images)
        losses = margin(logits, labels)
        for asked in range(1, self.queries):
            keep = remaining.keep()
            if keep is not None:
                images, labels, losses, ball = images[keep], labels[keep], losses[keep], ball.select(keep)
                if not len(keep):
                    break
            proposal = _propose(ball, images, self._share(asked), draws)
            logits = query.logits(proposal)
            remaining.record(misclassified(logits, labels), proposal)
            proposed = margin(logits, labels)
            better = proposed > losses
            losses = torch.where(better, proposed, losses)
            images = torch.where(per_example(better, images), proposal, images)
        return remaining.finish(images)

    def _share(self, asked: int) -> float:
        """The share of pixels in a square after `asked` queries: the paper's schedule of halvings."""
        return float(self.initial_share / 2 ** sum(asked > threshold for threshold in _HALVINGS))


def _start(ball: Ball, images: Tensor, draws: Draws) -> Tensor:
    n, channels, height, width = images.shape
    if isinstance(ball, LinfBall):  # vertical stripes at the bounds of the budget
        up = draws.uniform(n, channels, 1, width) < 0.5
        return torch.where(up, ball.upper, ball.lower)
    # A grid of bumps, random in sign.
    side = max(min(height, width) // 5, 1)
    bump = _bump(side, draws).to(images.dtype)
    bumps = torch.zeros_like(images)
    margin_top, margin_left = (height % side) // 2, (width % side) // 2
    for top in range(margin_top, height - side + 1, side):
        for left in range(margin_left, width - side + 1, side):
            signs = draws.signs(n, channels, 1, 1, dtype=images.dtype)
            bumps[:, :, top : top + side, left : left + side] = bump * signs
    return _fill_budget(ball, bumps)


def _propose(ball: Ball, images: Tensor, share: float, draws: Draws) -> Tensor:
    """`images` with one square of each changed; the square's place and signs are each example's own."""
    n, channels, height, width = images.shape
    side = min(max(round((share * height * width) ** 0.5), 1), height, width)
    if isinstance(ball, LinfBall):  # the square goes to one bound of the budget, channel by channel
        up = draws.uniform(n, channels, 1, 1) < 0.5
        inside = _window(draws, n, height, side).unsqueeze(2) & _window(draws, n, width, side).unsqueeze(1)
        return torch.where(inside.unsqueeze(1), torch.where(up, ball.upper, ball.lower), images)
    return _move_mass(ball, images, min(max(side, 3) | 1, height, width), draws)


def _window(draws: Draws, n: int, length: int, side: int) -> Tensor:
    """`side` neighbouring places out of `length` for each example, (n, length) bool."""
    first = draws.integers(length - side + 1, n, 1)
    places = torch.arange(length, device=first.device)
    return (places >= first) & (places < first + side)


def _move_mass(ball: L2Ball, images: Tensor, side: int, draws: Draws) -> Tensor:
    """The L2 change (algorithm 3 of the paper): a bump grows in one window with the mass of another.

    The perturbation in the second window becomes zero; its squared norm, and what is left of the budget, go
    to a bump added to the direction that the first window had.
    """
    n, channels = images.shape[:2]
    perturbation = images - ball.centres
    spare = (ball.eps**2 - l2_norms(perturbation).square()).clamp_min_(0) / channels
    to, away = (_window_index(draws, images, side) for _ in range(2))

    in_to = perturbation[to]
    both = perturbation.clone()
    both[to] = 0
    both[away] = 0
    mass = (perturbation.square() - both.square()).sum((2, 3), keepdim=True)
    direction = _unit(in_to) + _bump(side, draws).to(images) * draws.signs(
        n, channels, 1, 1, dtype=images.dtype
    )
    both[to] = _unit(direction) * (mass + per_example(spare, images)).sqrt().to(images.dtype)
    return _fill_budget(ball, both)


def _window_index(draws: Draws, images: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """An index that takes a side x side window of each example out of (N, C, H, W)."""
    n, channels, height, width = images.shape
    places = torch.arange(side, device=images.device)
    rows = draws.integers(height - side + 1, n, 1) + places
    columns = draws.integers(width - side + 1, n, 1) + places
    examples = torch.arange(n, device=images.device).view(-1, 1, 1, 1)
    return (
        examples,
        torch.arange(channels, device=images.device).view(1, -1, 1, 1),
        rows[:, None, :, None],
        columns[:, None, None, :],
    )


def _fill_budget(ball: L2Ball, perturbation: Tensor) -> Tensor:
    """The images at the full L2 budget along `perturbation`, brought into the box."""
    lengths = per_example(l2_norms(perturbation).clamp_min(1e-12), perturbation)
    return ball.project_(ball.centres + (perturbation * (ball.eps / lengths)).to(perturbation.dtype))


def _unit(windows: Tensor) -> Tensor:
    """Each channel's window, scaled to norm one; zero stays zero."""
    norms: Tensor = torch.linalg.vector_norm(windows, dim=(2, 3), keepdim=True)
    return windows / norms.clamp_min(1e-12)


def _bump(side: int, draws: Draws) -> Tensor:
    """A positive and a negative pyramid side by side or one above the other, (side, side) of norm one."""
    half = side // 2
    pattern = torch.zeros(side, side)
    if half:
        pattern[:half] = _pyramid(half, side)
        pattern[half:] = -_pyramid(side - half, side)
    else:
        pattern.fill_(1)
    pattern /= torch.linalg.vector_norm(pattern)
    lying = draws.integers(2, 1).bool()
    return torch.where(lying, pattern.to(lying.device), pattern.T.to(lying.device))


def _pyramid(height: int, width: int) -> Tensor:
    """Steps of growing rectangles around the middle, the r-th adding 1 / r^2; norm one (paper, eq. 2)."""
    rows, columns = torch.arange(height), torch.arange(width)
    ring = torch.maximum((rows - height // 2).abs().unsqueeze(1), (columns - width // 2).abs().unsqueeze(0))
    layers = torch.arange(1, max(height, width) // 2 + 2)
    steps = (layers.reciprocal().square().view(-1, 1, 1) * (ring < layers.view(-1, 1, 1))).sum(0)
    norm: Tensor = torch.linalg.vector_norm(steps)
    return steps / norm
