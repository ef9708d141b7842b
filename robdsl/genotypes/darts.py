"""DARTS genotypes (Liu et al. 2019): ``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...)``.

Two pairs (operation, input) a node; inputs 0 and 1 are the two cells before, 2 and on the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from robdsl.genotypes.edges import choice_of, picks_of, shipped_space
from robdsl.genotypes.errors import GenotypeError
from robdsl.genotypes.literals import Call, Literal
from robdsl.graph.net import Net

NAME = "darts"
EXAMPLE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=...)"
)
_INPUTS = ("x0", "x1", "n0", "n1", "n2", "n3")
_NODES = 4
_CONCAT = (2, 3, 4, 5)
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")


def recognises(value: Literal) -> bool:
    """Whether data looks like a code of this kind: a call with ``normal`` and ``reduce``, or with four arguments."""
    if not isinstance(value, Call) or value.name != "Genotype":
        return False
    return {"normal", "reduce"} <= set(value.named) or len(value.arguments) == len(_FIELDS)


def read(value: Literal, name: str) -> Net:
    """The net of a code, in the space ``darts`` with twenty layers.

    Raises:
        GenotypeError: it has not four nodes of two different inputs, all of them joined into the result.
    """
    assert isinstance(value, Call)
    fields = dict(zip(_FIELDS, value.arguments, strict=False)) | dict(value.named)
    space = shipped_space("darts")
    choices = []
    for pick, part in zip(space.picks, ("normal", "reduce"), strict=True):
        if tuple(sorted(_numbers(fields.get(f"{part}_concat", _CONCAT)))) != _CONCAT:
            raise GenotypeError(
                f"{part}_concat: the cells of the space darts join all of their nodes, 2 to 5"
            )
        pairs = _pairs(fields[part], part)
        edges = {}
        for place, (operation, source) in enumerate(pairs):
            target = place // 2
            if source >= 2 + target:
                raise GenotypeError(f"{part}: node {2 + target} cannot read {source}, which comes after it")
            key = (_INPUTS[source], f"n{target}")
            if key in edges:
                raise GenotypeError(
                    f"{part}: node {2 + target} reads {source} twice, which the space darts does not have"
                )
            if operation == "none":
                raise GenotypeError(
                    f"{part}: node {2 + target} has `none` on an edge; a genotype names two that are there"
                )
            edges[key] = [operation]
        choices.append(choice_of(pick, edges))
    return space.choose(choices, name)


def _pairs(value: Literal, part: str) -> list[tuple[str, int]]:
    # Some write a list a node, others one list; both are the same pairs.
    items: list[Literal] = []
    for item in value if isinstance(value, tuple) else ():
        nested = isinstance(item, tuple) and item and isinstance(item[0], tuple)
        items.extend(item if nested and isinstance(item, tuple) else [item])
    pairs = [
        (item[0], item[1])
        for item in items
        if isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], int)
    ]
    if len(pairs) != len(items) or len(pairs) != 2 * _NODES:
        raise GenotypeError(
            f"{part}: {2 * _NODES} pairs (operation, input) are wanted, two for each of {_NODES} nodes"
        )
    if not all(0 <= source < len(_INPUTS) for _, source in pairs):
        raise GenotypeError(f"{part}: inputs are numbered from 0 to {len(_INPUTS) - 1}")
    return pairs


def _numbers(value: Literal) -> Sequence[int]:
    found = value if isinstance(value, tuple) else ()
    return [each for each in found if isinstance(each, int)]


def write(net: Net) -> str:
    """The code of a net, the two inputs of a node in their order.

    Raises:
        GenotypeError: the net does not stand in the space ``darts``.
    """
    parts = []
    for edges in picks_of(net, ("darts",), NAME):
        ordered = sorted(
            (int(target[1:]), _INPUTS.index(source), operations)
            for (source, target), operations in edges.items()
            if operations
        )
        parts.append(
            "[" + ", ".join(f"({operations[0]!r}, {source})" for _, source, operations in ordered) + "]"
        )
    normal, reduction = parts
    return (
        f"Genotype(normal={normal}, normal_concat=range(2, 6), reduce={reduction}, reduce_concat=range(2, 6))"
    )
