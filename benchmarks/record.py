"""What every benchmark does: run things in turn, and keep a result with the machine that it was measured on."""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def in_turn(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The seconds that each piece of work takes, round after round, garbage collected before each."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, function in work.items():
            seconds[name].append(seconds_of(function))
    return seconds


def seconds_of(function: Callable[[], object]) -> float:
    """The seconds that a call takes; what it returns is kept until the clock has stopped."""
    gc.collect()
    start = time.perf_counter()
    kept = function()
    took = time.perf_counter() - start
    del kept
    return took


def ratio(seconds: Mapping[str, list[float]], over: str, under: str) -> float:
    """The median of each round's ratio."""
    return statistics.median(a / b for a, b in zip(seconds[over], seconds[under], strict=True))


def write(
    name: str,
    results: Mapping[str, Any],
    packages: tuple[str, ...] = ("torch",),
    path: Path | None = None,
) -> Path:
    """Writes results, with the command and the machine, to ``benchmarks/results/NAME.json``, whole or not at all.

    With `path` there instead.
    """
    record = {
        "command": " ".join(["python -m", _module(), *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        **results,
    }
    path = path or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(path)
    return path


def _module() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec is not None else sys.argv[0]


def machine() -> str:
    """The processor and how many cores it has."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def commit() -> str:
    """The checked-out commit, marked where the tree differs from it; of a copy without git, `$ROBDSL_COMMIT`."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("ROBDSL_COMMIT", "unknown")
    return described.stdout.strip()
