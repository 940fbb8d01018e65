"""Numbers as a medical journal prints them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

NARROW_SPACE = "\u202f"
MINUS = "−"
NOT_AVAILABLE = "NA"


def fixed(value: float | None, places: int) -> str:
    """A number with `places` decimals, halves away from zero: 0.125 -> 0.13, as Stata and people round it.

    The rounding starts from the shortest decimal that stands for the float. NA for None or a number that is not finite.
    """
    if value is None:
        return NOT_AVAILABLE
    exact = Decimal(repr(float(value)))
    if not exact.is_finite():
        return NOT_AVAILABLE
    rounded = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return f"{abs(rounded):f}" if rounded >= 0 or rounded.is_zero() else f"{MINUS}{abs(rounded):f}"


def count(value: float | None) -> str:
    """A whole number: 2798, and from 10 000 with narrow spaces: 11 194."""
    if value is None:
        return NOT_AVAILABLE
    digits = fixed(value, 0)
    return f"{round(value):,}".replace(",", NARROW_SPACE).replace("-", MINUS) if len(digits.lstrip(MINUS)) > 4 else digits


def count_percent(n: float, percent: float | None, places: int = 1) -> str:
    """No. (%)."""
    return count(n) if percent is None else f"{count(n)} ({fixed(percent, places)})"


def mean_sd(mean: float | None, sd: float | None, places: int = 1) -> str:
    """Mean (SD)."""
    return fixed(mean, places) if sd is None else f"{fixed(mean, places)} ({fixed(sd, places)})"


def interval(low: float, high: float, places: int = 2) -> str:
    """Limits of an interval: 0.77-0.98, with "to" where one is negative."""
    return f"{fixed(low, places)}{' to ' if min(low, high) < 0 else '-'}{fixed(high, places)}"


def estimate_interval(estimate: float, low: float | None, high: float | None, places: int = 2) -> str:
    """0.87 (0.77-0.98)."""
    value = fixed(estimate, places)
    return value if low is None or high is None else f"{value} ({interval(low, high, places)})"


def p_value(p: float | None) -> str:
    """A P value in AMA style: no leading zero, 2 decimals, 3 below .01 and where 2 would round to .05; <.001; >.99."""
    if p is None:
        return NOT_AVAILABLE
    exact = Decimal(repr(float(p)))
    if exact < Decimal("0.001"):
        return "<.001"
    if exact > Decimal("0.99"):
        return ">.99"
    two, three = fixed(p, 2), fixed(p, 3)
    if exact < Decimal("0.05") and two == "0.05":
        return min(three, "0.049").removeprefix("0")
    return (three if exact < Decimal("0.01") and three != "0.010" else two).removeprefix("0")
