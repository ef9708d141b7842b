"""Writes the page: views as inline SVG, facts as JSON, sources as lines, one script and one style sheet.

Nothing is loaded, and a content security policy lets only this script and this style sheet act. Text of strangers gets
in through XML trees, `html.escape` and JSON without ``<``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import PurePath
from xml.etree import ElementTree

from robdsl.diagnostics.source import Source, Span
from robdsl.viz.drawing import one_cell
from robdsl.viz.lettering import shown
from robdsl.viz.picture import Box, Curve, Picture
from robdsl.viz.sheet import MOST_CELLS, sheet_picture
from robdsl.viz.strip import net_picture
from robdsl.viz.subject import Subject
from robdsl.viz.svg import tree

#: Cells with more nodes than this together are not drawn one by one.
MOST_NODES = 2500


@dataclass
class _Sources:
    """The texts that something drawn comes from, in the order in which they are first needed."""

    found: dict[int, tuple[int, Source]] = field(default_factory=dict)

    def number(self, source: Source) -> int:
        return self.found.setdefault(id(source), (len(self.found), source))[0]

    def place(self, span: Span) -> list[int]:
        """The number of the source, the first line and the last."""
        last = max(span.start, span.end - 1)
        return [self.number(span.source), span.line, span.source.position(last)[0]]


def page(subject: Subject, start: str | None = None) -> tuple[Picture, str]:
    """The page of a net, and the picture of the whole net that it begins with.

    Args:
        subject: the net.
        start: the view that is shown first: ``net``, ``all-cells``, or ``cell-N``.
    """
    net = subject.net
    whole = net_picture(subject)
    sources = _Sources()
    if net.definition is not None:
        sources.number(net.definition.span.source)
    views = {"net": ("whole net", whole), **_cells(subject)}
    facts = _facts((picture for _, picture in views.values()), sources)
    opens = {cell.graph["name"]: f"cell-{number}" for number, cell in enumerate(subject.cells)}
    data = {
        "start": start if start in views else "net",
        "facts": facts,
        "opens": {name: view for name, view in opens.items() if view in views},
    }
    notes = list(whole.notes)
    if subject.cells and "cell-0" not in views:
        notes.append("too many cells to be opened here: robdsl viz --cell N draws one")
    style, script = _resource("page.css"), _resource("page.js")
    text = _PAGE.format(
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}';"
        " base-uri 'none'; form-action 'none'",
        title=escape(shown(net.name)),
        detail=escape(whole.title),
        notes="".join(f'<p class="note">{escape(shown(note))}</p>' for note in notes),
        meta=_meta(subject),
        style=style,
        script=script,
        options="".join(
            f'<option value="{escape(view)}">{escape(shown(said))}</option>'
            for view, (said, _) in views.items()
        ),
        views="".join(_view(view, said, picture) for view, (said, picture) in views.items()),
        sources="".join(_source(number, source) for number, source in sources.found.values()),
        data=_json(data),
    )
    return whole, text


def _cells(subject: Subject) -> dict[str, tuple[str, Picture]]:
    if not subject.cells or sum(map(len, subject.cells)) > MOST_NODES:
        return {}
    views = {}
    if 1 < len(subject.cells) <= MOST_CELLS:
        views["all-cells"] = ("all cells", sheet_picture(subject))
    for number, cell in enumerate(subject.cells):
        views[f"cell-{number}"] = (
            f"cell {number}: {cell.graph['name']}",
            one_cell(subject, number, within=True),
        )
    return views


def _facts(pictures: Iterable[Picture], sources: _Sources) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for picture in pictures:
        for mark in picture.marks:
            if isinstance(mark, Box | Curve) and mark.id and mark.facts:
                said = [[shown(name), shown(value)] for name, value in mark.facts.items()]
                found[shown(mark.id)] = {"said": said, "lines": [sources.place(span) for span in mark.spans]}
    return found


def _view(view: str, said: str, picture: Picture) -> str:
    drawing = ElementTree.tostring(tree(picture, live=True), encoding="unicode")
    return f'<div class="view" data-view="{escape(view)}" aria-label="{escape(shown(said))}" hidden>{drawing}</div>\n'


def _source(number: int, source: Source) -> str:
    lines = "".join(
        f'<li data-line="{number}-{place}"><code>{escape(shown_line(line)) or " "}</code></li>'
        for place, line in enumerate(source.text.removesuffix("\n").split("\n"), 1)
    )
    return f"<h3>{escape(shown(PurePath(source.name).name))}</h3><ol>{lines}</ol>"


def shown_line(line: str) -> str:
    """A line of a source: spaces stay, and nothing in it changes the direction of reading."""
    from robdsl.diagnostics.display import visible

    return visible(line.replace("\t", "    "))


def _meta(subject: Subject) -> str:
    rows = "".join(
        f"<dt>{escape(shown(name))}</dt><dd>{escape(shown(str(value)))}</dd>"
        for name, value in subject.net.meta.items()
    )
    return f"<dl>{rows}</dl>" if rows else ""


def _json(value: object) -> str:
    """JSON that no HTML parser takes for anything else."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return (files("robdsl.viz.page") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{detail}</p>
{notes}{meta}
</header>
<nav aria-label="What is shown">
<button id="back" type="button">Whole net</button>
<label>View <select id="views">{options}</select></label>
<span class="zoom">
<button id="closer" type="button" aria-label="Zoom in">+</button>
<button id="further" type="button" aria-label="Zoom out">−</button>
<button id="fit" type="button">Fit</button>
</span>
<span class="hint">Drag or arrow keys move, wheel or + and − zoom, 0 fits, Tab goes on, Enter opens a cell,
Esc goes back.</span>
</nav>
<main>
<section id="drawing" aria-label="Drawing" tabindex="0">
{views}</section>
<aside>
<section id="facts" aria-live="polite" aria-label="Facts">
<p>Point at something, or move to it with the Tab key.</p>
</section>
<section id="source" aria-label="Source" tabindex="0">{sources}</section>
</aside>
</main>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
