"""What could stand at the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from robdsl.editor import reading
from robdsl.editor.analysis import Analysis
from robdsl.editor.context import Context, context_at
from robdsl.editor.symbols import picked_cell
from robdsl.graph.cell import OpenEdge
from robdsl.graph.choices import Pick
from robdsl.graph.edges import open_edges
from robdsl.graph.index import dotted
from robdsl.graph.names import inputs_of
from robdsl.graph.parameters import chain_of_spaces
from robdsl.graph.primitives import signatures
from robdsl.graph.program import Bound, shipped_files
from robdsl.graph.values import ATTRIBUTES, NET_MEASURES, PICK_MEASURES, Fault, Poisoned
from robdsl.syntax import nodes
from robdsl.syntax.formatting import show_parameters


@dataclass(frozen=True)
class Item:
    """Something that could stand at the cursor.

    Attributes:
        kind: ``keyword``, ``primitive``, ``operation``, ``cell``, ``space``, ``pick``, ``node``, ``value``, ``parameter``,
            ``attribute``, ``measure``, ``file`` or ``choice``.
        detail: a few words about it.
        text: what is inserted, where that is not the label.
    """

    label: str
    kind: str
    detail: str = ""
    text: str = ""


_IN_CELL = ("in", "let", "require")
_IN_NET = ("input", "let", "meta", "pick", "repeat", "require")
_OPERATION = ("if",)


def complete(analysis: Analysis, offset: int) -> list[Item]:
    """What could stand at an offset, each label once; the editor leaves out what does not begin like the typed part."""
    context = context_at(analysis.source, offset)
    if context is None:
        return []
    found: dict[str, Item] = {}
    for item in _Completer(analysis, context).items():
        found.setdefault(item.label, item)
    return list(found.values())


@dataclass(frozen=True)
class _Completer:
    analysis: Analysis
    context: Context

    def items(self) -> Iterator[Item]:
        context = self.context
        first = context.statement[0].type if context.statement else ""
        if first == "USE":
            yield from self._files()
        elif context.last == "DOT":
            yield from (Item(name, "attribute") for name in ATTRIBUTES)
        elif not context.kind:
            yield from _keywords("use", "op", "cell", "space", "net")
        elif not context.blocks and context.kind != "op":
            yield from self._header()
        elif context.kind == "cell":
            yield from self._in_cell(first)
        elif context.kind == "op":
            yield from self._in_op()
        else:
            yield from self._in_net(first)

    # --- definitions

    def _files(self) -> Iterator[Item]:
        """Files that `use` can name."""
        path = self.analysis.path
        beside = sorted(path.parent.glob("*.rob"))[:1000] if path is not None else []
        for each in beside:
            if each.stem != (path.stem if path else ""):
                yield Item(each.stem, "file", "beside this file")
        typed = "".join(word.text for word in self.context.statement[1:])
        for shipped in shipped_files():
            name = dotted(Path(shipped))
            if name.startswith(typed):
                rest = name.removeprefix(typed)
                yield Item(rest, "file", "installed")

    def _header(self) -> Iterator[Item]:
        if self.context.last == "IN":
            yield from self._definitions("space")
        elif len(self.context.statement) >= 2 and self.context.kind in ("net", "space"):
            yield from _keywords("in")

    def _in_op(self) -> Iterator[Item]:
        if any(word.type == "EQUAL" for word in self.context.body) and self.context.last != "NAME":
            yield from self._call_or_operation(choices=self.context.last == "EQUAL")

    # --- cells

    def _in_cell(self, first: str) -> Iterator[Item]:
        context = self.context
        types = [word.type for word in context.statement]
        if not types:
            yield from _keywords(*_IN_CELL)
            yield from self._nodes()
        elif first in ("LET", "REQUIRE"):
            if first == "REQUIRE" or "EQUAL" in types:
                yield from self._values()
        elif "COLON" in types:
            yield from self._call_or_operation(choices=context.last == "COLON")
        elif "EQUAL" in types:
            if "LPAR" in types:
                yield from self._nodes()
            else:
                yield from (Item(join, "keyword", "joins nodes") for join in ("concat", "sum", "mul"))
        elif context.last in ("COMMA", "ARROW"):
            yield from self._nodes()

    def _nodes(self) -> Iterator[Item]:
        """The nodes that are mentioned anywhere before the cursor, and ``out``."""
        bound = self.analysis.bound(self.context.name)
        known: dict[str, None] = {}
        words = self.context.body
        for place, word in enumerate(words):
            around = {
                words[place - 1].type if place else "",
                words[place + 1].type if place + 1 < len(words) else "",
            }
            if word.type == "NAME" and around & {"ARROW", "COMMA", "IN"}:
                known.setdefault(word.text)
        if bound is not None and isinstance(bound.definition, nodes.CellDefinition):
            known.update(dict.fromkeys(inputs_of(bound)))
        yield from (Item(name, "node") for name in (*known, "out"))

    # --- nets and spaces

    def _in_net(self, first: str) -> Iterator[Item]:
        context = self.context
        block = context.blocks[-1] if context.blocks else ""
        if block.startswith("pick"):
            yield from self._in_choice(block.removeprefix("pick").strip())
        elif context.base:
            yield from self._in_space(first)
        elif not context.statement:
            yield from _keywords(*(each for each in _IN_NET if each != "pick" or context.kind == "space"))
            yield from self._operations()
            yield from self._picks_here()
        elif first == "PICK":
            yield from self._definitions("cell")
        elif first in ("LET", "REQUIRE", "REPEAT", "INPUT"):
            yield from self._values()
            if first == "REQUIRE":
                yield from (Item(name, "measure", "of the whole net") for name in NET_MEASURES)
                yield from (Item(name, "measure", "of a pick", f"{name}(") for name in PICK_MEASURES)
                yield from self._picks_here()
        elif first != "META":
            yield from self._call_or_operation(choices=False)
            yield from self._picks_here()

    def _picks_here(self) -> Iterator[Item]:
        words = self.context.body
        for place, word in enumerate(words[:-1]):
            if word.type == "PICK" and words[place + 1].type == "NAME":
                yield Item(words[place + 1].text, "pick")

    def _in_space(self, first: str) -> Iterator[Item]:
        """A net or space that stands in another."""
        context = self.context
        if not context.statement:
            yield from _keywords(*(("pick", "meta") if context.kind == "net" else ("require", "meta")))
        elif first == "PICK" and len(context.statement) == 1:
            for pick in self._picks():
                everything = " | ".join(
                    " ".join("1" * len(edge.names) if edge.kind == "any" else "0" for edge in edges)
                    for _, edges in pick.groups
                )
                yield Item(pick.name, "pick", f"closes {pick.cell}", f"{pick.name} = {everything}")
        elif first == "REQUIRE":
            yield from (Item(name, "measure", "of the whole net") for name in NET_MEASURES)
            yield from (Item(name, "measure", "of a pick", f"{name}(") for name in PICK_MEASURES)
            yield from (Item(pick.name, "pick") for pick in self._picks())

    def _picks(self) -> tuple[Pick, ...]:
        """The picks of the space at the bottom."""
        bound = self.analysis.bound(self.context.base)
        made = None if bound is None else self.analysis.elaborated(bound)
        return () if made is None else made.layout.picks

    def _in_choice(self, pick: str) -> Iterator[Item]:
        """The long form of a choice: nodes of the cell, and what the edge offers."""
        cell = self._picked(pick)
        if cell is None:
            return
        opens = open_edges(cell)
        types = [word.type for word in self.context.statement]
        names = [word.text for word in self.context.statement if word.type == "NAME"]
        if "COLON" in types:
            arrow = types.index("ARROW") if "ARROW" in types else 0
            ends = [
                [w.text for w in part if w.type == "NAME"]
                for part in (
                    self.context.statement[:arrow],
                    self.context.statement[arrow : types.index("COLON")],
                )
            ]
            yield from _offered(opens, *ends)
        elif "ARROW" in types:
            targets = dict.fromkeys(edge.target for edge in opens if edge.source in names)
            yield from (Item(name, "node") for name in targets)
        else:
            yield from (Item(name, "node") for name in dict.fromkeys(edge.source for edge in opens))

    def _picked(self, pick: str) -> Bound | None:
        base = self.analysis.bound(self.context.base)
        if base is None or base.kind != "space":
            return None
        try:
            return picked_cell(chain_of_spaces(base)[-1], pick)
        except (Fault, Poisoned):
            return None

    # --- operations and values

    def _call_or_operation(self, *, choices: bool) -> Iterator[Item]:
        """Inside a call its parameters and values, else operations."""
        context = self.context
        if context.calls and context.last in ("LPAR", "COMMA"):
            yield from self._parameters(context.calls[-1])
            yield from self._values()
        elif context.calls or context.last == "IF":
            yield from self._values()
        elif context.last != "NAME":
            if choices:
                yield from _keywords("any", "one", "none")
            elif "one" in context.blocks or context.last in ("THEN", "ELSE"):
                yield from _keywords("none")
            yield from self._operations()
        elif any(word.type == "IF" for word in context.statement):
            yield from _keywords("then", "else", "and", "or")

    def _operations(self) -> Iterator[Item]:
        yield from (
            Item(name, "primitive", name + show_parameters(parameters))
            for name, parameters in signatures().items()
        )
        yield from self._definitions("operation", "cell")
        yield from _keywords(*_OPERATION)

    def _definitions(self, *kinds: str) -> Iterator[Item]:
        for name, bound in self.analysis.file.scope.items():
            if bound.kind in kinds:
                yield Item(name, bound.kind, name + show_parameters(bound.definition.parameters))

    def _parameters(self, callee: str) -> Iterator[Item]:
        """The parameters of what is called."""
        bound = self.analysis.bound(self._cell_of(callee) or callee)
        declared = signatures().get(callee) or (bound.definition.parameters if bound else ())
        for parameter in declared:
            name = parameter.name.name
            yield Item(f"{name}=", "parameter", f"of {callee}")

    def _cell_of(self, pick: str) -> str | None:
        """The cell that a pick declared above closes."""
        words = self.context.body
        for place, word in enumerate(words[:-3]):
            if word.type == "PICK" and words[place + 1].text == pick and words[place + 2].type == "COLON":
                return words[place + 3].text
        return None

    def _values(self) -> Iterator[Item]:
        yield from (Item(name, "value", "parameter") for name in self.context.parameters)
        words = self.context.body
        for place, word in enumerate(words[:-1]):
            if word.type == "LET" and words[place + 1].type == "NAME":
                yield Item(words[place + 1].text, "value", "let")
        if self.context.kind in ("cell", "op"):
            yield Item("in", "keyword", "the value that enters")
        if self.context.kind == "cell":
            yield from self._nodes()
        yield from _keywords("true", "false", "not")


def _offered(opens: Iterable[OpenEdge], sources: list[str], targets: list[str]) -> Iterator[Item]:
    """What the open edges between some nodes offer."""
    for edge in opens:
        if edge.source in sources and edge.target in targets:
            yield from (
                Item(name, "choice", f"{edge.kind} on {edge.source} -> {edge.target}") for name in edge.names
            )


def _keywords(*names: str) -> Iterator[Item]:
    return (Item(name, "keyword") for name in names)


def about(item: Item) -> str:
    """More about an item, as Markdown."""
    return reading.primitive(item.label) if item.kind == "primitive" else ""
