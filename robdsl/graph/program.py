"""Files and what their names mean: ``use`` is followed, every file gets its scope."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

from robdsl import resources
from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report, RobError, did_you_mean
from robdsl.diagnostics.source import Source
from robdsl.graph.primitives import signatures
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse_all, read_source

#: How many files one program may use.
MAX_FILES = 100


Kind = Literal["operation", "cell", "net", "space"]


@dataclass(frozen=True, eq=False)
class Bound:
    """A definition and the file in which its names mean something."""

    definition: nodes.Definition
    file: ProgramFile

    @property
    def name(self) -> str:
        return self.definition.name.name

    @property
    def kind(self) -> Kind:
        return kind_of(self.definition)


def kind_of(definition: nodes.Definition) -> Kind:
    """What a definition defines."""
    match definition:
        case nodes.OpDefinition():
            return "operation"
        case nodes.CellDefinition():
            return "cell"
        case nodes.NetDefinition(kind=kind):
            return kind


@dataclass(eq=False)
class ProgramFile:
    """A parsed file; ``scope`` holds its own definitions and those of the files that it uses.

    Attributes:
        path: where it lies; None for a text that has no file.
        shipped: the dotted name under which the installed ``archs/`` hold it, or None.
        own, scope: definitions by name: those of this file, and all that can be named in it.
        broken: names whose definitions hold syntax errors, here or in a file that is used.
        unsure: whether any other name may be missing because a text could not be read.
    """

    source: Source
    tree: nodes.File
    path: Path | None
    shipped: str | None = None
    own: dict[str, Bound] = field(default_factory=dict)
    scope: dict[str, Bound] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    unsure: bool = False

    def may_define(self, name: str) -> bool:
        """Whether a name that `scope` lacks may have a definition that could not be read."""
        return self.unsure or name in self.broken

    def of_kind(self, kind: Kind) -> list[Bound]:
        """The file's own definitions of one kind."""
        return [bound for bound in self.own.values() if bound.kind == kind]


@lru_cache(maxsize=256)
def _parsed(
    path: Path, name: str, modified: int, size: int
) -> tuple[Source, nodes.File, tuple[Diagnostic, ...]]:
    source = read_source(path, name)
    return source, *parse_all(source)


class Loader:
    """Reads a program: one file, and what it uses, each once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._files: dict[Path, ProgramFile] = {}
        self._reading: list[Path] = []

    @property
    def files(self) -> tuple[ProgramFile, ...]:
        """Every file read so far, the used ones before their users."""
        return tuple(self._files.values())

    def file(self, path: Path, name: str | None = None) -> ProgramFile:
        """The program file at ``path``; raises `RobError` when it cannot be read at all."""
        try:
            status = path.stat()
            key = (status.st_mtime_ns, status.st_size)
        except (OSError, ValueError):
            key = (0, 0)
        source, tree, errors = _parsed(path, name or str(path), *key)
        return self._enter(source, tree, errors, path)

    def text(self, source: Source, path: Path | None = None) -> ProgramFile:
        """The program of a text; ``path`` is where it would lie, for its ``use``s."""
        tree, errors = parse_all(source)
        return self._enter(source, tree, errors, path)

    def _enter(
        self, source: Source, tree: nodes.File, errors: tuple[Diagnostic, ...], path: Path | None
    ) -> ProgramFile:
        self._report.extend(errors)
        file = ProgramFile(source, tree, path, _shipped_name(path))
        file.broken.update(ident.name for ident in tree.broken)
        file.unsure = tree.lost
        for definition in tree.definitions:
            self._define(file, Bound(definition, file), file.own)
        here = path.resolve() if path is not None else Path("<text>")
        self._reading.append(here)
        used: dict[str, nodes.Use] = {}
        for use in tree.uses:
            if use.dotted in used:
                first = [Label(used[use.dotted].span, "first here")]
                self._report.add(codes.FILE_TWICE.at(use.span, related=first, path=use.dotted))
                continue
            used[use.dotted] = use
            self._use(file, use)
        self._reading.pop()
        for bound in file.own.values():
            file.scope.setdefault(bound.name, bound)
        self._files[here] = file
        return file

    def _define(self, file: ProgramFile, bound: Bound, names: dict[str, Bound]) -> None:
        ident = bound.definition.name
        if ident.name in signatures():
            self._report.add(codes.PRIMITIVE_NAME.at(ident.span, name=ident))
        elif ident.name in names and names[ident.name].definition is not bound.definition:
            first = names[ident.name].definition.name
            self._report.add(
                codes.DUPLICATE.at(
                    ident.span, "again here", related=[Label(first.span, "first defined here")], name=ident
                )
            )
        else:
            names[ident.name] = bound

    # --- use

    def _use(self, file: ProgramFile, use: nodes.Use) -> None:
        known = self._used(file, use)
        if known is None:
            file.unsure = True
            return
        file.broken.update(ident.name for ident in known.tree.broken)
        file.unsure = file.unsure or known.tree.lost
        for bound in known.own.values():
            self._import(file, use, bound)

    def _used(self, file: ProgramFile, use: nodes.Use) -> ProgramFile | None:
        """The file that a ``use`` means; None when there is none, which is reported."""
        found = find_use(use, file.path)
        if found is None:
            path = f"{use.dotted.replace('.', '/')}.rob"
            help = did_you_mean(use.dotted, _nearby(file.path, use))
            self._report.add(codes.UNKNOWN_FILE.at(use.span, path=path, help=help))
            return None
        resolved = found.resolve()
        if resolved in self._reading:
            circle = [*self._reading[self._reading.index(resolved) :], resolved]
            shown = " uses ".join(each.name for each in circle)
            self._report.add(codes.CYCLIC_USE.at(use.span, shown, path=found.name))
            return None
        if resolved in self._files:
            return self._files[resolved]
        if len(self._files) + len(self._reading) >= MAX_FILES:
            self._report.add(codes.TOO_MANY_FILES.at(use.span, bound=MAX_FILES))
            return None
        try:
            return self.file(found)
        except RobError as error:
            self._report.extend(error.diagnostics)
            return None

    def _import(self, file: ProgramFile, use: nodes.Use, bound: Bound) -> None:
        other = file.own.get(bound.name) or file.scope.get(bound.name)
        if other is None or other.definition is bound.definition:
            file.scope.setdefault(bound.name, bound)
            return
        places = [
            Label(other.definition.name.span, "defined here"),
            Label(bound.definition.name.span, "and here"),
        ]
        self._report.add(
            codes.DUPLICATE.at(use.span, f"`{use.dotted}` defines it too", name=bound.name, related=places)
        )


def find_use(use: nodes.Use, user: Path | None) -> Path | None:
    """The file that a ``use`` means: beside the user's file, else in the installed ``archs/``, else None."""
    relative = Path(*(part.name for part in use.path)).with_suffix(".rob")
    folders = [] if user is None else [user.resolve().parent]
    for folder in (*folders, resources.folder("archs")):
        candidate = folder / relative
        try:
            if candidate.is_file():
                return candidate
        except OSError:  # a name that is too long, a folder that may not be entered
            continue
    return None


def shipped_files() -> Iterator[Path]:
    """The installed architecture files."""
    yield from sorted(resources.folder("archs").rglob("*.rob"))


def _shipped_name(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        relative = path.resolve().relative_to(resources.folder("archs").resolve())
    except ValueError:
        return None
    return ".".join(relative.with_suffix("").parts)


def _nearby(user: Path | None, use: nodes.Use) -> list[str]:
    """The dotted names that a ``use`` could have meant."""
    names = [name for name in map(_shipped_name, shipped_files()) if name]
    if user is not None:
        prefix = [part.name for part in use.path[:-1]]
        folder = user.resolve().parent.joinpath(*prefix)
        try:
            stems = sorted(path.stem for path in islice(folder.glob("*.rob"), 1000))
        except OSError:
            stems = []
        names.extend(".".join([*prefix, stem]) for stem in stems if stem != user.stem)
    return names
