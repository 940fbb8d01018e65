"""Dose-response curves of any term, the exposure of lowest risk, slopes, and the test of non-linearity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.estimates.contrasts import (
    Contrasts,
    Given,
    contrasts,
    quantile_of,
    require,
    rows_at,
    terms_with,
)
from walkrisk.estimates.rows import CurvePoint, Estimate, chi_square_p, wald_statistic
from walkrisk.models.design import Factor, Linear, Numeric, Order, Spline, mains_of
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]

GRID = 2001  # points at which a minimum is looked for before it is refined


def grid(values: FloatArray, step: float) -> FloatArray:
    """From the smallest known value to the largest in steps of `step` (the last step that fits is the last point)."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low + step * np.arange(int(np.floor((high - low) / step + 1e-9)) + 1, dtype=np.float64)


def spread(values: FloatArray, kind: Literal["sd", "iqr"]) -> float:
    """The standard deviation (n - 1) or the interquartile range (type 2 percentiles) of the known values (n,)."""
    known = values[~np.isnan(values)]
    if known.size < 2 or not np.all(np.isfinite(known)):
        raise ValueError("A spread needs two or more known, finite values.")
    if kind == "sd":
        return float(np.std(known, ddof=1))
    low, high = percentiles(known, [25, 75])
    return float(high - low)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Curve:
    """Ratios at `x` (k,) against `reference`, in `values` (k each)."""

    variable: str
    x: FloatArray
    reference: float
    values: Contrasts


def ratio_curve(
    fit: Fit,
    name: str,
    covariance: FloatArray,
    x: FloatArray,
    *,
    reference: float,
    given: Given | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Curve:
    """The ratio at each x against `reference`, for every term of `name` in the model together (spline, powers, ...).

    log RR(x) = (f(x) - f(reference))' b with f the columns of the variable, limits by `covariance` (q, q) of the
    estimated coefficients and the normal or (with `df`) t quantile. At the reference the ratio is 1 without width.
    `given` fixes the other variable of a product. Raises ValueError for a fit that did not converge, coefficients that
    could not be estimated, and values outside the domain of a power or logarithm.
    """
    points = np.asarray(x, dtype=np.float64)
    if not np.all(np.isfinite(points)) or not np.isfinite(reference):
        raise ValueError(f"The points and the reference of the curve of {name} must be known and finite.")
    rows = rows_at(fit.design, name, np.append(points, float(reference)), given=given)
    made = contrasts(fit, rows[:-1] - rows[-1], covariance, conf_level=conf_level, df=df)
    return Curve(variable=name, x=points, reference=float(reference), values=made)


def category_curve(
    fit: Fit,
    term: Factor,
    covariance: FloatArray,
    medians: Sequence[float],
    *,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Curve:
    """The ratio of each category of a factor against its lowest, placed at its median (as many as levels)."""
    if len(medians) != len(term.levels):
        raise ValueError(f"{term.name} has {len(term.levels)} categories, but {len(medians)} medians were given.")
    levels = np.asarray(term.levels)
    made = ratio_curve(fit, term.name, covariance, levels, reference=float(levels[0]), conf_level=conf_level, df=df)
    return replace(made, x=np.asarray(medians, dtype=np.float64), reference=float(medians[0]))


def slopes(
    fit: Fit,
    name: str,
    covariance: FloatArray,
    x: FloatArray,
    *,
    per: float = 1.0,
    given: Given | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Contrasts:
    """The slope of the log ratio at each x, times `per`: `ratio` is the ratio per `per` units if the slope held."""
    rows = rows_at(fit.design, name, np.asarray(x, dtype=np.float64), given=given, order=1)
    return contrasts(fit, rows * per, covariance, conf_level=conf_level, df=df)


def ratio_per(
    fit: Fit,
    name: str,
    covariance: FloatArray,
    amount: float,
    *,
    given: Given | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Contrasts:
    """The one ratio (1,) per `amount` (1 SD, 1 IQR, 10 units) of a variable that enters linearly.

    Raises ValueError if it enters otherwise (the ratio then depends on where one starts: see `ratio_curve`), or if the
    amount is not finite or 0, as the SD of a constant is.
    """
    mains = [m for t in terms_with(fit.design, name) for m in mains_of(t)]
    if not all(isinstance(m, Linear) for m in mains if m.name == name):
        raise ValueError(
            f"{name} does not enter linearly, so its ratio per {amount:g} depends on the start of the step."
        )
    if not np.isfinite(amount) or amount == 0:
        raise ValueError(f"The amount of {name} must be finite and not 0, got {amount:g} (a constant has no spread).")
    return slopes(fit, name, covariance, np.zeros(1), per=float(amount), given=given, conf_level=conf_level, df=df)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowest:
    """Where the risk is lowest (or highest) within a range, with limits.

    `at_edge` is "", "low" or "high"; at an edge, or where the curve is flat, there are no delta limits (None).
    `draws_at_edge` is the share of draws whose extreme lies at an edge. `sentence` says what to be careful about.
    """

    x: float
    std_error: float | None
    low: float | None
    high: float | None
    at_edge: str
    turning_points: tuple[float, ...]
    draws_at_edge: float | None
    sentence: str


def lowest_risk(
    fit: Fit,
    name: str,
    covariance: FloatArray,
    *,
    low: float,
    high: float,
    draws: FloatArray | None = None,
    highest: bool = False,
    given: Given | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> Lowest:
    """The x between `low` and `high` where the fitted risk is smallest (`highest`: largest), with limits.

    Inside the range f'(x)'b = 0, so by the delta method SE(x) = sqrt(f'(x)' V f'(x)) / |f''(x)'b|; the limits are cut
    at the range. With `draws` (B, q), estimated coefficients of bootstrap samples, the limits are percentiles of each
    draw's own extreme (on a grid of 2,001 points), and the SE is their standard deviation. `turning_points` are all
    places in the range where the slope changes sign: with more than one, the extreme may jump between them and delta
    limits are too narrow. Raises ValueError as `ratio_curve` does, for an empty range, and for a curve that is level.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"The lowest risk needs a range of increasing, finite limits, got {low:g} to {high:g}.")
    q = quantile_of(conf_level, df)
    x = np.linspace(low, high, GRID)
    columns = tuple(int(c) for c in np.flatnonzero(np.any(rows_at(fit.design, name, x, given=given) != 0, axis=0)))
    require(fit, columns)
    at, sign = fit.position(columns), -1.0 if highest else 1.0

    def rows(points: FloatArray, order: Order) -> FloatArray:
        return sign * rows_at(fit.design, name, points, given=given, order=order)[:, columns]

    found = _extreme(x, rows, fit.coefficients[list(columns)], name)
    if draws is not None:
        return _by_draws(x, rows(x, 0) @ draws[:, at].T, found, conf_level)
    bend = float(rows(np.array([found.x]), 2)[0] @ fit.coefficients[list(columns)])
    if found.at_edge or not bend > 0:
        return found
    gradient = rows(np.array([found.x]), 1)[0]
    se = float(np.sqrt(gradient @ covariance[np.ix_(at, at)] @ gradient)) / bend
    below, above = found.x - q * se, found.x + q * se
    cut = " Its limits reach the end of the range and are cut there." if below < low or above > high else ""
    return replace(
        found, std_error=se, low=max(below, low), high=min(above, high), sentence=(found.sentence + cut).strip()
    )


def _extreme(x: FloatArray, rows: Callable[[FloatArray, Order], FloatArray], b: FloatArray, name: str) -> Lowest:
    slope = rows(x, 1) @ b
    size = np.abs(rows(x, 1)) @ np.abs(b)
    level = np.abs(slope) <= 1e-12 * size
    if level.all():
        raise ValueError(f"The fitted risk does not depend on {name} in this range, so nowhere is it lowest.")
    turning = [
        _root(float(x[i]), float(x[i + 1]), lambda t: float((rows(np.array([t]), 1) @ b)[0]))
        for i in np.flatnonzero(slope[:-1] * slope[1:] < 0)
    ]
    turning += [float(x[i]) for i in range(1, len(x) - 1) if slope[i] == 0 and slope[i - 1] * slope[i + 1] < 0]
    spots = np.array([x[0], x[-1], *sorted(turning)])
    best = int(np.argmin(rows(spots, 0) @ b))
    said = "" if best > 1 else "The extreme lies at an edge of the range: beyond it the risk may be more extreme still."
    if len(turning) > 1:
        said = f"{said} The curve turns at {len(turning)} places, so the extreme may lie elsewhere in another sample."
    return Lowest(
        x=float(spots[best]),
        std_error=None,
        low=None,
        high=None,
        at_edge=("low", "high", "")[min(best, 2)],
        turning_points=tuple(sorted(turning)),
        draws_at_edge=None,
        sentence=said.strip(),
    )


def _root(left: float, right: float, f: Callable[[float], float]) -> float:
    """The zero of f between two points where its sign differs, by bisection to the last digit."""
    rising = f(right) > 0
    for _ in range(200):
        middle = (left + right) / 2
        if not left < middle < right:
            break
        left, right = (left, middle) if (f(middle) > 0) == rising else (middle, right)
    return (left + right) / 2


def _by_draws(x: FloatArray, values: FloatArray, found: Lowest, conf_level: float) -> Lowest:
    """Limits by the extremes of draws; `values` (points, B) are their curves."""
    usable = np.isfinite(values).all(axis=0)
    if usable.sum() < 2:
        raise ValueError("Limits by draws need two or more bootstrap samples with finite coefficients.")
    place = np.argmin(values[:, usable], axis=0)
    share = float(np.mean((place == 0) | (place == len(x) - 1)))
    low, high = np.quantile(x[place], [(1 - conf_level) / 2, (1 + conf_level) / 2])
    said = f" In {100 * share:.0f} % of the samples the extreme lies at an edge of the range." if share else ""
    lost = int((~usable).sum())
    said += f" {lost} samples without finite coefficients are left out." if lost else ""
    return replace(
        found,
        std_error=float(np.std(x[place], ddof=1)),
        low=float(low),
        high=float(high),
        draws_at_edge=share,
        sentence=(found.sentence + said).strip(),
    )


def curve(
    fit: Fit, term: Numeric, covariance: FloatArray, x: FloatArray, *, reference: float, row: CurvePoint, z: float
) -> list[CurvePoint]:
    """The ratio at each x against `reference`: log RR(x) = b'(s(x) - s(reference)), with its Wald interval.

    For one term, as rows; `ratio_curve` takes all terms of a variable together. No rows without a fit to show.
    """
    columns = fit.design.columns_of[term]
    at = fit.position(columns)
    if not (fit.converged and fit.wald) or not all(fit.estimable[c] for c in columns):
        return []
    rows = term.eval({term.name: np.append(x, reference)}).reshape(len(x) + 1, -1)
    contrast = rows[:-1] - rows[-1]
    log_ratio = contrast @ fit.coefficients[list(columns)]
    variance = np.einsum("ij,jk,ik->i", contrast, covariance[np.ix_(at, at)], contrast)
    se = np.sqrt(np.maximum(variance, 0.0))
    low, mid, high = np.exp(log_ratio - z * se), np.exp(log_ratio), np.exp(log_ratio + z * se)
    return [
        replace(row, x=float(a), estimate=float(b), conf_low=float(c), conf_high=float(d), reference=reference)
        for a, b, c, d in zip(x, mid, low, high, strict=True)
    ]


def nonlinearity(fit: Fit, spline: Spline, covariances: dict[str, FloatArray], *, row: Estimate) -> list[Estimate]:
    """A row a variance: the Wald chi-square that all curved columns of the spline are 0."""
    curved = fit.design.columns_of[spline][1:]
    at = fit.position(curved)
    rows = []
    for variance, v in covariances.items():
        base = replace(row, variance=variance, n=fit.n, events=fit.events, method="wald", estimand="p_nonlinearity")
        if fit.converged and fit.wald and all(fit.estimable[c] for c in curved):
            chi2 = wald_statistic(fit.coefficients[list(curved)], v[np.ix_(at, at)])
            base = replace(base, estimate=chi2, p_value=chi_square_p(chi2, len(at)))
        rows.append(base)
    return rows
