"""Risk ratios and differences at a horizon of follow-up: Kaplan-Meier, Aalen-Johansen, Cox."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from walkrisk.doors.faults import as_faults, door
from walkrisk.doors.frames import Asked, Clusters, Data, Subset
from walkrisk.doors.ratios import asking as asking_of
from walkrisk.doors.reading import Reader
from walkrisk.doors.regression import with_levels
from walkrisk.doors.results import Estimates, estimates, fitted_model
from walkrisk.doors.standardised import risk_rows
from walkrisk.doors.terms import DeclaredTerm, MainTerm
from walkrisk.errors import DataFault, ModelFault, UsageFault
from walkrisk.estimates.counterfactuals import level_designs
from walkrisk.estimates.horizon import observed_risks, risk_limits, standardised_risks
from walkrisk.estimates.risk_influence import risk_covariance
from walkrisk.estimates.weighting import exposure_weights
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import Factor, build_design, variables_of
from walkrisk.models.propensity import fit_propensity

METHODS = ("kaplan_meier", "aalen_johansen", "cox")


@door
def risks_at_horizon(
    data: Data,
    *,
    time: str,
    event: str,
    horizon: float,
    exposure: str | MainTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    method: str = "cox",
    variance: str = "HC0",
    reference: Hashable = None,
    cluster: Clusters = None,
    weights: str | None = None,
    conf_level: float = 0.95,
    strata: str | None = None,
    psu: str | None = None,
    lonely: str = "fail",
    subset: Subset = None,
    limits: str | None = None,
) -> Estimates:
    """Risk by `horizon` in each level of an exposure, and risk ratios and differences.

    `time` is follow-up in the unit of `horizon`, `event` 1 for an event and 0 for its end (for `aalen_johansen` 2 is a
    competing event). `kaplan_meier` and `aalen_johansen` estimate within levels, with `covariates` under inverse
    probability weights of the exposure; `cox` standardises a Cox model (Breslow baseline) over the covariates. The
    variance is by each person's influence, so clusters and survey designs carry. Rows: risk (limits on the log(-log)
    scale), risk_ratio, risk_difference, odds_ratio and nnt by level; the other parameters are those of `risk_ratios`.
    Raises UsageFault, DataFault or ModelFault with every reason why there is no answer.

    >>> from walkrisk import example_cohort, risks_at_horizon
    >>> found = risks_at_horizon(
    ...     example_cohort(), time="time_years", event="event", horizon=3, exposure="sex", covariates=["age"]
    ... )
    >>> [r.level for r in found.rows if r.estimand == "risk"]
    ['female', 'male']

    References: Kaplan & Meier 1958 doi 10.1080/01621459.1958.10501452; Aalen & Johansen 1978
    https://www.jstor.org/stable/4615704; Gail & Byar 1986 doi 10.1002/bimj.4710280508.
    """
    if method not in METHODS:
        raise UsageFault(f"`method` must be one of {', '.join(METHODS)}, got {method!r}.")
    if not 0 < horizon < float("inf"):
        raise UsageFault(f"`horizon` must be a positive time, got {horizon}.")
    if variance not in ("HC0", "stata", "cluster", "survey"):
        raise UsageFault(f"`variance` at a horizon is HC0, stata, cluster or survey, got {variance!r}.")
    frame_data = _with_outcome(data, event)
    asked = Asked(
        outcome=OUTCOME,
        exposure=exposure,
        covariates=covariates,
        reference=reference,
        weights=weights,
        cluster=cluster,
        strata=strata,
        psu=psu,
        subset=subset,
        extra=(time, event),
    )
    question = with_levels(
        asking_of(frame_data, asked, variance=variance, limits=limits, conf_level=conf_level, lonely=lonely)
    )
    frame, choice = question.frame, question.choice
    factor = frame.exposure
    assert isinstance(factor, Factor)
    codes = np.searchsorted(factor.levels, frame.columns[factor.name]).astype(np.intp)
    times, events = frame.extra[time], frame.extra[event]
    if method != "aalen_johansen" and not np.isin(events, (0.0, 1.0)).all():
        raise DataFault(f"The event {event} must be 0 or 1 for {method}; competing events need aalen_johansen.")
    model = None
    with as_faults():
        if method == "cox":
            fit = fit_cox(frame.design(), times, events, weights=frame.weights)
            if not fit.converged:
                raise ModelFault(fit.warnings or "The Cox model gives no estimate.")
            designs = list(level_designs(frame.columns, frame.terms(), frame.n, factor).values())
            found = standardised_risks(
                fit, times, events, codes, factor.labels, designs, horizon=horizon, weights=frame.weights
            )
            model = fitted_model(fit, choice.name, choice.covariance(fit))
        else:
            adjust = None
            if frame.covariates:
                own = [term for term in frame.covariates if factor.name not in variables_of(term)]
                design = build_design(frame.columns, own, frame.n)
                propensity = fit_propensity(design, frame.columns[factor.name], factor, weights=frame.weights)
                adjust = exposure_weights(propensity, weights=frame.weights)
            found = observed_risks(
                times, events, codes, factor.labels, horizon=horizon, weights=adjust, sampling=frame.weights
            )
        matrix = risk_covariance(found.influence, choice.name, cluster=choice.cluster, design=choice.survey)
    errors = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    ends = np.column_stack(risk_limits(found.risks, errors, conf_level=conf_level))
    rows = []
    for row in risk_rows(question, found.method, factor.labels, found.risks, matrix, df=choice.groups_df()):
        i = factor.labels.index(row.level)
        row = replace(row, n=int(found.n[i]), events=int(found.events[i]))
        if row.estimand == "risk" and np.isfinite(ends[i]).all() and choice.limits == "normal":
            row = replace(row, conf_low=float(ends[i, 0]), conf_high=float(ends[i, 1]))
        rows.append(row)
    return estimates(rows, fit=model, said=[*question.said(), *found.warnings], details={"risk_covariance": matrix})


OUTCOME = "event by the end of follow-up"


def _with_outcome(data: Data, event: str) -> Data:
    """The data with the 0/1 outcome that the frame checks: any event of the cause. Faults are left to the frame."""
    if not isinstance(data, (pd.DataFrame, Mapping)) or event not in data:
        return data
    n = len(data) if isinstance(data, pd.DataFrame) else int(np.size(data[event]))
    values = Reader(data, n).column(event, "event")
    outcome = np.where(np.isnan(values), np.nan, values == 1)
    if isinstance(data, pd.DataFrame):
        return data.assign(**{OUTCOME: outcome})
    return {**data, OUTCOME: outcome}
