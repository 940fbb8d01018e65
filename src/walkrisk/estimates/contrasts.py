"""Contrasts of a fit under any covariance: ratios with limits, and Wald and likelihood-ratio tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import chi_square_p, critical_value, wald_statistic
from walkrisk.models.design import (
    Columns,
    Design,
    Factor,
    Linear,
    Main,
    Order,
    Product,
    Spline,
    Term,
    build_design,
    derivative_design,
    mains_of,
    variables_of,
    without_columns,
)
from walkrisk.models.fit import Fit, fit_model

FloatArray = npt.NDArray[np.float64]
Given = Mapping[str, float]

SINGULAR = 1e-14  # of a covariance scaled to a unit diagonal


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Contrasts:
    """k contrasts of a fit: `log_ratio`, its `std_error` and limits, and all exponentiated, each (k,).

    For a model without logarithms (least squares) `log_ratio`, `log_low` and `log_high` are differences and the
    exponentiated ones mean nothing. `df` is that of the t quantile of the limits (None: normal).
    """

    log_ratio: FloatArray
    std_error: FloatArray
    log_low: FloatArray
    log_high: FloatArray
    ratio: FloatArray
    low: FloatArray
    high: FloatArray
    p_value: FloatArray
    df: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JointTest:
    """A test on `df` degrees of freedom: chi-square and its P; F = chi2/df and its P where `residual_df` is known."""

    chi2: float
    df: int
    p_value: float
    f: float
    residual_df: float | None
    p_f: float | None


def quantile_of(conf_level: float, df: float | None = None) -> float:
    """The two-sided quantile of an interval: normal, or Student's t with `df` (above 0) degrees of freedom."""
    if not 0 < conf_level < 1:
        raise ValueError(f"The confidence level must lie between 0 and 1, got {conf_level:g}.")
    if df is None or np.isinf(df):
        return critical_value(conf_level)
    if not df > 0:
        raise ValueError(f"A t interval needs degrees of freedom above 0, got {df:g}; take normal limits instead.")
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + conf_level) / 2))


def contrasts(
    fit: Fit, matrix: FloatArray, covariance: FloatArray, *, conf_level: float = 0.95, df: float | None = None
) -> Contrasts:
    """Contrasts C beta of a fit, for C (k, p) over all columns of its design, with limits C beta -+ q sqrt(C V C').

    `covariance` V (q, q) is that of the estimated coefficients; `df` gives t limits and P. Raises ValueError if the
    fit did not converge, or a contrast rests on a coefficient that could not be estimated.
    """
    q = quantile_of(conf_level, df)
    used = tuple(int(c) for c in np.flatnonzero(np.any(matrix != 0, axis=0)))
    require(fit, used)
    at, c = fit.position(used), matrix[:, used]
    value = c @ fit.coefficients[list(used)]
    v = covariance[np.ix_(at, at)]
    se = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", c, v, c), 0.0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = np.where(se > 0, np.abs(value) / se, np.nan)
        low, high = value - q * se, value + q * se
        ratio = np.exp(np.vstack([value, low, high]))
    return Contrasts(
        log_ratio=value,
        std_error=se,
        log_low=low,
        log_high=high,
        ratio=ratio[0],
        low=ratio[1],
        high=ratio[2],
        p_value=_two_sided(z, df),
        df=df,
    )


def _two_sided(z: FloatArray, df: float | None) -> FloatArray:
    from scipy.special import ndtr, stdtr

    return np.asarray(2 * (ndtr(-z) if df is None else stdtr(df, -z)))


def require(fit: Fit, columns: Sequence[int]) -> None:
    """ValueError unless the fit converged and every one of `columns` was estimated and is determined by the data."""
    if not fit.converged:
        raise ValueError("The model did not converge, so there is no curve, ratio or test; its warnings say why.")
    if not fit.wald:
        raise ValueError(
            "The maximum lies on the boundary (a fitted risk of 1), where Wald limits and tests do not hold; "
            "take modified Poisson, or profile-likelihood or bootstrap limits."
        )
    missing = [fit.names[c] for c in columns if not fit.estimable[c]]
    if missing:
        raise ValueError(
            f"The coefficients of {', '.join(missing)} could not be estimated (collinear, or without events to "
            "determine them), so what rests on them is not given; simplify the term."
        )


def terms_with(design: Design, name: str) -> tuple[Term, ...]:
    """The terms of a design that read the variable `name`; ValueError if there are none."""
    found = tuple(t for t in design.columns_of if name in variables_of(t))
    if not found:
        raise ValueError(f"{name} is in no term of the model.")
    return found


def rows_at(design: Design, name: str, x: FloatArray, *, given: Given | None = None, order: Order = 0) -> FloatArray:
    """Design rows (k, p) at values x (k,) of `name`, 0 in columns that do not depend on it (`order`: derivatives).

    Where the variable stands in a product, the other variable needs a value in `given`. Raises ValueError if not, or
    if the variable is a part of a composition (whose parts cannot change alone).
    """
    found = terms_with(design, name)
    if any(main.name != name and name in variables_of(main) for t in found for main in mains_of(t)):
        raise ValueError(f"{name} is a part of a composition and cannot change alone; reallocate from another part.")
    mains: dict[Main, None] = {main: None for t in found for main in mains_of(t) if main in design.columns_of}
    terms: list[Term] = [*mains, *(t for t in found if isinstance(t, Product))]
    others = {n for t in terms for n in variables_of(t)} - {name}
    missing = sorted(others - set(given or {}))
    if missing:
        raise ValueError(f"The ratio for {name} depends on {', '.join(missing)}; give a value of each in `given`.")
    columns: Columns = {name: x, **{n: np.full(len(x), float((given or {})[n])) for n in others}}
    made = build_design(columns, terms, len(x))
    matrix = derivative_design(columns, terms, len(x), name, order) if order else made.matrix
    out = np.zeros((len(x), len(design.names)))
    for term in found:
        out[:, list(design.columns_of[term])] = matrix[:, list(made.columns_of[term])]
    return out


def wald_test(
    fit: Fit, columns: Sequence[int], covariance: FloatArray, *, residual_df: float | None = None
) -> JointTest:
    """The Wald test that the coefficients of `columns` (of the whole design) are all 0: b' V^-1 b on their number.

    With `residual_df`, also F = chi2/df on (df, residual_df). Raises ValueError if a coefficient could not be
    estimated, no column is left, or V has not the rank (as with fewer clusters than coefficients).
    """
    require(fit, columns)
    at = fit.position(tuple(columns))
    if not at:
        raise ValueError("There is no coefficient to test.")
    v = covariance[np.ix_(at, at)]
    with np.errstate(all="ignore"):
        d = 1 / np.sqrt(np.diag(v))
        scaled = v * d[:, None] * d
    if not np.all(np.isfinite(scaled)) or np.linalg.eigvalsh(scaled)[0] < SINGULAR:
        raise ValueError(
            f"The covariance of the {len(at)} coefficients to be tested is singular, as with fewer clusters than "
            "coefficients; use a simpler term or another variance."
        )
    chi2 = wald_statistic(fit.coefficients[list(columns)] * d, scaled)
    return _test(chi2, len(at), residual_df)


def _test(chi2: float, df: int, residual_df: float | None) -> JointTest:
    p_f = None
    if residual_df is not None:
        if not residual_df > 0:
            raise ValueError(f"An F test needs residual degrees of freedom above 0, got {residual_df:g}.")
        from scipy.special import fdtrc

        p_f = float(fdtrc(df, residual_df, max(chi2, 0.0) / df))
    return JointTest(chi2=chi2, df=df, p_value=chi_square_p(chi2, df), f=chi2 / df, residual_df=residual_df, p_f=p_f)


def overall_columns(design: Design, name: str) -> tuple[int, ...]:
    """The columns of every term that reads `name`: that they are all 0 means no association."""
    return tuple(c for t in terms_with(design, name) for c in design.columns_of[t])


def curved_columns(design: Design, name: str) -> tuple[int, ...]:
    """The columns of `name` other than its linear one (and the linear one's products): all 0 means a straight line.

    Raises ValueError if the variable has no linear column (a factor, most fractional polynomials) or nothing else.
    """
    found = terms_with(design, name)
    linear = [t for t in found if _linear_column(t) is not None]
    curved = tuple(c for t in found for i, c in enumerate(design.columns_of[t]) if not _is_straight(t, i, name))
    if not linear or not curved:
        raise ValueError(
            f"Non-linearity of {name} is tested against a straight line within the same model, as with a spline or a "
            "linear and a squared term; this model has none of these."
        )
    return curved


def _linear_column(term: Term) -> int | None:
    if isinstance(term, Linear | Spline):
        return 0
    powers = getattr(term, "powers", None)
    if powers is not None:
        return powers.index(1.0) if 1.0 in powers else None
    return 0 if getattr(term, "power", None) == 1 else None


def _is_straight(term: Term, column: int, name: str) -> bool:
    """Whether a column of a term is a straight line in `name` (for each value of the other variable of a product)."""
    if not isinstance(term, Product):
        return column == _linear_column(term)
    mine, other = (term.first, term.second) if name in variables_of(term.first) else (term.second, term.first)
    if name in variables_of(other):
        return False
    inner = len(term.first.levels) - 1 if isinstance(term.first, Factor) else term.first.width
    place = column % inner if mine is term.first else column // inner
    return place == _linear_column(mine)


def overall_test(fit: Fit, name: str, covariance: FloatArray, *, residual_df: float | None = None) -> JointTest:
    """The Wald test that nothing depends on `name`: all its columns, products included, are 0."""
    return wald_test(fit, overall_columns(fit.design, name), covariance, residual_df=residual_df)


def nonlinearity_test(fit: Fit, name: str, covariance: FloatArray, *, residual_df: float | None = None) -> JointTest:
    """The Wald test that the dependence on `name` is a straight line on the scale of the link."""
    return wald_test(fit, curved_columns(fit.design, name), covariance, residual_df=residual_df)


def likelihood_ratio_test(without: Fit, with_columns: Fit) -> JointTest:
    """Twice the gain in log-likelihood between nested fits of one method, on as many degrees of freedom as it took.

    The likelihood is the working one of the method: for modified Poisson of a 0/1 outcome it overstates the variance,
    so the test is conservative; robust, cluster or survey variances do not enter. Raises ValueError for fits that did
    not converge, of different methods or people, or without a gain in coefficients.
    """
    require(without, ())
    require(with_columns, ())
    if without.method != with_columns.method or without.n != with_columns.n:
        raise ValueError("A likelihood-ratio test needs two fits of one method on the same people.")
    if not np.array_equal(without.rows, with_columns.rows):
        raise ValueError(
            "The two models set different people aside (cells without events), so their likelihoods do not compare; "
            "take the Wald test, or merge the sparse categories."
        )
    df = with_columns.parameters - without.parameters
    if df < 1:
        raise ValueError("The larger model has no more coefficients than the smaller, so there is nothing to test.")
    return _test(max(2 * (with_columns.log_likelihood - without.log_likelihood), 0.0), df, None)


def likelihood_ratio_without(fit: Fit, columns: Sequence[int]) -> JointTest:
    """The likelihood-ratio test of `columns` of a fit (see `likelihood_ratio_test`): it is fitted again without them.

    `columns` are as `overall_columns` or `curved_columns` give them. Raises ValueError for a fit that does not carry
    its people's outcomes (Cox).
    """
    if fit.everyone is None:
        raise ValueError(f"A {fit.method} fit does not carry its outcomes; fit both models and compare the two.")
    y, weights = fit.everyone
    smaller = fit_model(fit.method, without_columns(fit.design, columns), y, weights=weights)
    return likelihood_ratio_test(smaller, fit)
