"""What the parser reads: words with their places."""

from __future__ import annotations

from dataclasses import dataclass

from robdsl.diagnostics.source import Span

#: Ends a statement; made by the layout filter.
END = "_END"
#: Stands for a statement that does not parse; made by the parser.
BROKEN = "BROKEN"


@dataclass(slots=True)
class Word:
    """A word of the text.

    Attributes:
        type: the name of its terminal in the grammar.
        depth: how many blocks of statements are open where it stands.
    """

    type: str
    text: str
    span: Span
    depth: int = 0


def shortened(text: str) -> str:
    """A word of the text, of a length fit for a message."""
    return text if len(text) <= 40 else text[:37] + "..."
