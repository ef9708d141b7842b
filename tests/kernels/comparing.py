"""Watches the operations of robdsl.kernels at work: of each call, how far it is from exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

#: Given an operation's name, itself, what it was given and what it gave: its error as a share of its bound; None to pass it over.
Share = Callable[[str, Any, tuple[Any, ...], Any], float | None]


class Compare(TorchDispatchMode):
    """Notes the share of each call, by the operation's name."""

    def __init__(self, share: Share) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.share = share
        self.shares: defaultdict[str, list[float]] = defaultdict(list)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func.namespace == "robdsl":
            name = func.name().removeprefix("robdsl::")
            share = self.share(name, func, args, found)
            if share is not None:
                self.shares[name].append(share)
        return found
