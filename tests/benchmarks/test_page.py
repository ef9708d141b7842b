"""The page of results says what the committed measurements say."""

from __future__ import annotations

from benchmarks.page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m benchmarks.page writes it"
