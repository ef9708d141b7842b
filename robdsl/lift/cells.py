"""Blocks as text: a chain as an ``op``, a region that branches as a ``cell``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from robdsl.graph.values import is_name
from robdsl.lift.blocks import Part
from robdsl.lift.sizes import Sizes
from robdsl.lift.values import Applied, Traced
from robdsl.lift.words import say

SHORT = 4
"""Longest chain that is named by its words."""


@dataclass(frozen=True)
class Definition:
    """One definition and its uses.

    Attributes:
        name: of the op or cell.
        text: of the whole definition.
        calls: for each use, how it is called.
    """

    name: str
    text: str
    calls: tuple[str, ...]


def define(traced: Traced, uses: Sequence[Part], name: str) -> Definition:
    """The definition that all parts of one structure share.

    Args:
        traced: the model.
        uses: the parts, in their order.
        name: what it is called.
    """
    branching = any(len(traced.values[place].inputs) > 1 for place in uses[0].places)
    channels = "x.channels" if branching else "in.channels"
    entering = tuple(traced.values[part.start].shape[0] for part in uses)
    sizes = Sizes(entering, channels, {"x", "out", "in"})
    if branching:
        body = list(_Cell(traced, uses, sizes).statements())
        lines = ["    in x", *(f"    {line}" for line in body)]
        text = f"cell {name}{_parameters(sizes)} {{\n" + "\n".join(lines) + "\n}"
    else:
        words = [_word(traced, uses, place - uses[0].start, sizes) for place in uses[0].places]
        text = f"op {name}{_parameters(sizes)} = {' | '.join(words)}"
    calls = [sizes.call(use) for use in range(len(uses))]
    return Definition(name, text, tuple(f"{name}({', '.join(call)})" if call else name for call in calls))


def _parameters(sizes: Sizes) -> str:
    signature = sizes.signature()
    return f"({', '.join(signature)})" if signature else ""


def _word(traced: Traced, uses: Sequence[Part], offset: int, sizes: Sizes) -> str:
    applied: list[Applied] = []
    entering: list[int] = []
    for part in uses:
        value = traced.values[part.start + offset]
        assert value.applied is not None
        applied.append(value.applied)
        entering.append(traced.values[value.inputs[0]].shape[0])
    return say(applied, entering, sizes)


class _Cell:
    """Writes the statements of a region. Places are counted from the value that enters, which is 0."""

    def __init__(self, traced: Traced, uses: Sequence[Part], sizes: Sizes) -> None:
        self._traced, self._uses, self._sizes = traced, uses, sizes
        first = uses[0]
        self._end = first.end - first.start
        self._inputs = {
            place - first.start: tuple(each - first.start for each in traced.values[place].inputs)
            for place in first.places
        }
        self._kinds = {place - first.start: traced.values[place].kind for place in first.places}
        self._names = self._named()

    def _named(self) -> dict[int, str]:
        """The values that need a name: joins, what several read, what joins other than sums read, and the result."""
        readers = Counter(each for inputs in self._inputs.values() for each in inputs)
        joined = {
            each
            for place, inputs in self._inputs.items()
            if self._kinds[place] in ("concat", "mul")
            for each in inputs
        }
        names = {0: "x", self._end: "out"}
        letters = iter("abcdefghijklmnopqrstuvwyz")
        for place in self._inputs:
            if place in names or (
                self._kinds[place] == "apply" and readers[place] < 2 and place not in joined
            ):
                continue
            letter = next(letters, None)
            names[place] = letter or f"v{place}"
            self._sizes.names.add(names[place])
        return names

    def statements(self) -> Iterator[str]:
        for place, name in self._names.items():
            if place == 0 or place == self._end:
                continue
            yield from self._node(place, name)
        yield from self._node(self._end, "out")

    def _node(self, place: int, name: str) -> Iterator[str]:
        match self._kinds[place]:
            case "sum":
                for each in self._inputs[place]:
                    yield self._edge(each, name)
            case "concat" | "mul" as join:
                operands = ", ".join(self._names[each] for each in self._inputs[place])
                yield f"{name} = {join}({operands})"
            case _:
                yield self._edge(place, name, last=True)

    def _edge(self, place: int, name: str, last: bool = False) -> str:
        """``a -> b : conv(3) | relu``: the chain from the nearest named value."""
        chain: list[int] = []
        while last or place not in self._names:
            last = False
            chain.append(place)
            place = self._inputs[place][0]
        words = [_word(self._traced, self._uses, each, self._sizes) for each in reversed(chain)]
        source = self._names[place]
        return f"{source} -> {name} : {' | '.join(words)}" if words else f"{source} -> {name}"


def block_name(traced: Traced, part: Part) -> str:
    """A name for a block: the class of the module that it is, else its words if it is a short chain, else ``block``."""
    applied = [each for place in part.places if (each := traced.values[place].applied) is not None]
    paths = [each.path for each in applied if each.path]
    common = _common(paths)
    while common and traced.classes.get(common) in ("Sequential", "ModuleList", None):
        common = common.rpartition(".")[0]
    learned = {each.path for each in _all_applied(traced) if each.path.startswith(f"{common}.")}
    if common and learned == set(paths):
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", traced.classes[common]).lower().strip("_")
        if is_name(snake) and len(snake) > 1:
            return snake
    words = [each.name.replace("batch_norm", "norm") for each in applied]
    return "_".join(words) if len(words) == len(part.places) <= SHORT else "block"


def _all_applied(traced: Traced) -> Iterator[Applied]:
    return (value.applied for value in traced.values if value.applied is not None)


def _common(paths: Sequence[str]) -> str:
    """The path of the module that all of these lie in."""
    owners = [path.split(".")[:-1] for path in paths]
    common: list[str] = []
    for level in zip(*owners, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common)
