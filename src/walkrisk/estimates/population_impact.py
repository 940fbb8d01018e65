"""Limits of attributable fractions under any variance, prevented fractions, and the cases behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.attributable import Fractions, people_of, standardised_fraction
from walkrisk.estimates.contrasts import quantile_of
from walkrisk.estimates.risk_contrasts import NAN, Quantity, logit_limits, p_of, standard_errors
from walkrisk.estimates.standardisation import fit_weights
from walkrisk.models.covariance import SurveyDesign, covariance, influence, influence_covariance
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]

TRANSFORMS = ("complementary_log", "identity", "log", "logit")


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsoluteImpact:
    """Risks per person and cases in the population: as observed, without the exposure, and their difference."""

    observed: Quantity
    counterfactual: Quantity
    difference: Quantity
    cases_observed: float
    cases_attributable: Quantity


def fraction_covariance(
    fractions: Fractions,
    fit: Fit,
    variance: str,
    *,
    cluster: npt.NDArray[Any] | None = None,
    design: SurveyDesign | None = None,
) -> FloatArray:
    """Covariance (K, K) of fractions under any variance choice, joint in the coefficients, the cases and the exposure.

    It is that of the summed influences phi_i + dAF/db' psi_i. Under `model` the part through the coefficients is model
    based, and its covariance with phi, which holds the outcome too, is that of the sums. NaN where a fraction is not
    estimable or the fit lies on its boundary.
    """
    count = len(fractions.levels)
    if not fit.wald or not np.isfinite(fractions.values).all():
        return np.full((count, count), np.nan)
    if variance.startswith("model"):
        return _model_based(fractions, fit, variance)
    phi = fractions.phi + influence(fit, variance, cluster=cluster) @ fractions.gradients.T
    return np.asarray(
        influence_covariance(phi, fit, variance, cluster=cluster, design=design, gradient=fractions.gradients)
    )


def _model_based(fractions: Fractions, fit: Fit, variance: str) -> FloatArray:
    through = influence(fit, variance) @ fractions.gradients.T
    cross = fractions.phi.T @ through
    own = fractions.gradients @ covariance(fit, variance) @ fractions.gradients.T
    return np.asarray(fractions.phi.T @ fractions.phi + cross + cross.T + own)


def fraction_intervals(
    fractions: Fractions,
    covariance_of_fractions: FloatArray,
    *,
    transform: str = "complementary_log",
    conf_level: float = 0.95,
    df: float | None = None,
) -> tuple[Quantity, ...]:
    """Each fraction with its interval on a scale: log(1 - AF) (`complementary_log`), AF, log AF or logit AF.

    The default holds for fractions below 0 too (more cases without the exposure); `log` and `logit` need an AF above 0
    (and below 1) and have no limits otherwise. `std_error` is that of AF itself; the P value of AF = 0 is on the scale
    of the limits for `complementary_log`, so that it agrees with them, and AF / SE otherwise (0 is at infinity on the
    scales of `log` and `logit`).
    """
    if transform not in TRANSFORMS:
        raise ValueError(f"There is no transform '{transform}'; choose among {', '.join(TRANSFORMS)}.")
    z = quantile_of(conf_level, df)
    errors = standard_errors(covariance_of_fractions)
    return tuple(
        _fraction(value, error, transform, z, df)
        for value, error in zip(fractions.values.tolist(), errors.tolist(), strict=True)
    )


def _fraction(value: float, error: float, transform: str, z: float, df: float | None) -> Quantity:
    if not math.isfinite(value):
        return Quantity()
    low, high = NAN, NAN
    half = z * error
    if transform == "identity":
        low, high = value - half, value + half
    elif transform == "complementary_log" and value < 1:
        low, high = (1 - (1 - value) * math.exp(sign * half / (1 - value)) for sign in (1, -1))
    elif transform == "log" and value > 0:
        low, high = (value * math.exp(sign * half / value) for sign in (-1, 1))
    elif transform == "logit" and 0 < value < 1:
        low, high = logit_limits(value, half)
    p = NAN
    if error > 0:
        on_scale = transform == "complementary_log" and value < 1
        p = p_of(-math.log1p(-value) * (1 - value) / error if on_scale else value / error, df)
    return Quantity(estimate=value, std_error=error, conf_low=low, conf_high=high, p_value=p)


def prevented(fraction: Quantity) -> Quantity:
    """The prevented fraction of a protective exposure, from the attributable fraction AF < 0 of the same contrast.

    PF = 1 - P/m0 = -AF / (1 - AF): of the cases there would have been without the exposure, the share that it
    prevented. SE(PF) = SE(AF) / (1 - AF)^2; the map is decreasing, so the limits of AF change places.
    """
    if not math.isfinite(fraction.estimate) or fraction.estimate >= 1:
        return Quantity()
    error = fraction.std_error / (1 - fraction.estimate) ** 2
    value = _prevented(fraction.estimate)
    return replace(
        fraction,
        estimate=value,
        std_error=error,
        conf_low=_prevented(fraction.conf_high),
        conf_high=_prevented(fraction.conf_low),
        p_value=fraction.p_value,
    )


def _prevented(af: float) -> float:
    return -af / (1 - af) if af < 1 else NAN


def absolute_impact(
    fit: Fit,
    unexposed: Design,
    variance: str,
    *,
    y: FloatArray,
    weights: FloatArray | None = None,
    population: npt.NDArray[np.generic] | None = None,
    cluster: npt.NDArray[Any] | None = None,
    design: SurveyDesign | None = None,
    conf_level: float = 0.95,
    df: float | None = None,
) -> AbsoluteImpact:
    """Observed and counterfactual risk, the population attributable risk P - m0, and cases attributable to exposure.

    Cases attributable are sum(v) (P - m0), in as many people as the population weighs, whose number is taken as known.
    """
    fraction = standardised_fraction(fit, unexposed, y=y, weights=weights, population=population)
    w = fit_weights(fit, weights)
    v = people_of(w, population)
    z, total = quantile_of(conf_level, df), float(v.sum())
    p = fraction.events / total
    m0 = p * (1 - float(fraction.values[-1]))
    own = (v * (y - p) / total)[:, None]
    phi = np.hstack([own, fraction.phi[:, [-1]] * p + own * fraction.values[-1]])
    gradients = np.vstack([np.zeros(fit.parameters), fraction.gradients[-1] * p])
    both = Fractions(
        levels=("observed", "attributable"),
        values=np.array([p, p - m0]),
        phi=phi,
        gradients=gradients,
        events=fraction.events,
    )
    s = fraction_covariance(both, fit, variance, cluster=cluster, design=design)
    observed, attributable = (
        _fraction(value, math.sqrt(s[k, k]), "identity", z, df) for k, value in enumerate(both.values.tolist())
    )
    m0_error = math.sqrt(max(s[0, 0] + s[1, 1] - 2 * s[0, 1], 0.0))
    return AbsoluteImpact(
        observed=replace(observed, p_value=NAN),
        counterfactual=replace(_fraction(m0, m0_error, "identity", z, df), p_value=NAN),
        difference=attributable,
        cases_observed=fraction.events,
        cases_attributable=_times(attributable, total),
    )


def _times(quantity: Quantity, factor: float) -> Quantity:
    return Quantity(
        estimate=quantity.estimate * factor,
        std_error=quantity.std_error * factor,
        conf_low=quantity.conf_low * factor,
        conf_high=quantity.conf_high * factor,
        p_value=quantity.p_value,
    )
