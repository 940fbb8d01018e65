"""Every way to a risk ratio or difference by its name, and how `auto` chooses among them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from walkrisk.declarations import suggest
from walkrisk.doors import regression as by_coefficient
from walkrisk.doors.regression import Asking, curved, fit_by, regression
from walkrisk.doors.results import Estimates
from walkrisk.doors.standardised import MODELS, Standard, standardised
from walkrisk.doors.stratified import mantel_haenszel_rows
from walkrisk.doors.weighted import METHODS as WEIGHTED
from walkrisk.doors.weighted import Weighting, weighted
from walkrisk.errors import ModelFault, UsageFault
from walkrisk.models.design import Factor
from walkrisk.models.fit import Fit

RISK_RATIO = "risk_ratio"
RISK_DIFFERENCE = "risk_difference"
ODDS_RATIO = "odds_ratio"

MARGINAL = (*MODELS, "mantel_haenszel", *WEIGHTED)
RATIO_METHODS = (*(m for m, e in by_coefficient.ESTIMANDS.items() if e != RISK_DIFFERENCE), *MARGINAL)
DIFFERENCE_METHODS = (*(m for m, e in by_coefficient.ESTIMANDS.items() if e == RISK_DIFFERENCE), *MARGINAL)
FEW_EVENTS = 10  # per coefficient


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Options:
    """What some methods can be told beyond the question."""

    standard: Standard = field(default_factory=Standard)
    weighting: Weighting = field(default_factory=Weighting)
    correlation: str | None = None  # working correlation of estimating equations


def methods_for(estimand: str) -> tuple[str, ...]:
    """The methods that estimate risk ratios (and the odds ratio beside them), or risk differences."""
    return DIFFERENCE_METHODS if estimand == RISK_DIFFERENCE else RATIO_METHODS


def answer(asking: Asking, method: str, estimand: str, options: Options) -> Estimates:
    """Estimates of `estimand` by one method or `auto`. Raises UsageFault for a method that is none."""
    known = methods_for(estimand)
    if options.correlation is not None and method not in ("modified_poisson", "logistic"):
        raise UsageFault(f"`correlation` is for method modified_poisson or logistic, not for {method}.")
    if method == "auto":
        return _automatic(asking, estimand, options)
    if method not in known:
        raise UsageFault(
            f"There is no method {method!r} for a {estimand.replace('_', ' ')}{suggest(method, known) or '.'} "
            f"The choices are auto, {', '.join(known)}."
        )
    return _by(asking, method, estimand, options)


def _by(asking: Asking, method: str, estimand: str, options: Options, **more: Any) -> Estimates:
    if method in MODELS:
        return standardised(asking, method, options.standard, estimands=(estimand,), **more)
    if method in WEIGHTED:
        return weighted(asking, method, options.weighting, estimands=(estimand,), **more)
    if method == "mantel_haenszel":
        return mantel_haenszel_rows(asking, estimands=(estimand,), **more)
    return regression(asking, method, correlation=options.correlation, **more)


def _automatic(asking: Asking, estimand: str, options: Options) -> Estimates:
    """The regression whose model can hold, else standardisation after a logistic model, which always can.

    Risk ratios: modified Poisson if no fitted risk exceeds 1; else log-binomial if its maximum lies inside; else
    standardisation. Risk differences: identity-link binomial if its maximum lies inside; else standardisation.
    """
    tried: list[str] = []
    regressions: tuple[str, ...] = (
        ("modified_poisson", "log_binomial") if estimand == RISK_RATIO else ("identity_binomial",)
    )
    if options.standard.at:
        tried.append("`at` names values of the exposure, so risks at these are compared.")
        regressions = ()
    elif curved(asking.frame):
        tried.append("The exposure stands in a product or a power too, so no single coefficient is its ratio.")
        regressions = ()
    for method in regressions:
        try:
            fit = fit_by(method, asking.frame)
        except ModelFault as fault:
            tried.append(f"Tried {method}: {fault.faults[0]}")
            continue
        if fit.boundary:
            tried.append(f"Tried {method}: its maximum lies on the boundary, at fitted risks of 0 or 1.")
        elif method == "modified_poisson" and fit.max_fitted_risk > 1:
            tried.append(f"Tried {method}: fitted risks exceed 1 (largest {fit.max_fitted_risk:.3f}).")
        else:
            tried.append(f"Chose {method}: it converged with every fitted risk inside its range.{_few(fit)}")
            return regression(asking, method, fit=fit, tried=tuple(tried))
    tried.append(
        "Chose standardisation_logistic: its risks always lie between 0 and 1. Its ratios and differences are "
        "marginal, averaged over everyone's covariates."
    )
    quarters = _quarters(asking)
    if quarters and not options.standard.at:
        tried[-1] += f" The numeric exposure is compared at its quartiles, {quarters[1]:g} against {quarters[0]:g}."
        options = replace(options, standard=replace(options.standard, at=quarters))
    return _by(asking, "standardisation_logistic", estimand, options, tried=tuple(tried))


def _few(fit: Fit) -> str:
    per = fit.events / max(fit.parameters, 1)
    if per >= FEW_EVENTS:
        return ""
    return f" With {per:.1f} events a coefficient, Wald limits are too wide and miss on one side."


def _quarters(asking: Asking) -> tuple[float, ...]:
    """The quartiles of a numeric exposure that is not 0/1; nothing for categories."""
    exposure = asking.frame.exposure
    values = asking.frame.columns[exposure.name]
    if isinstance(exposure, Factor) or bool(np.isin(values, (0.0, 1.0)).all()):
        return ()
    low, high = np.percentile(values, [25, 75])
    return (float(low), float(high))
