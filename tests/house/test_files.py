"""Files are whole or not there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robdsl.files import DiskFullError, append_line, file_hash, write_atomic


def no_room(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_atomic_write_replaces_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, b"first, which is longer")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("failing", ["os.fsync", "Path.replace"])
def test_a_failed_write_leaves_the_old_content(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")

    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"robdsl.files.{failing}", fail)
    with pytest.raises(DiskFullError, match=r"a\.bin"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_other_failures_keep_their_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "a.bin", b"x")


def test_a_failed_append_leaves_the_lines_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    append_line(path, "one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(DiskFullError):
            append_line(path, "two")
    assert path.read_text() == "one\n"
    append_line(path, "three")
    assert path.read_text() == "one\nthree\n"


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=20)),
    torn=st.binary(),
)
def test_appending_cuts_off_an_unfinished_line(lines: list[str], torn: bytes) -> None:
    torn = torn.replace(b"\n", b"")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        whole = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(whole + torn)
        append_line(path, "last")
        assert path.read_bytes() == whole + b"last\n"


def test_a_long_unfinished_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n" + b"x" * (3 << 20))
    append_line(path, "two")
    assert path.read_bytes() == b"one\ntwo\n"


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    import hashlib

    data = os.urandom((1 << 20) + 17)
    (tmp_path / "a").write_bytes(data)
    assert file_hash(tmp_path / "a") == hashlib.sha256(data).hexdigest()
