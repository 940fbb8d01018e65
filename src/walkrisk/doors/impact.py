"""What an exposure means for a population: attributable and prevented fractions, as rows."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.doors.faults import as_faults, door
from walkrisk.doors.frames import Asked, Clusters, Data, Subset
from walkrisk.doors.ratios import asking as asking_of
from walkrisk.doors.regression import Asking, fit_by, level_counts, refuse_curved, with_levels
from walkrisk.doors.results import Estimates, estimates, fitted_model
from walkrisk.doors.terms import DeclaredTerm, MainTerm
from walkrisk.errors import UsageFault
from walkrisk.estimates.attributable import TOTAL, Fractions, case_based_fraction, levin_fraction, standardised_fraction
from walkrisk.estimates.counterfactuals import counterfactual_design
from walkrisk.estimates.population_impact import fraction_covariance, fraction_intervals, prevented
from walkrisk.estimates.risk_contrasts import Quantity
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]

FORMULAS = ("standardised", "miettinen", "levin")
METHODS = ("logistic", "modified_poisson", "log_binomial")


@door
def attributable_fractions(
    data: Data,
    *,
    outcome: str,
    exposure: str | MainTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    formula: str = "standardised",
    method: str | None = None,
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
    transform: str = "complementary_log",
) -> Estimates:
    """The fraction of cases that would not have been, had everyone been at the reference level of an exposure.

    `formula`: `standardised` (g-computation after a logistic model), `miettinen` (from the exposure of cases and the
    model's risk ratios, Miettinen and Bruzzi; modified Poisson) or `levin` (from the exposure of everyone; biased with
    adjusted ratios). `method` names another model. Rows: `paf` for each level of the exposure (its part) and `total`,
    with limits on the scale of `transform` (complementary_log, identity, log, logit); where the total is below 0 the
    exposure prevents cases, and `details["prevented"]` has the prevented fraction. Raises UsageFault, DataFault or
    ModelFault with every reason why there is no answer.

    >>> from walkrisk import attributable_fractions, example_cohort
    >>> found = attributable_fractions(example_cohort(), outcome="event", exposure="smoking", covariates=["age", "sex"])
    >>> found.rows[-1].level
    'total'

    References: Miettinen 1974, Am J Epidemiol 99:325-332; Bruzzi et al. 1985
    doi 10.1093/oxfordjournals.aje.a114174; Greenland & Drescher 1993 doi 10.2307/2532206; Sjolander & Vansteelandt
    2011, Biostatistics 12:112-121.
    """
    if formula not in FORMULAS:
        raise UsageFault(f"`formula` must be one of {', '.join(FORMULAS)}, got {formula!r}.")
    model = method or ("logistic" if formula == "standardised" else "modified_poisson")
    if model not in METHODS:
        raise UsageFault(f"`method` must be one of {', '.join(METHODS)}, got {model!r}.")
    asked = Asked(
        outcome=outcome,
        exposure=exposure,
        covariates=covariates,
        reference=reference,
        weights=weights,
        cluster=cluster,
        strata=strata,
        psu=psu,
        subset=subset,
    )
    question = with_levels(
        asking_of(data, asked, variance=variance, limits=limits, conf_level=conf_level, lonely=lonely)
    )
    if formula == "levin":
        refuse_curved(question.frame)
    fit = fit_by(model, question.frame)
    choice = question.choice
    with as_faults():
        fractions = _fractions(question, fit, formula)
        matrix = fraction_covariance(fractions, fit, choice.name, cluster=choice.cluster, design=choice.survey)
        df = choice.df(fit)
        found = fraction_intervals(
            fractions, matrix, transform=transform, conf_level=conf_level, df=None if math.isinf(df) else df
        )
    total = found[-1]
    details = {"cases": fractions.events, "prevented": prevented(total) if total.estimate < 0 else None}
    return estimates(
        _rows(question, f"{formula}_{model}", fractions, found),
        fit=fitted_model(fit, choice.name, choice.covariance(fit)),
        said=[*question.said(), *fractions.warnings],
        details=details,
    )


def _fractions(question: Asking, fit: Fit, formula: str) -> Fractions:
    frame = question.frame
    exposure = frame.exposure
    assert isinstance(exposure, Factor)
    number = np.searchsorted(exposure.levels, frame.columns[exposure.name]).astype(np.intp)
    if formula == "levin":
        exposed = number[:, None] == np.arange(1, len(exposure.levels))
        columns = fit.design.columns_of[exposure]
        return levin_fraction(fit, columns, exposed, exposure.labels[1:], y=frame.y, weights=frame.weights)
    unexposed = counterfactual_design(frame.columns, frame.terms(), frame.n, {exposure.name: float(exposure.levels[0])})
    by = standardised_fraction if formula == "standardised" else case_based_fraction
    return by(fit, unexposed, y=frame.y, weights=frame.weights, categories=number, labels=exposure.labels)


def _rows(question: Asking, method: str, fractions: Fractions, found: Sequence[Quantity]) -> list[Estimate]:
    exposure = question.frame.exposure
    assert isinstance(exposure, Factor)
    counts = {c.label: c for c in level_counts(question.frame)}
    rows = []
    for level, q in zip(fractions.levels, found, strict=True):
        row = replace(question.row("paf", method), level=level, reference=exposure.labels[0])
        if level == TOTAL:
            row = replace(row, n=question.frame.n, events=int(question.frame.y.sum()))
        elif level in counts:
            row = replace(row, n=counts[level].n, events=counts[level].events)
        if level == exposure.labels[0]:
            continue  # by definition 0
        if math.isfinite(q.estimate):
            row = replace(
                row,
                estimate=q.estimate,
                std_error=_known(q.std_error),
                conf_low=_known(q.conf_low),
                conf_high=_known(q.conf_high),
                p_value=_known(q.p_value),
            )
        rows.append(row)
    return rows


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
