"""Linear predictors and conditions over simulated variables, and the intercept that gives a mean probability."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from walkrisk.simulation.declaration import Condition, Term

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
_EPOCH = dt.date(1970, 1, 1)


def day_number(date: str) -> float:
    """Days from 1970-01-01 to an ISO date; ValueError if it is none."""
    return float((dt.date.fromisoformat(date) - _EPOCH).days)


def expit(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, e) / (1.0 + e))


def by_code(x: FloatArray, mapping: Mapping[int, float], other: float) -> FloatArray:
    """The value of each code of `x` (n,) in `mapping`, `other` where it is not named."""
    out = np.full(x.shape, other)
    for code, value in mapping.items():
        out[x == code] = value
    return out


def term_value(term: Term, values: Mapping[str, FloatArray]) -> FloatArray:
    """The contribution (n,) of one term to a linear predictor."""
    x = values[term.variable]
    if term.coefficient is None:
        out = by_code(x, term.effects, 0.0)
    else:
        center = term.center if term.center_date is None else day_number(term.center_date)
        if term.flat_below is not None:
            x = np.maximum(x, term.flat_below)
        if term.flat_above is not None:
            x = np.minimum(x, term.flat_above)
        out = term.coefficient * (x - center)
    if term.times is not None:
        out = out * values[term.times]
    if term.by is not None:
        out = out * by_code(values[term.by], term.factors, 1.0)
    return out


def predictor(terms: Iterable[Term], values: Mapping[str, FloatArray], n: int) -> FloatArray:
    """The sum (n,) of the terms; 0 without any."""
    out = np.zeros(n)
    for term in terms:
        out += term_value(term, values)
    return out


def names_of(term: Term) -> tuple[str, ...]:
    """Every variable a term looks at."""
    return tuple(name for name in (term.variable, term.times, term.by) if name is not None)


def holds(condition: Condition, x: FloatArray) -> BoolArray:
    """Where a condition holds of `x` (n,); a missing value never does."""
    out = ~np.isnan(x)
    if condition.equals:
        out &= np.isin(x, condition.equals)
    if condition.at_least is not None:
        out &= x >= condition.at_least
    if condition.below is not None:
        out &= x < condition.below
    return out


def all_hold(
    conditions: Sequence[Condition],
    values: Mapping[str, FloatArray],
    n: int,
    *,
    columns: Mapping[str, FloatArray] | None = None,
) -> BoolArray:
    """Where every condition holds (n,); everywhere without any."""
    out = np.ones(n, dtype=bool)
    for condition in conditions:
        if condition.column is not None:
            out &= holds(condition, (columns or {})[condition.column])
        elif condition.variable is not None:
            out &= holds(condition, values[condition.variable])
    return out


def solve_intercept(eta: FloatArray, *, mean: float, link: str) -> float:
    """The intercept a with mean(inverse link(a + eta)) = `mean`.

    Closed form for the log link (exact where every risk stays below 1); bisection to the last bit for the logit link.
    """
    if link == "log":
        top = float(eta.max())
        return float(np.log(mean) - top - np.log(np.exp(eta - top).mean()))
    low = float(np.log(mean / (1 - mean)) - eta.max())
    high = float(np.log(mean / (1 - mean)) - eta.min())
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if float(expit(middle + eta).mean()) < mean:
            low = middle
        else:
            high = middle
    return (low + high) / 2
