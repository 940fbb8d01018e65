"""Standardised risk curves: everyone's risk averaged with an exposure set to each value of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.contrasts import quantile_of
from walkrisk.estimates.standardisation import StandardisedRisks, risk_covariance, standardise
from walkrisk.models.covariance import SurveyDesign
from walkrisk.models.design import Columns, Term, build_design, variables_of
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StandardisedCurve:
    """Standardised risks at `x` (k,) with limits, and risk ratios and differences against the risk at `reference`.

    `covariance` (k, k) is that of the risks; `risks` holds what else they are made of. Limits of risks are on the
    logit scale (risks outside 0 to 1 have none), of ratios on the log scale.
    """

    x: FloatArray
    risk: FloatArray
    std_error: FloatArray
    low: FloatArray
    high: FloatArray
    covariance: FloatArray
    reference: float
    ratio: FloatArray
    ratio_std_error: FloatArray
    ratio_low: FloatArray
    ratio_high: FloatArray
    difference: FloatArray
    difference_std_error: FloatArray
    difference_low: FloatArray
    difference_high: FloatArray
    risks: StandardisedRisks
    warnings: tuple[str, ...]


def standardised_curve(
    fit: Fit,
    terms: Sequence[Term],
    columns: Columns,
    name: str,
    x: FloatArray,
    *,
    y: FloatArray,
    reference: float,
    variance: str,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    cluster: FloatArray | None = None,
    design: SurveyDesign | None = None,
    unconditional: bool = True,
    conf_level: float = 0.95,
    df: float | None = None,
) -> StandardisedCurve:
    """The mean fitted risk with `name` set to each x (k,) for everyone, and its ratio and difference to `reference`.

    risk(x) = sum_i v_i g(z_i(x)' b) / sum_i v_i. `terms` and `columns` (n,) are those the fit's design was built from,
    with their recorded levels and knots; the design is replayed one x at a time, so powers, splines and products
    follow and memory is that of one design. `y`, `weights` (n,), `population` and the variance choices are as in
    `standardise` and `risk_covariance`. The standard error of log RR(x) uses the covariance of risk(x) and
    risk(reference). Raises ValueError as these do, for points that are not finite or outside the domain of a term, and
    for a variable that no term reads. Reference: Greenland 2004, doi 10.1093/aje/kwh221.
    """
    points = np.asarray(x, dtype=np.float64)
    if not np.all(np.isfinite(points)) or not np.isfinite(reference):
        raise ValueError(f"The points and the reference of the curve of {name} must be known and finite.")
    if not any(name in variables_of(term) for term in terms):
        raise ValueError(f"{name} is in no term of the model.")
    q = quantile_of(conf_level, df)
    parts = []
    for value in [*points.tolist(), float(reference)]:
        replayed = build_design({**columns, name: np.full(fit.n, value)}, terms, fit.n)
        parts.append(standardise(fit, {f"{name} {value:.12g}": replayed}, y=y, weights=weights, population=population))
    risks = _joined(parts)
    v = risk_covariance(risks, fit, variance, cluster=cluster, design=design, unconditional=unconditional)
    return _curve(points, float(reference), risks, v, q)


def _joined(parts: Sequence[StandardisedRisks]) -> StandardisedRisks:
    deviations = [p.deviations for p in parts if p.deviations is not None]
    return replace(
        parts[0],
        levels=tuple(level for p in parts for level in p.levels),
        risks=np.concatenate([p.risks for p in parts]),
        gradients=np.vstack([p.gradients for p in parts]),
        deviations=np.hstack(deviations) if deviations else None,
        exact=np.concatenate([p.exact for p in parts]),
        outside=np.concatenate([p.outside for p in parts]),
        settled=np.concatenate([p.settled for p in parts]),
        unknown=np.concatenate([p.unknown for p in parts]),
        warnings=tuple(dict.fromkeys(w for p in parts for w in p.warnings)),
    )


def _curve(x: FloatArray, reference: float, risks: StandardisedRisks, v: FloatArray, q: float) -> StandardisedCurve:
    k, at_reference = len(x), risks.risks[-1]
    risk, variance = risks.risks[:k], np.diag(v)
    own, base, both = variance[:k], variance[-1], v[:k, -1]
    with np.errstate(all="ignore"):
        se = np.sqrt(own)
        inside = (risk > 0) & (risk < 1)
        odds = np.where(inside, risk / (1 - risk), np.nan)
        half = q * se / (risk * (1 - risk))
        low, high = odds * np.exp(-half), odds * np.exp(half)
        ratio = risk / at_reference
        relative = own / risk**2 + base / at_reference**2 - 2 * both / (risk * at_reference)
        ratio_se = np.sqrt(np.maximum(relative, 0.0))
        difference_se = np.sqrt(np.maximum(own + base - 2 * both, 0.0))
        ratio_limits = ratio * np.exp(-q * ratio_se), ratio * np.exp(q * ratio_se)
    same = x == reference
    ratio_se, difference_se = np.where(same, 0.0, ratio_se), np.where(same, 0.0, difference_se)
    return StandardisedCurve(
        x=x,
        risk=risk,
        std_error=se,
        low=low / (1 + low),
        high=high / (1 + high),
        covariance=v[:k, :k],
        reference=reference,
        ratio=ratio,
        ratio_std_error=ratio_se,
        ratio_low=np.where(same, ratio, ratio_limits[0]),
        ratio_high=np.where(same, ratio, ratio_limits[1]),
        difference=risk - at_reference,
        difference_std_error=difference_se,
        difference_low=risk - at_reference - q * difference_se,
        difference_high=risk - at_reference + q * difference_se,
        risks=risks,
        warnings=risks.warnings,
    )
