"""Cubic Bézier curves: cutting them, measuring them, and cutting them into dashes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import hypot

from robdsl.viz.picture import Point, Spline

_SAMPLES = 24
_MOST_DASHES = 400  # a longer line is drawn with longer dashes


def line(start: Point, end: Point) -> Spline:
    """A straight line as a curve."""
    (x0, y0), (x1, y1) = start, end
    return (start, ((2 * x0 + x1) / 3, (2 * y0 + y1) / 3), ((x0 + 2 * x1) / 3, (y0 + 2 * y1) / 3), end)


def polyline(points: Sequence[Point]) -> Spline:
    """Straight lines through points as one curve."""
    spline: list[Point] = [points[0]]
    for start, end in pairwise(points):
        spline.extend(line(start, end)[1:])
    return tuple(spline)


def point(piece: Spline, t: float) -> Point:
    """The point of one cubic piece at ``t`` in [0, 1]."""
    u = 1 - t
    a, b, c, d = u**3, 3 * u * u * t, 3 * u * t * t, t**3
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = piece
    return a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def section(piece: Spline, start: float, end: float) -> Spline:
    """The part of one cubic piece from ``start`` to ``end``, both in [0, 1]."""
    right = _split(piece, start)[1] if start > 0 else piece
    rest = (end - start) / (1 - start) if start < 1 else 1.0
    return _split(right, rest)[0] if rest < 1 else right


def _split(piece: Spline, t: float) -> tuple[Spline, Spline]:
    def between(p: Point, q: Point) -> Point:
        return p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t

    a, b, c, d = piece
    ab, bc, cd = between(a, b), between(b, c), between(c, d)
    abc, bcd = between(ab, bc), between(bc, cd)
    middle = between(abc, bcd)
    return (a, ab, abc, middle), (middle, bcd, cd, d)


def pieces(spline: Spline) -> list[Spline]:
    """The cubic pieces of a spline."""
    return [tuple(spline[at : at + 4]) for at in range(0, len(spline) - 1, 3)]


def length(spline: Spline) -> float:
    """How long a spline is, closely."""
    return sum(_lengths(piece)[-1] for piece in pieces(spline))


def _lengths(piece: Spline) -> list[float]:
    """The length of a piece up to each of its samples."""
    samples = [point(piece, index / _SAMPLES) for index in range(_SAMPLES + 1)]
    steps = (hypot(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in pairwise(samples))
    return list(accumulate(steps, initial=0.0))


def _parameter(lengths: list[float], wanted: float) -> float:
    """Where a piece has the length ``wanted``, in [0, 1]."""
    for index, (before, after) in enumerate(pairwise(lengths)):
        if wanted <= after:
            part = (wanted - before) / (after - before) if after > before else 0.0
            return (index + part) / _SAMPLES
    return 1.0


def between(spline: Spline, start: float, end: float) -> tuple[Spline, ...]:
    """The part of a spline from length ``start`` to length ``end``; empty where there is none."""
    found: list[Point] = []
    passed = 0.0
    for piece in pieces(spline):
        lengths = _lengths(piece)
        low, high = max(start - passed, 0.0), min(end - passed, lengths[-1])
        if high > low:
            part = section(piece, _parameter(lengths, low), _parameter(lengths, high))
            found.extend(part if not found else part[1:])
        passed += lengths[-1]
    return (tuple(found),) if found else ()


def interrupted(spline: Spline, gap: float, part: float = 0.5) -> tuple[tuple[Spline, ...], Point]:
    """The spline with a gap of that length where ``part`` of it has passed, and the middle of the gap."""
    whole = length(spline)
    at = whole * part
    middle = between(spline, at, whole)[0][0]
    return between(spline, 0, at - gap / 2) + between(spline, at + gap / 2, whole), middle


def dashes(spline: Spline, pattern: Sequence[float]) -> tuple[Spline, ...]:
    """The strokes of a dashed line; ``pattern`` alternates the lengths of strokes and gaps."""
    whole = length(spline)
    scale = max(1.0, whole / sum(pattern) * (len(pattern) // 2) / _MOST_DASHES)
    strokes: list[Spline] = []
    at, index = 0.0, 0
    while at < whole:
        step = pattern[index % len(pattern)] * scale
        if index % 2 == 0:
            strokes.extend(between(spline, at, min(at + step, whole)))
        at, index = at + step, index + 1
    return tuple(strokes)
