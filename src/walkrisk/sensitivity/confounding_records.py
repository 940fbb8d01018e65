"""Probabilistic bias analysis on the records: the adjusted model is fitted again for each draw of the bias parameters.

A binary unmeasured confounder U is drawn for everyone, given exposure level k, outcome y and fitted risk r of the
adjusted model, by Bayes' rule, and added to the model as a column:

    m = g p_k + 1 - p_k;  P(U = 1 | y = 1) = g p_k/m
    P(U = 1 | y = 0) = p_k (1 - g r/m)/(p_k (1 - g r/m) + (1 - p_k)(1 - r/m))

This is P(U | k, covariates, y) where U does not depend on the covariates within levels of the exposure and multiplies
everyone's risk by g; the refitted ratio of level k then has the expectation b_k - log bias_k of `confounding_draws`.
Risks above 1 are taken as 1, and the people concerned counted. For selection, everyone is weighted by 1/s_ky.

The refit has its own covariance of the variance that was declared; `with_random_error` adds a normal deviate with it.

Reference: Fox, MacLehose & Lash 2021, doi 10.1007/978-3-030-82673-4 (record-level bias analysis of misclassification
and confounding; theirs draws U without the covariates' part of the risk).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.design import Design
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.confounding_draws import random_error

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Covariance = Callable[[Fit], FloatArray]

METHODS = ("modified_poisson", "log_binomial")
CONFOUNDER = "unmeasured confounder"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Refits:
    """Refits of B draws: `log_ratios` (B, K) and `covariances` (B, K, K), NaN where a refit gave none.

    `association` (B,) is the refitted log ratio of the confounder (NaN for selection), `above_one` (B,) the number of
    people whose risk would be above 1 with or without it.
    """

    log_ratios: FloatArray
    covariances: FloatArray
    association: FloatArray
    above_one: IntArray


def levels_of(fit: Fit, columns: Sequence[int]) -> IntArray:
    """The exposure level (n,) of each row, 0 the reference, from the 0/1 columns of levels 1, 2, ..."""
    return np.asarray(fit.design.matrix[:, list(columns)] @ np.arange(1.0, len(columns) + 1), dtype=np.intp)


def fitted_risks(fit: Fit) -> FloatArray:
    """The fitted risk (n,) of each row of a log-link fit; 0 for rows set aside in cells without events."""
    at = np.flatnonzero(fit.estimated)
    risks = np.exp(fit.design.matrix[:, at] @ fit.coefficients[at])
    return np.where(fit.rows, risks, 0.0)


def confounder_probability(
    level: IntArray, y: FloatArray, risk: FloatArray, *, association: float, prevalence: FloatArray
) -> tuple[FloatArray, int]:
    """The probability (n,) that each person has the confounder, given level, outcome and fitted risk (n,).

    `prevalence` (K + 1,) by level. Also the number of people whose risk with or without it would be above 1.
    """
    p = prevalence[level]
    mixed = association * p + 1 - p
    with_it, without_it = association * risk / mixed, risk / mixed
    above = ((with_it > 1) & (p > 0)) | ((without_it > 1) & (p < 1))
    has = p * (1 - np.minimum(with_it, 1.0))
    lacks = (1 - p) * (1 - np.minimum(without_it, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        among_others = np.where(has + lacks > 0, has / (has + lacks), p)
    return np.where(y == 1, association * p / mixed, among_others), int(above.sum())


def confounder_refits(
    fit: Fit,
    columns: Sequence[int],
    *,
    association: FloatArray,
    prevalence: FloatArray,
    covariance: Covariance,
    rng: np.random.Generator,
) -> Refits:
    """The adjusted model refitted with a drawn confounder, for B draws of `association` (B,) and `prevalence` (B, K+1).

    `columns` are those of the K exposure levels in the design of `fit` (modified Poisson or log-binomial, converged).
    Raises ValueError for another fit.
    """
    y, weights = _data(fit)
    level, risk = levels_of(fit, columns), fitted_risks(fit)
    design = fit.design
    at = len(design.names)
    made = _empty(len(association), len(columns))
    matrix = np.column_stack([design.matrix, np.zeros(len(y))])
    for b, (g, p) in enumerate(zip(association, prevalence, strict=True)):
        chance, made.above_one[b] = confounder_probability(level, y, risk, association=float(g), prevalence=p)
        matrix = matrix.copy(order="F")
        matrix[:, at] = rng.random(len(y)) < chance
        extended = Design(matrix, (*design.names, CONFOUNDER), design.columns_of, design.cells)
        again = fit_model(fit.method, extended, y, weights=weights)
        _put(made, b, again, columns, covariance)
        if again.converged and again.estimable[at]:
            made.association[b] = again.coefficients[at]
    return made


def selection_refits(fit: Fit, columns: Sequence[int], *, probability: FloatArray, covariance: Covariance) -> Refits:
    """The adjusted model refitted with everyone weighted by 1/s, for B draws of s (B, K + 1, 2), by level and outcome.

    Weights of the fit are multiplied. Raises ValueError for another method than modified Poisson or log-binomial.
    """
    y, weights = _data(fit)
    level, case = levels_of(fit, columns), y.astype(np.intp)
    made = _empty(len(probability), len(columns))
    for b, s in enumerate(probability):
        again = fit_model(fit.method, fit.design, y, weights=weights / s[level, case])
        _put(made, b, again, columns, covariance)
    return made


def with_random_error(refits: Refits, rng: np.random.Generator) -> FloatArray:
    """Log ratios (B, K) of refits with a normal deviate of each refit's own covariance taken off."""
    out = refits.log_ratios.copy()
    for b in np.flatnonzero(np.isfinite(refits.covariances).all(axis=(1, 2))):
        out[b] -= random_error(refits.covariances[b], 1, rng)[0]
    return out


def _data(fit: Fit) -> tuple[FloatArray, FloatArray]:
    if fit.method not in METHODS:
        raise ValueError(
            f"A bias analysis on the records refits risk ratios of {' or '.join(METHODS)}, not of {fit.method}; leave "
            "the refits out (the correction of the estimates has no such limit)."
        )
    if not fit.converged or not fit.wald or fit.everyone is None:
        raise ValueError("The adjusted model has no estimate with a variance to correct; its diagnostics say why.")
    return fit.everyone


def _empty(draws: int, k: int) -> Refits:
    return Refits(
        log_ratios=np.full((draws, k), np.nan),
        covariances=np.full((draws, k, k), np.nan),
        association=np.full(draws, np.nan),
        above_one=np.zeros(draws, dtype=np.intp),
    )


def _put(made: Refits, b: int, again: Fit, columns: Sequence[int], covariance: Covariance) -> None:
    """The ratios of one refit into place b, if it has any."""
    if not again.converged or not again.wald or not again.estimable[list(columns)].all():
        return
    at = again.position(tuple(columns))
    made.log_ratios[b] = again.coefficients[list(columns)]
    made.covariances[b] = covariance(again)[np.ix_(at, at)]
