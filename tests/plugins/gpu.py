"""``--gpu``: run what needs a CUDA device, and fail where there is none.

Without the option, tests marked ``gpu`` are left out. With it they run, and a machine without a device is an
error before the first test: a run that was told to use a GPU must not pass by skipping.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gpu", action="store_true", help="run tests marked gpu too; fail without a device")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--gpu"):
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError("--gpu was given, but torch sees no CUDA device here")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--gpu"):
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("gpu")])
    items[:] = [item for item in items if not item.get_closest_marker("gpu")]
