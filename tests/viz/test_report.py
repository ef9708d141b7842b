"""The report says what the analysis found, needs no network, and no name in a study becomes markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robdsl.analysis import (
    TITLES,
    Analysis,
    EdgeImportance,
    Reference,
    Separation,
    SizeTrend,
    TooFew,
    analyze,
    bank,
)
from robdsl.analysis.relation import RankAgreement
from robdsl.viz.report import ImagesError, write_report
from robdsl.viz.report.images import images
from robdsl.viz.report.look import MOST_POINTS, SERIES, log_axis, plain, some
from robdsl.viz.report.page import Facts, page
from robdsl.viz.report.plotting import drawings_of, plots_of
from robdsl.viz.report.write import table
from tests.analysis.synthetic import made

PLAIN = Facts("study", "today", "robdsl analyze study", {})


@cache
def whole() -> Analysis:
    """Everything from 110 architectures."""
    frame = made(count=110).frame
    scratch = frame["robust_finetuned"].where(frame["trial"] < 30)
    references = (Reference("resnet", 10**4, 0.3), Reference("wide", 10**5, 0.9))
    return analyze(bank(frame.assign(robust_scratch=scratch)), references=references)


@cache
def little() -> Analysis:
    """A study that has just begun."""
    return analyze(bank(made(count=40).frame.head(7)))


class Page(HTMLParser):
    """What a browser makes of a page: elements, attributes, texts, scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._raw = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(name for name, _ in attrs)))
        self.attributes.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.shape.append((f"/{tag}", ()))
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = attributes, before + data
        elif not self._raw:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:80]}")

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.attributes if each == tag]


def parsed(analysis: Analysis, facts: Facts = PLAIN) -> Page:
    return Page(page(analysis, plots_of(analysis), drawings_of(analysis), facts))


@cache
def whole_page() -> Page:
    return parsed(whole(), replace(PLAIN, data={"figure_5": "a b&c_data/figure_5.parquet"}))


# --- what is on the page


def test_every_figure_has_its_sentence_and_its_plots() -> None:
    found, text = whole_page(), " ".join(whole_page().texts)
    assert [each["id"] for each in found.of("section")] == list(TITLES)
    for finding in whole().findings.values():
        assert not isinstance(finding, TooFew)
        assert finding.sentence in text
        assert finding.sentence.endswith(".") and "nan" not in finding.sentence
        assert len(finding.frame())
    drawn = [each for each in found.of("div") if each.get("class") == "plot"]
    assert len(drawn) == sum(map(len, plots_of(whole()).values())) == len(TITLES) + 1  # Figure 7 has two
    assert all(each["role"] == "img" and len(each["aria-label"] or "") > 30 for each in drawn)
    assert whole().noise.sentence in text


def test_a_study_that_has_begun_says_what_is_missing() -> None:
    found, text = parsed(little()), " ".join(parsed(little()).texts)
    assert "0 of 10 figures have enough" in text
    assert not [each for each in found.of("div") if each.get("class") == "plot"]
    assert len(found.of("meter")) == 10
    assert "7 of the 20 that this takes; 13 missing" in text


def test_the_page_reaches_for_nothing() -> None:
    found = whole_page()
    for tag, attributes in found.attributes:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value is not None and ":" not in value and not value.startswith("/")
    links = [str(each["href"]) for each in found.of("a")]
    assert "a b&c_data/figure_5.parquet" in map(unquote, links)


def test_the_policy_admits_these_scripts_and_no_others() -> None:
    found = whole_page()
    policy = next(e["content"] for e in found.of("meta") if e.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'; ")
    allowed = re.search(r"script-src ([^;]*)", policy)
    assert allowed is not None
    run = [text for attributes, text in found.scripts if attributes.get("type") != "application/json"]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert allowed[1].split() == hashes and len(run) == 2
    assert run[0].lstrip().startswith("/**\n* plotly.js")


def test_the_plots_are_those_of_the_analysis() -> None:
    sent = {
        str(a["id"]): json.loads(text)
        for a, text in whole_page().scripts
        if a.get("type") == "application/json"
    }
    for plots in plots_of(whole()).values():
        for plot in plots:
            assert sent[f"plot-{plot.name}"] == json.loads(plot.figure.to_json())
    shift = plots_of(whole())["figure_3"][0].figure
    assert [sum(trace.y) for trace in shift.data] == [110, 110]
    density = plots_of(whole())["figure_5"][0].figure
    assert sorted(density.data[0].y) == pytest.approx(sorted(made(count=110).frame["robust_finetuned"]))


def test_the_drawing_carries_the_weights() -> None:
    found = whole().findings["figure_4b"]
    assert isinstance(found, Separation)
    picture = drawings_of(whole())["figure_4b"]
    drawn = {
        (curve.source, curve.target, curve.label): float(curve.facts["importance"])
        for curve in picture.curves("edge")
        if "importance" in curve.facts
    }
    assert len(drawn) == 28
    largest = abs(found.weights).max()
    for row in found.by_edge().itertuples():
        assert drawn[row.source, row.target, row.operation] == pytest.approx(row.weight / largest, abs=0.001)


# --- strangers

HOSTILE = st.one_of(
    st.text(min_size=1, max_size=20),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            '"><svg onload=alert(1)>',
            "<!--",
            "]]>",
            "&lt;b&gt;",
            "<b>bold</b>",
            "javascript:alert(1)",
            "<a href='javascript:alert(1)'>x</a>",
            "\u2028\u202e\x00\x1b[31m",
            "{{7*7}}%{x}%{customdata}",
            "=1+1",
        ]
    ),
)


def strange(name: str) -> Analysis:
    """The analysis of a study in which every name is that one."""
    findings = dict(whole().findings)
    size, cut, important, ranks = (
        findings[each] for each in ("figure_1", "figure_4b", "importance", "ranks")
    )
    assert isinstance(size, SizeTrend) and isinstance(cut, Separation)
    assert isinstance(important, EdgeImportance) and isinstance(ranks, RankAgreement)
    columns = tuple(replace(each, pick=name, operation=f"{name}{each.operation}") for each in cut.columns)
    findings = {
        "figure_1": replace(size, references=(Reference(name, 5, 0.5), Reference(f"x{name}", 6, 0.6))),
        "figure_4b": replace(cut, columns=columns),
        "importance": replace(
            important, edges=tuple(replace(e, pick=name, source=name) for e in important.edges)
        ),
        "ranks": replace(ranks, names=(name, f"not {name}")),
    }
    frame = whole().bank.frame.assign(state=name, sampler=name, hash=name)
    return replace(whole(), bank=replace(whole().bank, frame=frame), findings=findings)


@cache
def harmless() -> Page:
    return parsed(strange("name"), Facts("name", "today", "name", {"figure_1": "name"}))


@given(HOSTILE)
@settings(max_examples=10)
def test_no_name_becomes_markup(name: str) -> None:
    found = parsed(strange(name), Facts(name, "today", name, {"figure_1": name}))
    assert found.shape == harmless().shape
    run = [text for attributes, text in found.scripts if attributes.get("type") != "application/json"]
    assert run == [
        text for attributes, text in harmless().scripts if attributes.get("type") != "application/json"
    ]
    for attributes, text in found.scripts:
        if attributes.get("type") == "application/json":
            assert "<" not in text
            json.loads(text)
    for link in found.of("a"):
        assert re.match(r"#|[^:]*$", str(link["href"]))


@given(st.text(max_size=80))
def test_plots_show_names_as_they_are(name: str) -> None:
    shown = plain(name)
    assert "<" not in shown and ">" not in shown
    assert html.unescape(shown) == html.unescape(
        html.escape(name if len(name) <= 60 else name[:59] + "…", quote=False)
    )


def test_no_text_is_a_formula() -> None:
    frame = pd.DataFrame(
        {"name": ["=HYPERLINK(1)", "+1", "-x", "@y", "fine", ""], "number": [-1.5, 1, 2, 3, 4, 5]}
    )
    back = pd.read_csv(__import__("io").BytesIO(table(frame, "csv")), keep_default_na=False)
    assert back["name"].tolist() == ["'=HYPERLINK(1)", "'+1", "'-x", "'@y", "fine", ""]
    assert back["number"].tolist() == frame["number"].tolist()


# --- looks


def test_series_differ_without_colour() -> None:
    for kind in range(3):
        assert len({each[kind] for each in SERIES}) == len(SERIES)


def test_clouds_stay_light() -> None:
    assert some(50).tolist() == list(range(50))
    drawn = some(10 * MOST_POINTS)
    assert len(set(drawn.tolist())) == MOST_POINTS and drawn.max() > 9 * MOST_POINTS


@given(st.lists(st.floats(1e-6, 1e9), min_size=2, max_size=20))
def test_logarithmic_axes_have_round_ticks(values: list[float]) -> None:
    axis = log_axis(np.array(values))
    if not axis:
        assert max(values) <= 8 * min(values)
        return
    assert len(axis["tickvals"]) == len(axis["ticktext"]) <= 16
    assert all(min(values) <= tick <= max(values) for tick in axis["tickvals"])


# --- files


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_data_lie_beside_the_page(form: Any, tmp_path: Path) -> None:
    written = write_report(whole(), tmp_path / "r.html", data=form, title="mine")
    assert written.page == tmp_path / "r.html" and not written.images
    for name, finding in whole().findings.items():
        assert not isinstance(finding, TooFew)
        path = written.data[name]
        assert path == tmp_path / "r_data" / f"{name}.{form}"
        read = pd.read_parquet(path) if form == "parquet" else pd.read_csv(path, keep_default_na=False)
        expected = finding.frame()
        assert list(read.columns) == list(expected.columns) and len(read) == len(expected)
        for column in expected.columns:
            if expected[column].dtype.kind == "f":
                assert np.allclose(read[column], expected[column], rtol=1e-12, atol=0)
    links = {unquote(str(each["href"])) for each in Page((tmp_path / "r.html").read_text("utf-8")).of("a")}
    assert {f"r_data/{name}.{form}" for name in TITLES} <= links


def test_images_say_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import kaleido
    from choreographer.errors import ChromeNotFoundError

    plots = plots_of(whole())["figure_5"]

    def absent(*_arguments: object, **_options: object) -> None:
        raise ChromeNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(kaleido, "Kaleido", absent)
        with pytest.raises(ImagesError, match="apt-get install chromium"):
            images(plots, ["png"])
        with pytest.raises(ImagesError):
            write_report(whole(), tmp_path / "r.html", image_formats=["pdf"])
        assert not list(tmp_path.iterdir())  # nothing is written by halves
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "kaleido", None)
        with pytest.raises(ImagesError, match=r"pip install 'robdsl\[images\]'"):
            images(plots, ["png"])


def test_the_summary_as_data() -> None:
    said: Mapping[str, Any] = whole().to_json()
    assert said["states"] == {"evaluated": 110} and said["accuracy"] == "robust_finetuned"
    assert list(said["figures"]) == list(TITLES)
    assert json.loads(json.dumps(said)) == said
    assert little().to_json()["figures"]["figure_5"]["need"] == 20
