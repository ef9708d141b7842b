"""A study laid over a net: edges by importance, cells by FSP."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import robdsl
from robdsl.search import write_bank
from robdsl.viz import OverlayError, draw, read_overlay
from robdsl.viz.drawing import picture_of
from robdsl.viz.subject import Overlay, Subject
from tests.cli.conftest import Run
from tests.cli.conftest import robdsl as robdsl_command  # noqa: F401 - a fixture

LAYERS = 3


def study(path: Path, rows: int) -> Path:
    """A bank in which a convolution from x0 to n1 helps and a skip from n0 to n2 harms, and nothing else does anything."""
    space = robdsl.load_space("cell_based", width=4, layers=LAYERS)
    noise = np.random.default_rng(0)
    table = []
    for trial in range(rows):
        net = space.sample(random.Random(trial))
        groups = [group.split() for group in net.alpha[0].split("|")]
        accuracy = 0.4 + 0.1 * int(groups[1][0][1]) - 0.06 * int(groups[2][2][0]) + noise.normal(0, 0.005)
        table.append(
            {
                "trial": trial, "space": "cell_based", "parameters": f'{{"width": 4, "layers": {LAYERS}}}',
                "alpha": net.alpha, "hash": f"{trial:064x}", "params": 1, "macs": 1, "density": 0.5,
                "sampler": "uniform", "seed": 0, "state": "evaluated", "fsp": [0.1 * trial, 1.0, 2.0],
                "robust_finetuned": accuracy, "examples": 100,
                **dict.fromkeys(("natural_inherited", "robust_inherited", "natural_finetuned"), 0.5),
                **dict.fromkeys(("natural_scratch", "robust_scratch"), None),
            }
        )  # fmt: skip
    write_bank(pd.DataFrame(table), path)
    return path


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("study") / "bank.parquet", 110)


@pytest.fixture(scope="module")
def overlay(bank: Path) -> Overlay:
    return read_overlay(bank, robdsl.load("robnet_large", width=4, layers=LAYERS))


def test_what_matters_is_found_with_its_sign(overlay: Overlay) -> None:
    (pick,) = overlay.edges
    order = sorted(overlay.edges[pick].items(), key=lambda each: -abs(each[1]))
    assert {(source, target) for (source, target, _), _ in order[:2]} == {("x0", "n1")}
    assert {(source, target) for (source, target, _), _ in order[2:4]} == {("n0", "n2")}
    assert overlay.edges[pick]["x0", "n1", "sep_conv_3x3"] > 0.5
    assert overlay.edges[pick]["n0", "n2", "skip"] < -0.1
    assert overlay.largest == abs(order[0][1])


def test_a_cell_has_the_mean_fsp(overlay: Overlay) -> None:
    assert overlay.cells == pytest.approx({0: 0.1 * np.mean(range(110)), 1: 1.0, 2: 2.0})


def test_lines_are_as_thick_as_edges_matter(overlay: Overlay) -> None:
    space = robdsl.load_space("cell_based", width=4, layers=LAYERS)
    picture = picture_of(Subject.of(space, overlay=overlay), cell=1)
    known = {(c.source, c.target, c.label): c for c in picture.curves("edge")}
    weights = overlay.edges["c"]
    thick = sorted(
        (key for key in weights if key[2] == "sep_conv_3x3"), key=lambda key: known[key].stroke.width
    )
    assert thick == sorted(thick, key=lambda key: abs(weights[key]))
    assert (
        known["x0", "n1", "sep_conv_3x3"].facts["importance"] == f"{weights['x0', 'n1', 'sep_conv_3x3']:+.3f}"
    )
    assert "+" in {box.label for box in picture.boxes("mark")} and picture.notes == overlay.notes
    assert any("FSP 1" in text.text for text in picture.texts())


def test_cells_are_darker_the_larger_their_distance(overlay: Overlay) -> None:
    net = robdsl.load("robnet_large", width=4, layers=LAYERS)
    picture = picture_of(Subject.of(net, overlay=overlay))
    fills = {
        box.id: int(box.fill[-2:], 16) for box in picture.boxes("stage") if box.id.startswith("robnet_cell")
    }
    assert fills["robnet_cell_1"] < fills["robnet_cell_3"] < fills["robnet_cell_2"]


def test_too_few_architectures_and_other_spaces(tmp_path: Path, bank: Path) -> None:
    few = study(tmp_path / "few.parquet", 12)
    with pytest.raises(OverlayError, match="12 of the 100 that this takes; 88 missing"):
        read_overlay(few, robdsl.load("robnet_large"))
    with pytest.raises(OverlayError, match="what robnet_free chooses is not what that space has to choose"):
        read_overlay(bank, robdsl.load("robnet_free"))


def test_the_command(robdsl_command: Run, bank: Path) -> None:  # noqa: F811 - it is the fixture
    done = robdsl_command(
        "viz", "robnet_large", "--overlay", bank, "--cell", "1", "-o", "a.svg", "--set", "layers=3"
    )
    assert done.status == 0 and "The edges that matter most are x0 → n1 (" in done.err
    missing = robdsl_command("viz", "robnet_large", "--overlay", "missing")
    assert missing.status == 1 and "missing" in missing.err and "Traceback" not in missing.err


def test_in_a_page(tmp_path: Path, overlay: Overlay) -> None:
    draw(robdsl.load("robnet_large", width=4, layers=LAYERS), tmp_path / "a.html", overlay=overlay)
    assert "The darker a cell" in (tmp_path / "a.html").read_text(encoding="utf-8")
