"""Nets back to text: one file that means the same net, wherever its parts came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from robdsl.diagnostics.source import NOWHERE, Source
from robdsl.graph.choices import Pick, alpha_text, can_be_spelled_out, spelled_out
from robdsl.graph.layout import MetaValue
from robdsl.graph.net import Net
from robdsl.graph.nets import chain_of_spaces
from robdsl.graph.operations import Choice
from robdsl.graph.program import Bound, ProgramFile
from robdsl.graph.values import Scope, Value, Word, evaluate
from robdsl.syntax import nodes
from robdsl.syntax.formatter import format_tree
from robdsl.syntax.parser import parse


class NotWritable(Exception):
    """A net cannot be said in one file; the message says why."""


def format_net(net: Net) -> str:
    """Canonical text for a net: ``load(format_net(net))`` is the same net.

    Shipped files are used, other definitions are written out.

    Raises:
        NotWritable: two definitions that it needs bear one name, or it is a supernet with ``one`` edges.
    """
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
    picks = tuple(_bits(pick, choice) for pick, choice in zip(net.layout.picks, net.choices, strict=True))
    if net.whole and not all(
        pick.admits(choice) for pick, choice in zip(net.layout.picks, net.choices, strict=True)
    ):
        raise NotWritable(f"{net.name} has every alternative of `one` edges, which no choice says")
    base = nodes.Call(nodes.Ident(space.name), _changed(net, space))
    return nodes.NetDefinition("net", nodes.Ident(net.name), (), base, (*picks, *_metas(net.meta)))


def _bits(pick: Pick, choice: Choice) -> nodes.PickBits:
    groups = tuple(
        nodes.BitGroup(tuple(nodes.Number(code) for code in group.split()))
        for group in alpha_text(pick, choice).split("|")
    )
    return nodes.PickBits(nodes.Ident(pick.name), groups)


def _changed(net: Net, space: Bound) -> tuple[nodes.Argument, ...]:
    """The arguments that make the space's parameters those of the net."""
    chain = chain_of_spaces(space)
    declared = chain[-1].definition.parameters
    names = [each.name.name for each in declared]
    defaults = {each.name.name: each.default for each in declared}
    for each in reversed(chain[:-1]):
        assert isinstance(each.definition, nodes.NetDefinition) and each.definition.base is not None
        arguments = each.definition.base.arguments
        defaults.update(zip(names, (a.value for a in arguments if a.name is None), strict=False))
        defaults.update({a.name.name: a.value for a in arguments if a.name is not None})
    return tuple(
        nodes.Argument(nodes.Ident(name), literal(value)) for name, value in _differing(net, defaults)
    )


def _differing(net: Net, defaults: Mapping[str, nodes.Expr | None]) -> Iterator[tuple[str, Value]]:
    before: dict[str, Value] = {}
    for name, value in net.layout.parameters:
        default = defaults[name]
        if default is None or not _same(evaluate(default, Scope(dict(before))), value):
            yield name, value
        before[name] = value


def _same(first: Value, second: Value) -> bool:
    return type(first) is type(second) and first == second


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
    if not isinstance(value, int | float) or value != value or abs(value) == float("inf"):
        raise NotWritable(f"{value} cannot be written as a number")
    text = format(Decimal(repr(abs(value))), "f")
    if isinstance(value, float) and "." not in text:
        text += ".0"
    number = nodes.Number(text)
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
            raise NotWritable(f"two definitions are called `{bound.name}`, so they cannot stand in one file")
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
            clash = next((name for name in file.own if name in self.written), None)
            if clash is not None:
                raise NotWritable(f"two definitions are called `{clash}`, so they cannot stand in one file")
            yield nodes.Use(tuple(nodes.Ident(part) for part in shipped.split(".")))
        for bound in reversed(self.written.values()):
            yield bound.definition


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
    """A choice spelled out; the bits as they are where the long form cannot tell all edges apart."""
    if not can_be_spelled_out(pick):
        return written
    lines: list[tuple[list[str], list[str], tuple[str, ...]]] = []
    for source, target, names in spelled_out(pick, choice):
        if lines and lines[-1][1] == [target] and lines[-1][2] == names:
            lines[-1][0].append(source)
        else:
            lines.append(([source], [target], names))
    merged: list[tuple[list[str], list[str], tuple[str, ...]]] = []
    for line in lines:
        if merged and merged[-1][0] == line[0] and merged[-1][2] == line[2]:
            merged[-1][1].extend(line[1])
        else:
            merged.append(line)
    edges = tuple(
        nodes.Edge(tuple(map(nodes.Ident, sources)), tuple(map(nodes.Ident, targets)), _sum(pick, names))
        for sources, targets, names in merged
    )
    return nodes.PickEdges(written.target, edges, span=written.span)


def _sum(pick: Pick, names: tuple[str, ...]) -> nodes.Op:
    parts = tuple(alternative(name) for name in names)
    return parts[0] if len(parts) == 1 else nodes.Sum(parts)


def short_form(pick: Pick, written: nodes.PickEdges, choice: Choice) -> nodes.PickBits:
    """A choice as bits."""
    return replace(_bits(pick, choice), target=written.target, span=written.span)


def alternative(name: str) -> nodes.Op:
    """The tree of an alternative as a long-form choice calls it."""

    tree = parse(Source("<alternative>", f"op alternative = {name}")).definitions[0]
    assert isinstance(tree, nodes.OpDefinition)
    return tree.body
