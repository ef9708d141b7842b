"""Choices said edge by edge, between the forms of the formats and those of a space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from robdsl.genotypes.errors import GenotypeError
from robdsl.graph.choices import Pick
from robdsl.graph.load import load_space
from robdsl.graph.net import Net, Space
from robdsl.graph.operations import Choice

Edges: TypeAlias = "Mapping[tuple[str, str], Sequence[str]]"
"""By (source, target): the operations chosen for that edge, by the names of the space's alternatives."""


@lru_cache(maxsize=64)
def shipped_space(name: str, **parameters: int) -> Space:
    """A shipped space; it is checked once, however many codes are read in it."""
    settings: dict[str, Any] = dict(parameters)
    return load_space(name, **settings)


def choice_of(pick: Pick, edges: Edges) -> Choice:
    """The choice that operations on edges stand for; an edge that is not there is empty.

    Raises:
        GenotypeError: the pick has no such edge, or it does not offer the operation.
    """
    left = dict(edges)
    choice: list[tuple[int, ...]] = []
    for edge in pick.opens:
        wanted = left.pop((edge.source, edge.target), ())
        if edge.kind == "one" and not wanted and "none" in edge.names:
            wanted = ("none",)
        unknown = [name for name in wanted if name not in edge.names]
        if unknown:
            offered = ", ".join(edge.names)
            raise GenotypeError(
                f"{edge.source} -> {edge.target}: no operation {unknown[0]!r}; there are {offered}"
            )
        chosen = tuple(sorted(edge.names.index(name) for name in wanted))
        if not edge.admits(chosen):
            shown = " + ".join(wanted) or "nothing"
            raise GenotypeError(f"{edge.source} -> {edge.target} cannot be {shown}")
        choice.append(chosen)
    if left:
        source, target = next(iter(left))
        raise GenotypeError(f"{pick.cell} has no edge {source} -> {target}")
    return tuple(choice)


def edges_of(pick: Pick, choice: Choice) -> dict[tuple[str, str], list[str]]:
    """The operations that a choice has on each edge, ``none`` left out; empty edges too."""
    return {
        (edge.source, edge.target): [edge.names[index] for index in chosen if edge.names[index] != "none"]
        for edge, chosen in zip(pick.opens, choice, strict=True)
    }


def picks_of(net: Net, spaces: Sequence[str], format: str) -> list[dict[tuple[str, str], list[str]]]:
    """The edges of each pick of a net that stands in one of ``spaces`` (or a narrower one).

    Raises:
        GenotypeError: the net stands elsewhere, or it is a supernet.
    """
    within = {bound.name for bound in net.layout.spaces}
    if not within & set(spaces):
        stands = f"stands in {net.layout.spaces[0].name}" if net.layout.spaces else "stands in no space"
        raise GenotypeError(f"{net.name} {stands}; a {format} code says a net in {' or '.join(spaces)}")
    if net.whole:
        raise GenotypeError(f"{net.name} is a supernet; a {format} code says one net")
    return [edges_of(pick, choice) for pick, choice in zip(net.layout.picks, net.choices, strict=True)]
