"""Files that are whole or not there, whenever the process or the machine stops."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BLOCK = 1 << 20


class DiskFullError(OSError):
    """Nothing more could be written; what was there before is as it was."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


@contextmanager
def _space_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                error.errno,
                "the disk is full; nothing written before is lost: make room and run the same command again",
                str(path),
            ) from error
        raise


def write_atomic(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``: whoever looks finds the old content or the new, on disk and whole.

    Raises:
        DiskFullError: there is no room; ``path`` is as it was.
        OSError: any other reason why it cannot be written; ``path`` is as it was.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file", str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _space_for(path):
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open(
                "xb"
            ) as file:  # a new file: what lies under this name may be a link to elsewhere
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what :func:`write_atomic` left in a folder when it was killed; nobody may write there now."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add one line to a text file and wait until it is on disk. An unfinished last line is cut off first.

    Raises:
        DiskFullError: there is no room; the whole lines before are as they were.
    """
    data = line.encode() + b"\n"
    with _space_for(path), path.open("ab+", buffering=0) as file:
        end = _end_of_whole_lines(file.fileno())
        file.truncate(end)
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise


def _end_of_whole_lines(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def file_hash(path: Path) -> str:
    """The sha256 of a file, in hex."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
