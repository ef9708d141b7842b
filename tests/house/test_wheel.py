"""What is installed is whole: the wheel, in an environment outside the checkout, and the editable install."""

from __future__ import annotations

import ast
import shutil
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import ROOT, run, succeed

SHIPPED = ("robdsl", "cli", "archs", "grammars", "pyproject.toml", "setup.py", "README.md", "LICENSE")
NET = "net tiny {\n    input 3 x 8 x 8\n    flatten | linear(2)\n}\n"


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_the_wheel_holds_all_that_is_in_the_tree(wheel: Path) -> None:
    places = {"cli": "robdsl/cli", "archs": "robdsl/archs", "grammars": "robdsl/grammars", "robdsl": "robdsl"}
    expected = {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in places.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "robdsl/archs/spaces/cell_based.rob" in expected
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_wheel_takes_one_name(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    (info,) = tops - {"robdsl"}
    assert info.startswith("robdsl-")
    assert info.endswith(".dist-info")


def test_the_wheel_compiles_a_net_by_name(environment: Path, tmp_path: Path) -> None:
    succeed([environment / "robdsl", "compile", "robnet_free", "-o", "free.py"], tmp_path)
    assert any(isinstance(node, ast.ClassDef) for node in ast.parse((tmp_path / "free.py").read_bytes()).body)
    succeed([environment / "python", "-c", "import free"], tmp_path)


def test_python_m_robdsl_equals_robdsl(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.rob").write_text(NET, encoding="utf-8")
    (tmp_path / "bad.rob").write_text(NET.replace("flatten", "flattened"), encoding="utf-8")
    for arguments, status in ((["check", "tiny.rob"], 0), (["check", "bad.rob"], 1), (["nothing"], 2)):
        script = run([environment / "robdsl", *arguments], tmp_path)
        module = run([environment / "python", "-m", "robdsl", *arguments], tmp_path)
        assert script.returncode == status, script.stderr
        assert (module.returncode, module.stdout) == (script.returncode, script.stdout)


def test_the_editable_install_finds_its_parts(tmp_path: Path) -> None:
    program = (
        "import robdsl.cli.main, robdsl.resources as r;"
        "print(robdsl.cli.__file__, r.folder('archs'), r.folder('grammars'), sep='\\n')"
    )
    found = succeed([sys.executable, "-c", program], tmp_path).splitlines()
    assert found == [str(ROOT / "cli" / "__init__.py"), str(ROOT / "archs"), str(ROOT / "grammars")]
