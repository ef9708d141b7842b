"""What strangers send: texts, pictures and pickles that mean harm."""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from pathlib import Path


class Touches:
    """Pickles to a call that makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.canary),)


def pickled(canary: Path) -> bytes:
    """A pickle that makes the canary."""
    return pickle.dumps({"state_dict": Touches(canary)}, 2)


def png(width: int, height: int) -> bytes:
    """A black picture of that size, whose file is small whatever the size says: few of its rows are there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = packer.compress(bytes(min(64 << 20, (1 + 3 * width) * height))) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


NET = "net n {\n    input 3 x 8 x 8\n    flatten | linear(2)\n}\n"
DIGITS = "net n {\n    input 3 x 32 x 32\n    avg_pool(16) | flatten | linear(10)\n}\n"
PICTURES = "net n(classes=2) {\n    input 3 x 224 x 224\n    avg_pool(112) | flatten | linear(classes)\n}\n"


def evil_name(canary: Path) -> str:
    """An expression that makes the canary, if it is evaluated."""
    return f"__import__('os').mkdir({str(canary)!r})"
