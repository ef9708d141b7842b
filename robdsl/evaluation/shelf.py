"""Reports beside each other in one folder, so that none takes the place of another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from robdsl.evaluation.manifest import Manifest
from robdsl.evaluation.report import Report
from robdsl.files import write_atomic

_LARGEST = 1 << 26
_SAME = ("kind", "seed", "settings", "architecture_hash", "weights_hash", "data")


def keep_report(folder: Path, report: Report, **more: Any) -> Path:
    """Write a report to ``report.json``, or to ``report-2.json`` and so on where others are there.

    The report of the same evaluation (of the same net, weights, images, attacks and seed) is written anew.

    Args:
        folder: made if it is not there.
        report: what to write, as JSON.
        more: plain data that go before it.

    Returns:
        Where it is.

    Raises:
        DiskFullError: there is no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = next(path for path in _names(folder) if not path.exists() or _is_of(path, report.manifest))
    write_atomic(path, json.dumps({**more, **report.to_json()}, indent=2).encode())
    return path


def _names(folder: Path) -> Iterator[Path]:
    yield folder / "report.json"
    yield from (folder / f"report-{number}.json" for number in count(2))


def _is_of(path: Path, manifest: Manifest) -> bool:
    """Whether a file is a report with such a manifest; whatever else it is stays as it is."""
    try:
        if path.stat().st_size > _LARGEST:
            return False
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    theirs = found.get("manifest") if isinstance(found, dict) else None
    ours: Mapping[str, Any] = json.loads(json.dumps(manifest.to_json()))
    return isinstance(theirs, dict) and all(theirs.get(name) == ours[name] for name in _SAME)
