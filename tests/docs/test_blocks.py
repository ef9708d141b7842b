"""Every `.rob` block of the documentation parses, checks, is canonical, and compiles where it is a net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import robdsl
from robdsl.diagnostics.render import render_all
from robdsl.diagnostics.source import Source
from robdsl.graph.load import check_file
from robdsl.syntax import nodes
from robdsl.syntax.formatter import format_source
from robdsl.syntax.parser import parse
from tests.docs.pages import file_of
from tests.house.tree import ROOT, blocks

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
BLOCKS = [
    pytest.param(page, text, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    if page.name != "errors.md"  # its blocks are mistakes, and tests/diagnostics holds them
    for number, text in enumerate(blocks(page, "rob"))
]


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 6


@pytest.fixture
def file(page: Path, text: str, tmp_path: Path) -> Path:
    """The block as a file, beside those files that the page has named."""
    for each in blocks(page, "rob"):
        if (name := file_of(each)) is not None:
            (tmp_path / name).write_text(each, encoding="utf-8")
    path = tmp_path / (file_of(text) or "block.rob")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("page", "text"), BLOCKS)
def test_the_block_is_well(page: Path, text: str, file: Path) -> None:
    found = check_file(file)
    assert not found, render_all(found)
    assert format_source(Source("block.rob", text)) == text


@pytest.mark.parametrize(("page", "text"), BLOCKS)
def test_its_nets_run(page: Path, text: str, file: Path) -> None:
    for definition in parse(Source("block.rob", text)).definitions:
        if isinstance(definition, nodes.NetDefinition) and definition.kind == "net":
            net = robdsl.load(file, net=definition.name.name)
            if net.cost.params > 5_000_000:
                continue  # loading it is test enough; its like is run in tests/compiler
            logits = robdsl.compile(net).eval()(torch.rand(2, *net.image))
            assert logits.shape == (2, net.classes)
