"""The colors of rendered diagnostics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from robdsl.diagnostics.diagnostic import Severity

_RESET: Final = "\x1b[0m"
_BOLD: Final = "\x1b[1m"
_FRAME: Final = "\x1b[1;34m"
_SEVERITY: Final[dict[Severity, str]] = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m"}


@dataclass(frozen=True)
class Paint:
    """Puts ANSI escape codes around text, or nothing where they are not wanted."""

    wanted: bool = True

    def severity(self, text: str, severity: Severity) -> str:
        """The text in red or yellow."""
        return self._around(_SEVERITY[severity], text)

    def bold(self, text: str) -> str:
        """The text in bold."""
        return self._around(_BOLD, text)

    def frame(self, text: str) -> str:
        """The text in the color of line numbers and second labels."""
        return self._around(_FRAME, text)

    def _around(self, code: str, text: str) -> str:
        return f"{code}{text}{_RESET}" if self.wanted and text else text


PLAIN: Final = Paint(wanted=False)
