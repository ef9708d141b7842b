"""The pictures in docs/ are those that the commands beside them write."""

from __future__ import annotations

import robdsl
from robdsl.viz.difference import difference_picture
from robdsl.viz.drawing import picture_of
from robdsl.viz.subject import Subject
from tests.conftest import Golden
from tests.house.tree import ROOT

FOLDER = ROOT / "docs" / "pictures"


def test_the_committed_pictures(golden: Golden) -> None:
    large, free, small, medium = (
        robdsl.load(f"robnet_{name}") for name in ("large", "free", "small", "medium")
    )
    pictures = {
        "robnet_large": picture_of(Subject.of(large), cell=5),
        "robnet_free_cells": picture_of(Subject.of(free), all_cells=True),
        "robnet_small_supernet": picture_of(Subject.of(small, faint=True), cell=5),
        "small_to_medium": difference_picture(small, medium),
    }
    for name, picture in pictures.items():
        golden.check(FOLDER / f"{name}.svg", picture.svg())
