"""The one-shot robust search (CVPR 2020, sections 3.2 to 3.5) and the bank of architectures that it leaves.

What needs torch is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robdsl.search.bank import COLUMNS as COLUMNS
    from robdsl.search.bank import read_bank as read_bank
    from robdsl.search.bank import write_bank as write_bank
    from robdsl.search.bench import Place as Place
    from robdsl.search.correlation import rank_correlation as rank_correlation
    from robdsl.search.emission import emit as emit
    from robdsl.search.errors import BankError as BankError
    from robdsl.search.errors import SearchError as SearchError
    from robdsl.search.scratch import retrain as retrain
    from robdsl.search.settings import Settings as Settings
    from robdsl.search.settings import Targets as Targets
    from robdsl.search.status import status_of as status_of
    from robdsl.search.study import Study as Study
    from robdsl.search.study import create_study as create_study
    from robdsl.search.study import open_study as open_study
    from robdsl.search.supernet.connected import is_connected as is_connected
    from robdsl.search.supernet.fsp import fsp_distances as fsp_distances
    from robdsl.search.supernet.inherit import inherit as inherit
    from robdsl.search.supernet.norms import recompute_batch_norm as recompute_batch_norm
    from robdsl.search.supernet.paths import PATHS as PATHS
    from robdsl.search.supernet.paths import PathName as PathName
    from robdsl.search.supernet.paths import PathSampler as PathSampler
    from robdsl.search.supernet.supernet import Supernet as Supernet
    from robdsl.search.supernet.training import supernet_recipe as supernet_recipe
    from robdsl.search.supernet.training import train_supernet as train_supernet
    from robdsl.search.work import Worker as Worker

_LATER = {
    "BankError": "errors",
    "COLUMNS": "bank",
    "PATHS": "supernet.paths",
    "PathName": "supernet.paths",
    "PathSampler": "supernet.paths",
    "Place": "bench",
    "SearchError": "errors",
    "Settings": "settings",
    "Study": "study",
    "Supernet": "supernet.supernet",
    "Targets": "settings",
    "Worker": "work",
    "create_study": "study",
    "emit": "emission",
    "fsp_distances": "supernet.fsp",
    "inherit": "supernet.inherit",
    "is_connected": "supernet.connected",
    "open_study": "study",
    "rank_correlation": "correlation",
    "read_bank": "bank",
    "recompute_batch_norm": "supernet.norms",
    "retrain": "scratch",
    "status_of": "status",
    "supernet_recipe": "supernet.training",
    "train_supernet": "supernet.training",
    "write_bank": "bank",
}

__all__ = sorted(_LATER)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
