"""Joint tests of several coefficients over m imputed data sets: D1 (Wald), D2 (chi-squares), D3 (likelihood ratio).

References: Li, Raghunathan & Rubin 1991, doi 10.1080/01621459.1991.10475152 (D1); Li, Meng, Raghunathan & Rubin 1991,
Statistica Sinica 1:65-92 (D2); Meng & Rubin 1992, doi 10.1093/biomet/79.1.103 (D3); Reiter 2007,
doi 10.1093/biomet/asm028 (degrees of freedom of D1 in finite samples).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.fit import FAMILIES, Fit
from walkrisk.sensitivity.pooling import NEARLY_NORMAL, Pooled

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledTest:
    """An F test over imputed sets: `statistic` on df1 and df2 degrees of freedom, `riv` the average relative increase
    in variance due to the missing data."""

    method: str
    statistic: float
    df1: float
    df2: float
    p_value: float
    riv: float


def joint_wald(
    pooled: Pooled, columns: Sequence[int] | Sequence[str], *, value: npt.ArrayLike = 0.0, dfcom: float | None = None
) -> PooledTest:
    """D1: that the k pooled coefficients at `columns` (positions or names) are all `value`.

    F = (Qbar - value)' Ubar^-1 (Qbar - value)/(k (1 + r)), r = (1 + 1/m) tr(B Ubar^-1)/k, on k and df2 degrees of
    freedom: Li, Raghunathan and Rubin's, or with `dfcom` Reiter's (where his are not defined, k(m - 1) <= 4 or very
    few dfcom, Barnard and Rubin's rule applied to r). Raises ValueError without columns, for a repeated one, or where
    the within-imputation covariance of the columns is singular.
    """
    at = [pooled.names.index(pooled.scalar(c).name) if isinstance(c, str) else int(c) for c in columns]
    k, m = len(at), pooled.m
    if not at or len(set(at)) < k:
        raise ValueError("A joint test needs at least one coefficient, each named once.")
    within, between = pooled.within[np.ix_(at, at)], pooled.between[np.ix_(at, at)]
    scale = np.sqrt(np.diag(within))
    correlation = within / np.outer(scale, scale)
    if np.linalg.cond(correlation) > 1e12:
        raise ValueError("The coefficients of a joint test are collinear; leave out those that follow from the others.")
    gap = (pooled.estimates[at] - np.asarray(value, dtype=np.float64)) / scale
    r = (1 + 1 / m) * float(np.trace(np.linalg.solve(correlation, between / np.outer(scale, scale)))) / k
    statistic = float(gap @ np.linalg.solve(correlation, gap)) / (k * (1 + r))
    df2 = _li_df(k, m, r) if dfcom is None or math.isinf(dfcom) else _reiter_df(k, m, r, dfcom)
    return PooledTest(method="D1", statistic=statistic, df1=k, df2=df2, p_value=f_tail(statistic, k, df2), riv=r)


def pooled_chi_squares(statistics: npt.ArrayLike, k: int) -> PooledTest:
    """D2: m Wald or likelihood-ratio chi-squares (m,) on k degrees of freedom, one from each imputed set.

    F = (dbar/k - r (m + 1)/(m - 1))/(1 + r), r = (1 + 1/m) var(sqrt d_i), on k and k^(-3/m) (m - 1) (1 + 1/r)^2.
    Less exact than D1 and D3: for where only the chi-squares are known. F may be negative (then P is 1). Raises
    ValueError for fewer than 2 sets, k below 1, or chi-squares that are negative or not finite.
    """
    d = np.asarray(statistics, dtype=np.float64)
    if d.ndim != 1 or len(d) < 2 or k < 1 or not np.isfinite(d).all() or (d < 0).any():
        raise ValueError(
            "Pooling chi-squares needs a finite one that is not negative from each of at least 2 imputed sets, and at "
            "least 1 degree of freedom."
        )
    m = len(d)
    r = (1 + 1 / m) * float(np.var(np.sqrt(d), ddof=1))
    statistic = (float(d.mean()) / k - (m + 1) / (m - 1) * r) / (1 + r)
    df2 = k ** (-3 / m) * (m - 1) * (1 + 1 / r) ** 2 if r > 0 else math.inf
    return PooledTest(method="D2", statistic=statistic, df1=k, df2=df2, p_value=f_tail(statistic, k, df2), riv=r)


def pooled_deviances(own: npt.ArrayLike, at_pooled: npt.ArrayLike, k: int) -> PooledTest:
    """D3: likelihood ratios of two nested models, from their chi-squares at each set's own estimates and at the pooled.

    `own` (m,) are 2 (l1 - l0) at the maxima of set i, `at_pooled` (m,) those of the data of set i at the coefficients
    pooled over sets. r = (m + 1)/(k (m - 1)) (mean own - mean at_pooled), F = mean at_pooled/(k (1 + r)), on k and the
    degrees of freedom of D1. r is kept from going below 0. mice 3.15 estimates the intercept anew in each set where the
    pooled one is called for, and so has another value. Raises ValueError as `pooled_chi_squares`.
    """
    d, dl = np.asarray(own, dtype=np.float64), np.asarray(at_pooled, dtype=np.float64)
    if d.ndim != 1 or d.shape != dl.shape or len(d) < 2 or k < 1 or not np.isfinite([d, dl]).all():
        raise ValueError(
            "A pooled likelihood ratio needs two finite chi-squares from each of at least 2 imputed sets, and at least "
            "1 degree of freedom; a log-binomial model may have no likelihood at the pooled coefficients (a risk above "
            "1): use the joint Wald test."
        )
    m = len(d)
    r = max(0.0, (m + 1) / (k * (m - 1)) * float(d.mean() - dl.mean()))
    statistic = float(dl.mean()) / (k * (1 + r))
    df2 = _li_df(k, m, r)
    return PooledTest(method="D3", statistic=statistic, df1=k, df2=df2, p_value=f_tail(statistic, k, df2), riv=r)


def pooled_likelihood_ratio(
    larger: Sequence[Fit],
    smaller: Sequence[Fit],
    outcomes: Sequence[FloatArray],
) -> PooledTest:
    """D3 from the fits of two nested models to each imputed set, with the 0/1 `outcomes` (n,) of each set.

    Ordinary likelihoods, as in any likelihood-ratio test: a robust variance has no part in it, and the Poisson
    likelihood of a 0/1 outcome makes it conservative. Raises ValueError if a fit did not converge, sets disagree, rows
    were set aside, or the larger model estimates no more than the smaller.
    """
    if not (len(larger) == len(smaller) == len(outcomes)) or len(larger) < 2:
        raise ValueError(
            "A pooled likelihood ratio needs both models and the outcome for each of at least 2 imputed sets."
        )
    k = larger[0].parameters - smaller[0].parameters
    if k < 1:
        raise ValueError("The larger model of a likelihood ratio must estimate more coefficients than the smaller.")
    one, at_one = _log_likelihoods(larger, outcomes)
    zero, at_zero = _log_likelihoods(smaller, outcomes)
    return pooled_deviances(2 * (one - zero), 2 * (at_one - at_zero), k)


def _log_likelihoods(fits: Sequence[Fit], outcomes: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    first = fits[0]
    for i, fit in enumerate(fits, start=1):
        if not fit.converged:
            raise ValueError(f"The fit of imputed set {i} did not converge, so it has no likelihood ratio.")
        if fit.names != first.names or fit.method != first.method or (fit.estimated != first.estimated).any():
            raise ValueError(f"Imputed set {i} was fitted with other columns or by another method than the first.")
        if not fit.rows.all():
            raise ValueError(
                f"People were set aside in the fit of imputed set {i} (cells without events), so models cannot be "
                "compared by their likelihood; join sparse levels, or use the joint Wald test."
            )
    if first.method not in ("modified_poisson", "log_binomial", "logistic"):
        raise ValueError(f"A pooled likelihood ratio is not defined for {first.method}; use the joint Wald test.")
    family = FAMILIES[first.method]
    columns = np.flatnonzero(first.estimated)
    pooled = np.mean([fit.coefficients[columns] for fit in fits], axis=0)
    own, at_pooled = [], []
    for fit, y in zip(fits, outcomes, strict=True):
        x = fit.design.matrix[:, columns]
        w = np.ones(len(y)) if fit.weights is None else fit.weights
        own.append(float(w @ family.log_likelihood(x @ fit.coefficients[columns], y)))
        at_pooled.append(float(w @ family.log_likelihood(x @ pooled, y)))
    return np.array(own), np.array(at_pooled)


def f_tail(statistic: float, df1: float, df2: float) -> float:
    """Upper tail of the F distribution; chi-square/df1 where df2 is beyond 1e10, and 1 for a negative statistic."""
    from scipy import special

    if statistic <= 0:
        return 1.0
    if df2 > NEARLY_NORMAL:
        return float(special.chdtrc(df1, df1 * statistic))
    return float(special.betainc(df2 / 2, df1 / 2, df2 / (df2 + df1 * statistic)))


def _li_df(k: int, m: int, r: float) -> float:
    t = k * (m - 1)
    if r <= 0:
        return math.inf
    return 4 + (t - 4) * (1 + (1 - 2 / t) / r) ** 2 if t > 4 else t * (1 + 1 / k) * (1 + 1 / r) ** 2 / 2


def _reiter_df(k: int, m: int, r: float, dfcom: float) -> float:
    if not dfcom > 0:
        raise ValueError(f"The degrees of freedom of the complete data must be positive, not {dfcom:g}.")
    t, star = k * (m - 1), (dfcom + 1) / (dfcom + 3) * dfcom
    a = r * t / (t - 2) if t > 2 else math.inf
    c1, c2 = star - 2 * (1 + a), star - 4 * (1 + a)
    if t <= 4 or c2 <= 0:
        return 1 / (1 / _li_df(k, m, r) + (1 + r) / star)
    z = 1 / c2 + (
        a**2 * c1 / ((1 + a) ** 2 * c2)
        + 8 * a**2 * c1 / ((1 + a) * c2**2)
        + 4 * a**2 / ((1 + a) * c2)
        + 4 * a**2 / (c2 * c1)
        + 16 * a**2 * c1 / c2**3
        + 8 * a**2 / c2**2
    ) / (t - 4)
    return 4 + 1 / z
