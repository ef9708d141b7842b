"""The golden programs: at least one mistake each, named by its code.

A golden is a file ``golden/R101.rob``, a folder ``golden/R211/`` with a ``main.rob``, or, where it would be too
large to keep, a function here that writes it. What is said of it is in ``golden/R101.err``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from robdsl.diagnostics.diagnostic import Diagnostic, RobError
from robdsl.diagnostics.index import Example
from robdsl.diagnostics.render import render_all
from robdsl.graph.load import check_file, load

GOLDEN = Path(__file__).parent / "golden"


def _large_file(folder: Path) -> None:
    (folder / "main.rob").write_text("# A comment.\n" * 80_000, encoding="utf-8")


def _long_statement(folder: Path) -> None:
    (folder / "main.rob").write_text(f"op long = relu{' | relu' * 10_000}\n", encoding="utf-8")


def _many_files(folder: Path) -> None:
    uses = "".join(f"use part{index}\n" for index in range(101))
    (folder / "main.rob").write_text(uses, encoding="utf-8")
    for index in range(101):
        (folder / f"part{index}.rob").write_text(f"op part{index} = relu\n", encoding="utf-8")


#: The programs that are written for each test, by code.
GENERATED: dict[str, Callable[[Path], None]] = {
    "R601": _large_file,
    "R603": _long_statement,
    "R609": _many_files,
}


def golden_codes() -> list[str]:
    """The codes that have a golden program."""
    kept = {path.stem for path in GOLDEN.iterdir() if path.is_dir() or path.suffix == ".rob"}
    return sorted(kept | GENERATED.keys())


def check(path: Path) -> tuple[Diagnostic, ...]:
    """What is wrong with a file, or, if nothing is, with loading it."""
    found = check_file(path)
    if found:
        return found
    try:
        load(path)
    except RobError as error:
        return error.diagnostics
    return ()


def said_of(code: str, scratch: Path) -> tuple[tuple[Diagnostic, ...], str]:
    """The diagnostics of a golden program and their text, in which no path is absolute."""
    with _inside(scratch):
        main = _written(code, scratch)
        found = check(main)
        return found, render_all(found).replace(f"{scratch.resolve()}/", "") + "\n"


def example(code: str) -> Example:
    """A golden program as the error index shows it."""
    output = (GOLDEN / f"{code}.err").read_text(encoding="utf-8")
    folder, single = GOLDEN / code, GOLDEN / f"{code}.rob"
    if single.is_file():
        return Example({single.name: _text(single)}, output)
    paths = sorted(path for path in folder.rglob("*.rob") if path.is_file()) if folder.is_dir() else []
    return Example({str(path.relative_to(folder)): _text(path) for path in paths}, output)


def _written(code: str, scratch: Path) -> Path:
    """Puts a program into an empty folder; its main file."""
    folder = GOLDEN / code
    if code in GENERATED:
        GENERATED[code](scratch)
    elif folder.is_dir():
        shutil.copytree(folder, scratch, dirs_exist_ok=True)
    else:
        shutil.copy(GOLDEN / f"{code}.rob", scratch)
        return Path(f"{code}.rob")
    return Path("main.rob")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="backslashreplace")


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
