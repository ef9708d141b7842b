"""The paper's tables: their rows, and what making them leaves behind."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from robdsl.attacks import parse_attack
from robdsl.data import load_data
from robdsl.evaluation import EvaluationProgress, Report, evaluate
from robdsl.reproduction import ATTACKS, DIGITS, PAPER, TRANSFER, Row, RowEvent, Tables, Version, make_tables
from robdsl.training import BatchDone, recipe_for

#: Two rows of one net, the second trained without attacks.
TINY = Version(
    (
        Row("resnet18", frozenset({1, 2, 4}), {"width": 2}),
        Row("resnet18", frozenset({1}), {"width": 2}, {"method": "natural", "epochs": 2}, "natural"),
    ),
    {
        "epochs": 1,
        "warmup_epochs": 0,
        "batch": 256,
        "steps": 1,
        "validation_images": 8,
        "validation_steps": 1,
    },
    images=6,
    harder=Fraction(16, 255),
)
HARDER = "pgd20 at 16/255"


@pytest.mark.parametrize(("version", "data"), [(PAPER, "cifar10"), (DIGITS, "digits")])
def test_every_row_is_a_net_with_a_recipe(version: Version, data: str) -> None:
    names = [row.name for row in version.rows]
    assert len(set(names)) == len(names)  # each has a folder of its own
    for row in version.rows:
        net = row.load(10)
        assert net.classes == 10 and net.image == (3, 32, 32)
        recipe_for(data, **{**version.recipe, **row.recipe})


def test_the_digits_version_has_the_paper_s_rows_far_smaller() -> None:
    small = {row.name: row for row in DIGITS.rows}
    for row in PAPER.rows:
        rows = [each for each in DIGITS.rows if each.net == row.net]
        assert frozenset().union(*(each.tables for each in rows)) == row.tables
        assert all(each.load(10).cost.params * 50 < row.load(10).cost.params for each in rows)
    assert small.keys() - {row.net for row in PAPER.rows} == {
        "resnet18_natural",
        "robnet_large_natural",
        "robnet_large_deep",
    }
    assert PAPER.images is None and not PAPER.recipe and PAPER.harder is None


def test_rows_beside_each_other_are_the_same_net_but_for_what_they_compare() -> None:
    rows = {row.name: row for row in DIGITS.rows}
    for name in ("resnet18", "robnet_large"):
        usual, natural = rows[name], rows[f"{name}_natural"]
        assert usual.load(10).hash == natural.load(10).hash
        assert {**usual.recipe, "method": "natural"} == natural.recipe
    for plain, denoising in (("resnet18", "resnet18_denoise"), ("robnet_large_deep", "robnet_large_denoise")):
        without, with_block = rows[plain], rows[denoising]
        assert 4 in without.tables and without.recipe == with_block.recipe
        assert without.parameters.items() <= with_block.parameters.items()
    assert [row.name for row in DIGITS.rows if 4 in row.tables and row.net == "robnet_large"] == [
        "robnet_large_deep"
    ]


def made(folder: Path) -> tuple[Tables, list[RowEvent]]:
    events: list[RowEvent] = []
    return make_tables(TINY, "digits", folder, events=events.append), events


def test_tables_from_nets_to_page(tmp_path: Path) -> None:
    tables, events = made(tmp_path)
    assert {event.what for event in events} == {"training", "training a copy", "attacking", "transfer"}
    first, natural = tables.rows
    assert first["white_box"].keys() == {"natural", *ATTACKS, HARDER} and first["black_box"].keys() == set(
        TRANSFER
    )
    assert all(0 <= share <= 100 for share in (*first["white_box"].values(), *first["black_box"].values()))
    assert all(count["total"] == 6 for count in first["counts"].values())
    assert natural["net"] == "resnet18_natural" and "black_box" not in natural
    recipes = [
        json.loads((tmp_path / folder / "manifest.json").read_text(encoding="utf-8"))["settings"]
        for folder in ("resnet18-0", "resnet18-1", "resnet18_natural-0")
    ]
    assert [(recipe["method"], recipe["seed"]) for recipe in recipes] == [
        ("pgd", 0),
        ("pgd", 1),
        ("natural", 0),
    ]

    page = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert page == tables.markdown()
    assert "digits version: nets far smaller than the paper's" in page and "of 6 test images" in page
    sections = page.split("\n## ")[1:]
    assert [section.count("| resnet18(width=2) |") for section in sections] == [1, 1, 1]
    assert [section.count("| resnet18_natural(width=2) |") for section in sections] == [1, 0, 0]
    assert page.count("pgd20 at 16/255") == 1 and "frozen models attacked" in page
    assert "With method natural, epochs 2: resnet18_natural." in page
    plain = json.loads((tmp_path / "tables.json").read_text(encoding="utf-8"))
    assert plain == json.loads(json.dumps(tables.to_json())) and plain["settings"]["epochs"] == 1

    again, seen = made(tmp_path)  # nothing is left to do
    assert again == tables
    assert not [event for event in seen if isinstance(event.event, BatchDone | EvaluationProgress)]


def test_changes_win_over_the_version_and_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robdsl.reproduction.tables.ATTACKS", ())
    row = Row("resnet18", frozenset({1}), {"width": 2}, {"epochs": 3, "lr": 0.01})
    tables = make_tables(
        Version((row,), TINY.recipe, images=2),
        "digits",
        tmp_path,
        changes={"batch": 512, "epochs": 1},
        seed=3,
    )
    assert tables.settings == {"seed": 3, **TINY.recipe, "batch": 512, "epochs": 1}
    assert tables.rows[0]["recipe"] == {"lr": 0.01}
    manifest = json.loads((tmp_path / "resnet18-3" / "manifest.json").read_text(encoding="utf-8"))
    assert [manifest["settings"][name] for name in ("batch", "epochs", "lr")] == [512, 1, 0.01]


def test_frozen_or_not_is_said_and_counts_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robdsl.reproduction.tables.ATTACKS", ("fgsm",))
    reports: list[Report] = []

    def seen(*args: Any, **settings: Any) -> Report:
        reports.append(evaluate(*args, **settings))
        return reports[-1]

    monkeypatch.setattr("robdsl.reproduction.tables.evaluate", seen)
    alone = Version(TINY.rows[1:], TINY.recipe, images=64)
    frozen, compiled = (make_tables(alone, "digits", tmp_path, frozen=each) for each in (True, False))
    assert [report.manifest.settings["frozen"] for report in reports] == [True, False]
    assert frozen.frozen and not compiled.frozen and "compiled models attacked" in compiled.markdown()
    assert frozen.rows == compiled.rows


def test_all_test_images_where_the_version_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robdsl.reproduction.tables.ATTACKS", ())
    alone: dict[str, Any] = {"rows": TINY.rows[1:], "recipe": TINY.recipe}
    tables = make_tables(Version(**alone), "digits", tmp_path)
    assert tables.images == len(load_data("digits", split="test"))


def test_the_attacks_are_the_paper_s() -> None:
    assert [parse_attack(name).name for name in ATTACKS] == list(ATTACKS)
    assert {parse_attack(name).describe()["eps"] for name in (*ATTACKS, *TRANSFER)} == {"8/255"}
