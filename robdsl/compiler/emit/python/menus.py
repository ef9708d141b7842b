"""Open edges of cells that choose differently: what each offers, and a loop that takes what a code says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from robdsl.compiler.emit.python.amounts import Amount
from robdsl.compiler.emit.python.environment import Environment
from robdsl.compiler.emit.python.layout import Code, Group, Item, dict_of, flat, lines, tuple_of
from robdsl.compiler.emit.python.library import Library
from robdsl.compiler.emit.python.specs import CellInstance, Layer, Spec, Use
from robdsl.compiler.names import module_name
from robdsl.graph.cell import CellEdge
from robdsl.graph.values import Word


def write_menus(
    instances: Sequence[CellInstance],
    edges: Sequence[CellEdge],
    library: Library,
    environment: Environment,
    amount: Callable[[str], Amount],
) -> list[str] | None:
    """Statements that build the open edges by a parameter ``genotype``; None when instances differ in more."""
    cell = instances[0].cell
    edges = sorted(edges, key=lambda edge: edge.opens or 0)
    written: list[tuple[CellEdge, str, Group]] = []
    for edge in edges:
        menu = _menu(instances, edge, library, environment, amount(edge.source))
        if menu is None or edge.opens is None:
            return None
        written.append((edge, cell.opens[edge.opens].kind, menu))
    genotypes = [_code(each, edges) for each in instances]
    if None in genotypes:
        return None
    genotype = environment.write([Word(each) for each in genotypes if each is not None], "genotype")
    named = _named(written, environment)
    code: list[str] = []
    for name, menu in named.items():
        code.extend(lines(menu, 8, f"{name} = "))
    kinds = {kind for _, kind, _ in written}
    name_of = {flat(menu): name for name, menu in named.items()}
    rows: list[tuple[str, Code]] = []
    for edge, kind, menu in written:
        name = name_of[flat(menu)]
        rows.append((module_name(edge.key), name if len(kinds) == 1 else tuple_of([_CHOOSERS[kind], name])))
    names = environment.names.inner()
    table, codes = names.variable("edges"), names.variable("codes")
    member, offered, one = names.variable("edge"), names.variable("offered"), names.variable("code")
    choose = _CHOOSERS[kinds.pop()] if len(kinds) == 1 else names.variable("choose")
    target = (
        f"({member}, {offered})" if choose in _CHOOSERS.values() else f"({member}, ({choose}, {offered}))"
    )
    return [
        *code,
        *lines(dict_of(rows), 8, f"{table} = "),
        f'        {codes} = {genotype}.replace("|", " ").split()',
        f"        for {target}, {one} in zip({table}.items(), {codes}, strict=True):",
        f"            setattr(self, {member}, {choose}({one}, {offered}))",
    ]


_CHOOSERS = {"any": "chosen", "one": "chosen_one"}


def _menu(
    instances: Sequence[CellInstance],
    edge: CellEdge,
    library: Library,
    environment: Environment,
    entering: Amount,
) -> Group | None:
    """What an edge offers, as a dict of what builds it; None when it offers different things in different instances."""
    offers: list[tuple[str, Code]] = []
    for place, (label, spec) in enumerate(instances[0].offered[edge.key]):
        if spec is None:
            offers.append(("none", "None"))
            continue
        specs = [
            library.plain(other)
            for each in instances
            if (other := each.offered[edge.key][place][1]) is not None
        ]
        if len({library.skeleton(each) for each in specs}) > 1:
            return None
        offers.append((module_name(label), _builder(specs, library, environment, entering)))
    return dict_of(offers)


def _builder(specs: Sequence[Spec], library: Library, environment: Environment, entering: Amount) -> Code:
    """Something that builds a new module each time it is called."""
    code, _ = library.write(specs, entering, environment)
    assert isinstance(code, Group)
    if not isinstance(specs[0], Layer | Use):
        return Group(f"lambda: {code.head}", code.items)
    function = code.head.removesuffix("(")
    return Group("partial(", (Item(function), *code.items)) if code.items else function


def _named(written: Sequence[tuple[CellEdge, str, Group]], environment: Environment) -> dict[str, Group]:
    """The different menus, each under a variable that says which nodes it is for."""
    sources: dict[str, list[str]] = {}
    menus: dict[str, Group] = {}
    for edge, _, menu in written:
        menus.setdefault(flat(menu), menu)
        found = sources.setdefault(flat(menu), [])
        if edge.source not in found:
            found.append(edge.source)
    everywhere = [source for each in sources.values() for source in each]
    apart = len(everywhere) == len(set(everywhere)) and len(menus) > 1
    named = {}
    for text, menu in menus.items():
        name = f"from_{'_'.join(sources[text])}" if apart else "menu"
        named[environment.names.variable(name)] = menu
    return named


def _code(instance: CellInstance, edges: Sequence[CellEdge]) -> str | None:
    """What an instance chose, as alpha writes it."""
    groups = []
    for _, group in groupby(edges, key=lambda edge: edge.target):
        codes = []
        for edge in group:
            assert edge.opens is not None
            chosen = instance.choice[edge.opens]
            if instance.cell.opens[edge.opens].kind == "any":
                codes.append("".join(str(int(index in chosen)) for index in range(len(edge.alternatives))))
            elif len(chosen) == 1:
                codes.append(str(chosen[0]))
            else:
                return None
        groups.append(" ".join(codes))
    return " | ".join(groups)
