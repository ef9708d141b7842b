"""A page of the documentation as a reader would follow it: its blocks, from top to bottom, in one empty folder.

- ``sh``: run by bash, with the environment's commands on the path.
- ``python``: run, all of a page in one interpreter.
- ``rob`` whose first line is ``# NAME.rob``: written to that file.
- ``sh plan``: commands for other machines (many GPUs, data that are not here). Not run, but each ``robdsl`` command in
  them must parse.
- any other language is output or text.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from robdsl.cli.main import app

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+\.rob)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: what its fence says, and its text."""

    language: str
    text: str


def blocks_of(page: Path, section: str | None = None) -> list[Block]:
    """All blocks of a page, or of one of its sections."""
    text = page.read_text(encoding="utf-8")
    if section is not None:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [Block(found[1].strip(), found[2]) for found in _FENCE.finditer(text)]


def file_of(text: str) -> str | None:
    """The file that a ``rob`` block is, if its first line names one."""
    named = _FILE.match(text)
    return None if named is None else named[1]


def runs(page: Path) -> bool:
    """Whether a page has anything to run."""
    return any(block.language in ("sh", "python") for block in blocks_of(page))


def follow(page: Path, folder: Path, section: str | None = None, bin_: Path | None = None) -> str:
    """Runs a page, or one of its sections, in ``folder``; what its blocks printed. Fails at the first block that does.

    ``bin_`` is where ``python`` and ``robdsl`` are; beside the Python that runs the tests unless given.
    """
    bin_ = bin_ or Path(sys.executable).parent
    steps: list[tuple[str, str]] = []
    for block in blocks_of(page, section):
        match block.language:
            case "rob" if (name := file_of(block.text)) is not None:
                steps.append(("rob", f"{name}\n{block.text}"))
            case "sh" | "python":
                steps.append((block.language, block.text))
    printed: list[str] = []
    program: list[
        str
    ] = []  # python blocks share names, so those between two of the others run as one program
    earlier: list[str] = []
    for kind, text in [*steps, ("end", "")]:
        if kind == "python":
            program.append(text)
            continue
        if program:
            printed.append(_run([str(bin_ / "python"), "-c", "\n".join([*earlier, *program])], folder, bin_))
            earlier, program = [*earlier, *program], []
        if kind == "rob":
            name, _, content = text.partition("\n")
            (folder / name).write_text(content, encoding="utf-8")
        elif kind == "sh":
            printed.append(_run(["bash", "-euo", "pipefail", "-c", text], folder, bin_))
    return "".join(printed)


def _run(command: list[str], folder: Path, bin_: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{bin_}:{environment['PATH']}"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[-1]}\ngave {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def planned(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``robdsl`` command in the blocks that are not run."""
    for block in blocks_of(page):
        if block.language == "sh plan":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if "robdsl" in words:
                    yield words[words.index("robdsl") + 1 :]


def parse(arguments: list[str]) -> None:
    """Reads a command line as the program would, and runs nothing."""
    command = typer.main.get_command(app)
    rest = list(arguments)
    context = command.make_context("robdsl", rest[:1], resilient_parsing=True)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    command.make_context("robdsl", rest, parent=context)
