"""`forward` of a cell: a variable for each node that the result needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto

from robdsl.compiler.emit.python.layout import WIDTH, Group, call, lines, tuple_of
from robdsl.compiler.emit.python.names import Names
from robdsl.graph.cell import Cell


class Presence(Enum):
    """What is on an edge: a module, the value of its source as it is, or a module in some instances and None in others."""

    ALWAYS = auto()
    PLAIN = auto()
    SOMETIMES = auto()


@dataclass
class Flow:
    """An edge that something flows along; ``member`` is the expression of its module."""

    key: str
    source: str
    target: str
    member: str
    presence: Presence


@dataclass(frozen=True)
class _Terms:
    """A sum or product."""

    terms: Sequence[str]
    operator: str = "+"


def write_forward(
    cell: Cell, live: AbstractSet[str], flows: Mapping[str, Flow], empty: Mapping[str, str], names: Names
) -> list[str]:
    """The lines of the method.

    Args:
        cell: any of the cells of the class.
        live: the nodes that the result needs.
        flows: the edges, in the order in which they are summed.
        empty: the modules that give zeros, by the node that (in some instances) nothing flows into.
        names: what means something in the file.
    """
    inner = names.inner()
    variables = {name: inner.variable(name) for name in cell.inputs}
    writer = _Writer(cell, flows, empty, variables)
    body: list[str] = []
    for name in cell.order:
        if name in variables or name not in live:
            continue
        made = writer.node(name)
        if name == "out":
            body.extend(_statement(made, "", inner))
        elif isinstance(made, _Terms) and len(made.terms) == 1 and made.terms[0] in variables.values():
            variables[name] = made.terms[0]
        else:
            variables[name] = inner.variable(name)
            body.extend(_statement(made, variables[name], inner))
    signature = call("def forward", "self", *(f"{variables[name]}: Tensor" for name in cell.inputs))
    return [*lines(signature, 4, after=" -> Tensor:"), *body]


@dataclass(frozen=True)
class _Writer:
    cell: Cell
    flows: Mapping[str, Flow]
    empty: Mapping[str, str]
    variables: Mapping[str, str]

    def node(self, name: str) -> Group | _Terms:
        """The value of a node."""
        node = self.cell.nodes[name]
        if node.join is not None:
            operands = [self.variables[each] for each in node.operands]
            if node.join == "concat":
                return call("torch.cat", tuple_of(operands), dim="1")
            return _Terms(operands, "+" if node.join == "sum" else "*")
        anything = self.variables[self.cell.inputs[0]]
        entering = [
            flow for flow in self.flows.values() if flow.target == name and flow.source in self.variables
        ]
        if not entering:
            return _Terms([f"{self.empty[name]}({anything})"])
        if all(flow.presence is not Presence.SOMETIMES for flow in entering):
            return _Terms([self._term(flow) for flow in entering])
        pairs = [(self.empty[name], anything)] if name in self.empty else []
        pairs.extend((flow.member, self.variables[flow.source]) for flow in entering)
        return call("total", *map(tuple_of, pairs))

    def _term(self, flow: Flow) -> str:
        source = self.variables[flow.source]
        return source if flow.presence is Presence.PLAIN else f"{flow.member}({source})"


def _statement(made: Group | _Terms, variable: str, names: Names) -> list[str]:
    """The lines of an assignment, or of a `return` where there is no variable."""
    before = f"{variable} = " if variable else "return "
    if isinstance(made, Group):
        return lines(made, 8, before)
    line = f"        {before}{f' {made.operator} '.join(made.terms)}"
    if len(made.terms) == 1 or len(line) <= WIDTH:
        return [line]
    first, *others = made.terms
    if len(others) > 1:
        added = [f"            {made.operator} {term}" for term in others]
        return [f"        {before}(", f"            {first}", *added, "        )"]
    result = variable or names.variable("out")
    both = [f"        {result} = {first}", f"        {result} = {result} {made.operator} {others[0]}"]
    return both if variable else [*both, f"        return {result}"]
