"""``robdsl info``: what a net or space amounts to."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from robdsl.diagnostics.diagnostic import RobError
from robdsl.graph.canonical import TooSymmetric
from robdsl.graph.index import shipped
from robdsl.graph.layout import Stage
from robdsl.graph.load import load, load_space
from robdsl.graph.net import Net, Space
from robdsl.graph.sampling import Uncountable
from robdsl.graph.shapes import show
from robdsl.graph.statistics import ChoiceStatistics
from robdsl.graph.values import show_value
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse_all, read_source

from .console import find, out, plural, settings, show_diagnostics, show_json


def info(
    file: Annotated[
        str, typer.Argument(help="A file, or the name of a shipped net or space.", show_default=False)
    ],
    net: Annotated[
        str | None, typer.Option(help="Which net or space, where the file defines several.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show sizes, shapes, density and budgets of a net, or what a space has to choose.

    Example: robdsl info robnet_free --set classes=100
    """
    found = net_or_space(file, net, settings(set_ or []))
    show_diagnostics(found.warnings)
    described = describe_net(found) if isinstance(found, Net) else describe_space(found)
    if as_json:
        show_json(described)
    elif isinstance(found, Net):
        _print_net(found, described)
    else:
        _print_space(found, described)


def net_name(file: str, path: Path, name: str | None) -> str | None:
    """Which net an argument asks for: the option says, or the bare name that found a shipped file."""
    if name is not None or str(path) == file:
        return name
    return file.replace("-", "_")


def net_or_space(file: str, name: str | None, parameters: dict[str, object]) -> Net | Space:
    """The net that an argument stands for, else the space."""
    path = find(file)
    name = net_name(file, path, name)
    tree, _ = parse_all(read_source(path))
    defined = [each for each in tree.definitions if isinstance(each, nodes.NetDefinition)]
    nets = [each.name.name for each in defined if each.kind == "net"]
    spaces = [each.name.name for each in defined if each.kind == "space"]
    if spaces and (not nets if name is None else name in spaces):
        return load_space(path, name, **parameters)
    return load(path, name, **parameters)


def describe_net(net: Net) -> dict[str, Any]:
    """All that is known of a net, as plain data."""
    stats = net.stats()
    return {
        "name": net.name,
        "space": net.space.name if net.space else None,
        "parameters": {name: show_value(value) for name, value in net.layout.parameters},
        "input": list(net.image),
        "outputs": net.classes,
        "params": stats.params,
        "macs": stats.macs,
        "depth": stats.depth,
        "density": stats.density,
        "budgets": fits(net),
        "hash": _hash(net),
        "meta": dict(net.meta),
        "alpha": net.alpha if net.layout.picks and not net.whole else None,
        "choices": [asdict(each) for each in stats.choices],
        "stages": [asdict(each) for each in stats.stages],
    }


def _hash(net: Net) -> str | None:
    """The canonical hash; None for the rare net that is too symmetric to have one in bounded time."""
    try:
        return net.hash
    except TooSymmetric:
        return None


def describe_space(space: Space) -> dict[str, Any]:
    """All that is known of a space, as plain data."""
    largest = space.supernet()
    try:
        size: int | None = space.size()
    except Uncountable:
        size = None
    return {
        "name": space.name,
        "parameters": {name: show_value(value) for name, value in space.layout.parameters},
        "input": list(largest.image),
        "outputs": largest.classes,
        "size": size,
        "supernet_params": largest.cost.params,
        "supernet_macs": largest.cost.macs,
        "rules": [rule.written.span.text for rule in space.layout.rules],
        "picks": [
            {
                "name": pick.name,
                "cell": pick.cell,
                "edges": [
                    {"source": e.source, "target": e.target, "kind": e.kind, "alternatives": list(e.names)}
                    for e in pick.opens
                ],
            }
            for pick in space.picks
        ],
    }


def fits(net: Net) -> list[str]:
    """The shipped narrower spaces of the net's space whose rules the net obeys."""
    if not net.layout.spaces or net.whole:
        return []
    root = net.layout.spaces[0].name
    found = []
    for name, path in shipped("space"):
        if name in (root, net.layout.spaces[-1].name):
            continue
        try:
            narrower = load_space(path, name, **net.parameters)
            if narrower.layout.spaces[0].name == root:
                narrower.choose(net.choices)
                found.append(name)
        except (RobError, ValueError, TypeError):
            continue  # another family, other parameters, or a rule that the net does not obey
    return found


def amount(value: int) -> str:
    """``780 M``: three digits."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{float(f'{value / unit:.3g}'):g} {name}"
    return str(value)


def headline(net: Net) -> list[str]:
    """What a person wants to know of a net at a glance."""
    values = ", ".join(f"{name}={show_value(value)}" for name, value in net.layout.parameters)
    where = f" in {net.space.name}" if net.space else ""
    stats = net.stats()
    lines = [f"{net.name}{where}{f' ({values})' if values else ''}"]
    cells = net.cells
    if cells:
        kinds = len({(each.graph["cell"], each.graph["alpha"]) for each in cells})
        density = f", mean density {stats.density:.3f}" if stats.density is not None else ""
        lines.append(f"{plural(len(cells), 'cell')} of {plural(kinds, 'kind')}{density}")
    lines.append(f"{show(net.image)} -> {show(net.layout.stages[-1].shape)}")
    lines.append(f"{stats.params:,} parameters, {amount(stats.macs)} multiply-adds, depth {stats.depth}")
    return lines


def _print_net(net: Net, described: dict[str, Any]) -> None:
    title, *rest = headline(net)
    out.print(f"[bold]{title}[/]")
    for line in rest:
        out.print(f"  {line}")
    if described["budgets"]:
        out.print(f"  fits {', '.join(described['budgets'])}")
    for key, value in net.meta.items():
        out.print(f"  {key} = {value}", markup=False)
    if described["hash"] is not None:
        out.print(f"  hash {described['hash'][:16]}")
    out.print(_stage_table(net))
    stats = net.stats()
    if stats.choices:
        out.print(_choice_table(stats.choices))


def _stage_table(net: Net) -> Table:
    """The stages; those that follow each other and are alike share a row."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage", no_wrap=True)
    table.add_column("is", overflow="ellipsis", no_wrap=True)
    table.add_column("gives", no_wrap=True)
    for name in ("parameters", "multiply-adds"):
        table.add_column(name, justify="right", no_wrap=True)
    described = [
        (_kind(stage), show(stage.shape), f"{stats.params:,}", f"{stats.macs:,}")
        for stage, stats in zip(net.stages, net.stats().stages, strict=True)
    ]
    for row, alike in groupby(range(len(described)), key=lambda index: described[index]):
        places = list(alike)
        names = net.stages[places[0]].name
        if len(places) > 1:
            names += f" .. {net.stages[places[-1]].name} ({len(places)})"
        table.add_row(names, *row)
    return table


def _kind(stage: Stage) -> str:
    """What a stage is: the cell or operation that it calls, else its text."""
    return stage.operation.name or " ".join(stage.span.text.split())


def _choice_table(choices: tuple[ChoiceStatistics, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("pick")
    table.add_column("density", justify="right")
    for name in choices[0].counts:
        table.add_column(f"{name} (direct + skip)", justify="right")
    for each in choices:
        counts = [f"{n} ({each.direct.get(o, 0)} + {each.skips.get(o, 0)})" for o, n in each.counts.items()]
        table.add_row(each.pick, f"{each.density:.3f}", *counts)
    return table


def _print_space(space: Space, described: dict[str, Any]) -> None:
    values = ", ".join(f"{name}={value}" for name, value in described["parameters"].items())
    out.print(f"[bold]{space.name}[/]{f' ({values})' if values else ''}")
    size = described["size"]
    out.print(f"  {show(tuple(described['input']))} -> {described['outputs']}")
    counted = "too many to count exactly" if size is None else f"{size:,}" if size < 10**15 else f"{size:.3e}"
    out.print(f"  {counted} nets; the supernet has {described['supernet_params']:,} parameters")
    for rule in described["rules"]:
        out.print(f"  {rule}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("pick", "cell", "open edges"):
        table.add_column(name)
    for (cell, opens), group in groupby(space.picks, key=lambda pick: (pick.cell, pick.opens)):
        alike = list(group)
        names = ", ".join(pick.name for pick in alike)
        if len(alike) > 3:
            names = f"{alike[0].name} .. {alike[-1].name} ({len(alike)})"
        table.add_row(names, cell, ", ".join(f"{each.source}->{each.target}" for each in opens))
    out.print(table)
