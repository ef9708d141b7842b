"""Each stage knows only those before it, nothing under robdsl/ exits, and text is checked without torch."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT, run, sources, succeed

LINTER = Path(sys.executable).with_name("lint-imports")

BROKEN = """in net resnet18 {
    input 3 x 32 x 32
"""
WHOLE = """net tiny {
    input 3 x 8 x 8
    conv(3, 4) | relu
    global_avg_pool | flatten | linear(2)
}
"""


def test_the_contracts_hold() -> None:
    done = run([LINTER, "--no-cache"], ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "said"),
    [
        ("syntax/against.py", "import robdsl.graph", "robdsl.syntax is not allowed to import robdsl.graph"),
        ("graph/against.py", "import torch", "robdsl.graph is not allowed to import torch"),
        (
            "kernels/against.py",
            "import robdsl.graph",
            "robdsl.kernels is not allowed to import robdsl.graph",
        ),
        ("stray/__init__.py", "", "not listed as layers:\n\n- robdsl.stray"),
    ],
)
def test_the_contracts_can_break(tmp_path: Path, module: str, statement: str, said: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "robdsl", tmp_path / "robdsl", ignore=shutil.ignore_patterns("__pycache__"))
    against = tmp_path / "robdsl" / module
    against.parent.mkdir(exist_ok=True)
    against.write_text(statement, encoding="utf-8")
    done = run([LINTER, "--no-cache"], tmp_path)
    assert done.returncode == 1
    assert said in done.stdout


def test_nothing_under_robdsl_exits() -> None:
    exits = {"exit", "quit", "SystemExit", "_exit", "abort"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources("robdsl")
        if path.name != "__main__.py"
        for node in ast.walk(ast.parse(path.read_bytes()))
        if (isinstance(node, ast.Name) and node.id in exits)
        or (
            isinstance(node, ast.Attribute)
            and node.attr in exits
            and isinstance(node.value, ast.Name)
            and node.value.id in {"sys", "os"}
        )
    ]
    assert not found


def test_only_the_alias_knows_the_command_line() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sources("robdsl")
        if path.name != "__main__.py" and any(name.startswith("robdsl.cli") for name in imported(path))
    ]
    assert not found


def test_the_command_line_imports_its_own_files_relatively() -> None:
    """Mypy reads cli/ as ``cli`` and cannot follow ``robdsl.cli``."""
    found = [
        str(path.relative_to(ROOT))
        for path in sources("cli")
        if any(name.startswith("robdsl.cli") for name in imported(path))
    ]
    assert not found


def imported(path: Path) -> list[str]:
    """The absolute names that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["check", "whole.rob"], 0), (["check", "broken.rob"], 1)]
)
def test_text_is_checked_without_torch(tmp_path: Path, arguments: list[str], status: int) -> None:
    (tmp_path / "whole.rob").write_text(WHOLE, encoding="utf-8")
    (tmp_path / "broken.rob").write_text(BROKEN, encoding="utf-8")
    program = f"""
import sys
from robdsl.cli.main import main

sys.argv = {["robdsl", *arguments]!r}
try:
    status = main()
except SystemExit as exit:
    status = exit.code
print("status", status or 0)
print("torch" in sys.modules)
"""
    lines = succeed([sys.executable, "-c", program], tmp_path).splitlines()
    assert lines[-2:] == [f"status {status}", "False"]


def test_files_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources("robdsl", "cli")
        if path.name != "codes.py"  # a catalogue: one entry after another, and nothing else
        if (lines := len(path.read_bytes().splitlines())) > 450
    }
    assert not long
