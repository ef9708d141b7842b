"""The page of results: what the committed files of measurements say, and nothing else.

python -m benchmarks.page            writes docs/results.md
python -m benchmarks.page --check    status 1 if it is not up to date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "results.md"

HEAD = """\
# Results

Written by `python -m benchmarks.page` from the files in `benchmarks/results/`; edit neither by hand. Ratios are between
things that ran in turn, in one process, on the machine that is named: medians over rounds of each round's ratio, which
need not be the ratio of the medians beside them. Nothing was measured on a GPU yet:
`python -m benchmarks.bench_gpu` is ready to run on one. The digits version of the paper's tables is
`benchmarks/results/tables_digits.md`.
"""


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for title, name, body in (
        ("A step of an attack on RobNet-free", "passes_attack", _passes),
        ("A step of training RobNet-free", "passes_training", _passes_training),
        ("RobNets frozen, one thread", "passes_nets_robnets_1", _passes_nets),
        ("RobNets frozen, two threads", "passes_nets_robnets_2", _passes_nets),
        ("Other nets frozen, one thread", "passes_nets_others_1", _passes_nets),
        ("Other nets frozen, two threads", "passes_nets_others_2", _passes_nets),
        (
            "RobNet-free with every cell through torch.compile, one thread",
            "passes_inductor_1",
            _passes_inductor,
        ),
        (
            "RobNet-free with every cell through torch.compile, two threads",
            "passes_inductor_2",
            _passes_inductor,
        ),
        ("What the passes for torch.compile are worth", "passes_cells", _passes_cells),
        ("From a file to a network", "compile", _compile),
        ("Attacks beside three libraries", "attacks_small_cpu", _attacks),
        ("PGD on RobNet-free beside three libraries", "attacks_robnet_free_cpu", _attacks),
        ("Training beside a plain loop", "training", _training),
        ("How strong the attacks are", "strength", _strength),
        ("What a search of digits finds", "demo_search", _demo_search),
        ("The supernet", "supernet_w4_l3_cpu", _supernet),
    ):
        record = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        versions = ", ".join(f"{package} {version}" for package, version in record["versions"].items())
        about = f"`{record['command']}`, {record['date'][:10]}, {record['machine']}, {versions}."
        parts.append("\n".join([f"## {title}", "", about, "", *body(record), ""]))
    return "\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| --- |" + " ---: |" * (len(head) - 1)
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def _passes(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Forward pass and gradient to the images, float32, evaluation mode, median of {record['rounds']} rounds."
    for run in record["runs"]:
        yield ""
        yield f"Batch {run['batch']}, threads: {run['threads']}; frozen in {run['ready']:.1f} s."
        yield ""
        rows = _milliseconds(run["seconds"], {**run["frozen_over"], "frozen": 1})
        yield from _table(["form", "ms", "frozen is faster by"], rows)


def _passes_training(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Forward pass, gradients to the parameters, SGD, float32, median of {record['rounds']} rounds."
    for run in record["runs"]:
        yield ""
        over = run["compile_over_published"]
        yield f"Batch {run['batch']}, threads: {run['threads']}; compiled is faster than published by {over:.2f}."
        yield ""
        yield from _table(["form", "ms"], _milliseconds(run["seconds"]))


def _passes_nets(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"A step of an attack as above, median of {record['rounds']} rounds; the ratios are to plain."
    yield ""
    rows = []
    for each in (each for run in record["runs"] for each in run["nets"]):
        over, plain = each["frozen_over"], 1000 * each["seconds"]["plain"]
        compiled = over["plain"] / over["compile"]
        rows.append(
            [each["net"], str(each["batch"]), f"{plain:.0f}", f"{compiled:.2f}", f"{over['plain']:.2f}"]
        )
    yield from _table(["net", "batch", "plain, ms", "compiled", "frozen"], rows)


def _passes_inductor(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"A step of an attack as above, median of {record['rounds']} rounds; nothing was compiled before."
    for run in record["runs"]:
        yield ""
        yield f"Batch {run['batch']}, threads: {run['threads']}; compiled in {run['ready']:.0f} s."
        yield ""
        rows = _milliseconds(run["seconds"], run["compiled_over"])
        yield from _table(["form", "ms", "compiled is faster by"], rows)


def _passes_cells(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"One cell, forward and back to what it is given, float32, ms, median of {record['rounds']} rounds."
    for run in record["runs"]:
        yield ""
        yield f"Batch {run['batch']}, threads: {run['threads']}."
        yield ""
        cells = run["cells"]
        forms = next(iter(cells.values()))
        rows = [[form, *(f"{1000 * seconds[form]:.0f}" for seconds in cells.values())] for form in forms]
        yield from _table(["form", *cells], rows)


def _milliseconds(seconds: Mapping[str, float], beside: Mapping[str, float] | None = None) -> list[list[str]]:
    """A row for each form: its time, and a ratio beside it."""
    return [
        [name, f"{1000 * each:.0f}", *([] if beside is None else [f"{beside[name]:.2f}"])]
        for name, each in seconds.items()
    ]


def _compile(record: Mapping[str, Any]) -> Iterator[str]:
    again, sampled = record["again"], record["sampled"]
    rows = [[name, f"{1000 * seconds:.0f}"] for name, seconds in again["seconds"].items()]
    yield from _table([again["net"], "ms"], rows)
    yield ""
    yield (
        f"Compiling takes {again['compile_over_by_hand']:.2f} times as long as making the same modules by hand. "
        f"{sampled['nets']} sampled cell-free nets load in {sampled['seconds']:.1f} s."
    )
    yield ""
    rows = [
        [str(each["cells"]), *(f"{each['seconds'][name]:.2f}" for name in ("load", "compile", "emit"))]
        for each in record["growth"]
    ]
    yield from _table(["cells", "load, s", "compile, s", "emit, s"], rows)


def _attacks(record: Mapping[str, Any]) -> Iterator[str]:
    own = record["pgd_over_own_passes"]
    yield (
        f"Net: {record['net']}, batch {record['batch']}, PGD-{record['steps']}. "
        f"Ours takes {own['ratio']:.3f} times its own forward and backward passes, which are {own['pass_ms']:.1f} ms each."
    )
    yield ""
    rows = [
        [name, f"{each['images_per_second']:.3g}", f"{each['time_to_robdsl']:.2f}"]
        for name, each in record["pgd"].items()
    ]
    yield from _table(["library", "images a second", "time to ours"], rows)
    if "autoattack" not in record:
        return
    yield ""
    yield (
        f"AutoAttack's four attacks with {record['auto_steps']} steps and {record['queries']} queries, budget 8/255, on 32 "
        "images and the same small net trained against PGD. ART has neither targeted APGD nor FAB, and foolbox none of it."
    )
    yield ""
    rows = [
        [
            name,
            f"{each['images_per_second']:.1f}",
            f"{each['time_to_robdsl']:.2f}",
            f"{100 * each['robust_accuracy']:.1f}",
        ]
        for name, each in record["autoattack"].items()
    ]
    yield from _table(["library", "images a second", "time to ours", "robust accuracy left, %"], rows)


def _training(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"{record['net']} with {record['params']:,} parameters, {record['images']} images, batch {record['batch']}."
    yield ""
    rows = []
    for method in ("natural", "pgd"):
        speed = record[method]["images_per_second"]
        rows.append(
            [
                method,
                f"{speed['train']:.0f}",
                f"{speed['loop']:.0f}",
                f"{record[method]['train_over_loop']:.2f}",
            ]
        )
    yield from _table(["method", "images a second", "plain loop", "time to the loop's"], rows)


def _strength(record: Mapping[str, Any]) -> Iterator[str]:
    libraries = list(record["rows"][0]["theirs"])
    yield "On identical images; fooled: more is stronger; mean distance: less is stronger."
    yield ""
    rows = []
    for each in record["rows"]:
        theirs = ["-" if each["theirs"][name] is None else str(each["theirs"][name]) for name in libraries]
        rows.append([f"{each['attack']}, {each['net']} net", each["measure"], str(each["ours"]), *theirs])
    yield from _table(["attack", "measure", "ours", *libraries], rows)


def _demo_search(record: Mapping[str, Any]) -> Iterator[str]:
    def points(mean: float, low: float, high: float) -> str:
        return f"{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})"

    yield (
        "`make demo-search`, then the command above, which reads what it left. Robust accuracy from scratch, in "
        "per cent, of the best of a search and of those around its median, with 95% intervals over architectures; "
        "the protocol is in [Searching](search.md)."
    )
    yield ""
    rows = []
    for space, each in record["spaces"].items():
        groups = [each["compared"][name] for name in ("best", "median")]
        told = [points(group["mean"], group["low"], group["high"]) for group in groups]
        rows.append(
            [
                space,
                str(groups[0]["count"]),
                *told,
                points(*(each["compared"][n] for n in ("difference", "low", "high"))),
            ]
        )
    yield from _table(["space", "nets a side", "best", "median", "difference, points"], rows)
    yield ""
    rows = []
    for space, each in record["spaces"].items():
        taus = each["correlations"].items()
        told = [
            f"{tau['tau']:.2f} ({tau['low']:.2f} to {tau['high']:.2f}), {tau['count']} nets"
            for _, tau in taus
        ]
        rows.append([space, *told])
    pairs = next(iter(record["spaces"].values()))["correlations"]
    yield from _table(["Kendall's tau", *(pair.replace("-", " and ") for pair in pairs)], rows)


def _supernet(record: Mapping[str, Any]) -> Iterator[str]:
    step, evaluated = record["step"], record["evaluation"]
    space = (
        f"{record['space']}, width {record['parameters']['width']}, {record['parameters']['layers']} layers"
    )
    yield (
        f"{space}. A step of adversarial training with another sub-network each time takes "
        f"{step['supernet_over_plain']:.3f} times the step of that sub-network compiled alone "
        f"({step['plain_ms']:.0f} ms, {step['pairs']} pairs)."
    )
    yield ""
    yield (
        f"Sub-networks evaluated an hour: {evaluated['search_per_hour']:,.0f}, and {evaluated['naive_per_hour']:,.0f} "
        f"where each is built and attacked unfrozen: {evaluated['ratio']:.2f} times as many."
    )
    if "scaling" in record:
        scaling = record["scaling"]
        yield ""
        yield (
            f"Images a second in training: {scaling['1']:.1f} on one process with one thread, {scaling['2']:.1f} on two: "
            f"{scaling['ratio']:.2f} times. The processes meet at every batch norm, forward and backward, about a thousand "
            "times a step: for nets as small as this one process is faster."
        )


def main() -> int:
    """Writes the page, or looks whether it is up to date."""
    text = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        print("up to date" if same else f"{PAGE.name} is not up to date: python -m benchmarks.page")
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
