"""What is installed is whole: the wheel, in an environment outside the checkout, and the editable install."""

from __future__ import annotations

import ast
import sys
import zipfile
from pathlib import Path

from tests.house.tree import ROOT, run, succeed

NET = "net tiny {\n    input 3 x 8 x 8\n    flatten | linear(2)\n}\n"


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
