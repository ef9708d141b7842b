"""What decides the results of a study, as one value that its folder keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from robdsl.attacks import parse_attacks, to_fraction
from robdsl.evaluation import Json
from robdsl.files import write_atomic
from robdsl.search.errors import SearchError
from robdsl.training import Recipe

SamplerName = Literal["random", "budget", "nsga2", "tpe", "predictor"]
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)
ADAPTIVE: frozenset[str] = frozenset({"nsga2", "tpe", "predictor"})
"""The samplers whose proposals depend on results."""

FilterName = Literal["none", "quantile", "value"]
_VERSION = 1
_MAX_FILE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides what a study finds, apart from how far it is taken (`Targets`) and the machine.

    Attributes:
        space: the space's name; its text lies beside the settings.
        parameters: those of the space.
        data: name of the data set.
        data_hashes: of the splits that take part, by their names.
        val_fraction: how much of the training images is held out, in (0, 1).
        seed: of every draw.
        sampler: how architectures are proposed.
        budget: "small", "medium" or "large" of the paper's strategy under a budget; None for the whole space.
        operation: what a budget counts.
        against: what NSGA-II weighs robust accuracy against: "params" or "macs".
        supernet: the recipe that the supernet is trained by.
        paths: the distribution that its sub-networks are drawn from while it trains.
        finetune: the recipe for inherited weights; None judges them as they are.
        norm_images: training images that batch-norm statistics are recomputed on.
        attack: the attack of every robust accuracy, such as "pgd20".
        eps: its budget, an exact fraction.
        step_size: its step.
        images: at most how many held-out images accuracies are counted on.
        batch: images in a batch of an evaluation; part of what random draws depend on.
        filter: whether FSP rejects: not at all, the worst quantile, or above a value.
        threshold: that quantile, in [0, 1), or value.
        deeper: the share of a net's cells, the deepest, whose mean FSP distance is compared, in (0, 1].
    """

    space: str
    parameters: Mapping[str, Json]
    data: str
    data_hashes: Mapping[str, str]
    val_fraction: float = 0.1
    seed: int = 0
    sampler: SamplerName = "random"
    budget: str | None = None
    operation: str = "sep_conv_3x3"
    against: Literal["params", "macs"] = "params"
    supernet: Recipe
    paths: str = "uniform"
    finetune: Recipe | None
    norm_images: int = 1024
    attack: str = "pgd20"
    eps: Fraction = Fraction(8, 255)
    step_size: Fraction = Fraction(2, 255)
    images: int = 1000
    batch: int = 250
    filter: FilterName = "none"
    threshold: float = 0.0
    deeper: float = 0.5

    def __post_init__(self) -> None:
        for name in ("eps", "step_size"):
            object.__setattr__(self, name, to_fraction(getattr(self, name)))  # normalizes a frozen field
        _among(self.sampler, SAMPLERS, "sampler")
        _among(self.filter, get_args(FilterName), "filter")
        _among(self.against, ("params", "macs"), "against")
        if len(parse_attacks(self.attack)) != 1:
            raise ValueError(f"a study judges by one attack, not by {self.attack}")
        for name in ("norm_images", "images", "batch"):
            _in_range(name, getattr(self, name), 1, 10**9)
        if not 0 < self.val_fraction < 1:
            raise ValueError(f"the share of images held out lies in (0, 1), not at {self.val_fraction}")
        if self.sampler == "budget" and self.budget is None:
            raise ValueError("the budget sampler needs a budget: small, medium or large")
        if not 0 < self.deeper <= 1:
            raise ValueError(f"deeper is a share of the cells, in (0, 1], not {self.deeper}")
        if self.filter == "quantile" and not 0 <= self.threshold < 1:
            raise ValueError(f"a quantile lies in [0, 1), not at {self.threshold}")
        if self.filter == "quantile" and self.adaptive:
            raise ValueError(
                f"the {self.sampler} sampler proposes by what was found before, when a quantile is not yet known: "
                "filter by a value"
            )

    @property
    def adaptive(self) -> bool:
        """Whether proposals depend on results."""
        return self.sampler in ADAPTIVE

    @property
    def directions(self) -> tuple[str, ...]:
        """Of the objectives: robust accuracy, and for NSGA-II what it is weighed against."""
        return ("maximize", "minimize") if self.sampler == "nsga2" else ("maximize",)

    def to_json(self) -> dict[str, Json]:
        """The settings as plain data."""
        plain: dict[str, Json] = {"version": _VERSION}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Recipe):
                value = value.describe()
            elif isinstance(value, Fraction):
                value = str(value)
            plain[field.name] = value
        return plain

    @classmethod
    def from_json(cls, plain: Any) -> Settings:
        """The settings that plain data stand for.

        Raises:
            SearchError: they stand for none.
        """
        if not isinstance(plain, dict) or plain.get("version") != _VERSION:
            raise SearchError("these are no settings of a study that this version of robdsl knows")
        given = {name: value for name, value in plain.items() if name != "version"}
        try:
            for name in ("supernet", "finetune"):
                given[name] = Recipe(**given[name]) if name == "supernet" or given[name] else None
            return cls(**given)
        except (TypeError, ValueError, KeyError, ZeroDivisionError, OverflowError) as error:
            raise SearchError(f"these are no settings of a study: {error}") from None

    def differences(self, other: Settings) -> list[str]:
        """What is different in ``other``, in words; empty where nothing is."""
        return list(_differences(self.to_json(), other.to_json(), ""))


@dataclass(frozen=True, kw_only=True)
class Targets:
    """How far a study is taken; may grow.

    Attributes:
        trials: architectures to draw.
        finetune: how many of those that the filter leaves are finetuned; None for all.
        choose: which ones: "first" by trial, an unbiased sample, or "best" by robust accuracy with inherited weights.
    """

    trials: int = 1000
    finetune: int | None = None
    choose: Literal["first", "best"] = "first"

    def __post_init__(self) -> None:
        _in_range("trials", self.trials, 1, 10**6)
        _among(self.choose, ("first", "best"), "choose")
        if self.finetune is not None:
            _in_range("finetune", self.finetune, 0, 10**6)

    def to_json(self) -> dict[str, Json]:
        """The targets as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Any) -> Targets:
        """The targets that plain data stand for.

        Raises:
            SearchError: they stand for none.
        """
        try:
            return cls(**plain)
        except (TypeError, ValueError) as error:
            raise SearchError(f"these are no targets of a study: {error}") from None


def with_changes(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A recipe with what is given (not None) set otherwise."""
    return replace(recipe, **{name: value for name, value in changes.items() if value is not None})


def write_settings(path: Path, settings: Settings) -> None:
    """Write the settings as JSON, whole or not at all."""
    write_atomic(path, json.dumps(settings.to_json(), indent=2).encode() + b"\n")


def read_settings(path: Path) -> Settings:
    """The settings in a file.

    Raises:
        SearchError: there are none, or not of this version.
    """
    if not path.is_file():
        raise SearchError(f"{path.parent} is no study: it has no {path.name}")
    if path.stat().st_size > _MAX_FILE:
        raise SearchError(f"{path} is too large for the settings of a study")
    try:
        plain = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SearchError(f"{path} is no JSON: {error}") from None
    return Settings.from_json(plain)


def _differences(mine: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str) -> Any:
    for name in sorted({*mine, *theirs}):
        here, there = mine.get(name), theirs.get(name)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            yield from _differences(here, there, f"{prefix}{name}.")
        elif here != there:
            yield f"{prefix}{name} is {there!r} there and {here!r} here"


def _in_range(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low:,} to {high:,}, not {value!r}")


def _among(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
