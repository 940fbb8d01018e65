"""Contrasts of one data set: value, standard error and 95 % limits, on the scale on which these are symmetric."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from walkrisk.errors import WalkriskError
from walkrisk.estimates.risk_influence import level_contrasts
from walkrisk.estimates.rows import critical_value
from walkrisk.models.covariance import covariance, degrees_of_freedom
from walkrisk.models.design import Factor, Linear, Term
from walkrisk.models.fit import Fit
from walkrisk.models.profile import profile_interval

FloatArray = npt.NDArray[np.float64]
Columns = Mapping[str, FloatArray]
Found = dict[tuple[str, str, str], tuple[float, float, float, float]]  # estimator, interval, target: value, SE, limits


Z = critical_value(0.95)
REPLICATES = 1000
X = Factor("x", (0.0, 1.0, 2.0), ("0", "1", "2"))
TERMS: tuple[Term, ...] = (X, Linear("z"), Linear("b"))
REFUSED: Counter[str] = Counter()  # what estimators said when they gave no estimate


def wald(value: float, se: float, quantile: float = Z) -> tuple[float, float, float, float]:
    """Value, standard error and limits."""
    return float(value), float(se), float(value - quantile * se), float(value + quantile * se)


def student(df: float) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.975))


def attempt(out: Found, make: Callable[[], Found]) -> None:
    """Add what `make` finds; a refusal in words is no estimate."""
    try:
        out.update(make())
    except (ValueError, OverflowError, WalkriskError) as why:
        REFUSED[re.sub(r"[0-9][0-9.e+-]*", "#", str(why))[:160]] += 1


def by_variance(
    out: Found,
    fit: Fit,
    column: int,
    target: str,
    variances: tuple[str, ...],
    *,
    cluster: FloatArray | None = None,
    name: str = "",
    exposure: Term | None = None,
) -> None:
    """A coefficient with its Wald limits under each variance; ", t" after its name asks for Student's t."""
    if not fit.converged or not fit.estimable[column] or (exposure in fit.no_reference):
        return
    value, at = float(fit.coefficients[column]), fit.position((column,))[0]
    for variance in variances:
        kind, _, limits = variance.partition(", ")

        def make(kind: str = kind, limits: str = limits, variance: str = variance) -> Found:
            clusters = cluster if kind[:2] in ("CR", "KC") else None
            v = covariance(fit, kind, cluster=clusters)[at, at] if fit.wald else np.nan
            quantile = Z
            if limits == "t" and fit.wald:
                contrast = np.zeros((1, fit.parameters))
                contrast[0, at] = 1.0
                df = degrees_of_freedom(fit, kind, contrasts=contrast, cluster=clusters, residual=True)
                quantile = student(float(df[0]))
            return {(name or fit.method, variance, target): wald(value, math.sqrt(v), quantile)}

        attempt(out, make)


def by_profile(out: Found, fit: Fit, column: int, target: str, label: str = "profile likelihood") -> None:
    """The same coefficient with limits by profile likelihood."""
    if not fit.converged or not fit.estimable[column]:
        return

    def make() -> Found:
        contrast = np.zeros(len(fit.names))
        contrast[column] = 1.0
        found = profile_interval(fit, contrast)
        return {(fit.method, label, target): (float(fit.coefficients[column]), np.nan, found.low, found.high)}

    attempt(out, make)


def risk_intervals(out: Found, name: str, label: str, risks: FloatArray, v: FloatArray) -> None:
    """Ratio and difference of level 2 against 0 from risks and their covariance."""
    made = level_contrasts(risks, v)
    out[name, label, "log RR"] = wald(made.log_rr[-1], made.log_rr_se[-1])
    out[name, label, "RD"] = wald(made.rd[-1], made.rd_se[-1])
