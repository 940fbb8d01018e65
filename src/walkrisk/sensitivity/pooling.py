"""Rubin's rules: one estimate, interval and test from the fits of m imputed data sets.

With estimates Q_i and variances U_i of set i: Qbar their mean, Ubar = mean U_i (within), B = sum (Q_i - Qbar)^2/(m - 1)
(between), T = Ubar + (1 + 1/m) B (total), riv r = (1 + 1/m) B/Ubar, lambda = (1 + 1/m) B/T.

    Rubin 1987:       nu_old = (m - 1)/lambda^2
    Barnard & Rubin:  nu = 1/(1/nu_old + 1/nu_obs),  nu_obs = (1 - lambda) nu_com (nu_com + 1)/(nu_com + 3)
    fmi = (r + 2/(nu + 3))/(r + 1)

nu_com are the degrees of freedom of the analysis had nothing been missing (None or infinite: nu = nu_old). Everything
is pooled on the analysis scale, where estimates are close to normal: the log for ratios.

References: Rubin 1987, doi 10.1002/9780470316696; Barnard & Rubin 1999, doi 10.1093/biomet/86.4.948. mice keeps
lambda above 0.0001; here it may be 0, and nu_old infinite. Joint tests are in `pooled_tests`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.models.covariance import SurveyDesign, covariance
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NEARLY_NORMAL = 1e10  # degrees of freedom beyond which t is the normal distribution to the last digit


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledScalar:
    """One pooled quantity on its analysis scale; `p_value` and `statistic` are NaN where the total variance is 0."""

    name: str
    estimate: float
    std_error: float
    conf_low: float
    conf_high: float
    statistic: float
    p_value: float
    within: float
    between: float
    total: float
    riv: float
    lambda_: float
    fmi: float
    df: float
    df_rubin1987: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pooled:
    """k quantities pooled over m imputed sets.

    `within`, `between` and `total` are (k, k); all other arrays (k,). `df` is Barnard and Rubin's and makes the
    intervals at `conf_level`, the two-sided P values of a quantity of 0, and `fmi`.
    """

    names: tuple[str, ...]
    m: int
    dfcom: float
    conf_level: float
    estimates: FloatArray
    within: FloatArray
    between: FloatArray
    total: FloatArray
    std_errors: FloatArray
    riv: FloatArray
    lambda_: FloatArray
    fmi: FloatArray
    df: FloatArray
    df_rubin1987: FloatArray
    statistics: FloatArray
    p_values: FloatArray
    conf_low: FloatArray
    conf_high: FloatArray
    warnings: tuple[str, ...] = ()

    def scalar(self, at: int | str) -> PooledScalar:
        """The quantity at a position, or of a name; KeyError for a name that is not there."""
        if isinstance(at, str) and at not in self.names:
            raise KeyError(f"nothing pooled is named {at!r}; there are {', '.join(self.names)}")
        i = self.names.index(at) if isinstance(at, str) else at
        return PooledScalar(
            name=self.names[i],
            estimate=float(self.estimates[i]),
            std_error=float(self.std_errors[i]),
            conf_low=float(self.conf_low[i]),
            conf_high=float(self.conf_high[i]),
            statistic=float(self.statistics[i]),
            p_value=float(self.p_values[i]),
            within=float(self.within[i, i]),
            between=float(self.between[i, i]),
            total=float(self.total[i, i]),
            riv=float(self.riv[i]),
            lambda_=float(self.lambda_[i]),
            fmi=float(self.fmi[i]),
            df=float(self.df[i]),
            df_rubin1987=float(self.df_rubin1987[i]),
        )


def pool_scalar(
    values: npt.ArrayLike,
    variances: npt.ArrayLike,
    *,
    dfcom: float | None = None,
    conf_level: float = 0.95,
    name: str = "",
) -> PooledScalar:
    """Any scalar by Rubin's rules, from its value and variance (m,) in each imputed set, on its analysis scale.

    A ratio comes as its log, with the variance of the log; RERI or a risk difference as it is. Raises ValueError for
    fewer than 2 sets, values that are not finite, variances that are not positive.
    """
    q, u = np.asarray(values, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if q.ndim != 1 or q.shape != u.shape:
        raise ValueError(
            f"Pooling a scalar needs one value and one variance for each imputed set, not {q.shape} and {u.shape}."
        )
    return pool_coefficients((name,), q[:, None], u[:, None, None], dfcom=dfcom, conf_level=conf_level).scalar(0)


def pool_coefficients(
    names: Sequence[str],
    coefficients: npt.ArrayLike,
    covariances: npt.ArrayLike,
    *,
    dfcom: float | None = None,
    conf_level: float = 0.95,
) -> Pooled:
    """k coefficients by Rubin's rules, from (m, k) coefficients and (m, k, k) covariances of the imputed sets.

    Raises ValueError for fewer than 2 sets, shapes that disagree, values that are not finite, or variances that are
    not positive.
    """
    q, u = _stacked(coefficients, covariances)
    if len(names) != q.shape[1]:
        raise ValueError(f"{len(names)} names were given for {q.shape[1]} pooled coefficients; give one for each.")
    if not (np.diagonal(u, axis1=1, axis2=2) > 0).all():
        raise ValueError(
            "A variance in an imputed set is 0 or negative, so there is no within-imputation variance to pool; leave "
            "that quantity out, or look at the fit of that set."
        )
    return _pooled(tuple(names), q, u, dfcom, conf_level)


def pool_contrasts(
    coefficients: npt.ArrayLike,
    covariances: npt.ArrayLike,
    contrasts: npt.ArrayLike,
    *,
    dfcom: float | None = None,
    conf_level: float = 0.95,
    names: Sequence[str] | None = None,
) -> Pooled:
    """Contrasts C b pooled point by point, as for a dose-response curve: C_i b_i with variance C_i V_i C_i' in set i.

    `coefficients` (m, k) and `covariances` (m, k, k); `contrasts` (c, k), or (m, c, k) where each set has its own (as
    when its knots are its own). A contrast of 0 (the reference of a curve) is 0 with standard error 0. Raises
    ValueError as `pool_coefficients` does.
    """
    q, u = _stacked(coefficients, covariances)
    c = np.asarray(contrasts, dtype=np.float64)
    c = np.broadcast_to(c, (len(q), *c.shape)) if c.ndim == 2 else c
    if c.ndim != 3 or c.shape[0] != len(q) or c.shape[2] != q.shape[1] or not np.isfinite(c).all():
        raise ValueError(
            f"Contrasts of shape {np.shape(contrasts)} do not fit {len(q)} imputed sets of {q.shape[1]} coefficients; "
            "give finite numbers (points, coefficients), or (sets, points, coefficients)."
        )
    labels = tuple(names) if names is not None else tuple(str(i + 1) for i in range(c.shape[1]))
    if len(labels) != c.shape[1]:
        raise ValueError(f"{len(labels)} names were given for {c.shape[1]} contrasts; give one for each.")
    values = np.einsum("mcj,mj->mc", c, q)
    spread = c @ u @ np.swapaxes(c, 1, 2)
    if (np.diagonal(spread, axis1=1, axis2=2) < 0).any():
        raise ValueError("A contrast has a negative variance in an imputed set: that set's covariance is not one.")
    return _pooled(labels, values, spread, dfcom, conf_level)


def pool_fits(
    fits: Sequence[Fit],
    variance: str,
    *,
    dfcom: float | str | None = "residual",
    conf_level: float = 0.95,
    cluster: FloatArray | None = None,
    design: SurveyDesign | None = None,
) -> Pooled:
    """The coefficients of one model fitted to each of m imputed sets, with any variance `covariance` knows.

    `dfcom` is "residual" (n less coefficients), a number (clusters - 1, or primary sampling units - strata) or None
    (infinite). `cluster` (n,) and `design` are those of the people, the same in all sets. Coefficients that no set
    could estimate are left out, said in `warnings`. Raises ValueError, naming the sets, if one did not converge or has
    no valid Wald interval, or if sets disagree in people, method, terms (levels, knots) or estimable coefficients.
    """
    if len(fits) < 2:
        raise ValueError(f"Pooling needs the fits of at least 2 imputed data sets, not {len(fits)}.")
    kept = _common_columns(fits)
    first = fits[0]
    if dfcom == "residual":
        dfcom = float(first.n - first.parameters)
    elif isinstance(dfcom, str):
        raise ValueError(f"dfcom is 'residual', a number or None, not {dfcom!r}.")
    coefficients = np.array([fit.coefficients[kept] for fit in fits])
    covariances = []
    for fit in fits:
        at = fit.position(tuple(kept))
        covariances.append(covariance(fit, variance, cluster=cluster, design=design)[np.ix_(at, at)])
    names = tuple(first.names[c] for c in kept)
    pooled = pool_coefficients(names, coefficients, np.array(covariances), dfcom=dfcom, conf_level=conf_level)
    return replace(pooled, warnings=(*_left_out(first, kept), *_said_by(fits)))


def t_two_sided(statistic: FloatArray, df: FloatArray) -> FloatArray:
    """Two-sided P values of t statistics (k,) on df (k,), the normal distribution where df is beyond 1e10."""
    from scipy import special

    tail = 2 * special.ndtr(-np.abs(statistic))
    finite = df <= NEARLY_NORMAL
    squared = statistic[finite] ** 2
    tail[finite] = special.betainc(df[finite] / 2, 0.5, df[finite] / (df[finite] + squared))
    return np.asarray(tail)


def t_quantiles(conf_level: float, df: FloatArray) -> FloatArray:
    """The t quantiles (k,) of two-sided intervals on df (k,), the normal quantile where df is beyond 1e10."""
    from scipy import special

    upper = (1 + conf_level) / 2
    finite = df <= NEARLY_NORMAL
    out = np.full(df.shape, float(special.ndtri(upper)))
    out[finite] = special.stdtrit(df[finite], upper)
    return out


def _pooled(names: tuple[str, ...], q: FloatArray, u: FloatArray, dfcom: float | None, conf_level: float) -> Pooled:
    complete = math.inf if dfcom is None else float(dfcom)
    if not complete > 0:
        raise ValueError(f"The degrees of freedom of the complete data must be positive, not {complete:g}.")
    if not 0 < conf_level < 1:
        raise ValueError(f"A confidence level lies between 0 and 1, not {conf_level:g}.")
    m = len(q)
    estimates, within = q.mean(axis=0), u.mean(axis=0)
    deviation = q - estimates
    between = deviation.T @ deviation / (m - 1)
    total = within + (1 + 1 / m) * between
    ubar, extra, t = np.diag(within), (1 + 1 / m) * np.diag(between), np.diag(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        riv = np.where(extra > 0, extra / ubar, 0.0)
        lambda_ = np.where(extra > 0, extra / t, 0.0)
        old = np.where(lambda_ > 0, (m - 1) / lambda_**2, math.inf)
        df = _barnard_rubin(old, lambda_, complete)
        statistics = np.where(t > 0, estimates / np.sqrt(t), math.nan)
        fmi = np.where(lambda_ > 0, (riv + 2 / (df + 3)) / (riv + 1), 2 / (df + 3))
    std_errors = np.sqrt(t)
    half = t_quantiles(conf_level, df) * std_errors
    return Pooled(
        names=names,
        m=m,
        dfcom=complete,
        conf_level=conf_level,
        estimates=estimates,
        within=within,
        between=between,
        total=total,
        std_errors=std_errors,
        riv=riv,
        lambda_=lambda_,
        fmi=fmi,
        df=df,
        df_rubin1987=old,
        statistics=statistics,
        p_values=t_two_sided(statistics, df),
        conf_low=estimates - half,
        conf_high=estimates + half,
    )


def _barnard_rubin(old: FloatArray, lambda_: FloatArray, dfcom: float) -> FloatArray:
    if math.isinf(dfcom):
        return old
    observed = (1 - lambda_) * dfcom * (dfcom + 1) / (dfcom + 3)
    return np.asarray(1 / (1 / old + 1 / observed))


def _stacked(coefficients: npt.ArrayLike, covariances: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    try:
        q, u = np.asarray(coefficients, dtype=np.float64), np.asarray(covariances, dtype=np.float64)
    except ValueError as ragged:
        raise ValueError(
            "The imputed sets have different numbers of coefficients; fit the same terms, with the same levels and "
            "knots, to all of them."
        ) from ragged
    if q.ndim != 2 or u.shape != (*q.shape, q.shape[-1]):
        raise ValueError(
            f"Coefficients {q.shape} and covariances {u.shape} do not fit each other; they are (sets, coefficients) "
            "and (sets, coefficients, coefficients)."
        )
    if len(q) < 2:
        raise ValueError(f"Pooling needs at least 2 imputed data sets, not {len(q)}.")
    bad = [i + 1 for i in range(len(q)) if not (np.isfinite(q[i]).all() and np.isfinite(u[i]).all())]
    if bad:
        raise ValueError(
            f"Estimates or variances of {_sets(bad, len(q))} are not finite; look at that fit before pooling."
        )
    return q, u


def _common_columns(fits: Sequence[Fit]) -> list[int]:
    """Columns that every set can estimate; ValueError with the sets that are unlike the first, or failed."""
    first, m = fits[0], len(fits)
    for what, differs in (
        ("did not converge", [not fit.converged for fit in fits]),
        ("has no valid Wald interval (its maximum is on the boundary)", [not fit.wald for fit in fits]),
        (f"was fitted by another method than {first.method}", [fit.method != first.method for fit in fits]),
        ("holds another number of people than the first", [fit.n != first.n for fit in fits]),
        ("has other columns (levels, terms) than the first", [fit.names != first.names for fit in fits]),
        (
            "has terms with other levels, units or knots than the first (give the knots, or take them from all sets)",
            [tuple(fit.design.columns_of) != tuple(first.design.columns_of) for fit in fits],
        ),
    ):
        bad = [i + 1 for i, differ in enumerate(differs) if differ]
        if bad:
            raise ValueError(f"{_sets(bad, m).capitalize()} {what}, so there is nothing to pool.")
    estimable = np.array([fit.estimable for fit in fits])
    some = estimable.any(axis=0) & ~estimable.all(axis=0)
    if some.any():
        raise ValueError(
            f"{', '.join(np.array(first.names)[some])} could be estimated in some imputed sets but not in all; join "
            "sparse levels, or leave the term out."
        )
    return [int(c) for c in np.flatnonzero(estimable[0])]


def _sets(numbers: Sequence[int], m: int) -> str:
    listed = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
    return f"imputed set {listed} (of {m})" if len(numbers) == 1 else f"each of imputed sets {listed} (of {m})"


def _left_out(first: Fit, kept: Sequence[int]) -> tuple[str, ...]:
    gone = [name for c, name in enumerate(first.names) if c not in kept]
    return (f"{', '.join(gone)}: not estimable in any imputed set, so left out.",) if gone else ()


def _said_by(fits: Sequence[Fit]) -> tuple[str, ...]:
    """Sentences of the single fits, one for those that differ only in numbers."""
    kinds: dict[str, list[str]] = {}
    for fit in fits:
        for sentence in fit.warnings:
            kinds.setdefault(re.sub(r"\d[\d.e+-]*", "#", sentence), []).append(sentence)
    return tuple(f"In {len(said)} of {len(fits)} imputed sets, e.g.: {said[0]}" for said in kinds.values())
