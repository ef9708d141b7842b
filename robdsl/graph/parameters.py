"""The parameters of nets and spaces: declared by the space at the bottom, given by those that stand in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from numbers import Integral, Real

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, did_you_mean
from robdsl.graph.elaborate import Elaborator
from robdsl.graph.names import check_arguments
from robdsl.graph.program import Bound
from robdsl.graph.reporter import Arguments
from robdsl.graph.values import MAX_NUMBER, Fault, Poisoned, Scope, Value, Word, evaluate, is_name
from robdsl.syntax import nodes

#: How many spaces may stand in one another.
MAX_SPACES = 32


def chain_of_spaces(bound: Bound) -> tuple[Bound, ...]:
    """A net or space and the spaces that it stands in, innermost first; the last one has the stages.

    Raises:
        Fault: the spaces stand in each other in a circle, or too many of them.
        Poisoned: it stands in something that is no space, which its own check says.
    """
    return tuple(_outwards(bound))


def _outwards(bound: Bound) -> Iterator[Bound]:
    chain = [bound]
    while True:
        yield chain[-1]
        definition = chain[-1].definition
        assert isinstance(definition, nodes.NetDefinition)
        if definition.base is None:
            return
        base = chain[-1].file.scope.get(definition.base.callee.name)
        if base is None or base.kind != "space":
            raise Poisoned
        if base in chain:
            raise Fault(_circle(chain[chain.index(base) :]))
        if len(chain) > MAX_SPACES:
            deep = f"{MAX_SPACES} spaces in one another"
            raise Fault(codes.CALL_DEPTH.at(definition.base.span, bound=deep))
        chain.append(base)


def sound_chain(elaborator: Elaborator, bound: Bound) -> tuple[Bound, ...]:
    """As `chain_of_spaces`, each of them checked.

    Raises:
        Poisoned: one of them is wrong, which was reported.
    """
    chain: list[Bound] = []
    sound = True
    with elaborator.reporting():
        for each in _outwards(bound):
            sound = elaborator.sound(each) and sound
            chain.append(each)
    wrong = [each for bound in chain[:-1] for each in _wrong_arguments(bound, chain[-1])]
    elaborator.report.extend(wrong)
    if wrong or not sound:
        raise Poisoned
    return tuple(chain)


def _circle(circle: list[Bound]) -> Diagnostic:
    """The mistake of spaces that stand in each other, the same wherever one comes upon it."""
    first = min(circle, key=lambda each: (each.file.source.name, each.definition.span.start))
    assert isinstance(first.definition, nodes.NetDefinition) and first.definition.base is not None
    related = [Label(each.definition.name.span, "in the circle") for each in circle if each is not first]
    return codes.CYCLIC_SPACE.at(first.definition.base.callee.span, related=related, name=first.name)


def _wrong_arguments(bound: Bound, root: Bound) -> Iterator[Diagnostic]:
    """What is wrong with the arguments that a net or space gives to the space that it stands in."""
    assert isinstance(bound.definition, nodes.NetDefinition) and bound.definition.base is not None
    declared = root.definition.parameters
    optional = tuple(replace(each, default=each.default or nodes.Number("0")) for each in declared)
    return check_arguments(bound.definition.base, optional)


def defaults(chain: tuple[Bound, ...]) -> dict[str, nodes.Expr | None]:
    """The default of each parameter: what the innermost space gives, else what the root says; or None."""
    found = {each.name.name: each.default for each in chain[-1].definition.parameters}
    for bound in reversed(chain[:-1]):
        assert isinstance(bound.definition, nodes.NetDefinition) and bound.definition.base is not None
        base = bound.definition.base
        by_place = (each.value for each in base.arguments if each.name is None)
        found.update(zip(found, by_place, strict=False))
        found.update((each.name.name, each.value) for each in base.arguments if each.name is not None)
    return found


def lacking(chain: tuple[Bound, ...]) -> bool:
    """Whether a parameter has no value unless it is given from outside."""
    return any(default is None for default in defaults(chain).values())


def values_of(chain: tuple[Bound, ...], given: Mapping[str, Value]) -> Arguments:
    """The values of the parameters: given from outside, else by default.

    Raises:
        Fault: a parameter is unknown, or has no value.
    """
    bound, found = chain[0], defaults(chain)
    at = bound.definition.name.span
    for name in given:
        if name not in found:
            help = did_you_mean(name, found) or (f"it has {', '.join(found)}" if found else "it has none")
            raise Fault(codes.UNKNOWN_PARAMETER.at(at, callee=bound.name, name=name, help=help))
    values: dict[str, Value] = {}
    scope = Scope(values)  # which grows with the values
    for name, default in found.items():
        if name in given:
            values[name] = given[name]
        elif default is not None:
            values[name] = evaluate(default, scope)
        else:
            help = f"give it with `--set {name}=...` or `load(..., {name}=...)`"
            raise Fault(codes.MISSING_ARGUMENT.at(at, callee=bound.name, name=name, help=help))
    return tuple(values.items())


def outside(name: str, value: object) -> Value:
    """A parameter's value that a program gives; a string is a word.

    Raises:
        TypeError: it is no number, bool or word.
        ValueError: it is a number that is too large or none at all (infinite, not-a-number).
    """
    if isinstance(value, Word):
        return value
    if isinstance(value, str) and is_name(value):
        return Word(value)
    if isinstance(value, bool):
        return value
    if not isinstance(value, Real):
        raise TypeError(f"the parameter {name} must be a number, a bool or a word, not {value!r}")
    number = int(value) if isinstance(value, Integral) else float(value)
    if not math.isfinite(number) or abs(number) > MAX_NUMBER:
        raise ValueError(f"the parameter {name} must be a number of at most 10^18, not {value}")
    return number
