"""``--gpu`` and ``--browser``: run what not every machine can, and fail where it cannot.

Without its option, tests with the marker of that name are left out. With it they run, and a machine that lacks what they
need is an error before the first test: a run that was told to use a GPU must not pass by skipping.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class _Need:
    """Something that not every machine has.

    Attributes:
        name: the marker, and the option.
        what: in words.
        lacking: what to say where it is not there; None where it is.
    """

    name: str
    what: str
    lacking: Callable[[], str | None]


def _no_device() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "torch sees no CUDA device here"


def _no_browser() -> str | None:
    from tests.viz.chromium import program

    return None if program() else "there is no chromium on the path here: apt-get install chromium"


_NEEDS = (
    _Need("gpu", "a device", _no_device),
    _Need("browser", "Chromium", _no_browser),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    for need in _NEEDS:
        parser.addoption(
            f"--{need.name}",
            action="store_true",
            help=f"run tests marked {need.name} too; fail without {need.what}",
        )


def pytest_configure(config: pytest.Config) -> None:
    for need in _NEEDS:
        if config.getoption(f"--{need.name}") and (lacking := need.lacking()) is not None:
            raise pytest.UsageError(f"--{need.name} was given, but {lacking}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    absent = [need.name for need in _NEEDS if not config.getoption(f"--{need.name}")]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in absent)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
