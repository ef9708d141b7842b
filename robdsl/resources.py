"""Where the files that ship with the package lie.

``grammars/`` and ``archs/`` stand at the top of a checkout and inside the package of an installed wheel.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder ``grammars`` or ``archs``, of the wheel or of the checkout."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
