"""Restricted cubic splines: linear beyond the outer knots, and where their knots stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles

FloatArray = npt.NDArray[np.float64]
Norm = Literal[0, 1, 2]
Quantile = Literal["averaged", "centile", "linear"]

# Percentiles of k knots that Stata's `mkspline, cubic` documents (Harrell 2001, p. 23).
STATA_PERCENTILES: Mapping[int, tuple[float, ...]] = {
    3: (10, 50, 90),
    4: (5, 35, 65, 95),
    5: (5, 27.5, 50, 72.5, 95),
    6: (5, 23, 41, 59, 77, 95),
    7: (2.5, 18.33, 34.17, 50, 65.83, 81.67, 97.5),
}
MANY_TIES = 0.05  # a share of one value above which Harrell's rule takes an end value out
FEW = 100  # people below whom Harrell's outer knots are the 5th value from either end


def restricted_cubic_basis(x: FloatArray, knots: Sequence[float], *, norm: Norm = 2) -> FloatArray:
    """The basis (n, k - 1) of a restricted cubic spline with k knots: x itself, then k - 2 curved columns.

    For knots t1 < ... < tk and j = 1 .. k - 2, with (u)+ = max(u, 0):

        [(x - tj)+^3 - (x - t(k-1))+^3 (tk - tj)/(tk - t(k-1)) + (x - tk)+^3 (t(k-1) - tj)/(tk - t(k-1))] / c

    with c = (tk - t1)^2 (`norm` 2, in units of x), (tk - t(k-1))^3 (`norm` 1) or 1 (`norm` 0). The fitted curve does
    not depend on it. Raises ValueError unless there are 3 or more increasing finite knots.
    Reference: Harrell, Regression Modeling Strategies, 2nd ed. 2015, section 2.4.5, doi 10.1007/978-3-319-19425-7;
    the norms are those of Hmisc's `rcspline.eval`, and 2 is that of Stata's `mkspline, cubic`.
    """
    return restricted_cubic_derivative(x, knots, order=0, norm=norm)


def restricted_cubic_derivative(
    x: FloatArray, knots: Sequence[float], *, order: Literal[0, 1, 2], norm: Norm = 2
) -> FloatArray:
    """The derivative (n, k - 1) by x, of order 1 or 2, of the columns of `restricted_cubic_basis` (0: themselves)."""
    t = np.asarray(knots, dtype=np.float64)
    if t.size < 3 or not np.all(np.diff(t) > 0) or not np.all(np.isfinite(t)):
        raise ValueError(
            "a restricted cubic spline needs three or more knots in increasing order, "
            f"got ({', '.join(f'{knot:g}' for knot in t)})."
        )
    if norm not in (0, 1, 2):
        raise ValueError(f"The norm of a spline basis must be 0, 1 or 2, got {norm!r}.")
    last, before = float(t[-1]), float(t[-2])
    gap = last - before
    scale = {0: 1.0, 1: gap**3, 2: (last - float(t[0])) ** 2}[norm]
    tail, end = _truncated(x - before, order), _truncated(x - last, order)
    out = np.empty((len(x), t.size - 1), order="F")
    out[:, 0] = x if order == 0 else (1.0 if order == 1 else 0.0)
    for j, tj in enumerate(t[:-2].tolist(), start=1):
        out[:, j] = (_truncated(x - tj, order) - (tail * (last - tj) - end * (before - tj)) / gap) / scale
    return out


def _truncated(u: FloatArray, order: int) -> FloatArray:
    """(u)+^3 and its derivatives 3 (u)+^2 and 6 (u)+."""
    positive = np.maximum(u, 0.0)
    if order == 0:
        return positive * positive * positive
    return 3 * positive * positive if order == 1 else 6 * positive


def knots_at_percentiles(
    values: FloatArray, at: Sequence[float], *, quantile: Quantile = "averaged"
) -> tuple[float, ...]:
    """Knots at declared percentiles `at` (0 to 100) of the known values (n,).

    `quantile` is how a percentile between two values is read: `averaged` (type 2 of Hyndman & Fan 1996,
    doi 10.1080/00031305.1996.10473566; as elsewhere in a study), `centile` (type 6, place (n + 1) p, as Stata's
    `centile` and `mkspline`) or `linear` (type 7, R's default). Raises ValueError for unknown rules, percentiles
    outside 0 to 100 or not increasing, nobody, and knots that coincide.
    """
    if quantile not in get_args(Quantile):
        raise ValueError(f"Percentiles are read by one of {', '.join(get_args(Quantile))}, not {quantile!r}.")
    places = np.asarray(at, dtype=np.float64)
    if places.size < 3 or not np.all((places > 0) & (places < 100)) or not np.all(np.diff(places) > 0):
        raise ValueError(
            "Knots need three or more increasing percentiles between 0 and 100, "
            f"got ({', '.join(f'{p:g}' for p in places)})."
        )
    known = _known(values)
    if quantile == "averaged":
        return distinct(tuple(float(k) for k in percentiles(known, places.tolist())))
    method: Literal["weibull", "linear"] = "weibull" if quantile == "centile" else "linear"
    return distinct(tuple(float(k) for k in np.quantile(known, places / 100, method=method)))


def stata_knots(values: FloatArray, k: int) -> tuple[float, ...]:
    """The k (3 to 7) knots that Stata's `mkspline, cubic nknots(k)` documents: Harrell's percentiles by `centile`."""
    if k not in STATA_PERCENTILES:
        raise ValueError(f"There are rules for 3 to 7 knots, not for {k}; give percentiles or positions instead.")
    return knots_at_percentiles(values, STATA_PERCENTILES[k], quantile="centile")


def harrell_knots(values: FloatArray, k: int, *, fewer: bool = False) -> tuple[float, ...]:
    """The k (3 to 7) knots of Harrell's default rule for known values (n,), ties and small samples included.

    Outer knots at the percentiles 10 and 90 (k = 3), 5 and 95 (4 to 6) or 2.5 and 97.5 (7), the others evenly between,
    percentiles by linear interpolation (type 7). An end value that 5 % or more share (and no inner value does) has the
    next value as its knot, and the rest are placed among the people beyond. With fewer than 100 people the outer knots
    are the 5th value from either end. With too few different values the inner values are the knots.

    Raises ValueError for k outside 3 to 7, fewer than 6 people, or, unless `fewer` is allowed, when ties leave fewer
    (or, by the rule's way round them, more) than k different knots; with `fewer`, 3 or more are returned as they come.
    Reference: Harrell 2015, doi 10.1007/978-3-319-19425-7; the rule for ties is that of Hmisc 4.8 `rcspline.eval`.
    """
    if k not in STATA_PERCENTILES:
        raise ValueError(f"There are rules for 3 to 7 knots, not for {k}; give percentiles or positions instead.")
    known = np.sort(_known(values))
    if known.size < 6:
        raise ValueError(f"Default knots need 6 or more people, got {known.size}; give positions of knots instead.")
    knots = tuple(float(t) for t in np.unique(_harrell(known, k)))
    if len(knots) < 3 or (len(knots) != k and not fewer):
        raise ValueError(
            f"Too many people share a value: {k} knots were asked for and the default rule gives {len(knots)} "
            "different ones; ask for fewer knots, give positions, or use a linear or categorical term."
        )
    return knots


def _harrell(x: FloatArray, k: int) -> FloatArray:
    distinct_values, counts = np.unique(x, return_counts=True)
    if distinct_values.size - 2 <= k:
        return distinct_values[1:-1]
    outer = 0.10 if k == 3 else 0.025 if k == 7 else 0.05
    share = counts / x.size
    first, last = np.zeros(0), np.zeros(0)
    if share[1:-1].max() < MANY_TIES:
        if share[0] >= MANY_TIES:
            first = x[x > x[0]][:1]
            x = x[x > first]
        if share[-1] >= MANY_TIES:
            last = x[x < x[-1]][-1:]
            x = x[x < last]
    inner = _inner_knots(x, k - first.size - last.size, outer, first, last)
    return np.concatenate([first, inner, last])


def _inner_knots(x: FloatArray, m: int, outer: float, first: FloatArray, last: FloatArray) -> FloatArray:
    """The m knots among the people that the ends have left; `first` and `last` hold an end's knot, or nothing."""
    if m == 1:
        return np.array([np.median(x)])
    knots = np.quantile(x, np.linspace(0.5 if m == 2 else outer, 1 - outer, m))
    if np.unique(knots).size < min(m, 3):
        knots = np.quantile(x, np.linspace(outer, 1 - outer, 2 * m))
        if first.size and np.unique(knots).size < 3:
            middle = (first + last) / 2 if last.size else np.array([np.median(x)])
            knots = np.sort(np.concatenate([first, middle, last if last.size else np.quantile(x, [1 - outer])]))
    if x.size < FEW:
        if not first.size:
            knots[0] = x[min(4, x.size - 1)]
        if not last.size:
            knots[m - 1] = x[max(x.size - 5, 0)]
    return np.asarray(knots, dtype=np.float64)


def distinct(knots: tuple[float, ...]) -> tuple[float, ...]:
    """`knots` as they are; a ValueError if any coincide (too many people share a value)."""
    if any(b <= a for a, b in pairwise(knots)):
        raise ValueError(
            f"The knots ({', '.join(f'{t:g}' for t in knots)}) are not distinct, as too many people share a value; "
            "use fewer knots, other percentiles or declared positions."
        )
    return knots


def _known(values: FloatArray) -> FloatArray:
    known = values[~np.isnan(values)]
    if not known.size:
        raise ValueError("No value is known, so there is nothing to place knots by.")
    if not np.all(np.isfinite(known)):
        count = int((~np.isfinite(known)).sum())
        raise ValueError(
            f"{count} values are infinite, so knots cannot be placed; set them to missing or correct them."
        )
    return np.asarray(known, dtype=np.float64)
