"""Emitted Python files, run and held against compiled nets."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

import robdsl
from robdsl.compiler.emit import emit_python
from robdsl.graph.net import Net

#: What an emitted file may import.
IMPORTS = {"torch", "torch.nn", "functools", "collections.abc"}


def module_of(code: str) -> ModuleType:
    """The module that an emitted file is."""
    made = ModuleType("emitted")
    exec(compile(code, "emitted.py", "exec"), made.__dict__)
    return made


def model_of(code: str) -> nn.Module:
    """What the last function of an emitted file makes: the net."""
    maker = [each.name for each in ast.parse(code).body if isinstance(each, ast.FunctionDef)][-1]
    made = getattr(module_of(code), maker)()
    assert isinstance(made, nn.Module)
    return made


def imports_of(code: str) -> set[str]:
    """The modules that a file imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def hold_structure(net: Net, code: str) -> None:
    """Holds the names and shapes of what an emitted file learns against the compiled net, without memory for it."""
    with torch.device("meta"):
        ours, compiled = model_of(code), robdsl.compile(net, passes=())
    expected = {key: value.shape for key, value in compiled.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected
    learning = {key: each.requires_grad for key, each in compiled.named_parameters()}
    assert {key: each.requires_grad for key, each in ours.named_parameters()} == learning


def hold_function(net: Net, code: str) -> None:
    """Holds what an emitted file computes against the compiled net: logits and statistics in train mode, then logits."""
    ours, compiled = model_of(code).double(), robdsl.compile(net, seed=0).double()
    ours.load_state_dict(compiled.state_dict(), strict=True)
    x = torch.rand(3, *net.image, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for train in (True, False):
        agree(_run(ours.train(train), x), _run(compiled.train(train), x))
        state = ours.state_dict()
        for key, value in compiled.state_dict().items():
            agree(state[key], value)


def _run(model: nn.Module, x: Tensor) -> Tensor:
    torch.manual_seed(0)  # for dropout
    with torch.no_grad():
        logits = model(x)
    assert isinstance(logits, Tensor)
    return logits


def agree(ours: Tensor, theirs: Tensor) -> None:
    """Equal to 1e-10 of their size: sums are nested otherwise, and batch norms of small batches magnify that."""
    scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10 * scale)


def hold(net: Net, text: str = "x") -> str:
    """An emitted file that was held against the compiled net in every way."""
    code = emit_python(net, text)
    assert imports_of(code) <= IMPORTS
    hold_structure(net, code)
    hold_function(net, code)
    return code


def ruff(folder: Path) -> str:
    """What ruff has to say of the Python files in a folder: nothing, if they are formatted and sound."""
    said = ""
    for arguments in (["format", "--diff"], ["check", "--select", "E4,E7,E9,F,W,I,N,UP,PIE,SIM"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        said += done.stdout + done.stderr if done.returncode else ""
    return said
