"""Nets and spaces: what a program that uses the library holds in its hands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, RobError
from robdsl.diagnostics.source import Source, Span
from robdsl.graph.choices import Pick, alpha_text, read_bits
from robdsl.graph.layout import Layout, MetaValue, Stage
from robdsl.graph.operations import CellOperation, Choice, Cost, close
from robdsl.graph.rules import Term
from robdsl.graph.shapes import Shape
from robdsl.graph.values import Value, is_name
from robdsl.syntax import nodes
from robdsl.syntax.parser import MAX_FILE, parse

if TYPE_CHECKING:
    import networkx as nx

    from robdsl.graph.sampling import Counter as ChoiceCounter
    from robdsl.graph.sampling import RandomSource
    from robdsl.graph.statistics import Statistics


@dataclass(frozen=True, eq=False)
class Net:
    """A checked network: every parameter has a value, every open edge is closed, every rule holds.

    Only `robdsl.load`, a `Space` and the functions of this package make nets, and each of them checks. A
    compiler can take a `Net` and ask no more questions.

    Attributes:
        name: as in the text.
        layout: the stages, with picks open.
        choices: what was chosen for each pick.
        meta: facts that the text carries.
        definition: the tree that it was elaborated from; None for a net that a space made.
        whole: whether every alternative of every edge is present (a supernet).
    """

    name: str
    layout: Layout
    choices: tuple[Choice, ...] = ()
    meta: Mapping[str, MetaValue] = field(default_factory=dict)
    definition: nodes.NetDefinition | None = None
    whole: bool = False

    # --- what it is

    @property
    def parameters(self) -> dict[str, Value]:
        """The values of its parameters, such as ``width`` and ``classes``."""
        return dict(self.layout.parameters)

    @property
    def space(self) -> Space | None:
        """The space that it stands in, or None."""
        return Space(self.layout) if self.layout.spaces else None

    @property
    def image(self) -> Shape:
        """Channels, height and width of the images it takes."""
        return self.layout.image

    @property
    def classes(self) -> int:
        """How many numbers it gives for an image (its logits, for a classifier)."""
        return self.layout.stages[-1].shape[0]

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, with every pick closed."""
        return tuple(
            Stage(stage.name, close(stage.operation, self.choices), stage.inputs, stage.span)
            for stage in self.layout.stages
        )

    @property
    def alpha(self) -> list[str]:
        """One code a pick: ``11 10 | 11 11 10 | ...``."""
        return [
            alpha_text(pick, choice) for pick, choice in zip(self.layout.picks, self.choices, strict=True)
        ]

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return self.layout.warnings

    # --- what it amounts to

    @cached_property
    def cost(self) -> Cost:
        """Parameters, multiply-adds and depth of the whole net."""
        return cost_of(self.stages)

    def stats(self) -> Statistics:
        """Sizes, and for each cell density, direct and skip counts of each operation."""
        from robdsl.graph.statistics import statistics

        return statistics(self)

    @cached_property
    def graph(self) -> nx.MultiDiGraph[str]:
        """Every primitive of the net as one networkx graph (attributes: `robdsl.graph.views`)."""
        from robdsl.graph.views import primitive_graph

        return primitive_graph(self)

    @cached_property
    def cells(self) -> tuple[nx.MultiDiGraph[str], ...]:
        """One networkx graph for each stage that is a cell (attributes: `robdsl.graph.views`)."""
        from robdsl.graph.views import cell_graphs

        return cell_graphs(self)

    @cached_property
    def hash(self) -> str:
        """A canonical hash: equal for nets that compute the same function, however they are written."""
        from robdsl.graph.canonical import canonical_hash

        return canonical_hash(self)

    def __repr__(self) -> str:
        return f"<Net {self.name}: {len(self.stages)} stages, {self.cost.params:,} parameters>"


@dataclass(frozen=True, eq=False)
class Space:
    """A checked search space: a net with open edges, and the rules for closing them."""

    layout: Layout

    @property
    def name(self) -> str:
        return self.layout.spaces[-1].name

    @property
    def parameters(self) -> dict[str, Value]:
        return dict(self.layout.parameters)

    @property
    def picks(self) -> tuple[Pick, ...]:
        """What there is to choose."""
        return self.layout.picks

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return self.layout.warnings

    def net(self, alpha: str | Sequence[str] | Mapping[str, str], name: str | None = None) -> Net:
        """The net that ``alpha`` stands for.

        Args:
            alpha: the code of the only pick, a code for each pick in order, or the codes by the picks' names.
            name: what the net is called.

        Raises:
            RobError: a code does not fit its pick, or a rule is broken.
            ValueError: there are not as many codes as picks, or the name cannot be one.
        """
        written = _written(alpha, self.picks)
        choices: list[Choice] = []
        wrong: list[Diagnostic] = []
        for pick, text in zip(self.picks, written, strict=True):
            read = read_bits(pick, _bits(pick, text))
            if isinstance(read, list):
                wrong.extend(read)
            else:
                choices.append(read)
        if wrong:
            raise RobError(wrong)
        return self.choose(choices, name)

    def choose(self, choices: Sequence[Choice], name: str | None = None) -> Net:
        """As `net`, for choices that are not written as text: for each pick and open edge, indices.

        Raises:
            ValueError: a choice does not fit its pick, or the name cannot be one.
            RobError: a rule is broken.
        """
        if name is not None and not is_name(name):
            raise ValueError(f"a net cannot be called {name!r}: a name is letters, digits and `_`")
        if len(choices) != len(self.picks):
            raise ValueError(
                f"{self.name} has {len(self.picks)} picks, and {len(choices)} choices were given"
            )
        for pick, choice in zip(self.picks, choices, strict=True):
            if not pick.admits(choice):
                raise ValueError(f"this is no choice for `pick {pick.name}`: {choice}")
        net = Net(name or f"{self.name}_net", self.layout, tuple(choices))
        broken = tuple(broken_rules(net, lambda index: None))
        if broken:
            raise RobError(broken)
        return net

    def supernet(self) -> Net:
        """Every open edge with every alternative. Rules do not apply to it: nets are taken from it."""
        return Net(
            f"{self.name}_supernet", self.layout, tuple(pick.everything for pick in self.picks), whole=True
        )

    @cached_property
    def _counter(self) -> ChoiceCounter:
        from robdsl.graph.sampling import Counter

        return Counter(self.layout)

    def size(self) -> int:
        """How many nets there are in the space, rules obeyed, exactly.

        Raises:
            Uncountable: a rule speaks of something that cannot be summed over edges.
        """
        return self._counter.total

    def sample(self, rng: RandomSource | int | None = None) -> Net:
        """A net drawn uniformly from all nets of the space, rules obeyed.

        Args:
            rng: a `random.Random` or a `numpy.random.Generator`; a seed; None for a fresh one.
        """
        return Net(f"{self.name}_net", self.layout, self._counter.draw(rng))

    def __repr__(self) -> str:
        edges = sum(len(pick.opens) for pick in self.picks)
        picks = "1 pick" if len(self.picks) == 1 else f"{len(self.picks)} picks"
        return f"<Space {self.name}: {picks}, {edges} open edges>"


def expect_net(value: object, function: str) -> None:
    """Raises `TypeError`, with what to call instead, when a function that takes a net is given something else."""
    if isinstance(value, Net):
        return
    if isinstance(value, Space):
        help = "take one from it with `space.net(alpha)`, `space.sample()` or `space.supernet()`"
        raise TypeError(f"{function} takes a net, and {value.name} is a space: {help}")
    help = "make one with `robdsl.load(...)`"
    raise TypeError(f"{function} takes a net, not {_said(value)}: {help}")


def _said(value: object) -> str:
    """A value and its type, for a message."""
    shown = repr(value)
    return f"{shown if len(shown) <= 40 else shown[:37] + '...'} ({type(value).__name__})"


# --- rules


@dataclass(frozen=True)
class NetMeasures:
    """Measures of one net."""

    net: Net

    def term(self, term: Term) -> int:
        return term.of(self.net.choices[term.pick])

    def whole(self, name: str) -> int:
        value: int = getattr(self.net.cost, name)
        return value


def broken_rules(net: Net, at: Callable[[int], Label | None]) -> Iterator[Diagnostic]:
    """What is wrong with a net under the rules of its layout; ``at`` says where a pick was chosen."""
    for rule in net.layout.rules:
        yield from rule.verify(net.name, NetMeasures(net), at)


def cost_of(stages: Sequence[Stage]) -> Cost:
    """Parameters and multiply-adds of all stages, and the longest path through them."""
    total = Cost()
    depth: list[int] = []
    for stage in stages:
        operation = stage.operation
        total = total.beside(operation.cost)
        before = [depth[each] if each >= 0 else 0 for each in stage.inputs]
        paths: Iterable[int | None] = (operation.cost.depth,)
        if isinstance(operation, CellOperation):
            paths = operation.cell.paths(operation.choice)
        reached = [start + path for start, path in zip(before, paths, strict=True) if path is not None]
        depth.append(max(reached, default=0))
    return replace(total, depth=depth[-1])


# --- alpha as text


def _written(alpha: str | Sequence[str] | Mapping[str, str], picks: tuple[Pick, ...]) -> list[str]:
    if isinstance(alpha, str):
        alpha = [alpha]
    if not isinstance(alpha, Mapping | Sequence):
        raise TypeError(
            f"alpha is a code, a code for each pick, or codes by picks' names, not {_said(alpha)}"
        )
    given: Iterable[object] = alpha.values() if isinstance(alpha, Mapping) else alpha
    for each in given:
        if not isinstance(each, str):
            raise TypeError(f"each code of alpha is a text like '11 01 | 10', not {_said(each)}")
    if isinstance(alpha, Mapping):
        names = [pick.name for pick in picks]
        unknown = sorted(set(alpha) - set(names))
        missing = [name for name in names if name not in alpha]
        if unknown or missing:
            wrong = f"unknown: {unknown}, missing: {missing}"
            raise ValueError(f"alpha must have one code for each of the picks {names}; {wrong}")
        return [alpha[name] for name in names]
    if len(alpha) != len(picks):
        raise ValueError(f"alpha must have {len(picks)} codes, one for each pick, not {len(alpha)}")
    return list(alpha)


def _bits(pick: Pick, text: str) -> nodes.PickBits:
    """The tree of one code."""
    if len(text) > MAX_FILE:
        raise ValueError("alpha is too long")
    source = Source("<alpha>", f"net alpha in space_ {{\npick {pick.name} = {' '.join(text.split())}\n}}")
    definitions = parse(source).definitions
    body = definitions[0].body if len(definitions) == 1 else ()
    if isinstance(body, tuple) and len(body) == 1 and isinstance(body[0], nodes.PickBits):
        return body[0]
    here = Span(source, 0, len(source.text))
    raise RobError(
        [codes.UNEXPECTED.at(here, "one code is groups of bits, separated by `|`", found=text[:40])]
    )
