"""What a user installs: the wheel, and an environment outside the checkout that holds it."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.house.tree import ROOT, succeed

SHIPPED = ("robdsl", "cli", "archs", "grammars", "pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a source distribution, which is built from a copy of the checkout."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, checkout)
    succeed([sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."], checkout)
    (built,) = (checkout / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment that holds the wheel alone and borrows what it depends on.

    A path file adds the site-packages of the environment that runs the tests; path files in there are not
    read, so the editable robdsl stays out.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    succeed([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel], home)
    site = Path(
        succeed([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], home).strip()
    )
    assert site.is_relative_to(home)
    torch = find_spec("torch")
    assert torch is not None and torch.origin is not None
    # The environment of the tests may itself borrow: libraries are where torch is.
    borrowed = dict.fromkeys([sysconfig.get_path("purelib"), str(Path(torch.origin).parents[1])])
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    return python.parent
