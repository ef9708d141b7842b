"""One thread for tiny nets, and a PostgreSQL server for the tests that want one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.search.postgres import server


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database on a PostgreSQL server of our own."""
    with server() as url:
        yield url
