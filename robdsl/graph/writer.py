"""Nets back to text: one file that means the same net, wherever its parts came from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from robdsl.diagnostics.source import NOWHERE, Source
from robdsl.graph.choices import Pick, alpha_text, read_edges, spelled_out
from robdsl.graph.layout import MetaValue
from robdsl.graph.net import Net, NetMeasures, expect_net
from robdsl.graph.operations import Choice
from robdsl.graph.parameters import chain_of_spaces, defaults
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.values import Fault, Scope, Value, Word, evaluate, show_value
from robdsl.syntax import nodes
from robdsl.syntax.formatter import format_tree
from robdsl.syntax.layout import MAX_DIGITS
from robdsl.syntax.parser import parse


class NotWritable(Exception):
    """A net cannot be said in one file; the message says why."""


def format_net(net: Net) -> str:
    """Canonical text for a net: ``load(format_net(net))`` is the same net.

    Shipped files are used, other definitions are written out.

    Raises:
        TypeError: it is given something that is no net.
        NotWritable: two definitions that it needs bear one name, or it is a supernet that is no net of its
            space (it has ``one`` edges, or breaks a rule).
    """
    expect_net(net, "robdsl.format")
    collector = _Collector(net.name)
    if net.layout.spaces:
        # A supernet obeys no rules, so it is written as a net of the space at the bottom.
        space = net.layout.spaces[0 if net.whole else -1]
        collector.need(space)
        definition = _net_in(net, space)
    else:
        bound = net.layout.bound
        collector.need_all(bound)
        definition = _closed(net)
    return format_tree(nodes.File((*collector.statements(), definition)))


# --- the net itself


def _net_in(net: Net, space: Bound) -> nodes.NetDefinition:
    choices = list(zip(net.layout.picks, net.choices, strict=True))
    if not all(pick.admits(choice) for pick, choice in choices):
        raise NotWritable(f"{net.name} has every alternative of `one` edges, which no choice says")
    rules = [rule for rule in net.layout.rules if net.whole and rule.space == space.name]
    if any(True for rule in rules for _ in rule.verify(net.name, NetMeasures(net), lambda index: None)):
        raise NotWritable(f"{net.name} breaks a rule of {space.name}, as supernets may and nets may not")
    picks = tuple(_bits(pick, choice) for pick, choice in choices)
    base = nodes.Call(nodes.Ident(space.name), _changed(net, space))
    return nodes.NetDefinition("net", nodes.Ident(net.name), (), base, (*picks, *_metas(net.meta)))


def _bits(pick: Pick, choice: Choice) -> nodes.PickBits:
    groups = (group.split() for group in alpha_text(pick, choice).split("|"))
    written = tuple(nodes.BitGroup(tuple(map(nodes.Number, group))) for group in groups)
    return nodes.PickBits(nodes.Ident(pick.name), written)


def _changed(net: Net, space: Bound) -> tuple[nodes.Argument, ...]:
    """The arguments that make the space's parameters those of the net."""
    differing = _differing(net, defaults(chain_of_spaces(space)))
    return tuple(nodes.Argument(nodes.Ident(name), literal(value)) for name, value in differing)


def _differing(net: Net, defaults: Mapping[str, nodes.Expr | None]) -> Iterator[tuple[str, Value]]:
    before: dict[str, Value] = {}
    scope = Scope(before)  # which grows with the values
    for name, value in net.layout.parameters:
        default = defaults[name]
        if default is None or not _is(default, scope, value):
            yield name, value
        before[name] = value


def _is(default: nodes.Expr, scope: Scope, value: Value) -> bool:
    """Whether a default gives a value; one that gives none for these parameters does not."""
    try:
        found = evaluate(default, scope)
    except Fault:
        return False
    return type(found) is type(value) and found == value


def _closed(net: Net) -> nodes.NetDefinition:
    definition = net.layout.bound.definition
    assert isinstance(definition, nodes.NetDefinition)
    changed = dict(_differing(net, {each.name.name: each.default for each in definition.parameters}))
    parameters = tuple(
        replace(each, default=literal(changed[each.name.name])) if each.name.name in changed else each
        for each in definition.parameters
    )
    body = tuple(each for each in definition.body if not isinstance(each, nodes.Meta))
    return replace(
        definition,
        name=nodes.Ident(net.name),
        parameters=parameters,
        body=(*body, *_metas(net.meta)),
        span=NOWHERE,
    )


def _metas(meta: Mapping[str, MetaValue]) -> Iterator[nodes.Meta]:
    for key, value in meta.items():
        written = nodes.Text(value) if isinstance(value, str) else literal(value)
        assert isinstance(written, nodes.Text | nodes.Number | nodes.Unary)
        yield nodes.Meta(nodes.Ident(key), written)


def literal(value: Value) -> nodes.Expr:
    """The expression that stands for a value; raises `NotWritable` for a number that has no digits."""
    if isinstance(value, bool):
        return nodes.Boolean(value)
    if isinstance(value, Word):
        return nodes.Name(value.name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise NotWritable(f"{value} cannot be written as a number")
    digits = show_value(abs(value))
    if len(digits) > MAX_DIGITS:
        raise NotWritable(f"{value} has more digits than a number may have")
    number = nodes.Number(digits)
    return nodes.Unary("-", number) if value < 0 else number


# --- what it needs


@dataclass
class _Collector:
    """Gathers the definitions that a net needs: shipped files to use, and others to write out."""

    net: str
    uses: dict[str, ProgramFile] = field(default_factory=dict)
    written: dict[str, Bound] = field(default_factory=dict)

    def need(self, bound: Bound) -> None:
        """Takes in a definition and what it needs."""
        if self.written.get(bound.name) is bound:
            return
        shipped = bound.file.shipped
        if shipped is not None and self.net not in bound.file.own:
            self.uses[shipped] = bound.file
            return
        if bound.name in self.written or bound.name == self.net:
            raise NotWritable(_two(bound.name))
        self.written[bound.name] = bound
        self.need_all(bound)

    def need_all(self, bound: Bound) -> None:
        """Takes in what a definition needs, but not the definition itself."""
        for name in _called(bound.definition):
            needed = bound.file.scope.get(name)
            if needed is not None:
                self.need(needed)

    def statements(self) -> Iterator[nodes.Use | nodes.Definition]:
        """`use`s, then definitions, what is needed before what needs it."""
        for shipped, file in self.uses.items():
            others = [each.own for each in self.uses.values() if each is not file]
            for name in file.own:
                if name in self.written or any(name in other for other in others):
                    raise NotWritable(_two(name))
            yield nodes.Use(tuple(nodes.Ident(part) for part in shipped.split(".")))
        for bound in reversed(self.written.values()):
            yield bound.definition


def _two(name: str) -> str:
    return f"two definitions are called `{name}`, so they cannot stand in one file"


def _called(definition: nodes.Definition) -> Iterator[str]:
    """The names that a definition may call, in order."""
    for each in nodes.walk(definition):
        match each:
            case nodes.Call():
                yield each.callee.name
            case nodes.PickDeclaration():
                yield each.cell.name


# --- the two forms of a choice


def long_form(pick: Pick, written: nodes.PickBits, choice: Choice) -> nodes.PickEdges | nodes.PickBits:
    """A choice spelled out; the bits as they are where the long form cannot say it.

    It cannot where two open edges of one pair, or two alternatives of one edge, read the same.
    """
    lines: list[_Line] = []
    for source, target, names in spelled_out(pick, choice):
        last = lines[-1] if lines else None
        if last and last.targets == [target] and last.names == names and source not in last.sources:
            last.sources.append(source)
        else:
            lines.append(_Line([source], [target], names))
    merged: list[_Line] = []
    for line in lines:
        last = merged[-1] if merged else None
        if (
            last
            and last.sources == line.sources
            and last.names == line.names
            and last.targets != line.targets
        ):
            last.targets.extend(line.targets)
        else:
            merged.append(line)
    made = nodes.PickEdges(written.target, tuple(line.edge() for line in merged), span=written.span)
    return made if read_edges(pick, made) == choice else written


@dataclass
class _Line:
    """One line of a choice spelled out."""

    sources: list[str]
    targets: list[str]
    names: tuple[str, ...]

    def edge(self) -> nodes.Edge:
        parts = tuple(alternative(name) for name in self.names)
        chosen = parts[0] if len(parts) == 1 else nodes.Sum(parts)
        return nodes.Edge(
            tuple(map(nodes.Ident, self.sources)), tuple(map(nodes.Ident, self.targets)), chosen
        )


def short_form(pick: Pick, written: nodes.PickEdges, choice: Choice) -> nodes.PickBits:
    """A choice as bits."""
    return replace(_bits(pick, choice), target=written.target, span=written.span)


def alternative(name: str) -> nodes.Op:
    """The tree of an alternative as a long-form choice calls it."""
    tree = parse(Source("<alternative>", f"op alternative = {name}")).definitions[0]
    assert isinstance(tree, nodes.OpDefinition)
    return tree.body
