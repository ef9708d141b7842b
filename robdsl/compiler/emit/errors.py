"""Why a file cannot be written."""

from __future__ import annotations


class EmitError(Exception):
    """A net cannot be written in a form; the message says why and what to do."""


class MissingExtra(EmitError):
    """A form needs packages that are not installed.

    Attributes:
        extra: the extra of this package that brings them.
        missing: the package that was looked for.
    """

    def __init__(self, kind: str, extra: str, missing: str) -> None:
        super().__init__(
            f'writing {kind} needs `{missing}`, which is not installed; install it with: pip install "robdsl[{extra}]"'
        )
        self.extra, self.missing = extra, missing
