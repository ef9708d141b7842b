"""Banks are written and read whole; files that are none are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robdsl.search import COLUMNS, BankError, read_bank, write_bank
from robdsl.search.bank import bank_of


def row(trial: int, **changes: Any) -> dict[str, Any]:
    return {
        "trial": trial, "space": "cell_free", "parameters": '{"width": 4}', "alpha": ["11 10 | 01", "11 11 | 10"],
        "hash": f"{trial:064x}", "params": 1000 + trial, "macs": 10**9, "density": 0.5, "sampler": "random", "seed": 7,
        "state": "sampled", "fsp": None, "examples": None, **changes,
    }  # fmt: skip


ROWS = [
    row(0),
    row(1, state="evaluated", fsp=[0.5, 1e-9], natural_inherited=0.25, robust_inherited=0.1, examples=144),
    row(2, state="rejected", fsp=[0.25, 3.0], natural_inherited=1.0, robust_inherited=0.0, examples=144),
]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_bank_survives_its_file(suffix: str, tmp_path: Path) -> None:
    bank = bank_of(ROWS)
    write_bank(bank, tmp_path / f"bank{suffix}")
    again = read_bank(tmp_path / f"bank{suffix}")
    pd.testing.assert_frame_equal(bank, again)
    assert list(again.columns) == list(COLUMNS)
    assert again["fsp"].tolist() == [None, [0.5, 1e-9], [0.25, 3.0]]
    assert again["alpha"][0] == ["11 10 | 01", "11 11 | 10"]
    assert math.isnan(again["natural_finetuned"][1]) and again["robust_inherited"][1] == 0.1
    assert again["examples"][0] is pd.NA and again["examples"][1] == 144


def test_an_empty_bank_has_its_columns(tmp_path: Path) -> None:
    write_bank(bank_of([]), tmp_path / "bank.parquet")
    assert list(read_bank(tmp_path / "bank.parquet").columns) == list(COLUMNS)


def test_rows_come_by_trial(tmp_path: Path) -> None:
    write_bank(bank_of(reversed(ROWS)), tmp_path / "bank.jsonl")
    assert read_bank(tmp_path / "bank.jsonl")["trial"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bank.jsonl", b"[1]\n"),
        ("bank.jsonl", b"[" * 100_000 + b"\n"),
        ("bank.jsonl", b'{"trial": 1}\n'),
        ("bank.jsonl", json.dumps(row(0) | dict.fromkeys(COLUMNS, "x")).encode()),
        ("bank.jsonl", b"x" * (1 << 21)),
        ("bank.parquet", b"PAR1 no parquet PAR1"),
        ("bank.parquet", b""),
        ("bank.csv", b"trial,space\n"),
    ],
)
def test_what_is_no_bank_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BankError):
        read_bank(tmp_path / name)


def test_nothing_is_no_bank(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="there is nothing"):
        read_bank(tmp_path / "bank.parquet")


def test_another_table_is_no_bank(tmp_path: Path) -> None:
    pq.write_table(pa.table({"trial": [1]}), tmp_path / "bank.parquet")
    with pytest.raises(BankError, match="no column space"):
        read_bank(tmp_path / "bank.parquet")


@pytest.mark.parametrize("wrong", [[row(0), row(0)], [row(0, state="asleep")]])
def test_rows_must_make_sense(wrong: list[dict[str, Any]], tmp_path: Path) -> None:
    write_bank(bank_of(wrong), tmp_path / "bank.jsonl")
    with pytest.raises(BankError):
        read_bank(tmp_path / "bank.jsonl")


def test_a_parquet_file_that_claims_too_much_is_not_read(tmp_path: Path) -> None:
    """Ten kilobytes that would unfold to gigabytes."""
    path, schema = tmp_path / "bank.parquet", pa.schema([("trial", pa.int64())])
    zeros = pa.table({"trial": pa.array([0] * 1_100_000)}, schema)
    pq.write_table(zeros, path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(BankError, match="too large"):
        read_bank(path)
