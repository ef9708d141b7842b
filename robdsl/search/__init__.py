"""The one-shot robust search (CVPR 2020, sections 3.2 to 3.5) and the bank of architectures that it leaves.

What needs torch is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from robdsl.search.bank import COLUMNS, read_bank, write_bank
from robdsl.search.errors import BankError, SearchError

if TYPE_CHECKING:
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

_LATER = {
    "PATHS": "supernet.paths",
    "PathName": "supernet.paths",
    "PathSampler": "supernet.paths",
    "Supernet": "supernet.supernet",
    "fsp_distances": "supernet.fsp",
    "inherit": "supernet.inherit",
    "is_connected": "supernet.connected",
    "recompute_batch_norm": "supernet.norms",
    "supernet_recipe": "supernet.training",
    "train_supernet": "supernet.training",
}

__all__ = ["COLUMNS", "BankError", "SearchError", "read_bank", "write_bank", *sorted(_LATER)]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
