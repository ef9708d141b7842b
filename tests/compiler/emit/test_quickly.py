"""What is emitted for a few nets: the same function under the same keys, formatted, and nothing but torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import robdsl
from robdsl.compiler.emit import emit, emit_text

NETS = {
    "robnet_small": {"width": 4, "layers": 3},
    "resnet18": {"width": 2},
}


@pytest.mark.parametrize("name", NETS)
def test_the_module_computes_the_net(name: str, tmp_path: Path) -> None:
    net = robdsl.load(name, None, **NETS[name])
    emit(net, "py", tmp_path / "made.py")
    source = (tmp_path / "made.py").read_text(encoding="utf-8")
    imported = {
        alias.name.partition(".")[0] if isinstance(each, ast.Import) else str(each.module).partition(".")[0]
        for each in ast.walk(ast.parse(source))
        if isinstance(each, ast.Import | ast.ImportFrom)
        for alias in each.names
    }
    assert imported <= {"torch", "collections", "functools", "itertools"}
    formatted = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "format", "--isolated", "--check", tmp_path / "made.py"],
        capture_output=True,
        check=False,
    )
    assert formatted.returncode == 0

    space: dict[str, object] = {"__name__": "made"}
    exec(compile(source, "made.py", "exec"), space)  # our own output, in a test
    emitted = space[name]()  # type: ignore[operator]  # the function that makes the net
    reference = robdsl.compile(net, seed=0)
    emitted.load_state_dict(reference.state_dict(), strict=True)
    emitted.double()
    reference.double()
    images = torch.rand(2, *net.image, dtype=torch.float64)
    for training in (True, False):
        emitted.train(training)
        reference.train(training)
        torch.testing.assert_close(emitted(images), reference(images), rtol=0, atol=1e-12)


def test_a_meta_string_stays_a_string(tmp_path: Path) -> None:
    hostile = '""" + __import__(\'os\').system(\'touch owned\') + """ \\\\'
    text = (
        'net n { input 3 x 4 x 4; flatten | linear(2); meta note = "'
        + hostile.replace("\\", "\\\\").replace('"', '\\"')
        + '" }\n'
    )
    net = robdsl.load(text)
    assert net.meta["note"] == hostile
    source = emit_text(net, "py")
    calls = [
        each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Name) and each.id == "__import__"
    ]
    assert not calls
