"""The ``|operation~input|...|+|...|`` notation, which NAS-Bench-201 and aw_nas share."""

from __future__ import annotations

import re

from robdsl.genotypes.errors import GenotypeError

_EDGE = re.compile(r"([A-Za-z_]\w*)~(\d{1,3})", re.ASCII)


def groups_of(text: str) -> list[list[tuple[str, int]]]:
    """The (operation, input) pairs of each node, nodes joined by ``+``.

    Raises:
        GenotypeError: something between the bars is no ``operation~input``.
    """
    groups = []
    for part in text.strip().split("+"):
        if len(part) < 2 or not (part.startswith("|") and part.endswith("|")):
            raise GenotypeError(f"a node is written |operation~input|...|, and this is {part[:40]!r}")
        inside = part[1:-1]
        group = []
        for each in inside.split("|") if inside else ():
            found = _EDGE.fullmatch(each)
            if found is None:
                raise GenotypeError(f"an edge is written operation~input, and this is {each[:40]!r}")
            group.append((found[1], int(found[2])))
        groups.append(group)
    return groups
