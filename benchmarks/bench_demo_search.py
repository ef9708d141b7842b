"""What `make demo-search` found: whether the best beat the median from scratch, and how rankings agree.

python -m benchmarks.bench_demo_search           shows it, once `make demo-search` has run
python -m benchmarks.bench_demo_search --write   keeps it in benchmarks/results
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.record import write

STUDIES = Path(__file__).parents[1] / "build" / "demo-search"
SPACES = ("cell-based", "cell-free")


def found(space: str) -> dict[str, Any]:
    """What retraining says of a study in which everything that it asks for is done."""
    settings = json.loads((STUDIES / space / "study.json").read_text(encoding="utf-8"))
    said = json.loads(_robdsl("retrain", str(STUDIES / space), *_retraining(), "--json"))
    kept = ("seed", "attack", "eps", "step_size", "val_fraction")
    return {
        "measured": said["measured"],
        "settings": {name: settings[name] for name in kept}
        | {"supernet_epochs": settings["supernet"]["epochs"]},
        "compared": said["compared"],
        "correlations": said["correlations"],
    }


def _retraining() -> list[str]:
    """The Makefile's own options, so that both ask for the same."""
    lines = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8").splitlines()
    (options,) = (line.partition(":=")[2].split() for line in lines if line.startswith("RETRAIN_OPTIONS :="))
    return options


def _robdsl(*arguments: str) -> str:
    command = [sys.executable, "-m", "robdsl", "search", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """Shows the figures, and keeps them with ``--write``."""
    if not all((STUDIES / space / "study.json").is_file() for space in SPACES):
        print(f"nothing to show: `make demo-search`, which leaves its studies in {STUDIES}, has not run")
        return 0
    results = {"spaces": {space: found(space) for space in SPACES}}
    print(json.dumps(results, indent=2))
    if "--write" in sys.argv[1:]:
        print(f"wrote {write('demo_search', results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
