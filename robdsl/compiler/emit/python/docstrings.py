"""Text of strangers as docstrings: whatever it holds, it stays text."""

from __future__ import annotations


def docstring(text: str, indent: int = 0) -> list[str]:
    """The lines of a docstring that says ``text``, whose first line is ours and ends in no quote or backslash."""
    margin = " " * indent
    first, *rest = [_escaped(line).rstrip() for line in text.split("\n")]
    while rest and not rest[-1]:
        rest.pop()
    if not rest and len(margin) + len(first) + 6 <= 88 and first[-1:] not in ('"', "\\"):
        return [f'{margin}"""{first}"""']
    return [f'{margin}"""{first}', *(f"{margin}{line}" if line else "" for line in rest), f'{margin}"""']


def _escaped(line: str) -> str:
    """A line inside a triple-quoted string; characters that do not show are written by number."""
    said = line.lstrip(" \t")
    indent = line[: len(line) - len(said)].expandtabs(4)
    said = said.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return indent + "".join(each if each.isprintable() else _numbered(each) for each in said)


def _numbered(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
