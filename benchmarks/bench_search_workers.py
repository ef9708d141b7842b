"""Sub-networks measured an hour by one worker process and by two, on one study each, in turn.

    python -m benchmarks.bench_search_workers [--trials N] [--rounds N]

Each worker computes with one thread. Cell-free on digits, width 4, 3 layers; PGD-5 on 72 held-out images, batch-norm
statistics on 144; the supernet is not trained, which makes no difference to the time. What is timed is the whole stage,
start of processes included.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import torch

from benchmarks.record import in_turn, ratio, write
from robdsl.data import load_data
from robdsl.files import file_hash
from robdsl.graph.load import load_space
from robdsl.search import Settings, Supernet, Targets, Worker, create_study
from robdsl.search.crew import Job, place_for, run_crew
from robdsl.search.space_file import plain_parameters
from robdsl.training import recipe_for
from robdsl.weights import save_weights


def prepared(folder: Path, trials: int) -> Path:
    """A study whose nets are drawn and whose supernet is there, untrained."""
    space = load_space("cell-free", width=4, layers=3)
    splits = [load_data("digits", None, "train"), load_data("digits", None, "val")]
    settings = Settings(
        space=space.name,
        parameters=plain_parameters(space),
        data="digits",
        data_hashes={each.split: each.split_hash for each in splits},
        supernet=recipe_for("digits", channels_last=True),
        finetune=None,
        norm_images=144,
        attack="pgd5",
        images=72,
        batch=72,
    )
    with create_study(folder, settings, space, Targets(trials=trials)) as study:
        Worker(study, place_for(settings, None, torch.device("cpu")), lambda event: None).run(("sample",))
        weights = folder / "supernet" / "last.safetensors"
        weights.parent.mkdir()
        save_weights(Supernet(space, 0), weights)
        study.set_attribute("supernet", {"weights": file_hash(weights), "seconds": 0.0})
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = prepared(Path(scratch) / "source", options.trials)
        made = 0

        def measure(workers: int) -> None:
            nonlocal made
            made += 1
            folder = Path(scratch) / f"run{made}"
            shutil.copytree(source, folder)
            run_crew(Job(folder, None, None, ("filter",), threads=1), workers, lambda: None)

        work = {"one": lambda: measure(1), "two": lambda: measure(2)}
        seconds = in_turn(work, options.rounds)
    hourly = {name: 3600 * options.trials / min(each) for name, each in seconds.items()}
    faster = ratio(seconds, "one", "two")
    for name, each in hourly.items():
        print(f"{name}: {each:,.0f} sub-networks an hour")
    print(f"two processes over one: {faster:.2f} times")
    path = write(
        "search_workers",
        {"trials": options.trials, "seconds": seconds, "per_hour": hourly, "two_over_one": faster},
        ("torch", "optuna"),
    )
    print(path)


if __name__ == "__main__":
    main()
