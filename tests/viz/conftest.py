"""A browser for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.viz.chromium import Tab, chromium


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """One tab for the tests of a file."""
    with chromium() as opened:
        yield opened
