"""From files, names and texts to nets and spaces."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report, RobError
from robdsl.diagnostics.source import Source, Span
from robdsl.graph.choices import check_picks
from robdsl.graph.elaborate import Elaborator
from robdsl.graph.index import shipped
from robdsl.graph.net import Net, Space, broken_rules
from robdsl.graph.nets import elaborate_net, metas, outside
from robdsl.graph.program import Bound, Loader, ProgramFile
from robdsl.graph.values import Poisoned, Value
from robdsl.syntax import nodes
from robdsl.syntax.parser import source_of


def load(what: str | Path, net: str | None = None, **parameters: object) -> Net:
    """A net, checked and ready to compile.

    Args:
        what: the path of a ``.rob`` file; the bare name of a shipped net (``robnet_free``); or the text of a program.
        net: which net, where a file defines several and none is called like the file.
        parameters: values for the net's parameters, such as ``classes=100``; strings are words.

    Raises:
        RobError: with every mistake that could be told apart; its text shows them.
        TypeError: a parameter is no number, bool or word.
    """
    program = Program()
    file, name = program.find(what, "net", net)
    bound = program.choose(file, "net", name)
    return program.net(bound, {key: outside(key, value) for key, value in parameters.items()})


def load_space(what: str | Path, space: str | None = None, **parameters: object) -> Space:
    """A search space; as `load`. In bare names ``-`` and ``_`` are the same."""
    program = Program()
    file, name = program.find(what, "space", space)
    bound = program.choose(file, "space", name)
    return program.space(bound, {key: outside(key, value) for key, value in parameters.items()})


def check_file(path: str | Path) -> tuple[Diagnostic, ...]:
    """Every mistake and warning in a file, its definitions, its nets and its spaces; none when all is well."""
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

    def find(self, what: str | Path, kind: str, name: str | None) -> tuple[ProgramFile, str | None]:
        """The program file that ``what`` means, and the net or space in it where the name says so."""
        if isinstance(what, str) and ("\n" in what or "{" in what):
            return self.loader.text(source_of(what, "<text>")), name
        path = Path(what)
        if isinstance(what, str) and path.suffix != ".rob" and "/" not in what:
            known = dict(shipped(kind))
            wanted = what.replace("-", "_")
            if wanted in known:
                return self.loader.file(known[wanted]), wanted
            if not path.is_file():
                raise RobError([self._unknown(what, kind, known)])
        file = self.loader.file(path)
        return file, name

    @staticmethod
    def _unknown(what: str, kind: str, known: Mapping[str, Path]) -> Diagnostic:
        near = get_close_matches(what.replace("-", "_"), known, n=1)
        listed = ", ".join(sorted(known))
        help = (
            f"did you mean `{near[0]}`?"
            if near
            else f"the shipped {kind}s are {listed}; a file's name ends in `.rob`"
        )
        here = Span(Source(what, ""), 0, 0)
        return codes.WHICH_NET.at(
            here, problem=f"no {kind} `{what}` is shipped, and there is no such file", help=help
        )

    def choose(self, file: ProgramFile, kind: str, name: str | None) -> Bound:
        """The net or space that a file stands for."""
        self.report.raise_if_errors() if not file.own else None
        found = {bound.name: bound for bound in file.of_kind(kind)}
        start = Span(file.source, 0, 0)
        if name is not None:
            wanted = name.replace("-", "_") if name not in found else name
            if wanted in found:
                return found[wanted]
            near = get_close_matches(name, found, n=1)
            help = f"did you mean `{near[0]}`?" if near else f"it defines {', '.join(found) or f'no {kind}'}"
            self._fail(codes.WHICH_NET.at(start, problem=f"the file defines no {kind} `{name}`", help=help))
        if len(found) == 1:
            return next(iter(found.values()))
        stem = file.path.stem if file.path is not None else ""
        if stem in found:
            return found[stem]
        if not found:
            self._fail(codes.WHICH_NET.at(start, problem=f"the file defines no {kind}"))
        problem = f"the file defines {len(found)} {kind}s, and none is called `{stem}`"
        self._fail(
            codes.WHICH_NET.at(
                start, problem=problem, help=f"name one of {', '.join(found)} with `{kind}=` or `--{kind}`"
            )
        )
        raise AssertionError("unreachable")

    def _fail(self, diagnostic: Diagnostic) -> None:
        self.report.add(diagnostic)
        raise RobError(self.report.diagnostics)

    # --- elaborating

    def space(self, bound: Bound, given: Mapping[str, Value]) -> Space:
        """The checked space of a definition."""
        try:
            layout = elaborate_net(self.elaborator, bound, given)
        except Poisoned:
            raise RobError(self.report.diagnostics) from None
        self.report.raise_if_errors()
        return Space(layout)

    def net(self, bound: Bound, given: Mapping[str, Value]) -> Net:
        """The checked net of a definition."""
        try:
            layout = elaborate_net(self.elaborator, bound, given)
        except Poisoned:
            raise RobError(self.report.diagnostics) from None
        definition = bound.definition
        assert isinstance(definition, nodes.NetDefinition)
        written = [each for each in definition.body if isinstance(each, nodes.PickBits | nodes.PickEdges)]
        choices, wrong = check_picks(layout.picks, written, definition)
        self.report.extend(wrong)
        net = Net(bound.name, layout, choices, dict(metas(definition)), definition)
        if not wrong:
            places = {_pick_name(each): each.span for each in written}

            def at(index: int) -> Label | None:
                span = places.get(layout.picks[index].name)
                return Label(span, "chosen here") if span is not None else None

            self.report.extend(broken_rules(net, at))
        self.report.raise_if_errors()
        return net

    def check(self, file: ProgramFile) -> None:
        """Reports everything that is wrong in a file and in what it uses."""
        for bound in file.own.values():
            if self.elaborator.sound(bound) and isinstance(bound.definition, nodes.NetDefinition):
                try:
                    (self.net if bound.kind == "net" else self.space)(bound, {})
                except RobError:
                    continue  # reported; the next definition may have mistakes of its own


def _pick_name(written: nodes.PickBits | nodes.PickEdges) -> str:
    name = written.target.name
    return str(int(name)) if name.isdecimal() else name
