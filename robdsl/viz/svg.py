"""A picture as SVG: text is text, and every box and line can be found by its id.

Everything is built as an XML tree and written by the standard library, so no text can become markup.
"""

from __future__ import annotations

from math import hypot
from xml.etree import ElementTree

from robdsl.viz.lettering import FONTS, shown
from robdsl.viz.picture import Box, Curve, Picture, Point, Spline, Text

_NAMESPACE = "http://www.w3.org/2000/svg"


def svg(picture: Picture) -> str:
    """The picture as one ``<svg>`` element."""
    return ElementTree.tostring(tree(picture), encoding="unicode")


def tree(picture: Picture, *, live: bool = False) -> ElementTree.Element:
    """The picture as an XML tree; ``live`` for a page that shows facts itself and needs wide lines to point at."""
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": _NAMESPACE,
            "viewBox": f"0 0 {_n(picture.width)} {_n(picture.height)}",
            "width": _n(picture.width),
            "height": _n(picture.height),
            "font-family": FONTS,
            "role": "img",
        },
    )
    ElementTree.SubElement(root, "title").text = shown(picture.title)
    ElementTree.SubElement(
        root, "rect", {"width": _n(picture.width), "height": _n(picture.height), "fill": "#ffffff"}
    )
    for mark in picture.marks:
        match mark:
            case Box():
                _box(root, mark, live)
            case Curve():
                _curve(root, mark, live)
            case Text():
                _text(root, mark.x, mark.y, mark.text, mark.size, mark.anchor, mark.colour, mark.bold)
    return root


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _group(root: ElementTree.Element, sort: str, name: str, title: str) -> ElementTree.Element:
    group = ElementTree.SubElement(root, "g", {"class": sort})
    if name:
        group.set("data-id", shown(name))
    if title:
        ElementTree.SubElement(group, "title").text = title
    return group


def _box(root: ElementTree.Element, box: Box, live: bool) -> None:
    group = _group(root, box.sort, box.id, "" if live else _said(box))
    ElementTree.SubElement(
        group,
        "rect",
        {
            "x": _n(box.x - box.width / 2),
            "y": _n(box.y - box.height / 2),
            "width": _n(box.width),
            "height": _n(box.height),
            "rx": _n(min(box.radius, box.height / 2)),
            "fill": box.fill or "none",
            "stroke": box.stroke.colour,
            "stroke-width": _n(box.stroke.width),
        },
    )
    lines = box.label.split("\n") if box.label else []
    sizes = [box.size if not number else box.size * 0.68 for number in range(len(lines))]
    y = box.y - sum(sizes[1:]) * 1.1 / 2
    for text, size in zip(lines, sizes, strict=True):
        bold = box.bold and size == box.size
        _text(group, box.x, y, text, size, "middle", box.colour, bold)
        y += size * 1.0


def _curve(root: ElementTree.Element, curve: Curve, live: bool) -> None:
    group = _group(root, curve.sort, curve.id, "" if live else _said(curve))
    if curve.id:
        group.set("data-label", shown(curve.label))
    if curve.id and live:
        group.set("data-source", shown(curve.source))
        group.set("data-target", shown(curve.target))
    splines = list(curve.splines)
    head: list[Point] = []
    if curve.arrow:
        splines[-1], head = arrowhead(splines[-1], curve.arrow)
    attributes = {
        "d": " ".join(map(_path, splines)),
        "fill": "none",
        "stroke": curve.stroke.colour,
        "stroke-width": _n(curve.stroke.width),
    }
    if curve.stroke.dash:
        attributes["stroke-dasharray"] = " ".join(map(_n, curve.stroke.dash))
    ElementTree.SubElement(group, "path", attributes)
    if live and curve.id:
        wide = {"d": attributes["d"], "fill": "none", "stroke": "transparent", "class": "wide"}
        ElementTree.SubElement(group, "path", wide | {"stroke-width": _n(max(3.0, curve.arrow * 1.2))})
    if head:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in head)
        ElementTree.SubElement(group, "polygon", {"points": points, "fill": curve.stroke.colour})


def arrowhead(spline: Spline, size: float) -> tuple[Spline, list[Point]]:
    """The spline, ending where the arrowhead begins, and the corners of the head at its old end."""
    (x0, y0), (x1, y1) = spline[-2], spline[-1]
    whole = hypot(x1 - x0, y1 - y0) or 1.0
    dx, dy = (x1 - x0) / whole, (y1 - y0) / whole
    back = x1 - dx * size, y1 - dy * size
    half = size * 0.42
    corners = [
        (x1, y1),
        (back[0] - dy * half, back[1] + dx * half),
        (back[0] + dy * half, back[1] - dx * half),
    ]
    control = spline[-2] if whole > size else back
    return (*spline[:-2], control, (x1 - dx * size * 0.9, y1 - dy * size * 0.9)), corners


def _path(spline: Spline) -> str:
    start, *rest = spline
    numbers = " ".join(f"{x:.1f} {y:.1f}" for x, y in rest)
    return f"M{start[0]:.1f} {start[1]:.1f}C{numbers}"


def _text(
    root: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    size: float,
    anchor: str,
    colour: str,
    bold: bool,
) -> None:
    attributes = {"x": _n(x), "y": _n(y + size * 0.36), "font-size": _n(size), "fill": colour}
    if anchor != "start":
        attributes["text-anchor"] = anchor
    if bold:
        attributes["font-weight"] = "bold"
    ElementTree.SubElement(root, "text", attributes).text = shown(text)


def _said(mark: Box | Curve) -> str:
    """What is known of a mark, a line each: what a browser shows when the pointer rests on it."""
    return "\n".join(f"{shown(name)}: {shown(value)}" for name, value in mark.facts.items())
