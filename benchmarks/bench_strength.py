"""How strong DeepFool, C&W and AutoAttack are beside the same attacks of other libraries, on identical examples.

    python -m benchmarks.bench_strength            some minutes on two cores
    python -m benchmarks.bench_strength --write    keep the table in benchmarks/results/strength.json and strength.md

Two small nets for 8 x 8 digits are trained, one naturally and one against PGD. Every library attacks the same test
images of each net, with the same settings, through the one interface that counts and re-projects for all of them. Counts
are of images that fool the net, more is stronger; C&W in L2 is judged by its mean distance, where less is stronger and an
image that a library does not fool counts with the largest distance that ours needed. A dash: no such attack. (The margin
loss under PGD, as robustness papers report C&W, none of them has.)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from benchmarks.record import RESULTS, write
from robdsl.attacks import (
    BACKENDS,
    CWL2,
    Attack,
    AutoAttack,
    DeepFool,
    UnsupportedAttackError,
    get_backend,
)
from robdsl.files import write_atomic
from tests.attacks.nets import digits, seeded, train_digits


@dataclass(frozen=True)
class Row:
    """One attack on one net in all libraries; a figure is None where the library has no such attack."""

    net: str
    attack: str
    measure: str
    images: int
    ours: float
    theirs: dict[str, float | None]

    @property
    def holds(self) -> bool:
        """Whether ours is at least as strong as the best of the others, to a hundredth of a distance."""
        found = [each for each in self.theirs.values() if each is not None]
        if self.measure == "fooled":
            return self.ours >= max(found)
        return self.ours <= 1.01 * min(found)


def main() -> None:
    options = _options()
    nets = {"natural": train_digits(eps=0, epochs=6), "robust": train_digits(eps=0.15, epochs=8)}
    images, labels = digits(options.images)
    rows = []
    for name, net in nets.items():
        for label, attack in attacks(options.steps, options.queries):
            rows.append(measure(name, net, label, attack, images, labels))
            print(_line(rows[-1]), flush=True)
    weaker = [row for row in rows if not row.holds]
    print(f"\nours is at least as strong as the best in {len(rows) - len(weaker)} of {len(rows)} rows")
    if options.write:
        record = [{**vars(row), "holds": row.holds} for row in rows]
        path = write(
            "strength",
            {"rows": record},
            ("torch", "torchattacks", "foolbox", "adversarial-robustness-toolbox"),
        )
        write_atomic(RESULTS / "strength.md", table(rows).encode())
        print(f"written to {path}")


def attacks(steps: int, queries: int) -> list[tuple[str, Attack]]:
    """What is compared, each with a label that tells its settings."""
    chosen: list[tuple[str, Attack]] = []
    for eps in ("8/255", "0.15"):
        chosen.append((f"DeepFool, eps {eps}", DeepFool(eps=eps)))
        chosen.append((f"AutoAttack, eps {eps}", AutoAttack(eps=eps, steps=steps, queries=queries)))
    search = CWL2(steps=100, binary_search_steps=4, initial_constant=0.1, learning_rate=0.05)
    return [*chosen, ("C&W in L2", search)]


def measure(net: str, model: nn.Module, label: str, attack: Attack, images: Tensor, labels: Tensor) -> Row:
    """One attack on one net, by us and by every library that has it."""
    ours = attack(model, images, labels, generator=seeded())
    distances = (ours.images - images).flatten(1).norm(dim=1)
    farthest = distances.max()
    by_distance = isinstance(attack, CWL2)
    theirs: dict[str, float | None] = {}
    for backend in BACKENDS:
        try:
            result = get_backend(backend).adapt(attack)(model, images, labels, generator=seeded())
        except UnsupportedAttackError:
            theirs[backend] = None
            continue
        lengths = (result.images - images).flatten(1).norm(dim=1)
        lengths[~result.success] = farthest
        theirs[backend] = round(float(lengths.mean()), 4) if by_distance else int(result.success.sum())
    own = round(float(distances.mean()), 4) if by_distance else int(ours.success.sum())
    return Row(net, label, "mean distance" if by_distance else "fooled", len(images), own, theirs)


def table(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    head = f"| net | attack | measure | ours | {' | '.join(BACKENDS)} |"
    lines = [head, "| --- | --- | --- | ---: |" + " ---: |" * len(BACKENDS)]
    return "\n".join([*lines, *(_line(row) for row in rows)]) + "\n"


def _line(row: Row) -> str:
    of = f"fooled of {row.images}" if row.measure == "fooled" else row.measure
    others = ["-" if each is None else f"{each:g}" for each in row.theirs.values()]
    return "| " + " | ".join([row.net, row.attack, of, f"{row.ours:g}", *others]) + " |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=64, help="(64)")
    parser.add_argument("--steps", type=int, default=30, help="of AutoAttack's gradient attacks (30)")
    parser.add_argument("--queries", type=int, default=100, help="of AutoAttack's Square (100)")
    parser.add_argument("--write", action="store_true", help="keep the result in benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
