"""Budgets and step sizes as exact fractions.

The literature prints 8/255 as 0.031 and 2/255 as 0.01; runs made with the rounded figures are not comparable.
Here every amount is a `fractions.Fraction` from the option to the manifest, and becomes a float once, where a
tensor needs it.
"""

from __future__ import annotations

import math
from fractions import Fraction

Amount = Fraction | str | float | int
"""What a caller may give as an amount: ``Fraction(8, 255)``, ``"8/255"``, ``"0.03"``, ``8/255`` or ``1``."""

_PIXEL_LEVELS = 255
_LEVEL_DENOMINATORS = (17, 51, 85, 255)  # what 255ths reduce to; of 1/3 and the like, nobody thinks in 255ths
_LARGEST_DENOMINATOR = 10_000


def to_fraction(amount: Amount) -> Fraction:
    """Return `amount` as an exact, non-negative fraction.

    A float that is the nearest float to a fraction with a small denominator (up to 10,000) is taken for that
    fraction, so that ``8/255`` written in Python is 8/255; any other float is taken for its shortest decimal.

    Raises:
        ValueError: `amount` is not a number, is negative or is not finite.
    """
    if isinstance(amount, str):
        try:
            fraction = Fraction(amount.replace(" ", ""))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(
                f"{amount!r} is not an amount; write a fraction such as '8/255' or a decimal such as '0.03'"
            ) from error
    elif isinstance(amount, float):
        if not math.isfinite(amount):
            raise ValueError(f"an amount must be finite, not {amount}")
        fraction = Fraction(amount).limit_denominator(_LARGEST_DENOMINATOR)
        if float(fraction) != amount:
            fraction = Fraction(repr(amount))
    else:
        fraction = Fraction(amount)
    if fraction < 0:
        raise ValueError(f"an amount must not be negative, not {fraction}")
    return fraction


def fraction_text(amount: Amount) -> str:
    """Return the text of `amount` for a manifest or a table: in 255ths where that is natural, as "8/255".

    >>> fraction_text(Fraction(10, 255)), fraction_text("0.5"), fraction_text(1)
    ('10/255', '1/2', '1')
    """
    fraction = to_fraction(amount)
    if fraction.denominator in _LEVEL_DENOMINATORS:
        return f"{fraction.numerator * (_PIXEL_LEVELS // fraction.denominator)}/{_PIXEL_LEVELS}"
    return str(fraction)
