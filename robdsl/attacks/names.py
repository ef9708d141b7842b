"""Attacks by name, as options and study files write them: ``fgsm``, ``pgd20``, ``mi_fgsm``, ``pgd20_l2``."""

from __future__ import annotations

import difflib
import re
from fractions import Fraction
from typing import Any

from robdsl.attacks.core.interface import Attack
from robdsl.attacks.methods.auto_attack import AutoAttack
from robdsl.attacks.methods.auto_pgd import APGD, APGDTargeted
from robdsl.attacks.methods.carlini_wagner import CWL2
from robdsl.attacks.methods.deep_fool import DeepFool
from robdsl.attacks.methods.fast_boundary import FABTargeted
from robdsl.attacks.methods.fast_gradient import FGSM
from robdsl.attacks.methods.momentum import MIFGSM
from robdsl.attacks.methods.projected_gradient import BIM, CW, PGD
from robdsl.attacks.methods.random_search import Square

ATTACKS: dict[str, type[Attack]] = {
    attack.kind: attack
    for attack in (
        FGSM,
        BIM,
        PGD,
        MIFGSM,
        DeepFool,
        CW,
        CWL2,
        APGD,
        APGDTargeted,
        FABTargeted,
        Square,
        AutoAttack,
    )
}
"""Every attack by its name without a number of steps."""

_COUNTED = {"bim": "steps", "cw": "steps", "mi_fgsm": "steps", "pgd": "steps", "square": "queries"}
"""The attacks whose name may end in a number, and what that number is."""

L2_EPS = Fraction(128, 255)
"""The budget of CIFAR-10 benchmarks in L2."""

_L2_DEFAULTS = {"eps": L2_EPS, "step_size": Fraction(15, 255)}
"""That budget and its step, for names that end in ``_l2`` and say no more."""


class UnknownAttackError(ValueError):
    """No attack has this name.

    Attributes:
        name: the name that was asked for.
        suggestions: names that look like it, the likeliest first.
    """

    def __init__(self, name: str, suggestions: list[str]) -> None:
        hint = f"; did you mean {' or '.join(suggestions)}?" if suggestions else "."
        known = ", ".join(ATTACKS)
        super().__init__(
            f"there is no attack '{name}'{hint} Known are {known}; "
            "a number sets the steps, as in pgd20 or cw100"
        )
        self.name = name
        self.suggestions = suggestions


def parse_attack(text: str, **options: Any) -> Attack:
    """Return the attack that `text` names, with its published settings where `options` do not say otherwise.

    A number sets the steps (``pgd100``; of ``square`` the queries), ``_l2`` the norm (with a budget of
    128/255 and steps of 15/255); case does not matter and "-" is "_".

    >>> parse_attack("pgd100", eps="4/255").describe()["eps"]
    '4/255'

    Raises:
        UnknownAttackError: no attack has this name; the message says which are like it.
        TypeError, ValueError: the attack does not take such options.
    """
    name = text.strip().lower().replace("-", "_")
    kind, number, l2 = _split(name)
    if kind is None:
        raise UnknownAttackError(text, difflib.get_close_matches(name, [*ATTACKS, "pgd20", "pgd100"], n=2))
    attack = ATTACKS[kind]
    if number is not None:
        options.setdefault(_COUNTED[kind], number)
    if l2:
        options.setdefault("norm", "l2")
        for field in _L2_DEFAULTS.keys() & attack.__dataclass_fields__.keys():
            options.setdefault(field, _L2_DEFAULTS[field])
    unknown = sorted(options.keys() - attack.__dataclass_fields__.keys())
    if unknown:
        raise TypeError(
            f"{kind} has no option {', '.join(unknown)}; "
            f"its options are {', '.join(attack.__dataclass_fields__)}"
        )
    return attack(**options)


def parse_attacks(text: str, **options: Any) -> tuple[Attack, ...]:
    """The attacks of a comma-separated list, each with those of `options` that it has.

    Raises:
        UnknownAttackError: one of the names is unknown.
        ValueError: the list is empty or names an attack twice.
    """
    names = [name for name in text.split(",") if name.strip()]
    attacks: list[Attack] = []
    for name in names:
        fields = type(parse_attack(name)).__dataclass_fields__
        attacks.append(parse_attack(name, **{key: value for key, value in options.items() if key in fields}))
    labels = [attack.name for attack in attacks]
    if not attacks or len(set(labels)) < len(labels):
        raise ValueError(f"expected a list of different attacks such as 'fgsm,pgd20', not {text!r}")
    return tuple(attacks)


def _split(name: str) -> tuple[str | None, int | None, bool]:
    """The attack, the number and whether ``_l2`` is asked for; no attack where there is none of that form."""
    if name in ATTACKS:
        return name, None, False
    match = re.fullmatch(r"(?P<kind>[a-z_]+?)(?P<number>[0-9]{1,6})?(?P<l2>_l2)?", name)
    if match is None:
        return None, None, False
    kind, number, l2 = match["kind"], match["number"], match["l2"] is not None
    if kind not in ATTACKS or (number and kind not in _COUNTED) or (l2 and "l2" not in ATTACKS[kind].norms):
        return None, None, False
    return kind, int(number) if number else None, l2
