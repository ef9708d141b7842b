"""Optional attack libraries behind one interface; nothing of them is imported until asked for."""

from __future__ import annotations

import difflib

from robdsl.attacks.backends.base import Backend, ForeignAttack, MissingBackendError, UnsupportedAttackError

BACKENDS = ("torchattacks", "foolbox", "art")
"""The names that `get_backend` knows, which are also those of the extras that install them."""

__all__ = [
    "BACKENDS",
    "Backend",
    "ForeignAttack",
    "MissingBackendError",
    "UnsupportedAttackError",
    "get_backend",
]


def get_backend(name: str) -> Backend:
    """Return the backend of this name; ``backend.adapt(attack)`` is that attack in the library's hands.

    Raises:
        MissingBackendError: its library is not installed; the message says how to install it.
        ValueError: there is no backend of this name.
    """
    if name == "torchattacks":
        from robdsl.attacks.backends.over_torchattacks import TorchattacksBackend

        return TorchattacksBackend()
    if name == "foolbox":
        from robdsl.attacks.backends.over_foolbox import FoolboxBackend

        return FoolboxBackend()
    if name == "art":
        from robdsl.attacks.backends.over_art import ArtBackend

        return ArtBackend()
    close = difflib.get_close_matches(name, [*BACKENDS, "adversarial-robustness-toolbox"], n=1)
    hint = f"; did you mean {'art' if close[0] not in BACKENDS else close[0]}?" if close else ""
    raise ValueError(f"there is no attack backend '{name}'{hint} (known: {', '.join(BACKENDS)})")
