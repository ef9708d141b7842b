"""The documentation builds without a warning, and every page can be found in it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.house.tree import ROOT, succeed


def test_the_site_builds(tmp_path: Path) -> None:
    succeed(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        ROOT,
    )
    library = (tmp_path / "site" / "reference" / "library.html").read_text(encoding="utf-8")
    assert "Images in [0, 1]" in library or "images in [0, 1]" in library  # docstrings are there


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
