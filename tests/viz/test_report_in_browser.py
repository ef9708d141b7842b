"""The report as people see it, in headless Chromium; and its images, which the browser draws."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from robdsl.viz.report import write_report
from robdsl.viz.report.images import WIDTH, images
from robdsl.viz.report.plotting import plots_of
from tests.viz.chromium import Tab, complaints
from tests.viz.test_report import strange, whole

pytestmark = pytest.mark.browser

ATTACK = (
    "</script><script>window.hit=1</script><img src=x onerror=window.hit=1><a href='javascript:hit=1'>x</a>"
)
PLOTS = "document.querySelectorAll('.plot').length"
DRAWN = "document.querySelectorAll('.plot .main-svg:first-of-type').length"
MARKS = "document.querySelectorAll('#figure_5 .points path').length"
WIDEST = "Math.max(...[...document.querySelectorAll('.plot .main-svg')].map(each => each.getBoundingClientRect().right))"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(whole(), path)
    return path.as_uri()


def test_everything_is_drawn_and_nothing_is_fetched(tab: Tab, report: str) -> None:
    tab.events.clear()
    tab.open(report, 1000, 900)
    assert tab.run(PLOTS) == tab.run(DRAWN) == sum(map(len, plots_of(whole()).values()))
    assert tab.run(MARKS) == 110
    asked = [e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [report]
    assert complaints(tab) == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_any_screen(tab: Tab, report: str, width: int) -> None:
    tab.open(report, width, 800, phone=width < 500)
    assert tab.run(OVERFLOW) <= 0
    assert tab.run(WIDEST) <= width


def test_it_is_printed_within_the_page(tab: Tab, report: str) -> None:
    tab.open(report, 1280, 800)
    tab.run("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.run("document.querySelector('.plot .main-svg').getBoundingClientRect().width") == 660
    tab.run("window.dispatchEvent(new Event('afterprint'))")
    assert tab.run("document.querySelector('.plot .main-svg').getBoundingClientRect().width") > 660


def test_hostile_names_do_nothing(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "strange.html"
    write_report(strange(ATTACK), path, title=ATTACK, command=ATTACK)
    tab.events.clear()
    tab.open(path.as_uri())
    assert tab.run("window.hit") is None
    assert tab.run("document.querySelectorAll('img').length") == 0
    assert (
        tab.run(
            "[...document.querySelectorAll('a')].filter(e => e.href.baseVal ?? e.href.startsWith('java')).length"
        )
        == 0
    )
    assert tab.run(DRAWN) == tab.run(PLOTS) > 0
    assert ATTACK in tab.run("document.querySelector('h1').innerText")
    assert complaints(tab) == []


def test_images_for_papers() -> None:
    plots = plots_of(whole())["figure_5"]
    made = images(plots, ["png", "pdf", "svg"])
    assert list(made) == ["figure_5.png", "figure_5.pdf", "figure_5.svg"]
    picture = Image.open(io.BytesIO(made["figure_5.png"]))
    assert picture.size == (3 * WIDTH, 3 * plots[0].figure.layout.height)
    assert len(picture.convert("L").getcolors() or []) > 20  # something is drawn
    assert made["figure_5.pdf"].startswith(b"%PDF")
    assert b"robust accuracy" in made["figure_5.svg"]


def test_a_report_with_images(tmp_path: Path) -> None:
    written = write_report(whole(), tmp_path / "r.html", html=False, image_formats=["svg"])
    assert written.page is None and not (tmp_path / "r.html").exists()
    names = {path.name for path in written.images}
    assert {"figure_4b_cell.svg", "figure_4b.svg", "figure_7_cells.svg"} <= names
    assert all(path.stat().st_size > 1000 for path in written.images)
