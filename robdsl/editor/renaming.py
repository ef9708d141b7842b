"""Where a name is defined and used, over the files of a program and of a folder, and new names for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from robdsl.diagnostics.diagnostic import Report, RobError
from robdsl.diagnostics.source import Span
from robdsl.editor.analysis import Analysis
from robdsl.editor.symbols import Occurrence, Symbol, at, introduced, occurrences, same_symbol, sources_of
from robdsl.graph.primitives import signatures
from robdsl.graph.program import Loader, ProgramFile, find_use
from robdsl.graph.values import is_name

#: How many files of a folder are searched for uses of a name.
MOST_FILES = 1000


class CannotRename(Exception):
    """A name cannot be changed; the message says why."""


def definition(analysis: Analysis, offset: int) -> Span | Path | None:
    """Where what stands at an offset is defined: a place in a text, or the file that a `use` names."""
    for use in analysis.file.tree.uses:
        if use.span.start <= offset <= use.span.end:
            return find_use(use, analysis.path)
    found = at(occurrences(analysis.file), offset)
    return None if found is None else introduced(found.symbol, _files(analysis))


def references(analysis: Analysis, offset: int, texts: Mapping[Path, str], folder: Path | None) -> list[Span]:
    """Every place that means the same as an offset, in the program's files and in a folder's.

    Args:
        analysis: of the text with the name.
        offset: in it.
        texts: what files hold that are open in the editor, by path.
        folder: whose files are searched for users of the name.
    """
    found = at(occurrences(analysis.file), offset)
    if found is None:
        return []
    everywhere = _everywhere(analysis, texts, folder)
    return [each.span for file in everywhere for each in same_symbol(occurrences(file), found.symbol)]


def renamed(
    analysis: Analysis, offset: int, name: str, texts: Mapping[Path, str], folder: Path | None
) -> list[Span]:
    """The places that take a new name.

    Raises:
        CannotRename: it cannot be one, means something there, or a file that would change cannot be read as a whole.
    """
    found = renameable(analysis, offset)
    if not is_name(name):
        raise CannotRename(f"`{name}` cannot be a name: a name is letters, digits and `_`, and no keyword")
    if name in signatures():
        raise CannotRename(f"`{name}` is a primitive")
    spans: list[Span] = []
    for file in _everywhere(analysis, texts, folder):
        names = occurrences(file)
        same = same_symbol(names, found.symbol)
        if not same:
            continue
        if file.shipped is not None:
            raise CannotRename(f"`{found.symbol.name}` is defined by the installed file {file.shipped}")
        if file.tree.broken or file.tree.lost:
            raise CannotRename(f"{file.source.name} has syntax errors; mend them first")
        taken = next((each for each in names if _clashes(each, found.symbol, name, file)), None)
        if taken is not None:
            raise CannotRename(f"`{name}` means a {taken.symbol.sort} in {file.source.name} already")
        spans.extend(each.span for each in same)
    return spans


def renameable(analysis: Analysis, offset: int) -> Occurrence:
    """The name at an offset.

    Raises:
        CannotRename: there is none that could be changed.
    """
    found = at(occurrences(analysis.file), offset)
    if found is None:
        raise CannotRename("there is no name here that is defined in a .rob file")
    if found.symbol.local == "out" and found.symbol.sort == "node":
        raise CannotRename("`out` is the result of every cell")
    return found


def _clashes(occurrence: Occurrence, symbol: Symbol, name: str, file: ProgramFile) -> bool:
    """Whether a new name for a symbol would mean something else as well."""
    other = occurrence.symbol
    if other.name != name:
        return False
    if not symbol.local:
        return not other.local or other.file == file.source.name
    return not other.local or (other.file, other.definition) == (symbol.file, symbol.definition)


def _files(analysis: Analysis) -> dict[str, ProgramFile]:
    return sources_of(analysis.program.loader.files)


def _everywhere(analysis: Analysis, texts: Mapping[Path, str], folder: Path | None) -> Iterator[ProgramFile]:
    """The files of the program, and those of the folder that may use one of them; each once."""
    seen: set[Path | None] = set()
    for file in analysis.program.loader.files:
        seen.add(_resolved(file.path))
        yield file
    around = islice(sorted(folder.rglob("*.rob")), MOST_FILES) if folder is not None else iter(())
    for path in (*texts, *around):
        if _resolved(path) in seen:
            continue
        seen.add(_resolved(path))
        read = _read(path, texts)
        if read is not None and read.tree.uses:
            yield read


def _read(path: Path, texts: Mapping[Path, str]) -> ProgramFile | None:
    try:
        if path in texts:
            return Analysis.of(texts[path], path).file
        return Loader(Report()).file(path.resolve())
    except RobError:
        return None


def _resolved(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()
