"""From a text in any of the formats to nets, and from a net to its code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType

from robdsl.genotypes import aw_nas, darts, nas_bench_201, robnets
from robdsl.genotypes.errors import GenotypeError
from robdsl.genotypes.literals import Literal, read_literals
from robdsl.graph.net import Net
from robdsl.graph.values import is_name

FORMATS: Mapping[str, ModuleType] = {each.NAME: each for each in (robnets, darts, nas_bench_201, aw_nas)}
"""By the names that the command line takes."""

META = "genotype"
"""The ``meta`` under which a net keeps the code it was read from, where its own would be written otherwise."""


def read_genotypes(text: str, *, format: str | None = None, name: str | None = None) -> list[Net]:
    """The nets that a text has codes of.

    Args:
        text: one code, or a Python file that assigns codes to names (as ``architecture_code.py`` and ``genotypes.py``
            do); other statements in it are passed over. It is parsed, never evaluated.
        format: one of `FORMATS`; None takes each code for what it looks like.
        name: what the net is called, and what the names of several begin with; None takes those of the text.

    Returns:
        The nets, named as in the text. A code that a net's own would not repeat letter by letter (the order of a
        node's inputs means nothing in a net) is kept as ``meta genotype``.

    Raises:
        GenotypeError: there is no code in it, or one is wrong.
        RobError: a code breaks a rule of its space.
    """
    if format is not None and format not in FORMATS:
        raise GenotypeError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    known = FORMATS.values() if format is None else (FORMATS[format],)
    nets: list[Net] = []
    for place, value in _values(text):
        fitting = next((each for each in known if each.recognises(value)), None)
        if fitting is None:
            continue
        called = _called(place, name, [each.name for each in nets])
        try:
            nets.append(_read(fitting, value, called))
        except GenotypeError as error:
            raise GenotypeError(f"{place}: {error}" if place else str(error)) from None
    if not nets:
        forms = "\n".join(f"  {each.NAME}: {each.EXAMPLE}" for each in known)
        raise GenotypeError(f"there is no code in this text; it would look like\n{forms}")
    return nets


def _values(text: str) -> list[tuple[str | None, Literal]]:
    bare = text.strip()
    if bare.startswith("|"):  # NAS-Bench-201's strings go without quotes, a line each
        return [(None, line.strip()) for line in bare.splitlines() if line.strip()]
    return list(read_literals(text))


def _called(place: str | None, name: str | None, taken: list[str]) -> str:
    base = name or place or "imported"
    if not is_name(base):  # one of Python's that is a keyword here, or not spelled in ASCII
        base = "net_" + re.sub(r"\W", "_", base, flags=re.ASCII)
    if base not in taken:
        return base
    return next(f"{base}_{number}" for number in range(2, len(taken) + 3) if f"{base}_{number}" not in taken)


def _read(format: ModuleType, value: Literal, name: str) -> Net:
    net: Net = format.read(value, name)
    own = next(each for _, each in _values(format.write(net)))
    if own == value:
        return net
    return replace(net, meta={META: _spelled(value)})


def _spelled(value: Literal) -> str:
    """Data as Python text."""
    match value:
        case tuple():
            return "[" + ", ".join(_in_tuple(each) for each in value) + "]"
        case str() | int() | None:
            return repr(value)
    arguments = [_spelled(each) for each in value.arguments]
    named = [f"{key}={_spelled(each)}" for key, each in value.named.items()]
    return f"{value.name}({', '.join(arguments + named)})"


def _in_tuple(value: Literal) -> str:
    pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int)
    return f"({_spelled(value[0])}, {value[1]})" if pair and isinstance(value, tuple) else _spelled(value)


def write_genotype(net: Net, format: str) -> str:
    """The code of a net in one of `FORMATS`.

    Where the net keeps the code that it was read from, and that code still says this net, it is given back as it was.

    Raises:
        GenotypeError: there is no such format, or the net stands in no space that the format speaks of.
    """
    if format not in FORMATS:
        raise GenotypeError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    module = FORMATS[format]
    kept = net.meta.get(META)
    if isinstance(kept, str):
        try:
            (again,) = read_genotypes(kept, format=format, name=net.name)
        except (GenotypeError, ValueError):
            return str(module.write(net))
        if again.choices == net.choices and again.layout.spaces[0].name == net.layout.spaces[0].name:
            return kept
    return str(module.write(net))
