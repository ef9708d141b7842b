"""A canonical hash of nets: equal for isomorphic ones with the same function, different for all others.

The hash is the SHA-256 of the net's `NormalForm`, written out whole with its values in an order that does not depend on
how they were named or numbered (`robdsl.graph.canonical_order`). The order decides only whether equal nets are seen to be
equal: what is hashed is the whole graph, so nets with different functions share no hash, short of a collision of SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from robdsl.graph.canonical_order import TooSymmetric, canonical_order
from robdsl.graph.net import Net
from robdsl.graph.normal_form import NormalForm, normal_form

#: What is hashed begins with this. It changes whenever a net would get another hash than before.
VERSION = b"robdsl net 1\n"


def canonical_hash(net: Net) -> str:
    """A hash of the function that a net computes from an image and its weights, as 64 hexadecimal digits.

    Equal for nets that differ in names, in the order of statements or branches, in where stages and operations begin and
    end, or in anything else that `NormalForm` removes; different for all others.

    Raises:
        TooSymmetric: a bound was hit, on a graph made to be hard.
    """
    return hash_of(normal_form(net))


def hash_of(form: NormalForm) -> str:
    """The hash of a normal form."""
    return sha256(VERSION + b"".join(_written(form, canonical_order(form)))).hexdigest()


def _written(form: NormalForm, order: Sequence[int]) -> Iterator[bytes]:
    """The graph in full, its values numbered by their places in ``order``."""
    number = {value: place for place, value in enumerate(order)}
    for value in order:
        operands = sorted((number[operand], role) for operand, role in form.operands[value])
        yield b"%b <- %b\n" % (form.labels[value], b" ".join(b"%d:%b" % each for each in operands))
    yield b"out %d\n" % number[form.output]


__all__ = ["VERSION", "TooSymmetric", "canonical_hash", "hash_of"]
