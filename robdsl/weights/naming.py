"""By which names a file calls the weights of a model: ours, the published code's, or torchvision's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from robdsl.graph.net import Net
from robdsl.weights.published import published_keys
from robdsl.weights.torchvision import torchvision_modules

#: What `DistributedDataParallel` (and `DataParallel`) and `torch.compile` put before every key.
_WRAPPERS = ("module.", "_orig_mod.")

#: torchvision's first files of DenseNet weights say ``norm.1`` for ``norm1``.
_EARLY = re.compile(r"\b(norm|conv)([12])\.(?=\w+$)")


@dataclass(frozen=True)
class Naming:
    """Whose names a file uses.

    Attributes:
        name: ``robdsl``, ``published`` or ``torchvision``.
        key_of: the file's key for each key of the model's `state_dict`.
        counters: whether ``num_batches_tracked`` must be there (files older than it do without).
    """

    name: str
    key_of: Mapping[str, str]
    counters: bool = True


def naming_of(net: Net | None, wanted: Collection[str], stored: Collection[str]) -> Naming:
    """The naming under which the file has most of the keys that a model wants; ours when none has any.

    Args:
        net: what the model was compiled from, where that is known.
        wanted: the keys of the model's `state_dict`.
        stored: the keys of the file.
    """
    prefix = _prefix(wanted, stored)
    known = set(stored)

    def found(naming: Naming) -> int:
        return len(known.intersection(naming.key_of.values()))

    candidates = [_prefixed(each, prefix) for each in _namings(net, wanted)]
    return max(candidates, key=found)


def _namings(net: Net | None, wanted: Collection[str]) -> Iterator[Naming]:
    yield Naming("robdsl", {key: key for key in wanted})
    if net is None:
        return
    published = _published(net)
    if published:
        yield Naming("published", {key: published.get(key, key) for key in wanted}, counters=False)
    modules = torchvision_modules(net)
    if modules:
        keys = {key: _in_module(modules, key) for key in wanted}
        yield Naming("torchvision", keys, counters=False)
        yield Naming(
            "torchvision", {key: _EARLY.sub(r"\1.\2.", each) for key, each in keys.items()}, counters=False
        )


def _published(net: Net) -> Mapping[str, str]:
    """The published keys of a net of the RobNet spaces; none for others."""
    try:
        return published_keys(net)
    except (LookupError, ValueError, StopIteration):
        return {}  # a cell of somebody's own that is also called `robnet_cell`


def _in_module(modules: Mapping[str, str], key: str) -> str:
    path, _, leaf = key.rpartition(".")
    return f"{modules[path]}.{leaf}" if path in modules else key


def _prefix(wanted: Collection[str], stored: Collection[str]) -> str:
    """What wrappers put before every key of a file."""
    prefix = ""
    while True:
        more = next(
            (each for each in _WRAPPERS if stored and all(key.startswith(prefix + each) for key in stored)),
            "",
        )
        if not more or any(key.startswith(prefix + more) for key in wanted):
            return prefix
        prefix += more


def _prefixed(naming: Naming, prefix: str) -> Naming:
    if not prefix:
        return naming
    return Naming(naming.name, {key: prefix + each for key, each in naming.key_of.items()}, naming.counters)
