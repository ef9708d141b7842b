"""Dense-cell strings of aw_nas (github.com/walkerning/aw_nas).

``DenseRobGenotype(normal_0='init_node~2+|skip_connect~0|none~1|+...', ..., reduce_2='...')`` is a net of the MSRobNets'
space: one of four operations an edge, each cell for itself. In a ``DenseMicroGenotype(cell_0='init_node~2+|...')`` an
edge has any operations; with two inputs, four nodes, ``skip_connect`` and ``sep_conv_3x3`` it is a RobNet cell.
"""

from __future__ import annotations

import re

from robdsl.genotypes.edges import Edges, choice_of, picks_of, shipped_space
from robdsl.genotypes.errors import GenotypeError
from robdsl.genotypes.joined import groups_of
from robdsl.genotypes.literals import Call, Literal
from robdsl.graph.net import Net

NAME = "aw-nas"
EXAMPLE = "DenseRobGenotype(normal_0='init_node~2+|skip_connect~0|sep_conv_3x3~1|+...', ...)"
_INPUTS = ("x0", "x1", "n0", "n1", "n2", "n3")
_NODES = 4
_CELL = re.compile(r"(normal|reduce)_(\d+)", re.ASCII)
_ROB = {"ResSepConv": "res_sep_conv"}  # theirs to ours; the others bear one name
_MICRO = {"skip_connect": "skip"}


def recognises(value: Literal) -> bool:
    """Whether data looks like a code of this kind."""
    return isinstance(value, Call) and value.name in ("DenseRobGenotype", "DenseMicroGenotype")


def read(value: Literal, name: str) -> Net:
    """The net of a code: in ``dense_rob``, or for `DenseMicroGenotype` in ``cell_based`` or ``cell_free``.

    Raises:
        GenotypeError: the cells are not of the form that these spaces have.
    """
    assert isinstance(value, Call)
    cells = [
        (key, text) for key, text in value.named.items() if isinstance(text, str) and "init_node" in text
    ]
    if value.arguments or len(cells) != len(value.named) or not cells:
        raise GenotypeError(f"{value.name} has a string for each cell, such as {EXAMPLE}")
    return _rob(cells, name) if value.name == "DenseRobGenotype" else _micro(cells, name)


def _rob(cells: list[tuple[str, str]], name: str) -> Net:
    kinds = []
    for number, (key, _) in enumerate(cells):
        found = _CELL.fullmatch(key)
        if found is None or int(found[2]) != number:
            raise GenotypeError(
                f"cells are called normal_0, normal_1, reduce_2, ... in order; this is {key[:40]!r}"
            )
        kinds.append(found[1])
    reductions = [place for place, kind in enumerate(kinds) if kind == "reduce"]
    if len(reductions) != 2:
        raise GenotypeError(f"the space dense_rob has two reductions, and this has {len(reductions)}")
    space = shipped_space("dense_rob", cells=len(cells), first=reductions[0], second=reductions[1])
    choices = []
    for pick, (key, text) in zip(space.picks, cells, strict=True):
        edges = _edges(key, text, _ROB)
        if any(len(operations) > 1 for operations in edges.values()):
            raise GenotypeError(f"{key}: an edge of a DenseRobGenotype has one operation")
        choices.append(choice_of(pick, edges))
    return space.choose(choices, name)


def _micro(cells: list[tuple[str, str]], name: str) -> Net:
    space = shipped_space("cell_based") if len(cells) == 1 else shipped_space("cell_free", layers=len(cells))
    pairs = zip(space.picks, cells, strict=True)
    return space.choose([choice_of(pick, _edges(key, text, _MICRO)) for pick, (key, text) in pairs], name)


def _edges(key: str, text: str, names: dict[str, str]) -> Edges:
    head, _, rest = text.strip().partition("+")
    if head != "init_node~2":
        raise GenotypeError(f"{key}: cells of two inputs (init_node~2) are read, and this says {head[:40]!r}")
    groups = groups_of(rest)
    if len(groups) != _NODES:
        raise GenotypeError(f"{key}: cells of {_NODES} nodes are read, and this has {len(groups)}")
    edges: dict[tuple[str, str], list[str]] = {}
    for target, group in enumerate(groups):
        for operation, source in group:
            if source >= target + 2:
                raise GenotypeError(
                    f"{key}: node {target + 2} cannot read {source}, which does not come before it"
                )
            chosen = edges.setdefault((_INPUTS[source], f"n{target}"), [])
            ours = names.get(operation, operation)
            if ours in chosen:
                raise GenotypeError(f"{key}: {operation}~{source} stands twice at node {target + 2}")
            chosen.append(ours)
    return edges


def write(net: Net) -> str:
    """The code of a net: a `DenseRobGenotype` for nets in ``dense_rob``, else a `DenseMicroGenotype`.

    Raises:
        GenotypeError: the net stands in none of the spaces.
    """
    picks = picks_of(net, ("dense_rob", "cell_based", "cell_free"), NAME)
    if not any(bound.name == "dense_rob" for bound in net.layout.spaces):
        theirs = {ours: name for name, ours in _MICRO.items()}
        cells = [f"cell_{place}='{_cell(edges, theirs, none=False)}'" for place, edges in enumerate(picks)]
        return f"DenseMicroGenotype({', '.join(cells)})"
    theirs = {ours: name for name, ours in _ROB.items()}
    reductions = {net.parameters["first"], net.parameters["second"]}
    kinds = ["reduce" if place in reductions else "normal" for place in range(len(picks))]
    cells = [
        f"{kinds[place]}_{place}='{_cell(edges, theirs, none=True)}'" for place, edges in enumerate(picks)
    ]
    return f"DenseRobGenotype({', '.join(cells)})"


def _cell(edges: Edges, theirs: dict[str, str], none: bool) -> str:
    groups = []
    for target in range(_NODES):
        written: list[str] = []
        for source in range(target + 2):
            chosen = edges[_INPUTS[source], f"n{target}"] or (["none"] if none else [])
            written.extend(f"{theirs.get(each, each)}~{source}" for each in chosen)
        groups.append(f"|{'|'.join(written)}|")
    return "+".join(["init_node~2", *groups])
