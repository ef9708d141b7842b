"""A jail for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.jail import Jail


@pytest.fixture
def jail(tmp_path: Path) -> Jail:
    """Empty, but for a secret outside the folder in which commands run."""
    made = Jail(tmp_path)
    made.sent.mkdir()
    (tmp_path / "secret.rob").write_text("the secret is out\n", encoding="utf-8")
    return made
