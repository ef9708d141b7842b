"""The nearest point of a hyperplane inside the box [0, 1], which FAB asks for at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from robdsl.attacks.core.ball import Norm


def project_onto_hyperplane(points: Tensor, normals: Tensor, gaps: Tensor, norm: Norm) -> Tensor:
    """Move each point the shortest way, in `norm`, to where its linear function is zero, within [0, 1].

    Minimizes |z - x| over z in [0, 1]^d with <w, z> + b = 0 (FAB, section 2.2). Every coordinate
    moves
    towards the plane: in L-infinity all at the same speed, in L2 each at the speed |w_i|, until it meets the
        box.
    What a move of "time" t gains is piecewise linear and increasing in t, so the time that closes the gap is
    found
    exactly: sort the times at which coordinates stop, and interpolate between two of them.

    Args:
        points: (N, d), in [0, 1].
        normals: (N, d), the w of each plane.
        gaps: (N,), the value <w, x> + b at each point.
        norm: what distance to minimize.

    Returns:
        (N, d): the nearest points, or, where the box does not reach the plane, the corner nearest to it.
    """
    downhill = torch.where(gaps.unsqueeze(1) > 0, -normals, normals)  # the way that closes the gap
    slopes = downhill.abs()
    room = torch.where(downhill > 0, 1 - points, points).clamp_min_(0)
    speeds = torch.ones_like(slopes) if norm == "linf" else slopes
    stops = torch.where(slopes > 0, room / speeds, torch.inf)  # what does not move never stops

    stops, order = stops.sort(dim=1)
    rates = (slopes * speeds).gather(1, order)  # gained per unit of time by each coordinate while it moves
    gained = torch.where(rates > 0, rates * stops, 0).cumsum(1)  # by those that have stopped
    moving = rates.flip(1).cumsum(1).flip(1)  # rate of a coordinate and all that stop later
    before = torch.nn.functional.pad(gained, (1, 0))[:, :-1]
    # Total gain at the moment when each coordinate stops; the plane is met before the first that suffices.
    at_stop = before + moving * torch.where(stops.isinf(), 0, stops)
    wanted = gaps.abs().unsqueeze(1)
    segment = (at_stop < wanted).sum(1, keepdim=True).clamp_max(stops.shape[1] - 1)
    rate = moving.gather(1, segment)
    time = torch.where(rate > 0, (wanted - before.gather(1, segment)) / rate, torch.inf)
    distance = torch.minimum((speeds * time).nan_to_num(nan=0.0, posinf=torch.inf), room)
    return points + torch.where(slopes > 0, downhill.sign() * distance, 0)
