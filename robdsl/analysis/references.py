"""Nets to compare with, from a file: a list of our own, or what ``robdsl tables`` measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from robdsl.analysis.bank import StudyError
from robdsl.analysis.sizes import Reference

_MAX_FILE = 1 << 22
_MAX_NETS = 200
_MAX_NAME = 100


def read_references(path: Path, attack: str = "pgd20") -> tuple[Reference, ...]:
    """The nets in a JSON file.

    Args:
        path: a list of objects with ``name``, ``params`` and ``robust`` (in [0, 1]), or a ``tables.json``.
        attack: which attack of a ``tables.json`` counts.

    Raises:
        StudyError: it holds neither.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise StudyError(f"{path} is too large for a list of nets")
    try:
        plain = json.loads(content)
        rows = [_of_tables(each, attack) for each in plain["rows"]] if isinstance(plain, dict) else plain
        found = tuple(_reference(each) for each in rows)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise StudyError(
            f"{path} holds no nets to compare with: a list of objects with `name`, `params` and `robust` "
            f"(an accuracy in [0, 1]), or a tables.json of `robdsl tables` with the attack {attack}"
        ) from None
    if len(found) > _MAX_NETS:
        raise StudyError(f"{path} holds {len(found):,} nets; at most {_MAX_NETS} are compared with")
    return found


def _of_tables(row: Any, attack: str) -> dict[str, Any]:
    return {"name": row["net"], "params": row["params"], "robust": row["white_box"][attack] / 100}


def _reference(row: Any) -> Reference:
    name, params, robust = row["name"], row["params"], float(row["robust"])
    if not isinstance(name, str) or type(params) is not int or not 0 < params < 2**63 or not 0 <= robust <= 1:
        raise ValueError
    return Reference(name[:_MAX_NAME], params, robust)
