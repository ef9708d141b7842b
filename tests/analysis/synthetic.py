"""Banks made by a known rule: robust accuracy is a known function of alpha, and noise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import robdsl
from robdsl.graph.net import Net, Space

#: What the rule rewards and punishes, by source, target and operation; a cell that has none of them gets 0.4.
RULE = {
    ("x1", "n0", "sep_conv_3x3"): 0.06,
    ("n0", "n1", "sep_conv_3x3"): 0.05,
    ("n2", "n3", "sep_conv_3x3"): 0.04,
    ("x0", "n3", "skip"): -0.05,
}
EXAMPLES = 500


@dataclass(frozen=True)
class Made:
    """A bank and what it was made of."""

    frame: pd.DataFrame
    space: Space
    nets: tuple[Net, ...]


def bonus(net: Net) -> float:
    """The rule: the sum of `RULE` over what a net chose, the mean over its picks; read from the nets, not from codes."""
    found = []
    for pick, choice in zip(net.layout.picks, net.choices, strict=True):
        taken = {
            (edge.source, edge.target, edge.names[index])
            for edge, chosen in zip(pick.opens, choice, strict=True)
            for index in chosen
        }
        found.append(sum(value for what, value in RULE.items() if what in taken))
    return float(np.mean(found))


@cache
def made(
    name: str = "cell_based", count: int = 300, *, noise: float = 0.01, layers: int = 5, rule: bool = True
) -> Made:
    """A bank of ``count`` architectures, all evaluated; without the rule, accuracy is noise alone."""
    space = robdsl.load_space(name, width=4, layers=layers)
    nets = tuple(space.sample(seed) for seed in range(count))
    rng = np.random.default_rng(7)
    quality = np.array([bonus(net) for net in nets]) if rule else np.zeros(count)
    robust = np.clip(0.4 + quality + rng.normal(0, noise, count), 0, 1)
    inherited = np.clip(robust - 0.15 + rng.normal(0, noise, count), 0, 1)
    gap = 0.2 + rng.normal(0, 0.02, count)
    rows: list[dict[str, Any]] = []
    for index, net in enumerate(nets):
        cells = len(net.cells)
        # Only the last cell's distance has to do with the gap.
        fsp = [*rng.gamma(2, 1, cells - 1).tolist(), float(np.exp(20 * gap[index] + rng.normal(0, 0.2)))]
        rows.append(
            {
                "trial": index,
                "space": space.name,
                "parameters": json.dumps({"width": 4, "layers": layers}),
                "alpha": net.alpha,
                "hash": f"{index:064x}",
                "params": net.cost.params,
                "macs": net.cost.macs,
                "density": net.stats().density,
                "sampler": "random",
                "seed": 0,
                "state": "evaluated",
                "fsp": fsp,
                "natural_inherited": min(1.0, inherited[index] + 0.2),
                "robust_inherited": inherited[index],
                "natural_finetuned": min(1.0, robust[index] + gap[index]),
                "robust_finetuned": robust[index],
                "natural_scratch": None,
                "robust_scratch": None,
                "examples": EXAMPLES,
            }
        )
    return Made(pd.DataFrame(rows), space, nets)


def numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as floats."""
    return np.asarray(frame[name], dtype=np.float64)
