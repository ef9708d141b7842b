"""The bank of a study: one table, a row an architecture, for other tools to read.

Columns (`COLUMNS` has their types):

- ``trial``: its number in the study, from 0. Rows are in this order.
- ``space``: the space's name; ``parameters``: those of the space, a JSON object.
- ``alpha``: a code for each pick, as `Net.alpha`; ``hash``: as `Net.hash`.
- ``params``, ``macs``: of the whole net; ``density``: mean over its picks, in [0, 1].
- ``sampler``: what proposed it; ``seed``: the study's.
- ``state``: how far it has come (`STATES`).
- ``fsp``: the distance of equation 4 for each cell stage, in the net's order, under inherited weights.
- ``natural_inherited``, ``robust_inherited``, ``natural_finetuned``, ``robust_finetuned``, ``natural_scratch``,
  ``robust_scratch``: accuracies in [0, 1] on held-out training images, with the supernet's weights, after finetuning
  them, and after training from scratch.
- ``examples``: on how many held-out images the accuracies were counted.

What is not known yet is missing: None in ``fsp``, NaN among the accuracies, ``pandas.NA`` in ``examples``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robdsl.files import write_atomic
from robdsl.search.errors import BankError

STATES = ("sampled", "rejected", "finetuned", "evaluated", "failed")
"""``sampled``: drawn, perhaps measured with inherited weights; ``rejected`` by FSP; ``finetuned``, not yet attacked;
``evaluated``: attacked, the last thing that a search does to it; ``failed``: what was tried broke down."""

ACCURACIES = (
    "natural_inherited",
    "robust_inherited",
    "natural_finetuned",
    "robust_finetuned",
    "natural_scratch",
    "robust_scratch",
)

COLUMNS: dict[str, pa.DataType] = {
    "trial": pa.int64(),
    "space": pa.string(),
    "parameters": pa.string(),
    "alpha": pa.list_(pa.string()),
    "hash": pa.string(),
    "params": pa.int64(),
    "macs": pa.int64(),
    "density": pa.float64(),
    "sampler": pa.string(),
    "seed": pa.int64(),
    "state": pa.string(),
    "fsp": pa.list_(pa.float64()),
    **dict.fromkeys(ACCURACIES, pa.float64()),
    "examples": pa.int64(),
}
"""The columns and their types in Parquet; ``fsp``, accuracies and ``examples`` may be null."""

_MAY_LACK = {"fsp", "examples", *ACCURACIES}
_SCHEMA = pa.schema([pa.field(name, kind, name in _MAY_LACK) for name, kind in COLUMNS.items()])

#: The largest bank that is read: a stranger's file is not believed to be small.
MAX_ROWS = 1_000_000
MAX_BYTES = 1 << 30
_MAX_LINE = 1 << 20


def read_bank(path: str | Path, storage: str | None = None) -> pd.DataFrame:
    """The bank of a study, finished or running.

    Nothing in the files is run, and only so much is read.

    Args:
        path: a study's folder, or a ``.parquet`` or ``.jsonl`` file that `write_bank` made.
        storage: the URL of the study's trials, where they are not in the folder.

    Returns:
        The columns of this module, in their order, rows by trial.

    Raises:
        BankError: it is none of these, damaged or larger than is believed.
        SearchError: the folder's trials cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        from robdsl.search.study import open_study  # it needs the storage, which files do not

        with open_study(path, storage) as study:
            return bank_of(study.rows())
    if not path.is_file():
        raise BankError(f"{path} is neither a study's folder nor a bank: there is nothing")
    if path.suffix == ".parquet":
        return _in_order(_frame(_read_parquet(path)), path)
    if path.suffix == ".jsonl":
        return _in_order(_read_lines(path), path)
    raise BankError(f"{path} is no bank: a bank is a folder, a .parquet or a .jsonl file")


def write_bank(bank: pd.DataFrame, path: str | Path) -> None:
    """Write a bank as Parquet or as JSON lines, whole or not at all.

    Args:
        bank: from `read_bank`.
        path: ends in ``.parquet`` or ``.jsonl``.

    Raises:
        BankError: the name ends in something else, or the table is no bank.
        OSError: it cannot be written there.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(_plain(bank), _SCHEMA), buffer)
        write_atomic(path, buffer.getvalue())
    elif path.suffix == ".jsonl":
        write_atomic(path, "".join(json.dumps(row) + "\n" for row in _plain(bank)).encode())
    else:
        raise BankError(f"a bank is written to a .parquet or a .jsonl file, not to {path.name}")


def bank_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The table of plain rows; what a row lacks is missing.

    Raises:
        BankError: a value is not of its column's type.
    """
    try:
        return _frame(
            pa.Table.from_pylist([{name: row.get(name) for name in COLUMNS} for row in rows], _SCHEMA)
        )
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise BankError(f"this is no row of a bank: {error}") from None


def _frame(table: pa.Table) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name, kind in COLUMNS.items():
        values = table.column(name).to_pylist()
        if name == "examples":
            columns[name] = pd.array(values, dtype="Int64")
        elif pa.types.is_floating(kind):
            columns[name] = pd.array(
                [float("nan") if each is None else each for each in values], dtype="float64"
            )
        elif pa.types.is_integer(kind):
            columns[name] = pd.array(values, dtype="int64")
        else:
            columns[name] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _plain(bank: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON and Arrow take them."""
    lacking = [name for name in COLUMNS if name not in bank.columns]
    if lacking:
        raise BankError(f"this table is no bank: it has no column {', '.join(lacking)}")
    rows = []
    for values in zip(*(bank[name] for name in COLUMNS), strict=True):
        rows.append(
            {name: _value(kind, each) for (name, kind), each in zip(COLUMNS.items(), values, strict=True)}
        )
    return rows


def _value(kind: pa.DataType, value: Any) -> Any:
    if pa.types.is_list(kind):
        return None if value is None else list(value)
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else (float(value) if pa.types.is_floating(kind) else int(value))


def _read_parquet(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            facts = file.metadata
            size = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
            _check_size(path, facts.num_rows, max(size, path.stat().st_size))
            lacking = [name for name in COLUMNS if name not in file.schema_arrow.names]
            if lacking:
                raise BankError(f"{path} is no bank: it has no column {', '.join(lacking)}")
            return file.read(columns=list(COLUMNS)).select(list(COLUMNS)).cast(_SCHEMA)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BankError(f"{path} is damaged or no bank: {error}") from None


def _read_lines(path: Path) -> pd.DataFrame:
    _check_size(path, 0, path.stat().st_size)
    rows: list[dict[str, Any]] = []
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE + 1):
            number = len(rows) + 1
            _check_size(path, number, 0)
            if len(line) > _MAX_LINE:
                raise BankError(f"{path}: line {number} is longer than {_MAX_LINE:,} bytes")
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BankError(f"{path}: line {number} is no JSON: {error}") from None
            if not isinstance(row, dict) or not row.keys() >= COLUMNS.keys():
                raise BankError(f"{path}: line {number} is no row of a bank")
            rows.append(row)
    return bank_of(rows)


def _in_order(bank: pd.DataFrame, path: Path) -> pd.DataFrame:
    strange = sorted(set(bank["state"]) - set(STATES))
    if strange:
        raise BankError(f"{path} is no bank: {strange[0]!r} is none of the states {', '.join(STATES)}")
    if bank["trial"].duplicated().any():
        raise BankError(f"{path} is no bank: two rows have the same trial")
    return bank.sort_values("trial", ignore_index=True)


def _check_size(path: Path, rows: int, size: int) -> None:
    if rows > MAX_ROWS or size > MAX_BYTES:
        raise BankError(f"{path} is too large: a bank has at most {MAX_ROWS:,} rows and {MAX_BYTES:,} bytes")
