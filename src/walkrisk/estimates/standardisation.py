"""Standardised risks (g-computation) after any model of risks, with conditional and unconditional variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.counterfactuals import Predicted, predicted
from walkrisk.models.covariance import SurveyDesign, covariance, influence_covariance
from walkrisk.models.covariance import influence as coefficient_influence
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StandardisedRisks:
    """The risk m_l of a standard population under each of L scenarios.

    `levels` names them; `risks` (L,) is NaN where not estimable; `gradients` (L, q) are dm_l/db for the q estimated
    coefficients; `deviations` (n, L), each person's share v_i (g_il - m_l) / sum(v) of the sampling error of the
    standard population, is None for a population from outside the sample. `exact` (L,) marks risks of exactly 0 or 1,
    which have no standard error. `outside` (L,) counts predicted risks outside 0 to 1 among people of the population,
    `settled` (L,) those that are exactly 0 or 1 and `unknown` (L,) those that the fit does not determine. `population`
    is the number of people who stand in it. `warnings` has a full sentence for each thing to know.
    """

    levels: tuple[str, ...]
    risks: FloatArray
    gradients: FloatArray
    deviations: FloatArray | None
    exact: BoolArray
    outside: npt.NDArray[np.intp]
    settled: npt.NDArray[np.intp]
    unknown: npt.NDArray[np.intp]
    population: int
    warnings: tuple[str, ...]

    def position(self, level: str) -> int:
        """The place of a level; ValueError if there is none of that name."""
        if level not in self.levels:
            raise ValueError(f"There is no scenario '{level}'; choose among {', '.join(self.levels)}.")
        return self.levels.index(level)


def standardise(
    fit: Fit,
    scenarios: Mapping[str, Design],
    *,
    y: FloatArray,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    external: bool = False,
) -> StandardisedRisks:
    """Risks m_l = sum_i v_i g(x_il' b) / sum_i v_i of a standard population under each scenario l.

    `scenarios` maps a name to its counterfactual design (`counterfactual_design`). `y` (n,) and `weights` (n,) are
    those of the fit. The standard population is everyone, v = `weights`, or `population` (n,), a mask or weights that
    multiply them: the exposed for the effect among the exposed, any named group. With `external` the designs are of N
    other people, `population` (N,) weighs them, and they are a fixed standard without sampling error.

    A risk that needs coefficients the fit does not determine is NaN with a sentence; a cell without cases has a risk
    of exactly 0. Nothing is estimated from a fit that did not converge. Raises ValueError for weights that are
    negative, not finite or all 0, or that are not those of the fit, and for designs of the wrong shape.

    References: Lane & Nelder 1982 doi 10.2307/2530400; Greenland 2004 doi 10.1093/aje/kwh221.
    """
    w = fit_weights(fit, weights)
    v = _standard(scenarios, w, population, external)
    if len(y) != fit.n or (fit.converged and not np.array_equal(y[fit.rows], np.asarray(fit.outcome))):
        raise ValueError("The outcome is not that of the fit; give the outcome of the same people in the same order.")
    if not fit.converged:
        return _nothing(fit, tuple(scenarios), v, external)
    parts = []
    for name, design in scenarios.items():
        made = predicted(fit, design, y=y, weights=w, same_people=not external)
        parts.append(_one_scenario(name, made, design.matrix[:, fit.estimated], v, external))
    sentences = [sentence for part in parts for sentence in part.sentences]
    if not fit.wald:
        sentences.append(
            "The fit lies on the boundary of its model, so standard errors by the delta method do not hold; "
            "take profile limits or bootstrap the standardised risks."
        )
    return StandardisedRisks(
        levels=tuple(scenarios),
        risks=np.array([p.risk for p in parts]),
        gradients=np.array([p.gradient for p in parts]),
        deviations=None if external else np.column_stack([p.deviation for p in parts]),
        exact=np.array([p.exact for p in parts]),
        outside=np.array([p.outside for p in parts], dtype=np.intp),
        settled=np.array([p.settled for p in parts], dtype=np.intp),
        unknown=np.array([p.unknown for p in parts], dtype=np.intp),
        population=int((v > 0).sum()),
        warnings=tuple(sentences),
    )


def risk_influence(
    risks: StandardisedRisks, fit: Fit, variance: str, *, cluster: npt.NDArray[Any] | None = None
) -> FloatArray:
    """Each person's influence (n, L) on the standardised risks: v_i (g_il - m_l) / sum(v) + dm_l/db' psi_i.

    psi_i is the person's influence on the coefficients under `variance`.
    """
    if risks.deviations is None:
        raise ValueError(
            "An external standard population has no influence in the sample; use the conditional variance."
        )
    return np.asarray(
        risks.deviations + coefficient_influence(fit, variance, cluster=cluster) @ risks.gradients.T, dtype=np.float64
    )


def risk_covariance(
    risks: StandardisedRisks,
    fit: Fit,
    variance: str,
    *,
    cluster: npt.NDArray[Any] | None = None,
    design: SurveyDesign | None = None,
    unconditional: bool = True,
) -> FloatArray:
    """Covariance (L, L) of standardised risks under any variance choice; NaN for risks that have no standard error.

    Conditional on the covariates of the standard population it is G V G', with V the covariance of the coefficients
    and G = dm/db (delta method). Unconditional (the default) it is that of the summed influences v_i (g_il - m_l) /
    sum(v) + G_l' psi_i, which adds the sampling of covariates and its covariance with the coefficients
    (M-estimation). Under `model` the two errors are independent if the model holds, and their covariances add up.
    An external population has no sampling error, so its covariance is always conditional.

    stdReg in R multiplies the unconditional variance by n / (n - 1); the factors here are those of `variance`.

    References: Stefanski & Boos 2002 doi 10.1198/000313002753631330; Sjolander 2016 doi 10.1007/s10654-016-0157-3.
    """
    count = len(risks.levels)
    usable = np.isfinite(risks.risks) & ~risks.exact
    if not fit.converged or not fit.wald or not usable.any():
        return np.full((count, count), np.nan)
    gradients = risks.gradients[usable]
    if not unconditional or risks.deviations is None:
        some = gradients @ covariance(fit, variance, cluster=cluster, design=design) @ gradients.T
    else:
        phi = risk_influence(risks, fit, variance, cluster=cluster)[:, usable]
        some = influence_covariance(phi, fit, variance, cluster=cluster, design=design, gradient=gradients)
    out = np.full((count, count), np.nan)
    out[np.ix_(usable, usable)] = some
    return out


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Scenario:
    risk: float
    gradient: FloatArray
    deviation: FloatArray
    exact: bool
    outside: int
    settled: int
    unknown: int
    sentences: tuple[str, ...]


def _one_scenario(name: str, made: Predicted, x: FloatArray, v: FloatArray, external: bool) -> _Scenario:
    counts = v > 0
    total = float(v.sum())
    unknown = int((made.unknown & counts).sum())
    settled = int((made.settled & counts).sum())
    risk_of = np.where(counts, made.risk, 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        risk = float(v @ risk_of) / total
        gradient = np.asarray(x.T @ (v * made.slope)) / total
        deviation = v * (risk_of - risk) / total
    outside = int((counts & ((made.risk > 1) | (made.risk < 0))).sum())
    people = int(counts.sum())
    sentences = []
    if unknown:
        sentences.append(
            f"The standardised risk under '{name}' is not estimable: it needs, for {unknown} of {people} people, "
            "coefficients that these data do not determine; merge the category with another, or standardise over "
            "people in whom it occurs."
        )
        risk = np.nan
    elif not np.isfinite(risk):
        sentences.append(f"The standardised risk under '{name}' is too large for a number, so none is given.")
        risk = np.nan
    exact = bool(settled == people and unknown == 0)
    if exact:
        sentences.append(
            f"The standardised risk under '{name}' is exactly {risk:g}, because nobody in its cells, or everybody, "
            "is a case; it has no standard error, so contrasts with it have no interval."
        )
    elif settled and not unknown:
        sentences.append(
            f"Under '{name}', {settled} of {people} people have a risk of exactly 0 or 1, because their cells have no "
            "cases or only cases; the intervals do not hold the uncertainty of that."
        )
    if outside and not unknown:
        worst = float(np.max(np.abs(risk_of - 0.5)[counts])) + 0.5
        sentences.append(
            f"Under '{name}', {outside} of {people} predicted risks lie outside 0 to 1 (the furthest by "
            f"{worst - 1:.3g}); standardise after a logistic model instead."
        )
    if not np.isfinite(risk):
        gradient, deviation = np.full_like(gradient, np.nan), np.full_like(deviation, np.nan)
    return _Scenario(
        risk=risk,
        gradient=gradient,
        deviation=deviation[:0] if external else deviation,
        exact=exact,
        outside=outside,
        settled=settled,
        unknown=unknown,
        sentences=tuple(sentences),
    )


def fit_weights(fit: Fit, weights: FloatArray | None) -> FloatArray:
    """The weights (n,) of everyone, checked against those of the fit."""
    w = np.ones(fit.n) if weights is None else np.asarray(weights, dtype=np.float64)
    _check_weights(w, fit.n, "weights")
    if fit.converged and fit.weights is None:
        raise ValueError(f"A {fit.method} model has no risks to standardise; fit a model of risks.")
    if fit.converged and not np.array_equal(w[fit.rows], np.asarray(fit.weights)):
        raise ValueError("The weights of the standard population are not those of the fit; give the same to both.")
    return w


def _standard(
    scenarios: Mapping[str, Design], w: FloatArray, population: npt.NDArray[np.generic] | None, external: bool
) -> FloatArray:
    """The weights v of the standard population."""
    if not scenarios:
        raise ValueError("There is nothing to standardise: give at least one counterfactual design.")
    sizes = {len(design.matrix) for design in scenarios.values()}
    n = len(w)
    if len(sizes) > 1 or (not external and sizes != {n}):
        raise ValueError(
            f"Counterfactual designs have {', '.join(map(str, sorted(sizes)))} rows where the fit has {n} people; "
            "build them from the same people, or say that the population is external."
        )
    rows = sizes.pop()
    share = np.ones(rows) if population is None else np.asarray(population).astype(np.float64)
    _check_weights(share, rows, "standard population")
    v = share if external else share * w
    if not v.sum() > 0:
        raise ValueError("Nobody of weight above 0 is in the standard population; name another group.")
    return v


def _check_weights(w: FloatArray, n: int, what: str) -> None:
    if w.shape != (n,):
        raise ValueError(f"The {what} has {w.shape} values where there are {n} people; give one for each.")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(f"The {what} has values that are negative or not finite; use numbers of 0 or more.")
    if not w.any():
        raise ValueError(f"The {what} is 0 for everyone, so nobody is left to standardise over.")


def _nothing(fit: Fit, levels: tuple[str, ...], v: FloatArray, external: bool) -> StandardisedRisks:
    count = len(levels)
    none = np.zeros(count, dtype=np.intp)
    return StandardisedRisks(
        levels=levels,
        risks=np.full(count, np.nan),
        gradients=np.full((count, int(fit.estimated.sum())), np.nan),
        deviations=None if external else np.full((fit.n, count), np.nan),
        exact=np.zeros(count, dtype=bool),
        outside=none,
        settled=none,
        unknown=none,
        population=int((v > 0).sum()),
        warnings=(*fit.warnings, "No risk is standardised, because the model has no estimates."),
    )
