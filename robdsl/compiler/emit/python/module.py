"""A net as one Python file that needs only torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import networkx as nx

from robdsl.compiler.emit.python.cells import define_cell
from robdsl.compiler.emit.python.docstrings import docstring
from robdsl.compiler.emit.python.helpers import HELPERS, names_in, needed
from robdsl.compiler.emit.python.library import Definition, Library, is_identity
from robdsl.compiler.emit.python.names import Names
from robdsl.compiler.emit.python.nets import NetWriter
from robdsl.compiler.emit.python.operations import define_operation
from robdsl.compiler.emit.python.specs import Catalog, CellInstance, GroupKey, Instance, OpInstance
from robdsl.compiler.emit.python.wiring import Built, path_of
from robdsl.graph.net import Net
from robdsl.graph.shapes import show


def emit_python(net: Net, text: str) -> str:
    """A PyTorch module that computes a net, as a person would write it.

    Its class bears the net's name, and a function of that name makes one. The keys of its `state_dict` are those of
    `robdsl.compile`, and under equal weights so are its outputs. What cells and operations of one definition have in common
    is one class; what differs between them are its parameters.

    Args:
        net: any net.
        text: what the file says at its top, best the canonical text of the net. Nothing in it can become code.

    Returns:
        The file's text, formatted in 88 columns.
    """
    names = Names()
    title, maker = names.class_(net.name, "Net"), names.fresh(*_makers(net.name))
    catalog = Catalog(net.stages)
    operations = [catalog.spec(stage.operation) for stage in net.stages]
    library = Library()
    definitions = list(_define(catalog, library, names))
    specs = [library.plain(spec) for spec in operations]
    stages = [
        Built(path_of(stage.name), number, len(stage.inputs), None if is_identity(spec) else spec)
        for number, (stage, spec) in enumerate(zip(net.stages, specs, strict=True))
    ]
    writer = NetWriter(stages, library, names)
    top = writer.write(title, _about(net))
    made = [
        f"def {maker}() -> {title}:",
        *docstring(f"The net `{net.name}` with fresh weights.", 4),
        f"    return {title}()",
    ]
    blocks = [
        *(each.code for each in definitions),
        *([writer.tables[:-1]] if writer.tables else []),
        top,
        made,
    ]
    code = _joined(blocks)
    blocks = [HELPERS[name].splitlines() for name in needed(code)] + blocks
    heading = docstring(f"{net.name}, from the architecture below; written by robdsl.\n\n{text}")
    return "\n".join([*heading, "", *_imports(names_in(_joined(blocks))), _joined(blocks)])


def _joined(blocks: Sequence[Sequence[str]]) -> str:
    """Definitions, with two empty lines before each."""
    return "".join(
        f"\n\n{line}\n" if place == 0 else f"{line}\n" for block in blocks for place, line in enumerate(block)
    )


def _makers(name: str) -> tuple[str, ...]:
    plain = name.strip("_").lower()
    return (plain, f"{plain}_net", f"make_{plain}") if plain[:1].isalpha() else (f"make_{plain}", "make_net")


def _about(net: Net) -> str:
    logits = show(net.stages[-1].shape)
    return (
        f"Images N x {show(net.image)} in [0, 1] -> N x {logits} logits.\n\n"
        f"{net.cost.params:,} parameters, {net.cost.macs:,} multiply-adds an image."
    )


def _imports(used: set[str]) -> Iterator[str]:
    standard = {
        "Callable": "from collections.abc import Callable",
        "partial": "from functools import partial",
    }
    found = [line for name, line in standard.items() if name in used]
    yield from (*found, "") if found else ()
    if "torch" in used:
        yield "import torch"
    yield "from torch import Tensor, nn"
    if "functional" in used:
        yield "from torch.nn import functional"


def _define(catalog: Catalog, library: Library, names: Names) -> Iterator[Definition]:
    """The classes of all operations and cells, what is used before what uses it."""
    for key, instances in _in_order(catalog.groups):
        made: list[Definition] = []
        if key.kind == "op":
            definition = define_operation(
                [each for each in instances if isinstance(each, OpInstance)], library, names
            )
            made = [definition] if definition else []
        else:
            cells = [each for each in instances if isinstance(each, CellInstance)]
            made = define_cell(cells, library, names)
        for definition in made:
            library.definitions.update(dict.fromkeys(definition.places, definition))
            yield definition


def _in_order(groups: dict[GroupKey, list[Instance]]) -> Iterator[tuple[GroupKey, list[Instance]]]:
    """The groups, what is used first. Definitions that stand in themselves are cut by how deep they nest."""
    graph: nx.DiGraph[GroupKey] = nx.DiGraph()
    graph.add_nodes_from(groups)
    for key, instances in groups.items():
        graph.add_edges_from((used.key, key) for each in instances for used in each.uses)
    place = {key: number for number, key in enumerate(groups)}
    for component in _components(graph, place):
        if len(component) == 1 and not graph.has_edge(component[0], component[0]):
            yield component[0], groups[component[0]]
            continue
        members = [(each.height, key, each) for key in component for each in groups[key]]
        for height in sorted({height for height, _, _ in members}):
            for key in component:
                cut = [each for level, of, each in members if level == height and of == key]
                if cut:
                    yield key, cut


def _components(graph: nx.DiGraph[GroupKey], place: dict[GroupKey, int]) -> list[list[GroupKey]]:
    """The circles of definitions that use each other, and single ones; what is used first."""
    condensed = nx.condensation(graph)
    members = {node: sorted(condensed.nodes[node]["members"], key=place.__getitem__) for node in condensed}
    order = nx.lexicographical_topological_sort(condensed, key=lambda node: place[members[node][0]])
    return [members[node] for node in order]
