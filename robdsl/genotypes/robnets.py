"""The RobNets' own codes (github.com/gmh14/RobNets, architecture_code.py): lists of fourteen two-bit strings.

One list is the cell that all twenty share; several are the cells of a net, in order. A string is an edge, in the
order of alpha; its first bit is ``skip``, its second ``sep_conv_3x3``.
"""

from __future__ import annotations

import json

from robdsl.genotypes.edges import picks_of, shipped_space
from robdsl.genotypes.errors import GenotypeError
from robdsl.genotypes.literals import Literal
from robdsl.graph.net import Net

NAME = "robnets"
EXAMPLE = "[['11', '10', '11', '00', '01', ...]]: one list of 14 strings a cell"
EDGES = 14
_STATES = {"00", "01", "10", "11"}


def recognises(value: Literal) -> bool:
    """Whether data looks like a code of this kind: a list of bits, or of lists of bits."""
    if not isinstance(value, tuple) or not value:
        return False
    cells = value if isinstance(value[0], tuple) else (value,)
    return all(isinstance(cell, tuple) and cell and all(_is_bits(each) for each in cell) for cell in cells)


def _is_bits(value: Literal) -> bool:
    return isinstance(value, str) and value != "" and set(value) <= {"0", "1"}


def read(value: Literal, name: str) -> Net:
    """The net of a code.

    Raises:
        GenotypeError: a cell has not fourteen edges of two bits.
        RobError: the code breaks a rule of the space (a net of empty cells).
    """
    assert isinstance(value, tuple)
    cells = value if isinstance(value[0], tuple) else (value,)
    choices = []
    for number, cell in enumerate(cells):
        assert isinstance(cell, tuple)
        if len(cell) != EDGES or not set(cell) <= _STATES:
            raise GenotypeError(
                f"cell {number}: a cell is {EDGES} strings of two bits, and this is {len(cell)} strings"
            )
        bits = [str(each) for each in cell]
        choices.append(tuple(tuple(place for place, bit in enumerate(each) if bit == "1") for each in bits))
    if len(cells) == 1:
        return shipped_space("cell_based").choose(choices, name)
    return shipped_space("cell_free", layers=len(cells)).choose(choices, name)


def write(net: Net) -> str:
    """The code of a net, as JSON, which is Python too.

    Raises:
        GenotypeError: the net stands in neither space of RobNet cells.
    """
    picks_of(net, ("cell_based", "cell_free", "cell_based_imagenet"), NAME)
    cells = [
        ["".join("1" if bit in chosen else "0" for bit in (0, 1)) for chosen in choice]
        for choice in net.choices
    ]
    return json.dumps(cells)
