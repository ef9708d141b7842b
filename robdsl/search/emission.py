"""The architectures that a study found, as ``.rob`` files that carry their facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from robdsl.files import write_atomic
from robdsl.graph.layout import MetaValue
from robdsl.graph.net import Net
from robdsl.graph.writer import format_net
from robdsl.search.choosing import ranked
from robdsl.search.study import Study, locked

_FOLDER = "emitted"


def emit(study: Study, count: int = 10) -> list[Path]:
    """Write the best architectures to ``emitted/`` in the study's folder; those that are no longer among them go.

    Args:
        study: may be open for reading only, and others may work on it.
        count: how many.

    Returns:
        The files, the best first.
    """
    folder = study.folder / _FOLDER
    paths = []
    with locked(study.folder):  # of two that write at once, the one that looked last has the last word
        folder.mkdir(exist_ok=True)
        for row in ranked(study.rows())[:count]:
            path = folder / f"trial_{row['trial']:04d}.rob"
            write_atomic(path, format_net(described(study, row)).encode())
            paths.append(path)
        for old in folder.glob("trial_*.rob"):
            if old not in paths:
                old.unlink(missing_ok=True)
    return paths


def described(study: Study, row: Mapping[str, Any]) -> Net:
    """The architecture of a row, with what is known of it as ``meta``."""
    net = study.space.net(row["alpha"], f"trial_{row['trial']:04d}")
    return replace(net, meta=dict(_facts(study, row)))


def _facts(study: Study, row: Mapping[str, Any]) -> dict[str, MetaValue]:
    settings = study.settings
    facts: dict[str, MetaValue] = {
        "study": study.name if study.name != "search" else study.folder.absolute().name,
        "trial": row["trial"],
        "sampler": settings.sampler
        if settings.budget is None
        else f"{settings.sampler}, {settings.budget} budget",
        "seed": settings.seed,
        "supernet_seed": settings.supernet.seed,
        "data": settings.data,
        "attack": f"{settings.attack}, eps {settings.eps}, step {settings.step_size}",
        "params": row["params"],
        "macs": row["macs"],
        "hash": row["hash"],
    }
    for name in ("finetune_seed", "scratch_seed"):
        if row.get(name) is not None:
            facts[name] = row[name]
    examples = row.get("examples")
    if examples:
        facts["examples"] = examples
        for when in ("inherited", "finetuned", "scratch"):
            for kind in ("natural", "robust"):
                share = row.get(f"{kind}_{when}")
                if share is not None:
                    facts[f"{kind}_{when}"] = share
                    facts[f"{kind}_{when}_correct"] = round(share * examples)
    if row.get("fsp"):
        facts["fsp"] = " ".join(f"{each:.6g}" for each in row["fsp"])
    return facts
