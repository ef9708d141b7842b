"""What all tests share: golden files, and hypothesis without deadlines (a busy machine knows none)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# People draw new examples on each run; a landing is judged on the same ones each time.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew; read the diff")


@dataclass(frozen=True)
class Golden:
    """Holds texts against files, or writes them."""

    update: bool

    def check(self, file: Path, text: str) -> None:
        if self.update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        assert file.is_file(), f"{file} is missing; run pytest --update-golden and read what it writes"
        assert text == file.read_text(encoding="utf-8"), (
            f"{file} differs; if it should, pytest --update-golden"
        )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares a text with a golden file; with ``--update-golden`` writes it."""
    return Golden(bool(request.config.getoption("--update-golden")))
