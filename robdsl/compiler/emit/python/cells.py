"""A cell of the text as a class: its edges are modules, its nodes are variables of `forward`.

Where all cells of the class make one choice, the edges are written out. Where they choose differently, an open edge is a
menu, and a code says what is taken from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from robdsl.compiler.emit.python.amounts import Amount
from robdsl.compiler.emit.python.conditions import split
from robdsl.compiler.emit.python.docstrings import docstring
from robdsl.compiler.emit.python.environment import Environment
from robdsl.compiler.emit.python.forward import Flow, Presence, write_forward
from robdsl.compiler.emit.python.layout import Code, Group, Item, call, flat, lines, tuple_of
from robdsl.compiler.emit.python.library import Definition, Library, is_identity, learns
from robdsl.compiler.emit.python.menus import write_menus
from robdsl.compiler.emit.python.names import Names
from robdsl.compiler.emit.python.operations import add_arguments, parameter_list
from robdsl.compiler.emit.python.source_text import sum_of
from robdsl.compiler.emit.python.specs import CellInstance, Parallel, Spec
from robdsl.compiler.names import module_name
from robdsl.graph.cell import CellEdge
from robdsl.graph.shapes import is_map

#: So many edges with one constructor of several lines are written as a loop.
ALIKE = 3


class CannotShare(Exception):
    """No class was found that builds all of the cells."""


def define_cell(instances: Sequence[CellInstance], library: Library, names: Names) -> list[Definition]:
    """The class of a cell; several where one cannot build all of the instances."""
    try:
        return [_CellWriter(instances, library, names).define()]
    except CannotShare:
        groups: dict[object, list[CellInstance]] = {}
        for each in instances:
            groups.setdefault(_structure(each, library), []).append(each)
        return [_CellWriter(group, library, names).define() for group in groups.values()]


def _structure(instance: CellInstance, library: Library) -> object:
    """What two cells share when one class without branches can build both."""
    closed = tuple((key, library.skeleton(library.plain(spec))) for key, spec in instance.closed.items())
    offered = tuple(
        (key, tuple((label, spec and library.skeleton(library.plain(spec))) for label, spec in offers))
        for key, offers in instance.offered.items()
    )
    return closed, offered


@dataclass
class _Alike:
    """A constructor and the edges that it builds."""

    code: Code
    keys: list[str] = field(default_factory=list)


#: The bodies of an `if`, by their conditions.
_Branches = dict[str, list[str]]


@dataclass
class _CellWriter:
    """Writes one class.

    Attributes:
        init: the lines of the constructor.
        built: what makes the modules of edges: constructors by their code, and branches by their conditions.
        flows: the edges that something flows along, by key.
        empty: the members that give zeros, by node.
        idle: the members of edges that lead nowhere.
    """

    instances: Sequence[CellInstance]
    library: Library
    names: Names
    init: list[str] = field(default_factory=list)
    built: dict[object, _Alike | _Branches] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
    empty: dict[str, str] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)
    amounts: dict[str, Amount] = field(default_factory=dict)

    def define(self) -> Definition:
        self.cell, self.live = self.instances[0].cell, self.instances[0].live
        self.edges = self._edges()
        self.environment = Environment(self.names.inner(), len(self.instances))
        self._inputs()
        add_arguments(self.environment, self.instances)
        self.environment.reads(self.cell.definition, self._known)
        self._modules()
        name = self.names.class_(self.cell.name, "Cell")
        text = self.cell.span.text.strip()
        signature = Group("def __init__(", (Item("self"), *parameter_list(self.environment)))
        code = [
            f"class {name}(nn.Module):",
            *docstring(f"The cell `{self.cell.name}`" + (f":\n\n{text}" if text else "."), 4),
            "",
            *lines(signature, 4, after=" -> None:"),
            "        super().__init__()",
            *self.init,
            "",
            *write_forward(self.cell, self.live, self.flows, self.empty, self.names),
        ]
        return Definition(
            name,
            self.environment,
            self.cell.definition.parameters,
            frozenset(self.amounts[each].text or "" for each in self.cell.inputs),
            {each: place for place, each in enumerate(self.instances)},
            code,
        )

    # --- what is known

    def _edges(self) -> list[CellEdge]:
        """The edges of all instances, in the order written."""
        found: dict[str, CellEdge] = {}
        for instance in self.instances:
            for edge in instance.cell.edges:
                found.setdefault(edge.key, edge)
        return sorted(found.values(), key=lambda edge: edge.span.start)

    def _inputs(self) -> None:
        taken = {name for name, _ in self.cell.arguments}
        heights = {}
        for place, name in enumerate(self.cell.inputs):
            shapes = [each.in_shapes[place] for each in self.instances]
            kind = "channels" if is_map(shapes[0]) else "features"
            alone = len(self.cell.inputs) == 1 and kind not in taken
            values = tuple(shape[0] for shape in shapes)
            self.amounts[name] = Amount(
                values, self.environment.add(kind if alone else f"{name}_{kind}", values)
            )
            if all(map(is_map, shapes)):
                heights[name] = [shape[1] for shape in shapes]
        self.environment.heights = heights

    def _amount(self, node: str) -> Amount:
        """The channels of a node."""
        known = self._known(node)
        if known is None:
            known = Amount(tuple(each.cell.nodes[node].shape[0] for each in self.instances))
        return known

    def _known(self, name: str) -> Amount | None:
        """The channels of a node that code has words for."""
        node = self.cell.nodes.get(name)
        if node is None or name in self.amounts:
            return self.amounts.get(name)
        values = tuple(each.cell.nodes[name].shape[0] for each in self.instances)
        operands = [each for each in map(self._known, node.operands) if each is not None]
        if node.join is None or len(operands) < len(node.operands):
            return None
        if node.join != "concat":
            return next((each for each in operands if each.values == values), None)
        return self.environment.word_for(values) or sum_of(operands, values)

    # --- the constructor

    def _modules(self) -> None:
        varied = len({each.choice for each in self.instances}) > 1
        menus = [edge for edge in self.edges if edge.opens is not None and varied]
        for edge in self.edges:
            if edge not in menus:
                self._edge(edge, [self._spec(instance, edge) for instance in self.instances])
        self._write_built()
        if menus:
            self._menus(menus)
        for name in self.cell.order:
            if name in self.live and not self.cell.nodes[name].is_input and not self.cell.nodes[name].join:
                self._node(name)
        self._write_idle()

    def _spec(self, instance: CellInstance, edge: CellEdge) -> Spec | None:
        """What is on an edge of one instance, or None."""
        if edge.opens is None:
            spec = instance.closed.get(edge.key)
            return spec and self.library.plain(spec)
        taken = [(label, self.library.plain(spec)) for label, spec in instance.taken(edge)]
        if not taken:
            return None
        if len(taken) == 1 and is_identity(taken[0][1]):
            return taken[0][1]
        return Parallel(tuple(taken), taken[0][1].in_shape, taken[0][1].out_shape)

    def _edge(self, edge: CellEdge, specs: Sequence[Spec | None]) -> None:
        """Writes what makes the module of an edge."""
        present = [spec for spec in specs if spec is not None]
        if not present:
            return
        skeletons = [None if spec is None else self.library.skeleton(spec) for spec in specs]
        if len(present) == len(specs) and all(map(is_identity, present)):
            self._flows(edge, Presence.PLAIN)
            return
        self._flows(edge, Presence.SOMETIMES if None in skeletons else Presence.ALWAYS)
        if edge.target not in self.live and any(map(learns, present)):
            self.idle.append(self._member(edge.key))
        variants = [skeletons.index(each) for each in skeletons]
        branches = split(self.environment, variants, self._amount(edge.source))
        if branches is None:
            raise CannotShare
        if len(branches) == 1:
            code, leaving = self.library.write(present, self._amount(edge.source), self.environment)
            alike = self.built.setdefault(flat(code), _Alike(code))
            assert isinstance(alike, _Alike)
            alike.keys.append(edge.key)
            if self._amount(edge.target).text is None and leaving.text is not None:
                self.amounts[edge.target] = leaving
            return
        bodies = self.built.setdefault(tuple(condition for _, condition in branches), {})
        assert isinstance(bodies, dict)
        for variant, condition in branches:
            places = [place for place, each in enumerate(variants) if each == variant]
            code = self._branch(edge, places, specs)
            bodies.setdefault(condition, []).extend(lines(code, 12, f"{self._member(edge.key)} = "))

    def _branch(self, edge: CellEdge, places: Sequence[int], specs: Sequence[Spec | None]) -> Code:
        """The constructor of an edge in some of the instances."""
        chosen = [spec for place in places if (spec := specs[place]) is not None]
        if not chosen:
            return "None"
        code, _ = self.library.write(
            chosen, self._amount(edge.source).at(places), self.environment.at(places)
        )
        return code

    def _write_built(self) -> None:
        for built in self.built.values():
            if isinstance(built, _Alike):
                self._write_alike(built)
                continue
            for number, (condition, body) in enumerate(built.items()):
                keyword = f"{'elif' if number else 'if'} {condition}" if condition else "else"
                self.init.extend([f"        {keyword}:", *body])

    def _write_alike(self, alike: _Alike) -> None:
        longest = max(alike.keys, key=len)
        if len(alike.keys) < ALIKE or len(lines(alike.code, 8, f"{self._member(longest)} = ")) == 1:
            for key in alike.keys:
                self.init.extend(lines(alike.code, 8, f"{self._member(key)} = "))
            return
        edge = self.environment.names.inner().variable("edge")
        quoted = tuple_of(f'"{module_name(key)}"' for key in alike.keys)
        self.init.extend(lines(quoted, 8, f"for {edge} in ", ":"))
        self.init.extend(lines(call("self.add_module", edge, alike.code), 12))

    def _menus(self, edges: Sequence[CellEdge]) -> None:
        written = write_menus(self.instances, edges, self.library, self.environment, self._amount)
        if written is None:
            raise CannotShare
        self.init.extend(written)
        for edge in edges:
            self._flows(edge, Presence.SOMETIMES)
            if edge.target not in self.live:
                self.idle.append(self._member(edge.key))

    def _node(self, name: str) -> None:
        """Writes what the sum that a node is needs besides its edges."""
        entering = [flow for flow in self.flows.values() if flow.target == name and flow.source in self.live]
        if entering and all(flow.presence is not Presence.SOMETIMES for flow in entering):
            return
        for flow in entering:
            if flow.presence is Presence.PLAIN:
                self.init.extend(lines("nn.Identity()", 8, f"{flow.member} = "))
                flow.presence = Presence.ALWAYS
        if any(flow.presence is Presence.ALWAYS for flow in entering) or not self._empty_somewhere(name):
            return
        member = f"empty_{name}"
        while any(member in (edge.key, module_name(edge.key)) for edge in self.edges):
            member += "_"
        self.empty[name] = f"self.{member}"
        before = f"self.{member} = "
        if entering:
            flows = self.environment.names.inner().variable("flows")
            self.init.extend(lines(tuple_of(flow.member for flow in entering), 8, f"{flows} = "))
            before += f"None if any({flows}) else "
        self.init.extend(lines(self._zeros(name), 8, before))

    def _empty_somewhere(self, name: str) -> bool:
        return any(
            not any(True for edge in each.cell.entering[name] for _ in each.cell.chosen(edge, each.choice))
            for each in self.instances
        )

    def _zeros(self, name: str) -> Group:
        shapes = [each.cell.nodes[name].shape for each in self.instances]
        kind = "channels" if is_map(shapes[0]) else "features"
        width = self.environment.amount(
            [shape[0] for shape in shapes], f"{name}_{kind}", hint=self._amount(name)
        )
        sizes = [
            self.environment.write([shape[place] for shape in shapes], f"{name}_{size}")
            for place, size in ((1, "height"), (2, "width"))
            if place < len(shapes[0])
        ]
        return call("Zeros", width.text or "", *sizes)

    def _write_idle(self) -> None:
        """What leads nowhere has weights, as in the published code, but does not learn."""
        if not self.idle:
            return
        self.init.append("        # What leads nowhere has weights, but does not learn.")
        presence = {flow.member: flow.presence for flow in self.flows.values()}
        there = [member for member in self.idle if presence[member] is Presence.ALWAYS]
        self.init.extend(f"        {member}.requires_grad_(False)" for member in there)
        others = [member for member in self.idle if member not in there]
        if others:
            edge = self.environment.names.inner().variable("edge")
            self.init.extend(lines(call("filter", "None", tuple_of(others)), 8, f"for {edge} in ", ":"))
            self.init.append(f"            {edge}.requires_grad_(False)")

    def _flows(self, edge: CellEdge, presence: Presence) -> None:
        self.flows[edge.key] = Flow(edge.key, edge.source, edge.target, self._member(edge.key), presence)

    @staticmethod
    def _member(key: str) -> str:
        return f"self.{module_name(key)}"
