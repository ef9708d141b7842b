"""How long the way from a file to a network takes, against making the same modules by hand, and how it grows.

    python -m benchmarks.bench_compile            about two minutes on two cores
    python -m benchmarks.bench_compile --write    keep the result in benchmarks/results/compile.json

`check` reads a file and reports its mistakes; `load` reads and elaborates it; `compile` makes the module of a
net that was just loaded; `emit` writes it as Python; `by hand` makes the same modules as a person would write
them (the oracle of tests/compiler). Everything compared runs in turn, round after round, in one process with one thread;
figures are medians over rounds, ratios the median of each round's.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import robdsl
from benchmarks.record import in_turn, ratio, seconds_of, write
from robdsl.compiler.emit import emit_text
from robdsl.resources import folder
from tests.compiler.plain_robnet import PlainRobNet

NET = "robnet_free"


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    results = {
        "first": _first(),
        "again": _again(options.rounds),
        "sampled": _sampled(options.nets),
        "growth": _growth(options.cells, options.rounds),
    }
    if options.write:
        print(f"\nwritten to {write('compile', results)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each thing is measured (7)")
    parser.add_argument("--nets", type=int, default=1000, help="how many sampled nets are loaded (1000)")
    parser.add_argument(
        "--cells", type=int, nargs="+", default=[20, 200, 2000], help="sizes of nets (20 200 2000)"
    )
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results/")
    return parser.parse_args()


def _file(name: str) -> Path:
    return folder("archs") / f"{name}.rob"


def _first() -> dict[str, float]:
    """Each step as a process meets it for the first time, grammar and shipped files unread."""
    took = {"load": seconds_of(partial(robdsl.load, _file(NET)))}
    net = robdsl.load(_file(NET))
    took["compile"] = seconds_of(partial(robdsl.compile, net))
    took["emit"] = seconds_of(partial(emit_text, net, "py"))
    print(f"{NET}, for the first time in a process")
    for step, seconds in took.items():
        print(f"  {step:8} {1000 * seconds:7.0f} ms")
    return took


def _again(rounds: int) -> dict[str, Any]:
    net = robdsl.load(_file(NET))
    seconds = in_turn(
        {
            "check": partial(robdsl.check_file, _file(NET)),
            "load": partial(robdsl.load, _file(NET)),
            "compile": _compiling(partial(robdsl.load, _file(NET)), rounds),
            "emit": partial(emit_text, net, "py"),
            "by hand": partial(PlainRobNet, net.alpha),
        },
        rounds,
    )
    print(f"\n{NET}, again")
    for step, each in seconds.items():
        print(f"  {step:8} {1000 * statistics.median(each):7.0f} ms")
    over = ratio(seconds, "compile", "by hand")
    print(
        f"  compiling takes {over:.2f} times as long as making the modules by hand (no more than 2 is the aim)"
    )
    medians = {step: statistics.median(each) for step, each in seconds.items()}
    return {"net": NET, "rounds": rounds, "seconds": medians, "compile_over_by_hand": over}


def _compiling(load: Callable[[], robdsl.Net], rounds: int) -> Callable[[], object]:
    """Compiles at each call a net that no one has compiled."""
    nets = [load() for _ in range(rounds)]
    return lambda: robdsl.compile(nets.pop())


def _sampled(count: int) -> dict[str, Any]:
    """Nets drawn from the cell-free space, each written out and then read, elaborated and checked as a text."""
    space = robdsl.load_space("cell_free")
    rng = random.Random(0)
    texts = [robdsl.format(space.sample(rng)) for _ in range(count)]
    seconds = seconds_of(lambda: [robdsl.load(text) for text in texts])
    each = 1000 * seconds / count
    print(f"\n{count} sampled cell-free nets loaded from text: {seconds:.1f} s, {each:.1f} ms each")
    return {"nets": count, "seconds": seconds}


def _growth(sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """Nets of one cell repeated, in which everything should take time in proportion to the cells."""
    print("\n   cells      load   compile      emit   (milliseconds a cell)")
    rows = []
    for cells in sizes:
        count = max(1, rounds * sizes[0] // cells)
        load = partial(robdsl.load, "robnet_large", width=4, layers=cells)
        seconds = in_turn(
            {"load": load, "compile": _compiling(load, count), "emit": partial(emit_text, load(), "py")},
            count,
        )
        medians = {step: statistics.median(each) for step, each in seconds.items()}
        print(f"{cells:8}" + "".join(f"{1000 * each / cells:10.2f}" for each in medians.values()))
        rows.append({"cells": cells, "seconds": medians})
    return rows


if __name__ == "__main__":
    main()
