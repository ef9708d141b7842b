"""Why a model cannot be lifted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


class LiftError(Exception):
    """A model cannot be lifted; the message says why."""


@dataclass(frozen=True)
class Missing:
    """Something that a model does and the language has no word for.

    Attributes:
        what: ``ReLU6``, ``max_pool with ceil_mode``.
        where: the path of the module, or the name of the traced value.
    """

    what: str
    where: str


class NotInLanguage(LiftError):
    """A model does what the language has no words for.

    Attributes:
        missing: all of it, in the order of the model.
    """

    def __init__(self, missing: Sequence[Missing]) -> None:
        self.missing = tuple(missing)
        first = {each.what: each.where for each in reversed(self.missing)}
        counts = Counter(each.what for each in self.missing)
        lines = [f"  {what}: {count}x, first at {first[what]}" for what, count in counts.items()]
        super().__init__("the language has no words for what this model does\n" + "\n".join(lines))
