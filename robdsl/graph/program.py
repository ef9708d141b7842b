"""Files and what their names mean: ``use`` is followed, every file gets its scope."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from robdsl import resources
from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Diagnostic, Label, Report, RobError, did_you_mean
from robdsl.diagnostics.source import Source
from robdsl.graph.primitives import signatures
from robdsl.syntax import nodes
from robdsl.syntax.parser import parse_all, read_source

#: How many files one program may use.
MAX_FILES = 100


@dataclass(frozen=True, eq=False)
class Bound:
    """A definition and the file in which its names mean something."""

    definition: nodes.Definition
    file: ProgramFile

    @property
    def name(self) -> str:
        return self.definition.name.name

    @property
    def kind(self) -> str:
        """``operation``, ``cell``, ``net`` or ``space``."""
        match self.definition:
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
    """

    source: Source
    tree: nodes.File
    path: Path | None
    shipped: str | None = None
    own: dict[str, Bound] = field(default_factory=dict)
    scope: dict[str, Bound] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Bound]:
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
        for definition in tree.definitions:
            self._define(file, Bound(definition, file), file.own)
        here = path.resolve() if path is not None else Path("<text>")
        self._reading.append(here)
        for use in tree.uses:
            self._use(file, use)
        self._reading.pop()
        for bound in file.own.values():
            self._define(file, bound, file.scope)
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
        found = find_use(use, file.path)
        if found is None:
            folder = file.path.parent if file.path is not None else None
            self._report.add(
                codes.UNKNOWN_FILE.at(use.span, path=f"{use.dotted.replace('.', '/')}.rob",
                                      help=did_you_mean(use.dotted, _nearby(folder)))
            )  # fmt: skip
            return
        resolved = found.resolve()
        if resolved in self._reading:
            circle = " -> ".join(
                [each.name for each in self._reading[self._reading.index(resolved) :]] + [resolved.name]
            )
            self._report.add(codes.CYCLIC_USE.at(use.span, circle, path=found.name))
            return
        known = self._files.get(resolved)
        if known is None:
            if len(self._files) + len(self._reading) >= MAX_FILES:
                self._report.add(codes.TOO_MANY_FILES.at(use.span, bound=f"{MAX_FILES} files"))
                return
            try:
                known = self.file(found)
            except RobError as error:
                self._report.extend(error.diagnostics)
                return
        if use.dotted in (earlier.dotted for earlier in file.tree.uses[: file.tree.uses.index(use)]):
            self._report.add(codes.FILE_TWICE.at(use.span, path=use.dotted))
        for bound in known.own.values():
            self._import(file, use, bound)

    def _import(self, file: ProgramFile, use: nodes.Use, bound: Bound) -> None:
        other = file.own.get(bound.name) or file.scope.get(bound.name)
        if other is None or other.definition is bound.definition:
            file.scope.setdefault(bound.name, bound)
            return
        self._report.add(
            codes.DUPLICATE.at(
                use.span, f"`{use.dotted}` defines it too", name=bound.name,
                related=[Label(other.definition.name.span, "defined here"), Label(bound.definition.name.span, "and here")],
            )
        )  # fmt: skip


def find_use(use: nodes.Use, user: Path | None) -> Path | None:
    """The file that a ``use`` means: beside the user's file, else in the installed ``archs/``; None if there is none."""
    relative = Path(*(part.name for part in use.path)).with_suffix(".rob")
    folders = [] if user is None else [user.resolve().parent]
    for folder in (*folders, resources.folder("archs")):
        candidate = folder / relative
        if candidate.is_file():
            return candidate
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


def _nearby(folder: Path | None) -> list[str]:
    """The dotted names that a `use` could have meant."""
    names = [name for name in map(_shipped_name, shipped_files()) if name]
    if folder is not None and folder.is_dir():
        names.extend(sorted(path.stem for path in folder.glob("*.rob"))[:1000])
    return names
