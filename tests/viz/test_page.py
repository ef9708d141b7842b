"""The page as text: one file, nothing loaded, everything in it that should be."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import robdsl
from robdsl.graph.index import shipped
from robdsl.viz import draw
from robdsl.viz.page import page
from robdsl.viz.subject import Subject


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": [], "code": [], "dd": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> Any:
        return json.loads(self.inside["script"][0])


def page_of(name: str) -> tuple[str, Page]:
    _, text = page(Subject.of(robdsl.load(name)))
    return text, Page(text)


def sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_nothing_is_loaded_and_only_our_script_and_style_act() -> None:
    text, read = page_of("robnet_free")
    (policy,) = [
        each["content"] for each in read.all("meta") if each.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None and policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    data, script = read.inside["script"]
    (style,) = read.inside["style"]
    assert f"script-src '{sha256(script)}'" in policy
    assert f"style-src '{sha256(style)}'" in policy
    assert [each.get("type") for each in read.all("script")] == ["application/json", None]
    for tag, attributes in read.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "a", "use", "image")
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "href", "style")}
    assert re.findall(r"https?://[^\s\"'<]*", text.replace("http://www.w3.org/2000/svg", "")) == []
    assert data


def test_every_cell_has_a_view_and_every_mark_its_facts() -> None:
    net = robdsl.load("robnet_free")
    _, read = page_of("robnet_free")
    views = [each["data-view"] for each in read.all("div")]
    assert views == ["net", "all-cells", *(f"cell-{number}" for number in range(20))]
    facts = read.data["facts"]
    for cell in net.cells:
        for node, known in cell.nodes(data=True):
            said = dict(facts[f"{cell.graph['name']}/{node}"]["said"])
            assert said["shape"] == " × ".join(map(str, known["shape"]))
        for *_, key, known in cell.edges(keys=True, data=True):
            if known["place"] is None:
                said = dict(facts[f"{cell.graph['name']}/{key}"]["said"])
                assert (said["operation"], said["parameters"]) == (known["op"], f"{known['params']:,}")
                assert said["multiply-adds"] == f"{known['macs']:,}"
    for stage, cost in zip(net.stages, net.stats().stages, strict=True):
        said = dict(facts[stage.name]["said"])
        assert (said["parameters"], said["multiply-adds"]) == (f"{cost.params:,}", f"{cost.macs:,}")
    ids = {attributes.get("data-id") for attributes in read.all("g")} - {None}
    assert set(facts) <= ids


def test_lines_are_those_of_the_text() -> None:
    net = robdsl.load("robnet_free")
    _, read = page_of("robnet_free")
    items = [str(each["data-line"]) for each in read.all("li")]
    lines = dict(zip(items, read.inside["code"], strict=True))
    cell = net.cells[7]
    for source, target, key, known in cell.edges(keys=True, data=True):
        if known["choice"] is None:
            continue
        (of_cell, of_pick) = read.data["facts"][f"{cell.graph['name']}/{key}"]["lines"]
        written = lines[f"{of_cell[0]}-{of_cell[1]}"]
        assert source in written and target in written and "any { skip" in written
        assert lines[f"{of_pick[0]}-{of_pick[1]}"].startswith("    pick 7 = 01 11")


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "robnet_small"])
def test_pages_of_other_nets(name: str) -> None:
    _, read = page_of(name)
    assert {f"cell-{number}" for number in range(3)} <= {str(each["data-view"]) for each in read.all("div")}
    known = {str(each["data-line"]) for each in read.all("li")}
    for fact in read.data["facts"].values():
        for number, first, last in fact["lines"]:
            assert {f"{number}-{line}" for line in range(first, last + 1)} <= known


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*dict(shipped("net")), *dict(shipped("space"))}))
def test_pages_of_all_shipped(name: str, tmp_path: Path) -> None:
    found = robdsl.load_space(name) if name in dict(shipped("space")) else robdsl.load(name)
    draw(found, tmp_path / "a.html")
    read = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert len(read.all("section")) == 3 and read.data["facts"]


def test_it_begins_where_it_is_told_to(tmp_path: Path) -> None:
    net = robdsl.load("robnet_small")
    for options, start in (
        ({}, "net"),
        ({"cell": "robnet_cell_3"}, "cell-2"),
        ({"all_cells": True}, "all-cells"),
    ):
        draw(net, tmp_path / "a.html", **options)
        assert Page((tmp_path / "a.html").read_text(encoding="utf-8")).data["start"] == start


def test_a_net_too_large_to_open_says_so() -> None:
    net = robdsl.load_space("cell_based", width=4, layers=300).sample(1)
    _, text = page(Subject.of(net))
    assert "too many cells to be opened here" in text
    assert [each["data-view"] for each in Page(text).all("div")] == ["net"]
