"""``history.jsonl``: one JSON object a line for every epoch, for other tools to read.

Fields: ``epoch`` (from 0), ``updates`` (of the weights, so far), ``rate`` (learning rate at the epoch's
end), ``loss`` and ``train_accuracy`` (over the images that the loss was taken on, augmented and, but for
natural training, attacked), then, in evaluation mode and under one and the same attack, ``train_natural``,
``train_robust``, ``val_natural`` and ``val_robust`` on ``train_images`` and ``val_images`` images, and
``robust_gap``, training minus validation: where it grows while ``val_robust`` falls, the net overfits
robustly. ``best_epoch`` is the best so far. ``seconds`` and ``images_per_second`` tell the speed; they
alone differ between equal runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from robdsl.evaluation import Json
from robdsl.files import append_line, write_atomic

TIMES = ("seconds", "images_per_second")
"""The fields that differ between equal runs."""


def restore_history(path: Path, records: Sequence[dict[str, Json]]) -> None:
    """Let the file hold just these records: lines of epochs that will be done again, or torn ones, go."""
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    if not path.is_file() or path.read_bytes() != text:
        write_atomic(path, text)


def add_to_history(path: Path, record: dict[str, Json]) -> None:
    """Add a line and wait until it is on disk."""
    append_line(path, json.dumps(record))
