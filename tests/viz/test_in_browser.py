"""The page as people use it: with a mouse, with keys, on a phone, in headless Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

import robdsl
from robdsl.viz import draw
from tests.viz.chromium import Tab, complaints
from tests.viz.hostile import HOSTILE

pytestmark = pytest.mark.browser

SEEN = "document.querySelector('.view:not([hidden])').dataset.view"
FACTS = "document.getElementById('facts').innerText"
BOX = "document.querySelector('.view:not([hidden]) > svg').getAttribute('viewBox').split(' ').map(Number)"
MARKED = "[...document.querySelectorAll('#source .marked')].map(each => each.innerText.trim())"


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "free.html"
    draw(robdsl.load("robnet_free"), path)
    return path.as_uri()


def shown(view: str) -> str:
    return f'.view[data-view="{view}"] '


def test_hovering_tells_and_marks_the_lines(tab: Tab, free: str) -> None:
    tab.open(free + "#cell-3")
    assert tab.run(SEEN) == "cell-3"
    tab.point_at(shown("cell-3") + 'g.edge[data-label="sep_conv_3x3"][data-target="robnet_cell_4/n3"]')
    said = tab.run(FACTS)
    assert "sep_conv_3x3" in said and "x0 → n3" in said and "36 × 32 × 32" in said
    assert "robnet.rob:25, robnet_free.rob:9" in said and "3,240" in said
    assert tab.run(MARKED) == [
        "pick 3 = 10 11 | 10 01 01 | 10 10 01 10 | 11 00 00 01 10",
        "x0, x1 -> n0, n1, n2, n3 : any { skip(stride), sep_conv_3x3(stride) }",
    ]
    tab.point_at("header")
    assert tab.run(MARKED) == []


def test_a_click_opens_a_cell_and_back_returns(tab: Tab, free: str) -> None:
    tab.open(free)
    assert tab.run(SEEN) == "net"
    tab.click(shown("net") + 'g.stage[data-id="robnet_cell_8"]')
    assert (tab.run(SEEN), tab.run("location.hash")) == ("cell-7", "#cell-7")
    tab.click("#back")
    assert tab.run(SEEN) == "net"
    tab.run("history.back()")
    tab.run("new Promise(done => setTimeout(done, 300))")
    assert tab.run(SEEN) == "cell-7"


def test_wheel_and_drag_zoom_and_move(tab: Tab, free: str) -> None:
    tab.open(free)
    before = tab.run(BOX)
    tab.mouse("mouseWheel", 500, 400, deltaX=0, deltaY=-400)
    tab.run("new Promise(done => setTimeout(done, 300))")
    zoomed = tab.run(BOX)
    assert zoomed[2] < before[2] * 0.8 and zoomed[2] / zoomed[3] == pytest.approx(before[2] / before[3])
    tab.mouse("mouseMoved", 500, 400)
    tab.mouse("mousePressed", 500, 400, button="left", buttons=1, clickCount=1)
    tab.mouse("mouseMoved", 400, 350, button="left", buttons=1)
    tab.mouse("mouseReleased", 400, 350, button="left", clickCount=1)
    moved = tab.run(BOX)
    assert moved[0] > zoomed[0] and moved[1] > zoomed[1] and moved[2] == zoomed[2]
    assert tab.run(SEEN) == "net"  # a drag is no click
    tab.click("#fit")
    assert tab.run(BOX) == before


def test_all_can_be_done_by_keyboard(tab: Tab, free: str) -> None:
    tab.open(free)
    tab.run("document.getElementById('drawing').focus()")
    before = tab.run(BOX)
    tab.key("+", text="+")
    tab.key("ArrowRight", 39)
    after = tab.run(BOX)
    assert after[2] < before[2] and after[0] > before[0]
    tab.key("0", text="0")
    assert tab.run(BOX) == before
    for _ in range(3):  # the conv before the cells, then the first two cells
        tab.key("Tab", 9)
    assert "robnet_cell_2" in tab.run(FACTS)
    assert tab.run("document.activeElement.getAttribute('role')") == "button"
    tab.key("Enter", 13, "\r")
    assert tab.run(SEEN) == "cell-1"
    tab.key("Tab", 9)
    assert tab.run(MARKED) != []
    tab.key("Escape", 27)
    tab.key("Escape", 27)
    assert tab.run(SEEN) == "net"


def test_what_is_inside_a_small_cell_opens_it_too(tab: Tab, free: str) -> None:
    for view in ("net", "all-cells"):
        tab.open(f"{free}?{view}#{view}")
        tab.click(shown(view) + 'g.node[data-id="robnet_cell_5/n2"]')
        assert tab.run(SEEN) == "cell-4"


def test_on_a_phone(tab: Tab, free: str) -> None:
    tab.open(free, 390, 800, phone=True)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    tab.run("document.getElementById('views').value = 'cell-0'")
    tab.run("document.getElementById('views').dispatchEvent(new Event('change'))")
    assert tab.run(SEEN) == "cell-0"
    tab.tap(shown("cell-0") + 'g.node[data-id="robnet_cell_1/n1"]')
    tab.run("new Promise(done => setTimeout(done, 500))")
    assert "n1" in tab.run(FACTS) and tab.run(MARKED) != []
    assert tab.run("getComputedStyle(document.getElementById('drawing')).touchAction") == "none"
    before = tab.run(BOX)
    tab.call(
        "Input.dispatchTouchEvent",
        type="touchStart",
        touchPoints=[{"x": 150, "y": 350}, {"x": 250, "y": 350}],
    )
    tab.call(
        "Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": 100, "y": 350}, {"x": 300, "y": 350}]
    )
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert tab.run(BOX)[2] < before[2]


def test_nothing_is_loaded_and_nothing_complains(tab: Tab, free: str) -> None:
    tab.events.clear()
    tab.open(free)
    tab.click("#closer")
    urls = {e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"}
    assert {url.split("#")[0] for url in urls} == {free}
    assert complaints(tab) == []


def test_the_policy_stops_scripts_and_requests(tab: Tab, free: str) -> None:
    tab.open(free)
    tab.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.broken = 1\">')")
    tab.run(
        "{ const s = document.createElement('script'); s.textContent = 'window.broken = 2'; document.body.append(s) }"
    )
    tab.run("new Promise(done => setTimeout(done, 200))")
    assert tab.run("window.broken") is None


def test_hostile_text_is_only_text(tab: Tab, tmp_path: Path) -> None:
    net = robdsl.load(HOSTILE)
    draw(net, tmp_path / "a.html")
    tab.events.clear()
    tab.open((tmp_path / "a.html").as_uri())
    assert tab.run("window.hit") is None
    assert tab.run("document.querySelectorAll('img, iframe, a, object').length") == 0
    assert tab.run("document.querySelectorAll('script').length") == 2
    values = tab.run("[...document.querySelectorAll('header dd')].map(each => each.textContent)")
    assert values == [str(value) for value in net.meta.values()]
    assert complaints(tab) == []
