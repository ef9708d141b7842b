"""A report as one HTML page that needs no network and runs nothing but what was written here.

Everything is built as a tree of elements, whose texts and attributes the standard library escapes; the page's policy admits
no script but the two whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from robdsl.analysis.results import Finding, TooFew
from robdsl.analysis.study import TITLES, Analysis
from robdsl.viz.lettering import shown
from robdsl.viz.picture import Picture
from robdsl.viz.report.look import Plot

if TYPE_CHECKING:
    import pandas as pd

#: A table of more rows than this is left to its file.
_MOST_ROWS = 60
_MOST_TEXT = 300


@dataclass(frozen=True)
class Facts:
    """What a report says about itself.

    Attributes:
        title: what was analyzed.
        made: when, in words.
        command: how, or None.
        data: for each figure the file with its data, relative to the page.
    """

    title: str
    made: str
    command: str | None
    data: Mapping[str, str]


def page(
    analysis: Analysis, plots: Mapping[str, Sequence[Plot]], drawings: Mapping[str, Picture], facts: Facts
) -> str:
    """The whole page."""
    body = Element("body")
    main = SubElement(body, "main")
    _head(main, analysis, facts)
    _contents(main, analysis)
    for name, finding in analysis.findings.items():
        drawing = drawings.get(name)
        _section(main, name, finding, plots.get(name, ()), drawing, facts.data.get(name))
    _foot(main, analysis, facts)
    return _document(facts.title, body, [plot for each in plots.values() for plot in each])


# --- parts


def _head(main: Element, analysis: Analysis, facts: Facts) -> None:
    bank = analysis.bank
    _text(main, "h1", facts.title)
    enough = sum(not isinstance(each, TooFew) for each in analysis.findings.values())
    _text(
        main,
        "p",
        f"What {len(bank):,} architectures of the space {bank.space.name} show: "
        f"{enough} of {len(analysis.findings)} figures have enough to go by.",
        "lead",
    )
    listed = SubElement(main, "dl")
    parameters = ", ".join(f"{name} = {value}" for name, value in bank.space.parameters.items())
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(bank.states.items()))
    for what, said in (
        ("space", f"{bank.space.name}({parameters})"),
        ("architectures", f"{len(bank):,}: {states}"),
        ("left out", f"{bank.left_out:,} of other spaces" if bank.left_out else ""),
        ("robust accuracy", _judged(analysis)),
        ("spread", analysis.noise.sentence),
        ("made", facts.made),
    ):
        if said:
            _text(listed, "dt", what)
            _text(listed, "dd", said)
    _text(
        SubElement(main, "noscript"),
        "p",
        "The plots need scripts; sentences, tables and data do not.",
        "missing",
    )


def _judged(analysis: Analysis) -> str:
    """Which accuracy is meant, and of how many it is known."""
    bank = analysis.bank
    weights = {
        "robust_inherited": "with the supernet's weights",
        "robust_finetuned": "after finetuning",
        "robust_scratch": "trained from scratch",
    }
    said = f"{weights.get(analysis.judged, analysis.judged)}: {bank.known(analysis.judged):,} architectures"
    return (
        said
        if analysis.judged == "robust_finetuned"
        else f"{said}; {bank.known('robust_finetuned'):,} were finetuned"
    )


def _contents(main: Element, analysis: Analysis) -> None:
    items = SubElement(SubElement(main, "nav", {"aria-label": "Figures"}), "ol")
    for name, finding in analysis.findings.items():
        item = SubElement(items, "li")
        link = _text(item, "a", f"{_numbered(name)}{TITLES[name]}")
        link.set("href", f"#{name}")
        if isinstance(finding, TooFew):
            link.tail = " (too few)"


def _numbered(name: str) -> str:
    """``Figure 4a: ``; nothing for a figure that is not in the paper."""
    _, figure, number = name.partition("figure_")
    return f"Figure {number}: " if figure else ""


def _section(
    main: Element,
    name: str,
    finding: Finding | TooFew,
    plots: Sequence[Plot],
    drawing: Picture | None,
    data: str | None,
) -> None:
    section = SubElement(main, "section", {"id": name})
    heading = SubElement(section, "h2")
    if _numbered(name):
        number = _text(heading, "span", _numbered(name).strip(), "number")
        number.tail = f" {TITLES[name]}"
    else:
        heading.text = TITLES[name]
    if isinstance(finding, TooFew):
        _text(section, "p", finding.sentence, "missing")
        share = {
            "min": "0",
            "max": str(finding.need),
            "value": str(finding.have),
            "aria-label": "how many there are of those needed",
        }
        SubElement(section, "meter", share)
        return
    _text(section, "p", finding.sentence)
    if drawing is not None:
        figure = SubElement(section, "figure")
        holder = SubElement(figure, "div", {"class": "drawing", "tabindex": "0"})
        holder.append(_inline(drawing))
    for plot in plots:
        figure = SubElement(section, "figure")
        height = plot.figure.layout.height
        attributes = {
            "class": "plot",
            "data-plot": f"plot-{plot.name}",
            "role": "img",
            "aria-label": plot.caption,
        }
        SubElement(figure, "div", {**attributes, "style": f"height:{int(height)}px"})
        _text(figure, "figcaption", plot.caption)
    _data(section, finding.frame(), data)


def _inline(drawing: Picture) -> Element:
    """A drawing as an element of HTML, which knows ``svg`` without its namespace."""
    from robdsl.viz.svg import tree

    found = tree(drawing)
    found.attrib.pop("xmlns", None)
    return found


def _data(section: Element, frame: pd.DataFrame, data: str | None) -> None:
    details = SubElement(section, "details")
    _text(details, "summary", f"Data ({len(frame):,} rows)")
    if data is not None:
        where = SubElement(details, "p")
        where.text = "All of it is in "
        link = SubElement(where, "a", {"href": quote(data)})
        link.text = _safe(data)
        link.tail = "."
    rows = frame.head(_MOST_ROWS)
    if len(frame) > _MOST_ROWS:
        _text(details, "p", f"The first {_MOST_ROWS} rows:")
    table = SubElement(SubElement(details, "div", {"class": "table"}), "table")
    head = SubElement(SubElement(table, "thead"), "tr")
    words = [frame[name].dtype.kind not in "iufb" for name in frame.columns]
    for name, wordy in zip(frame.columns, words, strict=True):
        _text(head, "th", str(name), "words" if wordy else "")
    body = SubElement(table, "tbody")
    for row in rows.itertuples(index=False):
        line = SubElement(body, "tr")
        for value, wordy in zip(row, words, strict=True):
            _text(
                line,
                "td",
                f"{value:.4g}" if isinstance(value, float) else str(value),
                "words" if wordy else "",
            )


def _foot(main: Element, analysis: Analysis, facts: Facts) -> None:
    footer = SubElement(main, "footer")
    _text(
        footer,
        "p",
        f"Intervals are of 95%: the bootstrap's percentiles over architectures, Wilson's for shares; seed {analysis.seed}. "
        "They say how far the result would move with other architectures of the same study, not with another supernet, "
        "data set or attack. Relations are not causes. Several are looked at here: one in twenty that are nothing will "
        "look clear.",
    )
    if facts.command:
        line = SubElement(footer, "p")
        line.text = "Made by "
        _text(line, "code", facts.command)


# --- the document


def _document(title: str, body: Element, plots: Sequence[Plot]) -> str:
    from plotly.offline import get_plotlyjs

    scripts = [_script(get_plotlyjs()), _script(_resource("page.js"))]
    allowed = " ".join(f"'sha256-{_hash(each)}'" for each in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = Element("head")
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": policy})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    SubElement(head, "meta", {"name": "generator", "content": "robdsl analyze"})
    _text(head, "title", title)
    style = _resource("page.css").replace("</", "")
    data = "".join(
        f'<script type="application/json" id="plot-{plot.name}">{_json(plot)}</script>\n' for plot in plots
    )
    code = "".join(f"<script>{each}</script>\n" for each in scripts)
    # Styles and scripts are raw text in HTML, which a tree would escape; none of it comes from a study but the
    # plots, as JSON without any `<`.
    opened = _html(head).removesuffix("</head>")
    closed = _html(body).removesuffix("</body>")
    top = f'<!DOCTYPE html>\n<html lang="en">\n{opened}<style>\n{style}</style></head>\n'
    return f"{top}{closed}\n{data}{code}</body>\n</html>\n"


def _html(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode", method="html")


def _script(text: str) -> str:
    """A script as the browser reads it, so that the hash is that of what it runs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("this script cannot stand in a page")
    return text


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(plot: Plot) -> str:
    text = json.dumps(json.loads(plot.figure.to_json()), separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _text(parent: Element, tag: str, text: str, kind: str = "") -> Element:
    """An element with text."""
    element = SubElement(parent, tag, {"class": kind} if kind else {})
    element.text = _safe(text)
    return element


def _safe(text: str) -> str:
    """Text without control characters, and not endless."""
    return shown(text if len(text) <= _MOST_TEXT * 4 else text[: _MOST_TEXT * 4] + "…")
