"""What the Python doors give back: rows of estimates with the fit they rest on and everything there is to say of it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.estimates import numbers
from walkrisk.estimates.rows import COLUMNS, CURVE_COLUMNS, CurvePoint, Estimate
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]


class WalkriskWarning(UserWarning):
    """Something a reader of the numbers must know; the same sentences stand in `Estimates.warnings`."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FittedModel:
    """The model behind estimates: coefficients by name and their covariance under the chosen variance.

    A coefficient that the data do not determine is NaN. On the boundary (`boundary`) a fitted risk is exactly 0 or 1:
    the maximum is certified, but Wald intervals do not hold, so the covariance is NaN and limits are by profile
    likelihood.
    """

    method: str
    coefficients: pd.Series
    covariance: pd.DataFrame
    variance: str
    log_likelihood: float
    converged: bool
    boundary: bool
    n: int
    events: int
    parameters: int
    iterations: int
    max_fitted_risk: float
    warnings: tuple[str, ...]

    @property
    def std_errors(self) -> pd.Series:
        """Standard errors by name."""
        return pd.Series(np.sqrt(np.diag(self.covariance)), index=self.covariance.index)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Estimates:
    """Estimates in the row grammar of `estimates.csv`, the model behind them, and what there is to say.

    `tried` lists what `method="auto"` tried and why it chose as it did. `details` holds what a method has beyond rows,
    by name (knots, weights' diagnostics, balance, flow of a bootstrap), as data frames or plain values.
    """

    rows: tuple[Estimate, ...]
    fit: FittedModel | None = None
    curve: tuple[CurvePoint, ...] = ()
    warnings: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    details: dict[str, Any]

    def to_frame(self) -> pd.DataFrame:
        """One row an estimate, with the columns of `estimates.csv`; NaN (or NA of a count) where there is none."""
        frame = pd.DataFrame([asdict(row) for row in self.rows], columns=list(COLUMNS))
        kinds: dict[str, Any] = dict.fromkeys(("estimate", "std_error", "conf_low", "conf_high", "p_value"), np.float64)
        return frame.astype({**kinds, "n": "Int64", "events": "Int64"})

    def curve_frame(self) -> pd.DataFrame:
        """One row a point of the dose-response curve, with the columns of `curves.csv`; empty without one."""
        return pd.DataFrame([asdict(point) for point in self.curve], columns=list(CURVE_COLUMNS))

    def row(self, estimand: str, level: str | None = None, *, stratum: str | None = None) -> Estimate:
        """The first row of an estimand (and level, and stratum). Raises KeyError if there is none."""
        for row in self.rows:
            if row.estimand == estimand and level in (None, row.level) and stratum in (None, row.stratum):
                return row
        raise KeyError(f"no {estimand} row" + (f" of level {level!r}" if level is not None else ""))

    def __str__(self) -> str:
        """The rows as a plain table, rounded as a journal prints them, and the sentences."""
        lines = [_line(row) for row in self.rows]
        widths = [max(len(line[i]) for line in [HEAD, *lines]) for i in range(len(HEAD))]
        table = ["  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in [HEAD, *lines]]
        return "\n".join([*table, *self.tried, *self.warnings])

    def _repr_html_(self) -> str:
        """The same table and sentences for a notebook."""
        head = "".join(f"<th>{escape(t)}</th>" for t in HEAD)
        body = "".join("<tr>" + "".join(f"<td>{escape(t)}</td>" for t in _line(row)) + "</tr>" for row in self.rows)
        said = "".join(f"<p>{escape(t)}</p>" for t in (*self.tried, *self.warnings))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{said}"


HEAD = ("estimand", "level", "n", "events", "estimate (interval)", "P", "method", "variance")
ON_LOG_SCALE = ("risk_ratio", "odds_ratio", "hazard_ratio", "synergy")


def _line(row: Estimate) -> tuple[str, ...]:
    if row.estimate is None:
        value = "not estimable"
    elif row.estimand in ON_LOG_SCALE:
        value = numbers.ratio_interval(row.estimate, row.conf_low, row.conf_high)
    else:
        value = numbers.fixed(row.estimate, 3)
        if row.conf_low is not None and row.conf_high is not None:
            value += f" ({numbers.fixed(row.conf_low, 3)} to {numbers.fixed(row.conf_high, 3)})"
    where = ", ".join(t for t in (row.stratum, row.level) if t)
    counts = ["" if c is None else str(c) for c in (row.n, row.events)]
    p = "" if row.p_value is None else numbers.p_value(row.p_value)
    return (row.estimand, where, *counts, value, p, row.method, row.variance)


def fitted_model(fit: Fit, variance: str, covariance: FloatArray) -> FittedModel:
    """A fit as users read it: names beside numbers, NaN where nothing is determined."""
    names = list(fit.names)
    whole = np.full((len(names), len(names)), np.nan)
    at = np.flatnonzero(fit.estimated)
    if fit.converged and fit.wald:
        whole[np.ix_(at, at)] = covariance
    whole[~fit.estimable] = np.nan
    whole[:, ~fit.estimable] = np.nan
    values = np.where(fit.estimable, fit.coefficients, np.nan) if fit.converged else np.full(len(names), np.nan)
    return FittedModel(
        method=fit.method,
        coefficients=pd.Series(values, index=names),
        covariance=pd.DataFrame(whole, index=names, columns=names),
        variance=variance,
        log_likelihood=fit.log_likelihood,
        converged=fit.converged,
        boundary=fit.boundary,
        n=fit.n,
        events=fit.events,
        parameters=fit.parameters,
        iterations=fit.iterations,
        max_fitted_risk=fit.max_fitted_risk,
        warnings=fit.warnings,
    )


def estimates(
    rows: Iterable[Estimate],
    *,
    fit: FittedModel | None = None,
    curve: Iterable[CurvePoint] = (),
    said: Sequence[str] = (),
    tried: Sequence[str] = (),
    details: dict[str, Any] | None = None,
) -> Estimates:
    """`Estimates` whose sentences are also raised as `WalkriskWarning`, so that nobody misses them."""
    shown = tuple(_finite(row) for row in rows)
    sentences = tuple(dict.fromkeys([*said, *(fit.warnings if fit else ())]))
    for text in sentences:
        warnings.warn(text, WalkriskWarning, stacklevel=_of_the_caller())
    return Estimates(
        rows=shown, fit=fit, curve=tuple(curve), warnings=sentences, tried=tuple(tried), details=details or {}
    )


def _of_the_caller() -> int:
    """The stack level, seen from who calls this, of the first line outside walkrisk."""
    frame, level = inspect.currentframe(), 0
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == "walkrisk":
        frame, level = frame.f_back, level + 1
    return level


ROUNDING = 1e-8


def _finite(row: Estimate) -> Estimate:
    """A row without an estimate that is no number, without a variance of 0 (only fits of nothing have it), and without
    what rounding adds: a risk a hair beyond 0 or 1, a limit a hair on the wrong side of the estimate."""
    v, low, high = row.estimate, row.conf_low, row.conf_high
    if v is None:
        return row
    if not np.isfinite(v):
        return replace(row, estimate=None, std_error=None, conf_low=None, conf_high=None, p_value=None)
    if row.std_error is not None and not row.std_error > 0:
        row, low, high = replace(row, std_error=None, conf_low=None, conf_high=None, p_value=None), None, None
    slack = ROUNDING * max(1.0, abs(v))
    if row.estimand == "risk" and (-slack <= v < 0 or 1 < v <= 1 + slack):
        row = replace(row, estimate=min(max(v, 0.0), 1.0))
    if row.estimand != "nnt" and low is not None and v < low <= v + slack:
        row = replace(row, conf_low=v)
    if row.estimand != "nnt" and high is not None and v - slack <= high < v:
        row = replace(row, conf_high=v)
    return row


def with_t_limits(row: Estimate, df: float, conf_level: float) -> Estimate:
    """A row with limits and P value from Student's t with `df` degrees of freedom in place of the normal."""
    if row.estimate is None or row.std_error is None or not np.isfinite(df):
        return row
    from scipy.stats import t as student

    on_log = row.estimand in ON_LOG_SCALE
    value = float(np.log(row.estimate)) if on_log else row.estimate
    half = float(student.ppf((1 + conf_level) / 2, df)) * row.std_error
    low, high = np.exp([value - half, value + half]) if on_log else (value - half, value + half)
    p = float(2 * student.sf(abs(value) / row.std_error, df)) if row.std_error > 0 else None
    return replace(row, conf_low=float(low), conf_high=float(high), p_value=p)
