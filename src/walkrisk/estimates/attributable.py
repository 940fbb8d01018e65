"""Attributable fractions of the cases in a population: standardised, case-based (Miettinen, Bruzzi) and Levin's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.counterfactuals import inverse_link, predicted
from walkrisk.estimates.standardisation import fit_weights, standardise
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

TOTAL = "total"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fractions:
    """Fractions of the cases, (K,) for the K categories of an exposure, the last one the total.

    `levels` names them (the last is `total`); `values` (K,) are NaN where not estimable; `phi` (n, K) is each person's
    influence before that through the coefficients, `gradients` (K, q) the derivative by the coefficients; `events` is
    the (weighted) number of cases that the fractions are of. `warnings` has a sentence for each thing to know.
    """

    levels: tuple[str, ...]
    values: FloatArray
    phi: FloatArray
    gradients: FloatArray
    events: float
    warnings: tuple[str, ...] = ()


def standardised_fraction(
    fit: Fit,
    unexposed: Design,
    *,
    y: FloatArray,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    categories: IntArray | None = None,
    labels: Sequence[str] = (),
) -> Fractions:
    """Fraction of cases that would not have been, had everyone the exposure of `unexposed`, by g-computation.

    AF = 1 - m0 / P, with P = sum v_i y_i / sum v_i the observed risk and m0 = sum v_i g(x_i0' b) / sum v_i. It is the
    population attributable fraction if `unexposed` sets everyone to the reference, the attributable fraction among the
    exposed if `population` also is the exposed, the preventable fraction if it sets everyone to a protective level,
    and a generalised impact fraction for any other change. With `categories` (n,), 0 .. K-1 named by `labels`, category
    k's part is sum over its people of v_i (y_i - g(x_i0' b)) / sum v_i y_i; the parts add up to the total.

    References: Sjolander & Vansteelandt 2011, Biostatistics 12:112-121; Greenland & Drescher 1993 doi 10.2307/2532206.
    """
    risks = standardise(fit, {"unexposed": unexposed}, y=y, weights=weights, population=population)
    w = fit_weights(fit, weights)
    v = people_of(w, population)
    groups, names = _groups(categories, labels, fit.n)
    cases = float(v @ y)
    if not cases > 0 or not np.isfinite(risks.risks[0]) or risks.exact[0]:
        return _no_fractions(fit, names, cases, risks.warnings)
    without = predicted(fit, unexposed, y=y, weights=w)
    within = _indicators(groups, names)
    avoided = v * y - np.where(v > 0, v * without.risk, 0.0)
    values = avoided @ within / cases
    x = unexposed.matrix[:, fit.estimated]
    return Fractions(
        levels=names,
        values=values,
        phi=(avoided[:, None] * within - (v * y)[:, None] * values) / cases,
        gradients=-(x.T @ ((v * without.slope)[:, None] * within)).T / cases,
        events=cases,
        warnings=risks.warnings,
    )


def case_based_fraction(
    fit: Fit,
    unexposed: Design,
    *,
    y: FloatArray,
    weights: FloatArray | None = None,
    categories: IntArray | None = None,
    labels: Sequence[str] = (),
    odds: bool = False,
) -> Fractions:
    """Miettinen's and Bruzzi's attributable fraction, from the exposure of cases and the model's risk ratios.

    AF = 1 - sum over cases of w_i / RR_i / sum over cases of w_i, with RR_i the ratio of the risks of case i under its
    own exposure and under that of `unexposed` given its covariates. In a log-linear model without products this is
    pc (1 - 1/RR) for a binary exposure (pc its share among cases) and sum_k pc_k (1 - 1/RR_k) for several categories;
    with products RR_i varies. A logistic model gives RR_i the ratio of its fitted risks, or with
    `odds` its odds ratio, for rare outcomes and case-control data. Category k's part is the same sum over its own
    cases. The variance is joint in pc and RR.

    References: Miettinen 1974, Am J Epidemiol 99:325-332; Bruzzi et al. 1985
    doi 10.1093/oxfordjournals.aje.a114174; Greenland 1987 doi 10.1002/sim.4780060607.
    """
    if odds and fit.link != "logit":
        raise ValueError("Odds ratios of cases need a logistic model; leave `odds` out for a model of risks.")
    w = fit_weights(fit, weights)
    groups, names = _groups(categories, labels, fit.n)
    cases = float(w @ y)
    case = (w > 0) & (y > 0)
    if not fit.converged or not cases > 0:
        return _no_fractions(fit, names, cases, fit.warnings)
    unknown = standardise(fit, {"unexposed": unexposed}, y=y, weights=weights, population=case)
    if not np.isfinite(unknown.risks[0]) or unknown.settled[0] or not fit.rows[case].all():
        said = "The risk ratio of some cases is not estimable, so no case-based attributable fraction is given."
        return _no_fractions(fit, names, cases, (*unknown.warnings, said))
    at = np.flatnonzero(fit.estimated)
    x1, x0 = fit.design.matrix[:, at], unexposed.matrix[:, at]
    link = "log" if odds else fit.link
    m1, slope1 = inverse_link(link, x1 @ fit.coefficients[at])
    m0, slope0 = inverse_link(link, x0 @ fit.coefficients[at])
    if (m1[case] <= 0).any() or (m0[case] <= 0).any():
        said = "Some cases have a fitted risk of 0 or less, so no case-based attributable fraction is given."
        return _no_fractions(fit, names, cases, (*unknown.warnings, said))
    share = np.where(case, w * y, 0.0)
    inverse = np.divide(m0, m1, out=np.ones_like(m0), where=case)
    by_eta1 = np.divide(inverse * slope1, m1, out=np.zeros_like(m0), where=case)
    by_eta0 = np.divide(slope0, m1, out=np.zeros_like(m0), where=case)
    within = _indicators(groups, names)
    avoided = share * (1 - inverse)
    values = avoided @ within / cases
    slopes = x1.T @ ((share * by_eta1)[:, None] * within) - x0.T @ ((share * by_eta0)[:, None] * within)
    return Fractions(
        levels=names,
        values=values,
        phi=(avoided[:, None] * within - share[:, None] * values) / cases,
        gradients=slopes.T / cases,
        events=cases,
        warnings=unknown.warnings,
    )


def levin_fraction(
    fit: Fit,
    columns: Sequence[int],
    exposures: npt.NDArray[np.generic],
    labels: Sequence[str],
    *,
    y: FloatArray,
    weights: FloatArray | None = None,
) -> Fractions:
    """Levin's attributable fraction from the exposure of everyone: sum_k p_k (RR_k - 1) / (1 + sum_k p_k (RR_k - 1)).

    `exposures` (n, K) holds 1 for the people in exposed category k, whose log risk ratio is the coefficient of design
    column `columns[k]`. Category k's part is p_k (RR_k - 1) over the same denominator. The variance is joint in p and
    RR. With an ADJUSTED risk ratio this formula is biased where there is confounding (a warning says so): Miettinen's
    is not. Raises ValueError for a model without risk ratios as coefficients.

    References: Levin 1953; Walter 1976 doi 10.2307/2529268; Rockhill et al. 1998 doi 10.2105/AJPH.88.1.15.
    """
    if fit.link != "log":
        raise ValueError("Levin's formula needs a model with a log link; use modified Poisson or log-binomial.")
    w = fit_weights(fit, weights)
    names = (*labels, TOTAL)
    cases, n = float(w @ y), float(w.sum())
    exposed = np.asarray(exposures).astype(np.float64)
    at = list(columns)
    if not fit.converged or not all(fit.estimable[c] for c in at):
        said = "A risk ratio of the exposure is not estimable, so no attributable fraction is given."
        return _no_fractions(fit, names, cases, (*fit.warnings, said))
    p = w @ exposed / n
    rr = np.exp(fit.coefficients[at])
    bottom = 1 + float(p @ (rr - 1))
    parts = p * (rr - 1) / bottom
    by_p = (np.diag(rr - 1) - np.outer(parts, rr - 1)) / bottom
    by_b = (np.diag(p * rr) - np.outer(parts, p * rr)) / bottom
    by_p, by_b = np.vstack([by_p, by_p.sum(axis=0)]), np.vstack([by_b, by_b.sum(axis=0)])
    gradients = np.zeros((len(names), fit.parameters))
    gradients[:, fit.position(tuple(at))] = by_b
    warnings: tuple[str, ...] = ()
    if fit.parameters > len(at) + 1:
        warnings = (
            "Levin's formula with an adjusted risk ratio is biased where covariates confound; "
            "the case-based and standardised fractions are not.",
        )
    return Fractions(
        levels=names,
        values=np.append(parts, parts.sum()),
        phi=(w[:, None] * (exposed - p) / n) @ by_p.T,
        gradients=gradients,
        events=cases,
        warnings=warnings,
    )


def levin_formula(
    prevalences: FloatArray, log_ratios: FloatArray, covariance_of_ratios: FloatArray, *, people: float = math.inf
) -> tuple[float, float]:
    """Levin's total fraction and its standard error from published figures: p_k and log RR_k of independent sources.

    `prevalences` (K,) are shares of the exposed categories in a sample of `people` (infinite: known exactly), with
    multinomial covariance; `covariance_of_ratios` (K, K) is that of `log_ratios` (K,).
    """
    p, rr = np.asarray(prevalences, dtype=np.float64), np.exp(np.asarray(log_ratios, dtype=np.float64))
    if (p < 0).any() or p.sum() > 1 or not people > 0:
        raise ValueError(
            "Prevalences must be shares of 0 to 1 that add up to at most 1, of a number of people above 0."
        )
    bottom = 1 + float(p @ (rr - 1))
    by_p, by_b = (rr - 1) / bottom**2, p * rr / bottom**2
    spread = (np.diag(p) - np.outer(p, p)) / people
    return 1 - 1 / bottom, float(np.sqrt(by_b @ covariance_of_ratios @ by_b + by_p @ spread @ by_p))


def people_of(w: FloatArray, population: npt.NDArray[np.generic] | None) -> FloatArray:
    """The weights v (n,) of a population within the people of a fit."""
    return w if population is None else w * np.asarray(population).astype(np.float64)


def _indicators(groups: IntArray, names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Who (n, K) is in each category, and everyone for the total."""
    return np.column_stack([groups == k for k in range(len(names) - 1)] + [np.ones(len(groups), dtype=bool)])


def _groups(categories: IntArray | None, labels: Sequence[str], n: int) -> tuple[IntArray, tuple[str, ...]]:
    if categories is None:
        return np.zeros(n, dtype=np.intp), (TOTAL,)
    numbered = np.asarray(categories)
    if numbered.shape != (n,) or numbered.min() < 0 or numbered.max() >= len(labels):
        raise ValueError(f"Categories must number each of {n} people 0 to {len(labels) - 1}, one for each label.")
    return numbered.astype(np.intp), (*labels, TOTAL)


def _no_fractions(fit: Fit, names: tuple[str, ...], cases: float, warnings: tuple[str, ...]) -> Fractions:
    count = len(names)
    none = () if cases > 0 else ("The population has no cases, so there is no fraction of them.",)
    return Fractions(
        levels=names,
        values=np.full(count, np.nan),
        phi=np.full((fit.n, count), np.nan),
        gradients=np.full((count, fit.parameters), np.nan),
        events=cases,
        warnings=(*warnings, *none),
    )
