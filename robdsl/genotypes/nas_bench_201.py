"""NAS-Bench-201 strings (Dong and Yang 2020): ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...~0|...~1|...~2|``."""

from __future__ import annotations

from robdsl.genotypes.edges import choice_of, picks_of, shipped_space
from robdsl.genotypes.errors import GenotypeError
from robdsl.genotypes.joined import groups_of
from robdsl.genotypes.literals import Literal
from robdsl.graph.net import Net

NAME = "nas-bench-201"
EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"
_NODES = ("x", "a", "b", "out")


def recognises(value: Literal) -> bool:
    """Whether data looks like a code of this kind: a string that begins with a node's edges."""
    return isinstance(value, str) and value.strip().startswith("|") and "~" in value


def read(value: Literal, name: str) -> Net:
    """The net of a code, in the space ``nas_bench_201``.

    Raises:
        GenotypeError: it has not three nodes that read all before them once.
    """
    assert isinstance(value, str)
    groups = groups_of(value)
    edges = {}
    for target, group in enumerate(groups, start=1):
        if [source for _, source in group] != list(range(target)) or target >= len(_NODES):
            raise GenotypeError(
                "a NAS-Bench-201 cell has three nodes, and each reads every node before it once, in order"
            )
        for operation, source in group:
            edges[_NODES[source], _NODES[target]] = [operation]
    if len(groups) != len(_NODES) - 1:
        raise GenotypeError(f"a NAS-Bench-201 cell has three nodes, and this has {len(groups)}")
    space = shipped_space("nas_bench_201")
    return space.choose([choice_of(space.picks[0], edges)], name)


def write(net: Net) -> str:
    """The code of a net.

    Raises:
        GenotypeError: the net does not stand in the space ``nas_bench_201``.
    """
    (edges,) = picks_of(net, ("nas_bench_201",), NAME)
    groups = []
    for target in range(1, len(_NODES)):
        chosen = [(edges[_NODES[source], _NODES[target]] or ["none"])[0] for source in range(target)]
        groups.append("|" + "".join(f"{operation}~{source}|" for source, operation in enumerate(chosen)))
    return "+".join(groups)
