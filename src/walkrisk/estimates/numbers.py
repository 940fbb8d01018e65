"""Numbers as a medical journal prints them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Literal

from walkrisk.declarations import option

PStyle = Literal["ama", "leading_zero", "three_decimals"]
NARROW_SPACE = "\u202f"
MINUS = "−"
MOST_DECIMALS = 6
NOT_AVAILABLE = "NA"
EXACT = Context(prec=400)  # digits enough for any float
LARGEST = 1000  # ratios from here on are printed as >999


def fixed(value: float | None, places: int) -> str:
    """A number with `places` decimals, halves away from zero: 0.125 -> 0.13, as Stata and people round it.

    The rounding starts from the shortest decimal that stands for the float. NA for None or a number that is not finite.
    """
    if value is None:
        return NOT_AVAILABLE
    exact = Decimal(repr(float(value)))
    if not exact.is_finite():
        return NOT_AVAILABLE
    rounded = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=EXACT)
    return f"{abs(rounded):f}" if rounded >= 0 or rounded.is_zero() else f"{MINUS}{abs(rounded):f}"


def count(value: float | None) -> str:
    """A whole number: 2798, and from 10 000 with narrow spaces: 11 194."""
    if value is None:
        return NOT_AVAILABLE
    digits = fixed(value, 0)
    return (
        f"{round(value):,}".replace(",", NARROW_SPACE).replace("-", MINUS) if len(digits.lstrip(MINUS)) > 4 else digits
    )


def count_percent(n: float, percent: float | None, places: int = 1) -> str:
    """No. (%)."""
    return count(n) if percent is None else f"{count(n)} ({fixed(percent, places)})"


def mean_sd(mean: float | None, sd: float | None, places: int = 1) -> str:
    """Mean (SD)."""
    return fixed(mean, places) if sd is None else f"{fixed(mean, places)} ({fixed(sd, places)})"


def ratio(value: float, places: int = 2) -> str:
    """A ratio: <0.01 where it would be printed as 0.00, >999 from 1000 on."""
    if value >= LARGEST:
        return f">{LARGEST - 1}"
    least = Decimal(1).scaleb(-places)
    text = fixed(value, places)
    return f"<{least}" if 0 < value < 1 and Decimal(text) == 0 else text


def ratio_interval(estimate: float, low: float | None, high: float | None, places: int = 2) -> str:
    """0.87 (0.77-0.98); "to" stands between limits where one is printed with a sign."""
    value = ratio(estimate, places)
    if low is None or high is None:
        return value
    ends = ratio(low, places), ratio(high, places)
    return f"{value} ({(' to ' if any(e[0] in '<>' for e in ends) else '-').join(ends)})"


def p_value(p: float | None, style: PStyle = "ama") -> str:
    """A P value in AMA style: no leading zero, 2 decimals, 3 below .01 and where 2 would round to .05; <.001; >.99.

    `leading_zero` is the same with a zero before the point, `three_decimals` has that and always three decimals.
    """
    if p is None:
        return NOT_AVAILABLE
    exact = Decimal(repr(float(p)))
    if style == "three_decimals":
        return "<0.001" if exact < Decimal("0.001") else fixed(p, 3)
    text = _ama(p, exact)
    return text if style == "ama" else text.replace(".", "0.")


def _ama(p: float, exact: Decimal) -> str:
    if exact < Decimal("0.001"):
        return "<.001"
    if exact > Decimal("0.99"):
        return ">.99"
    two, three = fixed(p, 2), fixed(p, 3)
    if exact < Decimal("0.05") and two == "0.05":
        return min(three, "0.049").removeprefix("0")
    return (three if exact < Decimal("0.01") and three != "0.010" else two).removeprefix("0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """Decimals of what tables, figures and sentences print; the defaults are those of JAMA.

    E-values and cut points are not ratios; exposures and variables have decimals of their own.
    """

    ratios: int = option(2, doc="Decimals of risk ratios, odds ratios, hazard ratios and their limits.")
    percentages: int = option(1, doc="Decimals of the percentages of people.")
    risks: int = option(1, doc="Decimals of risks and their differences, in percent.")
    means: int | None = option(None, doc="Decimals of means and standard deviations, instead of each variable's own.")
    smd: int = option(2, doc="Decimals of standardised mean differences.")
    p_values: PStyle = option("ama", doc="P values: .03 and <.001 (ama), 0.03 (leading_zero), 0.031 (three_decimals).")

    def ratio(self, value: float) -> str:
        """A ratio."""
        return ratio(value, self.ratios)

    def interval(self, estimate: float, low: float | None, high: float | None) -> str:
        """A ratio with its limits."""
        return ratio_interval(estimate, low, high, self.ratios)

    def share(self, n: float, percent: float | None) -> str:
        """No. (%)."""
        return count_percent(n, percent, self.percentages)

    def mean(self, mean: float | None, sd: float | None, decimals: int) -> str:
        """Mean (SD) of a variable with decimals of its own."""
        return mean_sd(mean, sd, decimals if self.means is None else self.means)

    def p(self, value: float | None) -> str:
        """A P value."""
        return p_value(value, self.p_values)


JAMA = Rounding()


def rounding_faults(rounding: Rounding) -> list[tuple[str, str]]:
    """Keys with what is wrong with them."""
    asked = {key: getattr(rounding, key) for key in ("ratios", "percentages", "risks", "means", "smd")}
    return [
        (key, f"must be from 0 to {MOST_DECIMALS} decimals, got {places}.")
        for key, places in asked.items()
        if places is not None and not 0 <= places <= MOST_DECIMALS
    ]
