"""Percentiles and categories of an exposure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def percentiles(values: FloatArray, at: Sequence[float]) -> FloatArray:
    """Percentiles by the inverse empirical distribution function with averaging at its steps.

    With x sorted, N known values and P = N p / 100, the percentile is the mean of x[P] and x[P+1] (counted from 1)
    where P is whole, else x[ceil(P)]. It is Stata's `_pctile`/`xtile` rule, R's `quantile(type = 2)` and numpy's
    `averaged_inverted_cdf` (Hyndman & Fan 1996, doi 10.1080/00031305.1996.10473566). P is computed exactly for
    percentages with up to 6 decimals, so N = 10, p = 10 is a step whatever the binary fraction says.

    Parameters: `values` (n,), NaN ignored; `at` percentages in (0, 100). Returns one value for each, NaN without data.
    """
    x = np.sort(values[~np.isnan(values)])
    return np.array([_at_fraction(x, round(p * 1_000_000), 100_000_000) for p in at])


def quantile_cuts(values: FloatArray, quantiles: int) -> FloatArray:
    """The `quantiles` - 1 cut points of equal-sized groups, by the rule of `percentiles`."""
    x = np.sort(values[~np.isnan(values)])
    return np.array([_at_fraction(x, i, quantiles) for i in range(1, quantiles)])


def _at_fraction(x: FloatArray, numerator: int, denominator: int) -> float:
    if x.size == 0:
        return float("nan")
    whole, rest = divmod(x.size * numerator, denominator)
    if rest:
        return float(x[whole])
    lower, upper = max(whole - 1, 0), min(whole, x.size - 1)
    return float((x[lower] + x[upper]) / 2)


def cut_up(values: FloatArray, cuts: Sequence[float] | FloatArray) -> FloatArray:
    """Category 1, 2, ... (n,) of quantile groups: a value EQUAL to a cut point goes to the LOWER group; NaN stays."""
    category = 1.0 + np.searchsorted(np.asarray(cuts, dtype=np.float64), values, side="left")
    return np.where(np.isnan(values), np.nan, category)


def cut_fixed(values: FloatArray, cuts: Sequence[float] | FloatArray) -> FloatArray:
    """Category 1, 2, ... (n,) of intervals [cut, next cut): a value equal to a limit belongs ABOVE it; NaN stays."""
    category = 1.0 + np.searchsorted(np.asarray(cuts, dtype=np.float64), values, side="right")
    return np.where(np.isnan(values), np.nan, category)


def winsorise_upper(values: FloatArray, percentile: float) -> FloatArray:
    """Values (n,) with everything above the `percentile` (linear interpolation, R's type 7) set to it."""
    known = values[~np.isnan(values)]
    if known.size == 0:
        return values
    return np.minimum(values, np.percentile(known, percentile))
