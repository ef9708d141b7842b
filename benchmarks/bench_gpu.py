"""Steps of PGD and of adversarial training on a GPU: as published, cleaned, by Inductor and by our kernels; their rooflines.

    python -m benchmarks.bench_gpu --write

Without `--write` it prints what it finds and keeps nothing. With it, what is found is kept after each part in
benchmarks/results/gpu.json (or `--output`), and the same command goes on where it stopped: a call takes `--minutes`
at the most (8). What matters most is measured first; Inductor's tuning, which takes minutes, last. Each part has a time
of its own and runs in a process that may die alone. Ratios are to the published form at the same batch, image for image.
Without a GPU it says so and measures nothing; `--smoke` tries the program on a CPU with a tiny net.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_forms import Forms
from benchmarks.gpu_parts import Bench, Row, parts
from benchmarks.record import RESULTS, commit, write
from benchmarks.supervised import Outcome, report, supervise, unfinished
from robdsl.kernels import available

SMOKE_NET = {"width": 4, "layers": 3}


def main() -> None:
    options = _options()
    bench = Bench(_forms(options), options.seconds)
    if options.run is not None:
        report(options.run, bench.run)
        return
    found = available()
    if not found and not options.smoke:
        print(f"nothing was measured: bench_gpu needs a GPU that kernels run on. {found.reason}.")
        return
    about = _about(options)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    path = options.output or RESULTS / "gpu.json"
    known = _known(path, about) if options.write else {}
    wanted = unfinished(parts(options.batch, options.train_batch), known, options.only)

    def keep(part: str, outcome: Outcome) -> None:
        known[part] = outcome
        print(f"{part} ({outcome['seconds']:.0f} s)")
        for row in outcome.get("rows", [outcome]):
            print("    " + _line(row))
        if options.write:
            write("gpu", {**about, "parts": known}, _packages(), path)

    command = [sys.executable, "-m", "benchmarks.bench_gpu", *_passed(options), "--run"]
    left = supervise(command, wanted, keep, 60 * options.minutes)
    for line in summary(known):
        print(line)
    if options.write:
        write("gpu", {**about, "parts": known, "summary": list(ratios(known))}, _packages(), path)
        print(f"kept in {path}")
    if left:
        print(f"{len(left)} parts are left: the same command goes on with {left[0]!r}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", help="the name of a net (robnet_free)")
    parser.add_argument("--batch", type=int, nargs="+", help="images in a step of an attack (512 32)")
    parser.add_argument("--train-batch", type=int, help="images in a step of training (256)")
    parser.add_argument("--seconds", type=float, help="how long each thing is repeated (3)")
    parser.add_argument("--minutes", type=float, default=8.0, help="for this call (8)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PATTERN",
        help="only these parts, such as 'roofline *'; those that failed are tried again",
    )  # fmt: skip
    parser.add_argument(
        "--write", action="store_true", help="keep what is found, and go on from what was kept"
    )
    parser.add_argument("--output", type=Path, help="where (benchmarks/results/gpu.json)")
    parser.add_argument("--smoke", action="store_true", help="a tiny net on a CPU: whether the program works")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    usual = (
        {"net": "robnet_small", "batch": [4, 2], "train_batch": 4, "seconds": 0.0} if options.smoke else
        {"net": "robnet_free", "batch": [512, 32], "train_batch": 256, "seconds": 3.0}
    )  # fmt: skip
    for name, value in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _forms(options: argparse.Namespace) -> Forms:
    return Forms(options.net, SMOKE_NET if options.smoke else {}, "cpu" if options.smoke else "cuda")


def _passed(options: argparse.Namespace) -> list[str]:
    """The options that the process that measures needs."""
    passed = ["--net", options.net, "--seconds", str(options.seconds)]
    return [*passed, "--smoke"] if options.smoke else passed


def _about(options: argparse.Namespace) -> dict[str, Any]:
    """What a measurement is of: others do not belong into one file with it."""
    device = "cpu" if options.smoke else torch.cuda.get_device_name()
    return {
        "device": device, "net": options.net, "batch": options.batch, "train batch": options.train_batch,
        "measured at": commit().removesuffix("-dirty"), **{package: version(package) for package in _packages()},
    }  # fmt: skip


def _packages() -> tuple[str, ...]:
    def there(package: str) -> bool:
        try:
            version(package)
        except PackageNotFoundError:
            return False
        return True

    return tuple(filter(there, ("torch", "triton")))


def _known(path: Path, about: Mapping[str, Any]) -> dict[str, Outcome]:
    """The parts that a file holds, if they were measured of the same."""
    if not path.is_file():
        return {}
    read = json.loads(path.read_text(encoding="utf-8"))
    differs = sorted(name for name, value in about.items() if read.get(name) != value)
    if differs:
        print(f"{path} is of another {', '.join(differs)}: beginning anew")
        return {}
    return dict(read["parts"])


def ratios(known: Mapping[str, Outcome]) -> Iterator[Row]:
    """Of every step what it is to the published form at its batch: how many times as fast, with what share of its memory."""
    for part, outcome in known.items():
        kind, *about = part.split(" ", 2)
        if kind not in ("step", "train"):
            continue
        base = known.get(f"{kind} {about[0]} published", {}).get("rows", [{}])[0]
        for row in outcome.get("rows", []):
            if "images/s" not in row or "images/s" not in base:
                continue
            found: Row = {
                "part": part, "graph": row["graph"], "times published": row["images/s"] / base["images/s"],
            }  # fmt: skip
            if "peak MB" in row and "peak MB" in base:
                found["share of memory"] = (
                    row["peak MB"] / row["fitting"] / (base["peak MB"] / base["fitting"])
                )
            yield found


def summary(known: Mapping[str, Outcome]) -> Iterator[str]:
    """The ratios as lines, and what failed."""
    for row in ratios(known):
        yield _line(row)
    failed = [part for part, outcome in known.items() if "error" in outcome]
    if failed:
        yield f"failed: {', '.join(failed)}"


def _line(row: Mapping[str, Any]) -> str:
    return "  ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
    )


if __name__ == "__main__":
    main()
