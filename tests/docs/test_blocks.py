"""Every `.rob` block of the documentation parses, checks, is canonical, and compiles where it is a net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import robdsl
from robdsl.diagnostics.render import render_all
from robdsl.diagnostics.source import Source
from robdsl.graph.load import check_source
from robdsl.syntax import nodes
from robdsl.syntax.formatter import format_source
from robdsl.syntax.parser import parse
from tests.house.tree import ROOT, blocks

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
BLOCKS = [
    pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    if page.name != "errors.md"  # its blocks are mistakes, and tests/diagnostics holds them
    for number, text in enumerate(blocks(page, "rob"))
]


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 6


@pytest.mark.parametrize("text", BLOCKS)
def test_the_block_is_well(text: str) -> None:
    source = Source("block.rob", text)
    found = check_source(source)
    assert not found, render_all(found)
    assert format_source(source) == text


@pytest.mark.parametrize("text", BLOCKS)
def test_its_nets_run(text: str, tmp_path: Path) -> None:
    path = tmp_path / "block.rob"
    path.write_text(text, encoding="utf-8")
    for definition in parse(Source("block.rob", text)).definitions:
        if isinstance(definition, nodes.NetDefinition) and definition.kind == "net":
            net = robdsl.load(path, net=definition.name.name)
            if net.cost.params > 5_000_000:
                continue  # loading it is test enough; its like is run in tests/compiler
            logits = robdsl.compile(net).eval()(torch.rand(2, *net.image))
            assert logits.shape == (2, net.classes)
