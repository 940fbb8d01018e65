"""How strong an unmeasured confounder would have to be, set beside measured ones.

With B = ab/(a + b - 1) the bias factor of a confounder that is related to exposure by a ratio a, to the outcome by b:

    E-value of a curve                 each point and each limit that is nearer to 1 by itself
    observed-covariate E-value         B + sqrt(B(B - 1)), B = max(r/r', r'/r), r with and r' without a covariate
    contour of the adjusted ratio t    the (a, b) with B = max(r/t, t/r): b = B(a - 1)/(a - B), a > B
    array                              r (g p0 + 1 - p0)/(g p1 + 1 - p1), g = ratio of confounder and outcome

a is the largest ratio, over the values u of the confounder, of P(u | exposed) and P(u | reference) (the other way round
for a ratio below 1), b the largest ratio of the risks at two values of u within a level of the exposure.

References: Ding & VanderWeele 2016, doi 10.1097/EDE.0000000000000457; VanderWeele & Ding 2017, doi 10.7326/M16-2607;
D'Agostino McGowan & Greevy 2020, doi 10.48550/arXiv.2011.07030 (observed-covariate E-values, as in the R package tipr);
Schneeweiss 2006, doi 10.1002/pds.1200 (array); Bross 1966, doi 10.1016/0021-9681(66)90062-2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.sensitivity.evalue import RATIOS, evalue, risk_ratio_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

RARE_BELOW = 0.15  # share with the outcome below which odds and hazard ratios are taken for risk ratios


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EValueCurve:
    """E-values (n,) of the points of a curve and of their limits nearer to 1; NaN where the curve has no value."""

    point: FloatArray
    limit: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCovariate:
    """What leaving a measured covariate out does: the bias factor it stands for and its E-value, point and limit.

    `log_shift` is log(without/with). Limit values are NaN where the interval with all covariates holds 1.
    """

    log_shift: float
    bias_factor: float
    e_value: float
    bias_factor_limit: float
    e_value_limit: float


def is_rare(events: float, n: float) -> bool:
    """Whether fewer than 15 per cent have the outcome, so that odds and hazard ratios stand for risk ratios."""
    return events < RARE_BELOW * n


def evalue_curve(
    estimate: FloatArray, low: FloatArray, high: FloatArray, *, measure: str = "RR", rare: bool | None = None
) -> EValueCurve:
    """E-values of a whole dose-response curve (n,) with its limits (n,), as `evalue` gives them one by one.

    `measure` is RR, OR or HR. Raises ValueError as `evalue` does, and for another measure.
    """
    if measure not in RATIOS:
        raise ValueError(f"A curve has E-values as {', '.join(RATIOS)}, not as {measure!r}.")
    point, limit = np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
    for i, (r, a, b) in enumerate(zip(estimate, low, high, strict=True)):
        if np.isfinite([r, a, b]).all():
            made = evalue(float(r), float(min(a, r)), float(max(b, r)), measure=measure, rare=rare)
            point[i], limit[i] = made.point, made.limit
    return EValueCurve(point=point, limit=limit)


def observed_covariate(
    with_all: tuple[float, float, float],
    without: tuple[float, float, float],
    *,
    measure: str = "RR",
    rare: bool | None = None,
) -> ObservedCovariate:
    """The E-value of a measured covariate, from ratio and limits with all covariates and without this one.

    The limit compared is the one nearer to 1 with all covariates, and the same one without it. `measure` is RR, OR or
    HR, as in `evalue`. Raises ValueError for ratios that are not positive.
    """
    if min(*with_all, *without) <= 0:
        raise ValueError("An observed-covariate E-value needs positive ratios with their limits.")
    full, less = ([risk_ratio_of(v, measure, rare=rare) for v in each] for each in (with_all, without))
    side = 1 if with_all[1] > 1 else 2 if with_all[2] < 1 else 0
    factor = _apart(full[0], less[0])
    at_limit = _apart(full[side], less[side]) if side else math.nan
    return ObservedCovariate(
        log_shift=math.log(without[0] / with_all[0]),
        bias_factor=factor,
        e_value=_size(factor),
        bias_factor_limit=at_limit,
        e_value_limit=_size(at_limit) if side else math.nan,
    )


def exposure_association(
    codes: IntArray, exposed: BoolArray, reference: BoolArray, *, inverse: bool, weights: FloatArray | None = None
) -> tuple[float, int]:
    """The largest prevalence ratio of a covariate's categories between two exposure groups, and its category.

    `codes` (n,) are category numbers from 0; `inverse` takes reference over exposed, as for a ratio below 1. Infinite
    if a category is met in one of the groups alone. Raises ValueError for an empty group.
    """
    w = np.ones(len(codes)) if weights is None else weights
    if not (w[exposed].sum() > 0 and w[reference].sum() > 0):
        raise ValueError("Prevalences need people in both exposure groups.")
    size = int(codes.max()) + 1
    shares = [np.bincount(codes[g], weights=w[g], minlength=size) / w[g].sum() for g in (exposed, reference)]
    above, below = (shares[1], shares[0]) if inverse else (shares[0], shares[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(above > 0, above / below, 0.0)
    return float(ratios.max()), int(ratios.argmax())


def outcome_association(log_ratios: FloatArray) -> float:
    """The largest ratio of risks between two categories of a covariate, from log ratios (k,) against the first one."""
    every = np.append(0.0, log_ratios[np.isfinite(log_ratios)])
    return math.exp(float(every.max() - every.min()))


def fifths(values: FloatArray, parts: int = 5, *, weights: FloatArray | None = None) -> IntArray:
    """Category numbers (n,) from 0 of a continuous covariate cut into `parts` of about equal size.

    Cut at the sample quantiles (of the weighted distribution if weighted); equal cut points make fewer parts.
    """
    at = np.arange(1, parts) / parts
    if weights is None:
        cuts = np.quantile(values, at)
    else:
        order = np.argsort(values, kind="stable")
        share = np.cumsum(weights[order]) / weights.sum()
        cuts = values[order][np.minimum(np.searchsorted(share, at), len(values) - 1)]
    codes = np.searchsorted(np.unique(cuts), values, side="left")
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.intp)


def contour(ratio: float, target: float, x: FloatArray) -> FloatArray:
    """The association with the outcome (n,) that together with x (n,), that with the exposure, moves ratio to target.

    NaN where x is not larger than the bias factor, which no association with the outcome reaches. Raises ValueError
    for ratios that are not positive.
    """
    if not (ratio > 0 and target > 0):
        raise ValueError("A contour needs positive ratios.")
    factor = _apart(ratio, target)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(x > factor, factor * (x - 1) / (x - factor), np.nan))


def array_approach(
    ratio: float,
    association: npt.ArrayLike,
    prevalence_exposed: npt.ArrayLike,
    prevalence_reference: npt.ArrayLike,
    *,
    risks: tuple[float, float] | None = None,
) -> FloatArray:
    """The ratio adjusted for a binary confounder, for arrays of its parameters, broadcast against each other.

    `risks` are those of exposed and reference people: combinations that would need a risk above 1 among people with or
    without the confounder are NaN. Raises ValueError for prevalences outside 0 to 1 and ratios that are not positive.
    """
    g, p1, p0 = np.broadcast_arrays(
        *(np.asarray(v, float) for v in (association, prevalence_exposed, prevalence_reference))
    )
    if not (ratio > 0 and (g > 0).all()):
        raise ValueError("The association of a confounder with the outcome and the ratio itself must be positive.")
    if min(p1.min(), p0.min()) < 0 or max(p1.max(), p0.max()) > 1:
        raise ValueError("The prevalences of a confounder lie between 0 and 1.")
    mixed1, mixed0 = g * p1 + 1 - p1, g * p0 + 1 - p0
    adjusted = ratio * mixed0 / mixed1
    if risks is not None:
        adjusted = np.where(possible_risks(g, p1, risks[0]) & possible_risks(g, p0, risks[1]), adjusted, np.nan)
    return np.asarray(adjusted, dtype=np.float64)


def possible_risks(association: FloatArray, prevalence: FloatArray, risk: npt.ArrayLike) -> BoolArray:
    """Whether no group would have a risk above 1: of risk r, r g/(g p + 1 - p) with the confounder, r/(...) without.

    A group that nobody is in may have any.
    """
    mixed = association * prevalence + 1 - prevalence
    with_it, without_it = association * np.asarray(risk) / mixed, np.asarray(risk) / mixed
    return np.asarray(((with_it <= 1) | (prevalence == 0)) & ((without_it <= 1) | (prevalence == 1)))


def _apart(a: float, b: float) -> float:
    return max(a / b, b / a)


def _size(factor: float) -> float:
    return evalue(factor).point
