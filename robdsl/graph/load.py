"""From files, names and texts to nets and spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report, RobError, did_you_mean
from robdsl.diagnostics.source import Source, Span
from robdsl.graph.choices import check_picks, pick_name
from robdsl.graph.elaborate import Elaborator
from robdsl.graph.index import shipped
from robdsl.graph.layout import Layout
from robdsl.graph.net import Net, Space, broken_rules
from robdsl.graph.nets import elaborate_net, metas
from robdsl.graph.parameters import lacking, outside, sound_chain
from robdsl.graph.program import Bound, Loader, ProgramFile
from robdsl.graph.shapes import is_map, show
from robdsl.graph.values import Poisoned, Value
from robdsl.syntax import nodes
from robdsl.syntax.parser import source_of


def load(what: str | Path, /, net: str | None = None, **parameters: object) -> Net:
    """A net, checked and ready to compile.

    Args:
        what: the path of a ``.rob`` file; the bare name of a shipped net (``robnet_free``; ``-`` and ``_``
            are the same in it); or the text of a program.
        net: which net, where a file defines several and none is called like the file.
        parameters: values for the net's parameters, such as ``classes=100``; strings are words.

    Raises:
        RobError: with every mistake that could be told apart; its text shows them.
        TypeError: ``what`` is neither path nor text, or a parameter no number, bool or word.
        ValueError: a parameter is a number without digits, or too large.
    """
    program = Program()
    file, name = program.find(what, "net", net)
    bound = program.choose(file, "net", name)
    return program.net(bound, {key: outside(key, value) for key, value in parameters.items()})


def load_space(what: str | Path, /, space: str | None = None, **parameters: object) -> Space:
    """A search space; as `load`."""
    program = Program()
    file, name = program.find(what, "space", space)
    bound = program.choose(file, "space", name)
    return program.space(bound, {key: outside(key, value) for key, value in parameters.items()})


def check_file(path: str | Path) -> tuple[Diagnostic, ...]:
    """Every mistake and warning in a file, its definitions, nets and spaces; none when all is well.

    Raises:
        TypeError: ``path`` is no path.
    """
    if not isinstance(path, str | Path):
        raise TypeError(
            f"robdsl.check_file takes the path of a .rob file, not {path!r} ({type(path).__name__})"
        )
    program = Program()
    try:
        program.check(program.loader.file(Path(path)))
    except RobError as error:
        return error.diagnostics
    return program.report.diagnostics


def check_source(source: Source, path: Path | None = None) -> tuple[Diagnostic, ...]:
    """As `check_file`, for a text; ``path`` is where it would lie, for its ``use``s."""
    program = Program()
    try:
        program.check(program.loader.text(source, path))
    except RobError as error:
        return error.diagnostics
    return program.report.diagnostics


class Program:
    """One program being read and elaborated; mistakes collect in ``report``."""

    def __init__(self) -> None:
        self.report = Report()
        self.loader = Loader(self.report)
        self.elaborator = Elaborator(self.report)

    # --- finding

    def find(
        self, what: str | Path, kind: Literal["net", "space"], name: str | None
    ) -> tuple[ProgramFile, str | None]:
        """The program file that ``what`` means, and the net or space in it where the name says so."""
        _check_types(what, kind, name)
        if isinstance(what, str) and ("\n" in what or "{" in what):
            return self.loader.text(source_of(what, "<text>")), name
        path = Path(what)
        if isinstance(what, str) and path.suffix != ".rob" and "/" not in what:
            known = dict(shipped(kind))
            wanted = what.replace("-", "_")
            if wanted in known:
                return self.loader.file(known[wanted]), name or wanted
            if not _is_file(path):
                raise RobError([_unknown(what, kind, known)])
        return self.loader.file(path), name

    def choose(self, file: ProgramFile, kind: Literal["net", "space"], name: str | None) -> Bound:
        """The net or space that a file stands for.

        Raises:
            RobError: there is none, or none of that name, or several and none is called like the file.
        """
        found = {bound.name: bound for bound in file.of_kind(kind)}
        if name is not None:
            wanted = name if name in found else name.replace("-", "_")
        elif len(found) == 1:
            return next(iter(found.values()))
        else:
            wanted = file.path.stem if file.path is not None else ""
        if wanted in found:
            return found[wanted]
        if wanted in file.broken or file.tree.lost or (name is None and file.broken):
            raise RobError(self.report.diagnostics)  # it may be there, but could not be read
        self.report.add(_no_such(file, kind, name, found))
        raise RobError(self.report.diagnostics)

    # --- elaborating

    def space(self, bound: Bound, given: Mapping[str, Value]) -> Space:
        """The checked space of a definition."""
        layout = self._layout(bound, given)
        return Space(self._warned(layout, bound) if is_map(layout.stages[-1].shape) else layout)

    def net(self, bound: Bound, given: Mapping[str, Value]) -> Net:
        """The checked net of a definition."""
        layout = self._layout(bound, given)
        definition = bound.definition
        assert isinstance(definition, nodes.NetDefinition)
        written = [each for each in definition.body if isinstance(each, nodes.PickBits | nodes.PickEdges)]
        choices, wrong = check_picks(layout.picks, written, definition)
        self.report.extend(wrong)
        net = Net(bound.name, layout, choices, dict(metas(definition)), definition)
        if not wrong:
            places = {pick_name(each): each.span for each in written}

            def at(index: int) -> Label | None:
                span = places.get(layout.picks[index].name)
                return Label(span, "chosen here") if span is not None else None

            self.report.extend(broken_rules(net, at))
        self.report.raise_if_errors()
        return replace(net, layout=self._warned(layout, bound)) if is_map(layout.stages[-1].shape) else net

    def _warned(self, layout: Layout, bound: Bound) -> Layout:
        """A layout that warns of a result that is no vector of logits."""
        last = layout.stages[-1]
        help = "end it with `global_avg_pool | flatten | linear(classes)`"
        self.report.add(codes.MAP_RESULT.at(last.span, help=help, name=bound.name, shape=show(last.shape)))
        return replace(layout, warnings=self.report.warnings)

    def _layout(self, bound: Bound, given: Mapping[str, Value]) -> Layout:
        try:
            layout = elaborate_net(self.elaborator, bound, given)
        except Poisoned:
            raise RobError(self.report.diagnostics) from None
        self.report.raise_if_errors()
        return layout

    def check(self, file: ProgramFile) -> None:
        """Reports everything that is wrong in a file and in what it uses."""
        for bound in file.own.values():
            if self.report.full:
                return
            try:
                if bound.kind == "net" or bound.kind == "space":
                    self.by_default(bound)
                else:
                    self.elaborator.sound(bound)
            except RobError:
                continue  # reported; the next definition may have mistakes of its own

    def by_default(self, bound: Bound) -> Net | Space | None:
        """The net or space with its defaults; None where a parameter has none."""
        try:
            chain = sound_chain(self.elaborator, bound)
        except Poisoned:
            raise RobError(self.report.diagnostics) from None
        if lacking(chain):
            return None
        return self.net(bound, {}) if bound.kind == "net" else self.space(bound, {})


def _check_types(what: object, kind: Literal["net", "space"], name: object) -> None:
    """Raises `TypeError` when what is to be loaded is neither path nor text, or its name no text."""
    function = "load" if kind == "net" else "load_space"
    if isinstance(what, Net | Space):
        loaded = "net" if isinstance(what, Net) else "space"
        raise TypeError(
            f"robdsl.{function} reads a file or a text, and this is a {loaded} already: use it as it is"
        )
    if not isinstance(what, str | Path):
        wanted = f"the path of a .rob file, the name of a shipped {kind} or the text of a program"
        raise TypeError(f"robdsl.{function} takes {wanted}, not {what!r} ({type(what).__name__})")
    if not isinstance(name, str | None):
        raise TypeError(f"robdsl.{function}(..., {kind}=...) takes the name of a {kind}, not {name!r}")


# --- what to say of names that are not there


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _unknown(what: str, kind: Literal["net", "space"], known: Mapping[str, Path]) -> Diagnostic:
    """No shipped net or space, and no file, has that name."""
    name = what.replace("-", "_")
    other: Literal["net", "space"] = "space" if kind == "net" else "net"
    help = did_you_mean(name, known)
    if name in dict(shipped(other)):
        help = f"it is a {other}: load it with `{'load_space' if other == 'space' else 'load'}`"
    elif help is None:
        help = f"the shipped {kind}s are {', '.join(sorted(known))}; a file's name ends in `.rob`"
    problem = f"no {kind} `{what}` is shipped, and there is no such file"
    return codes.WHICH_NET.at(Span(Source(what, ""), 0, 0), problem=problem, help=help)


def _no_such(
    file: ProgramFile, kind: Literal["net", "space"], name: str | None, found: Mapping[str, Bound]
) -> Diagnostic:
    """A file does not define what is asked for."""
    listed = ", ".join(f"`{each}`" for each in list(found)[:8])
    other: Literal["net", "space"] = "space" if kind == "net" else "net"
    others = [bound.name for bound in file.of_kind(other)]
    help = None
    if name is not None:
        problem = f"the file defines no {kind} `{name}`"
        help = did_you_mean(name, found) or (f"it defines {listed}" if found else None)
    elif found:
        stem = file.path.stem if file.path is not None else None
        like = "is called like the file" if stem is None else f"is called `{stem}`"
        problem = f"the file defines {len(found)} {kind}s, and none {like}"
        help = f"name one of {listed} with `{kind}=` or `--net`"
    else:
        problem = f"the file defines no {kind}"
    if help is None and others:
        function = "load_space" if other == "space" else "load"
        help = f"it defines the {other} `{others[0]}`: load it with `{function}`"
    return codes.WHICH_NET.at(Span(file.source, 0, 0), problem=problem, help=help)
