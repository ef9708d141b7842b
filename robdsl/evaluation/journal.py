"""What an evaluation has found so far, on disk batch by batch, so that it can stop anywhere and go on.

A folder holds one JSON-lines file for each process that took part, named by the fingerprint of the
evaluation: another model, data set, attack or seed has other files. A line is one batch under one attack,
closed by a checksum; a line that was cut off, or altered, is passed over and its batch computed again.
Nothing in a line is code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robdsl.files import append_line

_LONGEST_LINE = 1 << 20
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Entry:
    """One batch under one attack.

    Attributes:
        batch: its number.
        attack: the attack's name; "natural" for clean images.
        count: examples in the batch.
        correct: which ones the model got right, as the hex digits of a bit string, first example first.
        forward: forward passes of the model.
        backward: gradient computations.
        seconds: how long it took.
    """

    batch: int
    attack: str
    count: int
    correct: str
    forward: int
    backward: int
    seconds: float

    @staticmethod
    def of(batch: int, attack: str, correct: Tensor, forward: int, backward: int, seconds: float) -> Entry:
        """An entry from which examples, (n,) bool, are right."""
        bits = "".join("1" if right else "0" for right in correct.tolist())
        digits = f"{int(bits, 2):0{-(-len(bits) // 4)}x}" if bits else ""
        return Entry(batch, attack, len(bits), digits, forward, backward, round(seconds, 3))

    def mask(self) -> Tensor:
        """Which examples are right, (count,) bool."""
        bits = f"{int(self.correct, 16):0{self.count}b}" if self.count else ""
        return torch.tensor([bit == "1" for bit in bits], dtype=torch.bool)


class Journal:
    """The entries of one evaluation, kept in a folder or, without one, in memory only."""

    def __init__(self, folder: Path | None, fingerprint: str, rank: int = 0) -> None:
        """Read what all processes of earlier runs have found.

        Args:
            folder: made if it is not there.
            fingerprint: of everything that the entries depend on, in hex.
            rank: of this process, which writes a file of its own.
        """
        self._found: dict[tuple[int, str], Entry] = {}
        self._file: Path | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            stem = f"evaluation-{fingerprint[:16]}"
            self._file = folder / f"{stem}-{rank}.jsonl"
            for file in sorted(folder.glob(f"{stem}-*.jsonl")):
                self._read(file)

    def _read(self, file: Path) -> None:
        with file.open("rb") as lines:
            while line := lines.readline(_LONGEST_LINE):
                entry = _decode(line)
                if entry is not None:
                    self._found[entry.batch, entry.attack] = entry

    def get(self, batch: int, attack: str, count: int) -> Entry | None:
        """What is known of a batch of ``count`` examples under an attack."""
        entry = self._found.get((batch, attack))
        return entry if entry is not None and entry.count == count else None

    def add(self, entry: Entry) -> None:
        """Keep an entry; once this returns it outlives the process.

        Raises:
            DiskFullError: there is no room; earlier entries are kept.
        """
        self._found[entry.batch, entry.attack] = entry
        if self._file is not None:
            append_line(self._file, _encode(entry))


def _encode(entry: Entry) -> str:
    body = json.dumps(asdict(entry))
    return f"{body}\t{_checksum(body)}"


def _decode(line: bytes) -> Entry | None:
    try:
        body, checksum = line.decode().rstrip("\n").split("\t")
        if checksum != _checksum(body):
            return None
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return Entry(**fields) if _are_sound(fields) else None


def _are_sound(fields: Any) -> bool:
    """Whether these are the fields of an entry, each of its kind, with as many bits as examples."""
    kinds: dict[str, type] = dict.fromkeys(("batch", "count", "forward", "backward"), int)
    kinds |= {"attack": str, "correct": str, "seconds": float}
    if not isinstance(fields, dict) or fields.keys() != kinds.keys():
        return False
    if any(type(fields[name]) is not kind for name, kind in kinds.items()):
        return False
    count, digits = fields["count"], fields["correct"]
    if min(fields["batch"], count) < 0 or len(digits) != -(-count // 4) or not set(digits) <= _HEX:
        return False
    return bool(count == 0 or int(digits, 16) < 1 << count)


def _checksum(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()
