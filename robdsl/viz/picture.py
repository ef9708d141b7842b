"""What is drawn, as data: boxes, curves and texts with their places, for any format to write down.

Lengths are points; x grows to the right and y downwards. What stands later is drawn over what stands before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from robdsl.diagnostics.source import Span

Point = tuple[float, float]
#: One cubic Bézier spline: a start, then three points for each piece.
Spline = tuple[Point, ...]


@dataclass(frozen=True)
class Stroke:
    """How a line is drawn; ``dash`` alternates the lengths of strokes and gaps, and is empty for a whole line."""

    colour: str
    width: float = 1.0
    dash: tuple[float, ...] = ()


@dataclass(frozen=True)
class Box:
    """A node, a stage, a frame or a sample in a legend.

    Attributes:
        id: unique in the picture; "" for what is only decoration.
        x, y: the centre.
        sort: what it stands for: ``input``, ``node``, ``join``, ``stage``, ``frame``, ``mark``.
        facts: what there is to know about it, in words, for formats that can show it on demand.
        spans: the text that says so.
    """

    id: str
    x: float
    y: float
    width: float
    height: float
    sort: str
    fill: str
    stroke: Stroke
    label: str = ""
    size: float = 12
    colour: str = "#000000"
    bold: bool = False
    radius: float = 5
    facts: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()

    def moved(self, dx: float, dy: float) -> Box:
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True)
class Curve:
    """An edge between two boxes, or a line that is only decoration (``source`` and ``target`` are "").

    Attributes:
        splines: the line; several where it is interrupted.
        arrow: the length of the arrowhead at the end; 0 for none.
        label: the operation on the edge.
        sort: ``edge``, ``join``, ``flow`` (between stages) or ``mark``.
    """

    id: str
    source: str
    target: str
    splines: tuple[Spline, ...]
    stroke: Stroke
    sort: str
    label: str = ""
    arrow: float = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()

    def moved(self, dx: float, dy: float) -> Curve:
        splines = tuple(tuple((x + dx, y + dy) for x, y in spline) for spline in self.splines)
        return replace(self, splines=splines)


@dataclass(frozen=True)
class Text:
    """One line of text; ``y`` is its middle and ``x`` its start, middle or end, as ``anchor`` says."""

    x: float
    y: float
    text: str
    size: float = 11
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    colour: str = "#000000"

    def moved(self, dx: float, dy: float) -> Text:
        return replace(self, x=self.x + dx, y=self.y + dy)


Mark = Box | Curve | Text


@dataclass(frozen=True)
class Picture:
    """A drawing of ``width`` x ``height`` points on white.

    Attributes:
        title: what it shows, in words.
        notes: what a reader must know about what is not drawn.
    """

    width: float
    height: float
    marks: tuple[Mark, ...]
    title: str
    notes: tuple[str, ...] = ()

    def moved(self, dx: float, dy: float) -> tuple[Mark, ...]:
        """Its marks, elsewhere."""
        return tuple(mark.moved(dx, dy) for mark in self.marks)

    def boxes(self, *sorts: str) -> tuple[Box, ...]:
        """The boxes of these sorts, or all."""
        return tuple(m for m in self.marks if isinstance(m, Box) and (not sorts or m.sort in sorts))

    def curves(self, *sorts: str) -> tuple[Curve, ...]:
        """The curves of these sorts, or all."""
        return tuple(m for m in self.marks if isinstance(m, Curve) and (not sorts or m.sort in sorts))

    def texts(self) -> tuple[Text, ...]:
        return tuple(m for m in self.marks if isinstance(m, Text))

    def svg(self) -> str:
        """The picture as SVG, to be put into a page or a file."""
        from robdsl.viz.svg import svg

        return svg(self)


def stacked(pictures: Iterable[Picture], title: str, gap: float = 14, notes: tuple[str, ...] = ()) -> Picture:
    """Pictures one below the other, aligned on the left."""
    marks: list[Mark] = []
    width = height = 0.0
    for picture in pictures:
        if height:
            height += gap
        marks.extend(picture.moved(0, height))
        width, height = max(width, picture.width), height + picture.height
        notes += picture.notes
    return Picture(width, height, tuple(marks), title, notes)


def framed(picture: Picture, margin: float = 16) -> Picture:
    """The picture with white around it."""
    return replace(
        picture,
        width=picture.width + 2 * margin,
        height=picture.height + 2 * margin,
        marks=picture.moved(margin, margin),
    )
