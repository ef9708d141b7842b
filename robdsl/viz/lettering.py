"""How wide text is, text cut to a width, and text from strangers made fit to draw.

The widths are those of Helvetica and the fonts made to replace it, in thousandths of the size. A picture is laid out
with them wherever it is drawn later, so that boxes fit whatever machine draws them.
"""

from __future__ import annotations

from pathlib import PurePath

from robdsl.diagnostics.display import visible
from robdsl.diagnostics.source import Span

#: The fonts that have these widths, best first.
FONTS = "Helvetica, Arial, 'Liberation Sans', 'Nimbus Sans', sans-serif"

_WIDTHS = {
    **dict.fromkeys("ijl'|", 222),
    **dict.fromkeys("ft.,:;!I/\\[] ·", 278),
    **dict.fromkeys("r()-`{}", 333),
    **dict.fromkeys("cksvxyzJ", 500),
    **dict.fromkeys("ABEKPSVXY&", 667),
    **dict.fromkeys("CDHNRUw", 722),
    **dict.fromkeys("GOQ", 778),
    **dict.fromkeys("mM", 833),
    **dict.fromkeys("+=<>~×−", 584),
    **dict.fromkeys("W…", 970),
    **dict.fromkeys("%@→", 1000),
    **dict.fromkeys("–α", 556),
    "F": 611, "T": 611, "Z": 611,
}  # fmt: skip
_USUAL = 556
_WIDE = 1000  # what is not ASCII may be anything up to a full square


def width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line of text is, in points."""
    total = sum(_WIDTHS.get(each, _USUAL if each.isascii() else _WIDE) for each in text)
    return total * size / 1000 * (1.06 if bold else 1)


def shown(text: str) -> str:
    """Text on one line, without characters that move the cursor or change the direction of reading."""
    return visible(" ".join(text.split()))


def cut(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """The text, or its beginning and ``…`` where it does not fit into ``room`` points."""
    if width(text, size, bold=bold) <= room:
        return text
    kept = ""
    for each in text[:1000]:
        if width(kept + each + "…", size, bold=bold) > room:
            break
        kept += each
    return kept + "…"


def wrapped(text: str, size: float, room: float) -> list[str]:
    """The text in lines of at most ``room`` points, broken between words."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(cut(word, size, room))
    return lines


def amount(value: int) -> str:
    """``780 M``: three digits."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{float(f'{value / unit:.3g}'):g} {name}"
    return str(value)


def sizes(shape: tuple[int, ...]) -> str:
    """``36 × 32 × 32``"""
    return " × ".join(map(str, shape))


def where(spans: tuple[Span, ...]) -> dict[str, str]:
    """The lines of the text as a fact: ``robnet.rob:23``. The folder is nobody's business but the author's."""
    if not spans:
        return {}
    return {"line": ", ".join(f"{PurePath(span.source.name).name}:{span.line}" for span in spans)}
