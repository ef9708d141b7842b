"""Tables 1, 2 and 4: train every net, attack it, attack it with images made on an independent copy.

Each step keeps what it has found in its own folder, so the whole goes on after any interruption.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robdsl.attacks import PGD, Attack
from robdsl.compiler import compile, freeze
from robdsl.data import Data, Ranks, load_data
from robdsl.evaluation import PAPER_COLUMNS, EvaluationProgress, Report, evaluate
from robdsl.files import write_atomic
from robdsl.graph.net import Net
from robdsl.graph.writer import format_net
from robdsl.reproduction.rows import Row, Version
from robdsl.training import Event, recipe_for, train
from robdsl.weights import load_weights

#: The attacks of Table 1, and those of Table 2.
ATTACKS: tuple[str, ...] = PAPER_COLUMNS
TRANSFER: tuple[str, ...] = ("fgsm", "pgd100")


@dataclass(frozen=True)
class RowEvent:
    """Something happened while a row was made.

    Attributes:
        row: the name of the net.
        what: ``training``, ``training a copy``, ``attacking`` or ``transfer``.
        event: the event of the training or evaluation.
    """

    row: str
    what: str
    event: Event | EvaluationProgress


@dataclass(frozen=True)
class Tables:
    """The finished tables.

    Attributes:
        data: the data set's name.
        settings: the seed and what every recipe has different from the data set's.
        images: how many test images were attacked.
        frozen: whether frozen models were attacked.
        rows: for each net its ``net``, ``parameters``, ``params``, ``tables``, what its ``recipe`` has different from
            ``settings``, and of ``white_box`` and ``black_box`` the accuracies in per cent, by attack; ``natural`` is
            among the white-box ones, and so is PGD-20 under the harder budget, where there is one.
        harder: the label of that column, or None.
    """

    data: str
    settings: Mapping[str, Any]
    images: int
    frozen: bool
    rows: tuple[Mapping[str, Any], ...]
    harder: str | None = None

    def markdown(self) -> str:
        """The tables as a Markdown page."""
        label = "" if self.data != "digits" else " (digits version: nets far smaller than the paper's)"
        said = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        parts = [
            f"# The tables of the paper on {self.data}{label}",
            "",
            f"Trained by the recipe for {self.data} with {said}.",
            *self._own_recipes(),
            f"Accuracies in per cent of {self.images:,} test images, under attacks of 8/255 where the column does not say"
            f" otherwise, {'frozen' if self.frozen else 'compiled'} models attacked.",
            "",
        ]
        columns = ["natural", *ATTACKS, *([] if self.harder is None else [self.harder])]
        parts += self._table("Table 1: white-box", 1, columns, "white_box")
        parts += self._table(
            "Table 2: black-box, from an independently trained copy", 2, list(TRANSFER), "black_box"
        )
        parts += self._table("Table 4: feature denoising", 4, ["natural", "pgd100"], "white_box")
        return "\n".join(parts)

    def _table(self, title: str, number: int, columns: list[str], kind: str) -> list[str]:
        lines = [f"## {title}", "", "| net | parameters | " + " | ".join(columns) + " |"]
        lines.append("| --- | ---: |" + " ---: |" * len(columns))
        for row in self.rows:
            if number in row["tables"]:
                shown = ", ".join(f"{name}={value}" for name, value in row["parameters"].items())
                name = f"{row['net']}({shown})" if shown else row["net"]
                cells = [f"{row[kind][column]:.2f}" for column in columns]
                lines.append(f"| {name} | {row['params']:,} | " + " | ".join(cells) + " |")
        return [*lines, ""]

    def _own_recipes(self) -> list[str]:
        """What some rows were trained with that others were not, a sentence for each kind of it."""
        kinds: dict[str, list[str]] = {}
        for row in self.rows:
            if row["recipe"]:
                said = ", ".join(f"{name} {value}" for name, value in row["recipe"].items())
                kinds.setdefault(said, []).append(row["net"])
        return [f"With {said}: {', '.join(nets)}." for said, nets in kinds.items()]

    def to_json(self) -> dict[str, Any]:
        """The tables as plain data."""
        return {
            "data": self.data,
            "settings": dict(self.settings),
            "images": self.images,
            "frozen": self.frozen,
            "harder": self.harder,
            "rows": [dict(row) for row in self.rows],
        }


def make_tables(
    version: Version,
    data: str,
    folder: Path,
    *,
    root: Path | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    frozen: bool = True,
    events: Callable[[RowEvent], None] | None = None,
    command: str | None = None,
) -> Tables:
    """Makes every row, or goes on with making them, and writes ``tables.md`` and ``tables.json`` into ``folder``.

    Args:
        version: the nets, how they are trained, how much is attacked; see `version_for`.
        data: a data set's name.
        folder: for runs, findings and the tables.
        root: where data lie.
        device: what to run on.
        seed: of the rows; their independent copies are trained with the next one.
        changes: what every recipe has different; they win over the version's and the rows'.
        frozen: attack frozen models, as `robdsl attack` does: the same function in half the time or less, with logits and
            gradients that differ in their last digits. Each evaluation's manifest says which it was.
        events: called with all events of trainings and evaluations.
        command: the command line, for the manifests.
    """
    settings = {**version.recipe, **(changes or {})}
    test = load_data(data, root, "test")
    test = test if version.images is None else test.take(version.images)
    harder = None if version.harder is None else _harder_pgd(version.harder)
    maker = _Maker(
        data,
        test,
        folder,
        root,
        torch.device(device),
        seed,
        version.recipe,
        changes or {},
        harder,
        frozen,
        events,
        command,
    )
    made = tuple(maker.row(row) for row in version.rows)
    label = None if harder is None else _label(harder)
    tables = Tables(data, {"seed": seed, **settings}, len(test), frozen, made, label)
    if Ranks.current().is_first:
        write_atomic(folder / "tables.json", json.dumps(tables.to_json(), indent=2).encode())
        write_atomic(folder / "tables.md", tables.markdown().encode())
    return tables


@dataclass(frozen=True)
class _Maker:
    data: str
    test: Data
    folder: Path
    root: Path | None
    device: torch.device
    seed: int
    recipe: Mapping[str, Any]
    changes: Mapping[str, Any]
    harder: Attack | None
    frozen: bool
    events: Callable[[RowEvent], None] | None
    command: str | None

    def row(self, row: Row) -> dict[str, Any]:
        """Trains and attacks one net, and its copy where Table 2 wants one."""
        net = row.load(len(self.test.classes))
        model = self._trained(row, net, self.seed, "training")
        report = self._attacked(row, net, model, None, ATTACKS, "attacking")
        made: dict[str, Any] = {
            "net": row.name,
            "parameters": dict(row.parameters),
            "params": net.cost.params,
            "hash": net.hash,
            "tables": sorted(row.tables),
            "recipe": {name: value for name, value in row.recipe.items() if name not in self.changes},
            "white_box": {"natural": 100 * report.natural.share, **_shares(report)},
            "counts": {each.name: each.adversarial.to_json() for each in report.attacks},
        }
        if self.harder is not None and 1 in row.tables:
            harder = self._attacked(row, net, model, None, [self.harder], "attacking").attacks[0]
            made["white_box"][_label(self.harder)] = 100 * harder.adversarial.share
            made["counts"][_label(self.harder)] = harder.adversarial.to_json()
        if 2 in row.tables:
            copy = self._trained(row, net, self.seed + 1, "training a copy")
            made["black_box"] = _shares(self._attacked(row, net, model, copy, TRANSFER, "transfer"))
        return made

    def _trained(self, row: Row, net: Net, seed: int, what: str) -> nn.Module:
        recipe = recipe_for(self.data, **{**self.recipe, **row.recipe, **self.changes, "seed": seed})
        result = train(
            compile(net, seed=seed).to(self.device),
            load_data(self.data, self.root, "train"),
            load_data(self.data, self.root, "val"),
            recipe,
            self.folder / f"{row.name}-{seed}",
            events=self._listener(row, what),
            architecture=format_net(net),
            command=self.command,
        )
        model = compile(net)
        load_weights(model, result.best)
        if recipe.channels_last:
            model.to(memory_format=torch.channels_last)
        model = model.to(self.device).eval()
        return freeze(model) if self.frozen else model

    def _attacked(
        self,
        row: Row,
        net: Net,
        model: nn.Module,
        source: nn.Module | None,
        attacks: Sequence[Attack | str],
        what: str,
    ) -> Report:
        return evaluate(
            model,
            self.test,
            attacks,
            source=source,
            seed=self.seed,
            folder=self.folder / f"{row.name}-{self.seed}",
            events=self._listener(row, what),
            architecture=format_net(net),
            command=self.command,
        )

    def _listener(self, row: Row, what: str) -> Callable[[Any], None] | None:
        events = self.events
        return None if events is None else lambda event: events(RowEvent(row.name, what, event))


def _harder_pgd(eps: Fraction) -> Attack:
    """PGD-20 under another budget, with steps of a quarter of it, as the paper's are."""
    return PGD(eps=eps, step_size=eps / 4, steps=20)


def _label(attack: Attack) -> str:
    return f"{attack.name} at {attack.describe()['eps']}"


def _shares(report: Report) -> dict[str, float]:
    return {each.name: 100 * each.adversarial.share for each in report.attacks}
