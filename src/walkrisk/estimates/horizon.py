"""Risks at a horizon of follow-up by level of an exposure: Kaplan-Meier, Aalen-Johansen, Cox; and their contrasts.

Limits of a risk F are those of log(-log(1 - F)), so they stay within 0 to 1; those of a ratio are on the log scale. The
variance is that of the infinitesimal jackknife (Greenwood's, for Kaplan-Meier without weights), so clusters, survey
designs and the estimation of weights carry through. References are in `models.survival`, and
Cole & Hernan 2004 doi 10.1016/j.cmpb.2003.10.004 for adjusted curves by weighting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import critical_value
from walkrisk.estimates.weighting import Weights, with_weights_estimated
from walkrisk.models.design import Design
from walkrisk.models.fit import Fit
from walkrisk.models.survival import checked_follow_up, cox_risks, group_risk

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HorizonRisks:
    """Risks (K,) by a horizon in each level, and each person's influence (n, K) on them.

    `n`, `events` (of the cause, by the horizon), `competing` and `at_risk` (followed to the horizon without event) are
    counts (K,) of people. `model_covariance` (K, K) is that of a Cox model, None otherwise. A risk that follow-up does
    not determine is NaN, as is the influence of a level without events or in which everyone has one.
    """

    levels: tuple[str, ...]
    method: str
    horizon: float
    risks: FloatArray
    influence: FloatArray
    model_covariance: FloatArray | None
    n: IntArray
    events: IntArray
    competing: IntArray
    at_risk: IntArray
    warnings: tuple[str, ...]


def observed_risks(
    time: FloatArray,
    event: FloatArray,
    levels: IntArray,
    labels: Sequence[str],
    *,
    horizon: float,
    cause: int = 1,
    weights: Weights | None = None,
    sampling: FloatArray | None = None,
) -> HorizonRisks:
    """Kaplan-Meier (events 0/1) or Aalen-Johansen (other codes compete with `cause`) risk of each level by `horizon`.

    `levels` (n,) are 0 .. K-1. With `weights` of the exposure the risks are adjusted, and the influence accounts for
    their estimation; `sampling` (n,) multiplies them.

    Raises ValueError for impossible times, events, weights, or a level without people.
    """
    checked_follow_up(time, event, horizon)
    w = (np.ones(len(time)) if weights is None else weights.values) * (1.0 if sampling is None else sampling)
    k, competing = len(labels), bool(((event > 0) & (event != cause)).any())
    n = np.bincount(levels[w > 0], minlength=k)
    if (n == 0).any():
        raise ValueError(f"Nobody has {labels[int(np.argmin(n))]}; leave that level out.")
    influence, groups = np.zeros((len(time), k)), []
    for level in range(k):
        at = np.flatnonzero(levels == level)
        made = group_risk(time[at], event[at], horizon, cause=cause, weights=w[at])
        influence[at, level] = made.influence
        groups.append(made)
    if weights is not None:
        influence = with_weights_estimated(influence, weights)
    risks, counts = np.array([g.risk for g in groups]), np.array([[g.events, g.competing, g.at_risk] for g in groups])
    said = [
        f"Nobody of {label} was followed to {horizon:g} without an event: its risk by then is not known."
        for label, g in zip(labels, groups, strict=True)
        if not g.determined
    ]
    return _result(
        "aalen_johansen" if competing else "kaplan_meier",
        labels,
        horizon,
        risks,
        influence,
        None,
        (n, counts),
        [*(weights.warnings if weights else ()), *said],
    )


def standardised_risks(
    fit: Fit,
    time: FloatArray,
    event: FloatArray,
    levels: IntArray,
    labels: Sequence[str],
    designs: Sequence[Design],
    *,
    horizon: float,
    weights: FloatArray | None = None,
    population: FloatArray | None = None,
) -> HorizonRisks:
    """Risks by `horizon` standardised by a Cox fit to `time`, `event` (n,), one counterfactual design for each level.

    `weights` (n,) are those of the fit; `population` (n,) marks whom the risks are averaged over, if not everyone.

    Raises ValueError as `cox_risks`.
    """
    made = cox_risks(fit, time, event, designs, horizon, weights=weights, population=population)
    w = np.ones(len(time)) if weights is None else weights
    k, by = len(labels), time <= horizon
    n = np.bincount(levels[w > 0], minlength=k)
    events = np.bincount(levels[(w > 0) & by & (event == 1)], minlength=k)
    at_risk = np.bincount(levels[(w > 0) & (time >= horizon) & ~(by & (event == 1))], minlength=k)
    counts = np.column_stack([events, np.zeros(k, dtype=np.intp), at_risk])
    return _result(
        "cox", labels, horizon, made.risks, made.influence, made.model_covariance, (n, counts), list(fit.warnings)
    )


def risk_limits(
    risks: FloatArray, std_errors: FloatArray, *, conf_level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Limits (K,), (K,) of risks F on the log(-log(1 - F)) scale: 1 - (1 - F)^exp(-+ z s), s = se / ((1-F) |log(1-F)|).

    NaN for a risk of 0 or 1. Kalbfleisch & Prentice 2002 (ISBN 047136357X), as survfit's conf.type = "log-log".
    """
    z = critical_value(conf_level)
    with np.errstate(all="ignore"):
        survival = np.log1p(-risks)
        spread = z * std_errors / ((1 - risks) * np.abs(survival))
        low, high = -np.expm1(survival * np.exp(-spread)), -np.expm1(survival * np.exp(spread))
    inside = (risks > 0) & (risks < 1) & np.isfinite(std_errors)
    return np.where(inside, low, np.nan), np.where(inside, high, np.nan)


def _result(
    method: str,
    labels: Sequence[str],
    horizon: float,
    risks: FloatArray,
    influence: FloatArray,
    model: FloatArray | None,
    people: tuple[IntArray, IntArray],
    said: list[str],
) -> HorizonRisks:
    n, counts = people
    none, certain = risks == 0, risks >= 1
    said += [
        f"{labels[k]} has no events by {horizon:g}: no risk ratio and no interval."
        for k in np.flatnonzero(none).tolist()
    ]
    said += [
        f"Everyone of {labels[k]} has the event by {horizon:g}: no interval." for k in np.flatnonzero(certain).tolist()
    ]
    unknown = none | certain | np.isnan(risks)
    if model is not None:
        model = np.where(unknown[:, None] | unknown[None, :], np.nan, model)
    return HorizonRisks(
        levels=tuple(labels),
        method=method,
        horizon=horizon,
        risks=risks,
        influence=np.where(unknown, np.nan, influence),
        model_covariance=model,
        n=n,
        events=counts[:, 0],
        competing=counts[:, 1],
        at_risk=counts[:, 2],
        warnings=tuple(said),
    )
