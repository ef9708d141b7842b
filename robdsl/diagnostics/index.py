"""The error index: a page that explains every code with an example."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from robdsl.diagnostics import codes
from robdsl.diagnostics.diagnostic import Code

_SECTIONS = {
    "R1": "Text",
    "R2": "Names",
    "R3": "Values",
    "R4": "Cells, nets and shapes",
    "R5": "Choices",
    "R6": "Bounds",
    "W": "Warnings",
}

_HEAD = """\
# The error index

Every mistake that `robdsl` finds in a `.rob` file has a code that never changes its meaning. This page says for each
what it means and what to do, and shows a program that makes the mistake with what is said about it.

It is written by the tests (`make test ARGS="tests/diagnostics --update-golden"`) from
`robdsl/diagnostics/codes.py` and the golden files in `tests/diagnostics/golden`; edit those.
"""


@dataclass(frozen=True)
class Example:
    """A program and what is said of it.

    Attributes:
        files: the text of each file by its name; none where the program is too large to show.
        output: the rendered diagnostics.
    """

    files: Mapping[str, str]
    output: str


def error_index(examples: Mapping[str, Example]) -> str:
    """The page in Markdown; ``examples`` are by code."""
    return "\n".join([_HEAD, *_contents(), *_entries(examples)])


def _section(code: Code) -> str:
    return "W" if code.severity == "warning" else code.id[:2]


def _ordered() -> list[Code]:
    return sorted(codes.ALL, key=lambda code: (code.severity, code.id))


def _contents() -> Iterator[str]:
    """The codes of each section, on a line each."""
    for key, found in groupby(_ordered(), _section):
        links = ", ".join(f"[{code.id}](#{code.id.lower()})" for code in found)
        yield f"- {_SECTIONS[key]}: {links}"
    yield ""


def _entries(examples: Mapping[str, Example]) -> Iterator[str]:
    for key, found in groupby(_ordered(), _section):
        yield f"## {_SECTIONS[key]}\n"
        for code in found:
            yield f"### {code.id}\n"
            title = _readable(code.title)
            yield f"{code.meaning}\n" if title == "..." else f"**{title}**. {code.meaning}\n"
            if code.id in examples:
                yield from _example(examples[code.id])


def _example(example: Example) -> Iterator[str]:
    for name, text in example.files.items():
        if len(example.files) > 1:
            yield f"`{name}`:\n"
        yield _fenced("rob", text)
    yield _fenced("text", example.output)


def _readable(title: str) -> str:
    """A title with its fields as dots: ``unknown operation `...` ``."""
    return re.sub(r"\{\w+\}", "...", title)


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"
