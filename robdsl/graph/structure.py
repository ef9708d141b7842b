"""What can be said of definitions without computing anything from them: their form, and the names in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report
from robdsl.graph.cell_form import CellForm
from robdsl.graph.names import NameChecker, Place
from robdsl.graph.net_form import NetForm
from robdsl.graph.program import Bound
from robdsl.syntax import nodes


@dataclass(frozen=True)
class Verdict:
    """What is wrong with the form of a definition, and whether it can be elaborated all the same."""

    found: tuple[Diagnostic, ...]
    sound: bool


def check_definition(bound: Bound) -> Verdict:
    """The verdict on one definition; mistakes in the order of the text, not many more than help anybody."""
    inside = not isinstance(bound.definition, nodes.NetDefinition)
    checker = NameChecker(bound.file)
    found: list[Diagnostic] = []
    for each in _check(bound, checker, inside=inside):
        found.append(each)
        if len(found) >= Report.LIMIT:
            break
    found.extend(checker.found)
    found.sort(key=lambda each: each.span.start)
    return Verdict(tuple(found), checker.sound and all(each.severity == "warning" for each in found))


def _check(bound: Bound, checker: NameChecker, *, inside: bool) -> Iterator[Diagnostic]:
    definition = bound.definition
    yield from _parameters(definition.parameters, checker, inside=inside)
    match definition:
        case nodes.OpDefinition():
            checker.operation(definition.body, Place.OP)
        case nodes.CellDefinition():
            yield from CellForm(definition, checker).check()
        case nodes.NetDefinition():
            yield from NetForm(definition, checker).check()


def _parameters(
    parameters: tuple[nodes.Parameter, ...], checker: NameChecker, *, inside: bool
) -> Iterator[Diagnostic]:
    """Parameters differ; a default sees those before it."""
    first: dict[str, nodes.Parameter] = {}
    places = {each.name.name: index for index, each in reversed(list(enumerate(parameters)))}
    for index, each in enumerate(parameters):
        if each.default is not None:
            checker.expression(each.default, inside=inside)
            for name in nodes.walk(each.default):
                if isinstance(name, nodes.Name) and places.get(name.name, -1) >= index:
                    related = [Label(parameters[places[name.name]].name.span, "the parameter")]
                    yield codes.TOO_EARLY.at(name.span, related=related, name=name.name)
        if each.name.name in first:
            related = [Label(first[each.name.name].span, "first here")]
            yield codes.NAME_TAKEN.at(each.name.span, related=related, name=each.name, what="a parameter")
        first.setdefault(each.name.name, each)
        checker.values.add(each.name.name)
