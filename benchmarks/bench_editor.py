"""How long an editor waits for answers about robnet_free, and how long the server needs for a keystroke.

    python -m benchmarks.bench_editor            about a minute on two cores
    python -m benchmarks.bench_editor --write    keep the result in benchmarks/results/editor.json

The server runs in a process of its own and is asked over its protocol (the client of tests/editor). A keystroke is a
change of one character followed by the question named; its time is that from sending the change to having the answer, with
all that the server does in between: reading, checking and elaborating the text anew, and sending its mistakes.
Figures are medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.record import write
from robdsl.resources import folder
from tests.editor.client import Client, place

NET = "robnet_free"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / f"{NET}.rob"
        text = (folder("archs") / f"{NET}.rob").read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        with Client(Path(made)) as client:
            results = _measured(client, client.open(path), text, options.rounds)
    print(f"{NET}: from a keystroke to the answer, medians of {options.rounds}")
    for question, seconds in results.items():
        print(f"  {question:12} {1000 * seconds:7.1f} ms")
    if options.write:
        print(f"\nwritten to {write('editor', {'net': NET, 'rounds': options.rounds, 'seconds': results})}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30, help="how many keystrokes for each question (30)")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results/")
    return parser.parse_args()


def _measured(client: Client, uri: str, text: str, rounds: int) -> dict[str, float]:
    line, character = place(text, "pick 7 = ")
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": text.count("\n"), "character": 0}}
    questions: dict[str, Callable[[], object]] = {
        "problems": lambda: client.problems(uri),
        "hover": lambda: client.about("hover", uri, line, character + 5),
        "completion": lambda: client.about("completion", uri, line, character + 5),
        "hints": lambda: client.ask("textDocument/inlayHint", textDocument={"uri": uri}, range=whole),
    }
    taken: dict[str, list[float]] = {question: [] for question in questions}
    for turn in range(rounds):
        for question, ask in questions.items():
            bit = str((turn + len(taken[question])) % 2)
            at = {"line": line, "character": character + len("pick 7 = ")}
            end = {"line": line, "character": at["character"] + 1}
            begun = time.perf_counter()
            client.change(uri, {"range": {"start": at, "end": end}, "text": bit})
            ask()
            taken[question].append(time.perf_counter() - begun)
    return {question: statistics.median(times) for question, times in taken.items()}


if __name__ == "__main__":
    main()
