"""Artifacts get to disk whole or not at all, to the named path and nowhere else; text is written without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import robdsl
from robdsl.compiler.emit import KINDS, EmitError, artifacts, emit, emit_rob, emit_text
from robdsl.graph.writer import NotWritable

NET = "net n(classes=2) {\n    input 1 x 2 x 2\n    flatten | linear(classes)\n}\n"


@pytest.fixture
def net() -> robdsl.Net:
    return robdsl.load(NET)


@pytest.mark.parametrize("kind", ["py", "rob", "json"])
def test_what_is_written_is_the_text(net: robdsl.Net, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"n{KINDS[kind]}"
    emit(net, kind, path)
    assert path.read_text(encoding="utf-8") == emit_text(net, kind)
    assert list(tmp_path.iterdir()) == [path]


def test_canonical_text_is_the_same_net(net: robdsl.Net) -> None:
    assert robdsl.load(emit_rob(net)).hash == net.hash


def test_what_is_there_is_replaced(net: robdsl.Net, tmp_path: Path) -> None:
    path = tmp_path / "n.rob"
    path.write_text("old", encoding="utf-8")
    emit(net, "rob", str(path))
    assert path.read_text(encoding="utf-8") == NET


def test_a_link_is_replaced_and_not_followed(net: robdsl.Net, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="utf-8")
    link = tmp_path / "n.rob"
    link.symlink_to(precious)
    emit(net, "rob", link)
    assert precious.read_text(encoding="utf-8") == "mine"
    assert not link.is_symlink() and link.read_text(encoding="utf-8") == NET


def test_a_link_under_the_name_of_the_unfinished_file_is_not_followed(
    net: robdsl.Net, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="utf-8")
    (tmp_path / f".n.rob.{os.getpid()}.tmp").symlink_to(precious)
    emit(net, "rob", tmp_path / "n.rob")
    assert precious.read_text(encoding="utf-8") == "mine"
    assert {each.name for each in tmp_path.iterdir()} == {"precious", "n.rob"}


def test_when_it_fails_what_was_there_stays(
    net: robdsl.Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(net: robdsl.Net) -> str:
        raise NotWritable("there is a reason")

    path = tmp_path / "n.rob"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(artifacts, "format_net", fails)
    with pytest.raises(EmitError, match=r"n cannot be written as one \.rob file: there is a reason"):
        emit(net, "rob", path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_net_without_text_is_still_python() -> None:
    net = robdsl.load_space("nas_bench_201", width=2, cells=1).supernet()
    with pytest.raises(EmitError):
        emit_rob(net)
    assert "# No one file says this net" in emit_text(net, "py")


def test_a_folder_that_cannot_be_written(net: robdsl.Net, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError):
        emit(net, "rob", tmp_path / "file" / "n.rob")


def test_unknown_kinds(net: robdsl.Net, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'exe' is no kind of artifact: there are py, pt2, onnx, rob, json"):
        emit(net, "exe", tmp_path / "n")
    with pytest.raises(ValueError, match="'pt2' is no kind of text"):
        emit_text(net, "pt2")
    assert not list(tmp_path.iterdir())


def test_text_is_written_without_torch() -> None:
    program = (
        "import sys, robdsl\n"
        "from robdsl.compiler.emit import emit_text\n"
        "net = robdsl.load('robnet_free')\n"
        "for kind in ('py', 'json', 'rob'):\n"
        "    assert emit_text(net, kind)\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
