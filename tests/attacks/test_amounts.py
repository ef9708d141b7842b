"""Budgets and steps stay exact."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robdsl.attacks import PGD, fraction_text, to_fraction


@pytest.mark.parametrize(
    ("given_", "exact"),
    [
        ("8/255", Fraction(8, 255)),
        (" 8 / 255 ", Fraction(8, 255)),
        (8 / 255, Fraction(8, 255)),
        (2 / 255, Fraction(2, 255)),
        (0.031, Fraction(31, 1000)),
        ("0.031", Fraction(31, 1000)),
        (1, Fraction(1)),
        (Fraction(1, 3), Fraction(1, 3)),
        (0.123456789, Fraction("0.123456789")),
    ],
)
def test_amounts_are_taken_for_the_fraction_that_was_meant(
    given_: Fraction | str | float, exact: Fraction
) -> None:
    assert to_fraction(given_) == exact


@given(st.integers(0, 255), st.integers(1, 255))
def test_a_quotient_of_small_numbers_is_recovered_from_its_float(numerator: int, denominator: int) -> None:
    assert to_fraction(numerator / denominator) == Fraction(numerator, denominator)


@given(st.floats(0, 4))
def test_no_float_is_changed(amount: float) -> None:
    assert float(to_fraction(amount)) == amount


@given(st.fractions(0, 4, max_denominator=1000))
def test_text_reads_back(amount: Fraction) -> None:
    assert to_fraction(fraction_text(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "text"), [("10/255", "10/255"), (8 / 255, "8/255"), ("0.5", "1/2"), (1, "1"), (0, "0")]
)
def test_text_is_in_pixel_levels(amount: str | float, text: str) -> None:
    assert fraction_text(amount) == text


@pytest.mark.parametrize("wrong", ["eight", "1/0", "", "-1/255", -0.1, float("nan"), float("inf"), "nan"])
def test_what_is_no_amount_is_refused(wrong: str | float) -> None:
    with pytest.raises(ValueError, match=r"amount"):
        to_fraction(wrong)


def test_manifest_keeps_the_fraction() -> None:
    described = PGD(eps=8 / 255, step_size="2/255").describe()
    assert described["eps"] == "8/255" and described["step_size"] == "2/255"
    assert PGD(eps="8/255") == PGD(eps=8 / 255) == PGD(eps=Fraction(8, 255))
