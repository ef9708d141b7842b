"""A bank of architectures, checked, with its space: what all figures of a study are made from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robdsl.analysis.alpha import AlphaError, AlphaMatrix, alpha_matrix
from robdsl.analysis.results import Floats
from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.index import shipped
from robdsl.graph.load import load, load_space
from robdsl.graph.net import Space
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse_all, read_source

if TYPE_CHECKING:
    import pandas as pd

ACCURACIES = (
    "natural_inherited", "robust_inherited", "natural_finetuned", "robust_finetuned", "natural_scratch", "robust_scratch",
)  # fmt: skip
NEEDED = ("space", "alpha")

#: So many finetuned architectures bear every figure.
_ENOUGH = 100

#: What is believed of a stranger's bank.
MAX_ROWS = 1_000_000
MAX_SPACES = 64
MAX_TEXT = 100_000
MAX_CHOICES = 100_000_000


class StudyError(ValueError):
    """A table is no bank of architectures; the message says why."""


@dataclass(frozen=True, eq=False)
class Bank:
    """Architectures of one space.

    Attributes:
        frame: the rows, with the columns of `robdsl.search.bank`; what a bank lacks is NaN.
        space: that they stand in; rows of narrower spaces, which offer the same picks, are among them.
        alpha: what they chose, row for row.
        left_out: how many rows stand in other spaces.
    """

    frame: pd.DataFrame
    space: Space
    alpha: AlphaMatrix
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> Floats:
        """A column of numbers; NaN where there is none."""
        return np.asarray(self.frame[name], dtype=np.float64)

    @property
    def states(self) -> dict[str, int]:
        """How many architectures are in each state."""
        return dict(Counter(self.frame["state"].tolist()))

    def fsp(self) -> Floats:
        """FSP distances: (architectures, cells); NaN where they were not measured. No cells if none was."""
        rows = [each for each in self.frame["fsp"] if each is not None]
        cells = len(rows[0]) if rows else 0
        table = [[np.nan] * cells if each is None else list(each) for each in self.frame["fsp"]]
        return np.array(table, dtype=np.float64).reshape(len(self.frame), cells)

    def known(self, name: str) -> int:
        """How many architectures have a number in a column."""
        return int(np.isfinite(self.column(name)).sum())

    @property
    def judged(self) -> str:
        """The accuracy that a study is about: after finetuning, unless only a few were finetuned.

        A study may finetune a part of what it samples, or be about to; then more can be said of inherited weights.
        """
        finetuned, inherited = self.known("robust_finetuned"), self.known("robust_inherited")
        return "robust_finetuned" if finetuned >= min(_ENOUGH, inherited / 2) else "robust_inherited"


def bank(frame: pd.DataFrame, space: Space | None = None) -> Bank:
    """Checks a table of architectures and reads their alphas.

    Args:
        frame: from `robdsl.search.read_bank`, or any table with the columns ``space`` and ``alpha``.
        space: one that is not shipped, for the rows that name it. Rows never name files.

    Raises:
        StudyError: the table is no bank, its space is not known, or an alpha does not fit it.
    """
    checked = _checked(frame)
    named = Counter(zip(checked["space"], checked["parameters"], strict=True))
    if len(named) > MAX_SPACES:
        raise StudyError(f"this bank mixes {len(named):,} spaces; at most {MAX_SPACES} are read")
    found = {key: _space(*key, space) for key in named}
    sizes: Counter[Any] = Counter()
    for key, count in named.items():
        sizes[found[key].picks] += count
    picks, _ = max(sizes.items(), key=lambda item: item[1])
    of_it = [found[key].picks == picks for key in zip(checked["space"], checked["parameters"], strict=True)]
    rows = checked[of_it].reset_index(drop=True)
    most = found[max((key for key in named if found[key].picks == picks), key=lambda key: named[key])]
    if len(rows) * sum(len(edge.names) for pick in picks for edge in pick.opens) > MAX_CHOICES:
        raise StudyError("this bank is too large: more than 100 million choices")
    try:
        alpha = alpha_matrix(rows["alpha"].tolist(), picks)
    except AlphaError as error:
        raise StudyError(f"an alpha does not fit its space `{most.name}`: {error}") from None
    return Bank(rows, most, alpha, len(checked) - len(rows))


# --- columns


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    lacking = [name for name in NEEDED if name not in frame.columns]
    if lacking:
        raise StudyError(f"this table is no bank: it has no column `{lacking[0]}`")
    if not len(frame):
        raise StudyError("this bank is empty: nothing has been sampled yet")
    if len(frame) > MAX_ROWS:
        raise StudyError(f"this bank is too large: at most {MAX_ROWS:,} rows are read")
    columns: dict[str, Any] = {}
    for name, like in (
        ("space", ""),
        ("parameters", "{}"),
        ("hash", ""),
        ("sampler", ""),
        ("state", "sampled"),
    ):
        columns[name] = _texts(frame, name, like)
    columns["alpha"] = [_codes(each) for each in frame["alpha"]]
    columns["fsp"] = _distances(frame)
    for name in ("trial", "seed", "params", "macs", "density", "examples"):
        columns[name] = _numbers(frame, name, 0, np.inf if name != "density" else 1)
    for name in ACCURACIES:
        columns[name] = _numbers(frame, name, 0, 1)
    return pd.DataFrame(columns)


def _texts(frame: pd.DataFrame, name: str, otherwise: str) -> list[str]:
    if name not in frame.columns:
        return [otherwise] * len(frame)
    values: list[Any] = frame[name].tolist()
    for each in values:
        if not isinstance(each, str) or len(each) > MAX_TEXT:
            raise StudyError(f"this table is no bank: `{name}` holds something that is no (short) text")
    return values


def _codes(value: object) -> tuple[str, ...]:
    codes = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if not all(isinstance(each, str) and len(each) <= MAX_TEXT for each in codes):
        raise StudyError("this table is no bank: `alpha` holds something that is no list of codes")
    return codes


def _numbers(frame: pd.DataFrame, name: str, low: float, high: float) -> Floats:
    import pandas as pd

    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    try:
        numbers = np.asarray(
            pd.to_numeric(frame[name]).astype("Float64").to_numpy(np.float64, na_value=np.nan)
        )
    except (TypeError, ValueError, OverflowError):
        raise StudyError(f"this table is no bank: `{name}` holds something that is no number") from None
    given = numbers[~np.isnan(numbers)]
    if np.isinf(given).any() or (given < low).any() or (given > high).any():
        raise StudyError(f"this table is no bank: `{name}` holds a number that cannot be one")
    return numbers


def _distances(frame: pd.DataFrame) -> list[tuple[float, ...] | None]:
    if "fsp" not in frame.columns:
        return [None] * len(frame)
    rows: list[tuple[float, ...] | None] = []
    for value in frame["fsp"]:
        if value is None or (isinstance(value, float) and np.isnan(value)):
            rows.append(None)
            continue
        try:
            rows.append(tuple(np.nan if each is None else float(each) for each in value))
        except (TypeError, ValueError):
            raise StudyError(
                "this table is no bank: `fsp` holds something that is no list of numbers"
            ) from None
    lengths = {len(each) for each in rows if each is not None}
    if len(lengths) > 1:
        raise StudyError(
            f"this table is no bank: `fsp` has {min(lengths)} numbers in one row and {max(lengths)} in another"
        )
    return rows


# --- spaces


def open_space(path: Path, frame: pd.DataFrame) -> Space:
    """The space that a file defines, by itself or through a net of it, for `bank`.

    Args:
        path: a ``.rob`` file.
        frame: the table that it is for; its first row says which space, and with which parameters.

    Raises:
        StudyError: the file defines no space of that name, or not with those parameters.
        RobError: the file has mistakes.
    """
    checked = _checked(frame)
    name, parameters = checked["space"][0], checked["parameters"][0]
    tree, _ = parse_all(read_source(path))
    kinds = {each.name.name: each.kind for each in tree.definitions if isinstance(each, nodes.NetDefinition)}
    if kinds.get(name) != "space" and "net" in kinds.values():
        found = load(path).space
        if found is not None and found.name == name:
            return found
    if kinds.get(name) != "space":
        raise StudyError(f"{path} does not define the space {_short(name)} that the architectures stand in")
    return _read(name, parameters, path)


def _space(name: str, parameters: str, given: Space | None) -> Space:
    """The space of a row: the one that was given, or a shipped one; a name is never taken for a path."""
    if given is not None and given.name == name:
        return given
    wanted = name.replace("-", "_")
    files = dict(shipped("space"))
    if wanted not in files:
        raise StudyError(
            f"the space {_short(name)} is not shipped: give the .rob file that defines it (--space FILE)"
        )
    return _read(wanted, parameters, files[wanted])


def _read(name: str, parameters: str, path: Path) -> Space:
    where = f"the space {_short(name)} with {_short(parameters)}"
    try:
        given = json.loads(parameters)
        if not isinstance(given, dict) or not all(
            isinstance(each, bool | int | float | str) for each in given.values()
        ):
            raise ValueError
    except (ValueError, RecursionError):
        raise StudyError(
            f"`parameters` holds {_short(parameters)}, which is no JSON object of values"
        ) from None
    if "space" in given:
        raise StudyError(f"{where} cannot be read: it has no parameter `space`")
    try:
        return load_space(path, name, **given)
    except RobError as error:
        said = error.diagnostics[0].title if error.diagnostics else "it has mistakes"
        raise StudyError(f"{where} cannot be read: {said}") from None
    except (TypeError, ValueError) as error:
        raise StudyError(f"{where} cannot be read: {error}") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
