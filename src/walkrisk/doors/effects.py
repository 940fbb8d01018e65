"""Effect modification and joint effects of two exposures, on both scales, from one model."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.doors.faults import as_faults, door
from walkrisk.doors.frames import Asked, Clusters, Data, Subset
from walkrisk.doors.ratios import asking as asking_of
from walkrisk.doors.regression import Asking, fit_by
from walkrisk.doors.results import Estimates, estimates, fitted_model, with_t_limits
from walkrisk.doors.terms import CategoriesTerm, DeclaredTerm, ProductTerm
from walkrisk.errors import UsageFault
from walkrisk.estimates.additive_interaction import AdditiveInteraction, with_recoding
from walkrisk.estimates.interaction import (
    Effect,
    joint_table,
    likelihood_ratio,
    multiplicative_interaction,
    stratum_effects,
    wald,
)
from walkrisk.estimates.joint_effects import JointEffects, joint_counts, joint_effects
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.two_by_two import Interval
from walkrisk.models.design import Factor, Product, Term, build_design
from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]

METHODS = ("modified_poisson", "log_binomial", "logistic")


@door
def interaction(
    data: Data,
    *,
    outcome: str,
    exposure: str | CategoriesTerm,
    modifier: str | CategoriesTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    method: str = "modified_poisson",
    variance: str = "HC0",
    reference: Hashable = None,
    modifier_reference: Hashable = None,
    cluster: Clusters = None,
    weights: str | None = None,
    conf_level: float = 0.95,
    strata: str | None = None,
    psu: str | None = None,
    lonely: str = "fail",
    subset: Subset = None,
    limits: str | None = None,
    replicates: int = 2000,
    seed: int = 1,
) -> Estimates:
    """Joint effects, ratios within strata, and interaction on the multiplicative and the additive scale.

    One model with exposure, modifier, their product and the covariates. Both are factors (a 0/1 number is one); use
    `categories` for others. Rows, with `level` exposure/modifier:

    risk_ratio without stratum: the joint groups against both references; with stratum `modifier=level`: the exposure
    within that level; with stratum `exposure=level`: the modifier within that; with stratum `interaction`: the ratio of
    ratios. reri, ap, synergy: delta limits, and with `method` ending in `mover` those by MOVER. If an exposure is
    preventive, the same again with the joint group of lowest risk as reference (stratum `recoded`). p_interaction:
    likelihood-ratio and Wald tests of the product.

    `exposure` and `modifier` are columns or `categories(...)`; the other parameters are those of `risk_ratios`. Raises
    UsageFault, DataFault or ModelFault with every reason why there is no answer.

    With `method="logistic"` ratios are odds ratios and RERI is an approximation for rare outcomes, which is said.

    >>> from walkrisk import example_cohort, interaction
    >>> found = interaction(example_cohort(), outcome="event", exposure="smoking", modifier="sex", covariates=["age"])
    >>> [r.level for r in found.rows if r.estimand == "reri" and not r.stratum][:1]
    ['former/male']

    References: Knol & VanderWeele 2012 doi 10.1093/ije/dyr218; Hosmer & Lemeshow 1992
    doi 10.1097/00001648-199209000-00012; Zou 2008 doi 10.1093/aje/kwn104; Knol et al. 2011
    doi 10.1007/s10654-011-9554-9.
    """
    if method not in METHODS:
        raise UsageFault(f"`method` of an interaction must be one of {', '.join(METHODS)}, got {method!r}.")
    first, second = _categorical(exposure), _categorical(modifier)
    if modifier_reference is not None:
        second = replace(second, reference=modifier_reference)
    asked = Asked(
        outcome=outcome,
        exposure=first,
        covariates=[second, ProductTerm(replace(first, reference=None), replace(second, reference=None)), *covariates],
        reference=reference,
        weights=weights,
        cluster=cluster,
        strata=strata,
        psu=psu,
        subset=subset,
    )
    question = asking_of(
        data,
        asked,
        variance=variance,
        limits=limits,
        conf_level=conf_level,
        lonely=lonely,
        replicates=replicates,
        seed=seed,
    )
    with as_faults():
        return joint_estimates(question, method)


def _categorical(term: str | CategoriesTerm) -> CategoriesTerm:
    return CategoriesTerm(term) if isinstance(term, str) else term


def joint_estimates(question: Asking, method: str) -> Estimates:
    """Rows of a question whose first covariate is the modifier and whose second is the product with the exposure."""
    frame = question.frame
    exposure, modifier, product = frame.exposure, frame.covariates[0], frame.covariates[1]
    if not (isinstance(exposure, Factor) and isinstance(modifier, Factor) and isinstance(product, Product)):
        raise UsageFault("Exposure and modifier must be categories.")
    product = Product(exposure, modifier)
    terms: list[Term] = [exposure, modifier, product, *frame.covariates[2:]]
    fit = fit_by(method, frame, build_design(frame.columns, terms, frame.n))
    without = fit_by(method, frame, build_design(frame.columns, [t for t in terms if t != product], frame.n))
    v = question.choice.covariance(fit)
    n, events = joint_counts(
        frame.columns[exposure.name],
        frame.columns[modifier.name],
        frame.y,
        first_levels=exposure.levels,
        second_levels=modifier.levels,
    )
    joint = joint_effects(fit, exposure, modifier, v, n=n, events=events)
    made = with_recoding(joint, conf_level=question.conf_level)
    df = question.choice.df(fit)
    rows = [
        *_ratio_rows(question, method, joint),
        *(row for a in made.declared for row in _additive_rows(question, method, a, "")),
        *(row for a in made.recoded or () for row in _additive_rows(question, method, a, "recoded")),
    ]
    rows = [
        *(with_t_limits(row, df, question.conf_level) for row in rows),
        *_test_rows(question, method, fit, without, product, v),
    ]
    said = [*question.said(), *joint.sentences, *(s for a in made.declared for s in a.sentences)]
    if made.sentence:
        said.append(made.sentence)
    if math.isfinite(df):
        said.append(f"Limits are of Student's t on {df:.1f} degrees of freedom; those by MOVER are normal.")
    if method == "logistic":
        said.append("These are odds ratios; RERI, AP and S of them approximate those of risks only for rare outcomes.")
    details: dict[str, Any] = {"joint": joint, "recoded_reference": made.recoded_reference}
    if math.isfinite(question.choice.groups_df()):
        details["df"] = question.choice.groups_df()
    return estimates(rows, fit=fitted_model(fit, question.choice.name, v), said=said, details=details)


def _ratio_rows(question: Asking, method: str, joint: JointEffects) -> list[Estimate]:
    estimand = "odds_ratio" if method == "logistic" else "risk_ratio"
    row = question.row(estimand, method)
    level = question.conf_level
    rows = [_effect_row(row, e, "") for e in joint_table(joint, conf_level=level)]
    for e in stratum_effects(joint, of="first", conf_level=level):
        rows.append(_effect_row(row, e, f"{joint.second}={e.second_level}"))
    for e in stratum_effects(joint, of="second", conf_level=level):
        rows.append(_effect_row(row, e, f"{joint.first}={e.first_level}"))
    rows += [_effect_row(row, e, "interaction") for e in multiplicative_interaction(joint, conf_level=level)]
    return rows


def _effect_row(row: Estimate, effect: Effect, stratum: str) -> Estimate:
    level = f"{effect.first_level}/{effect.second_level}"
    row = replace(row, stratum=stratum, level=level, reference=effect.reference, n=effect.n, events=effect.events)
    return _with(row, effect.interval)


def _with(row: Estimate, interval: Interval) -> Estimate:
    if interval.estimate is None:
        return row
    return replace(
        row,
        estimate=interval.estimate,
        std_error=interval.std_error,
        conf_low=interval.low,
        conf_high=interval.high,
        p_value=interval.p_value,
    )


def _additive_rows(question: Asking, method: str, made: AdditiveInteraction, stratum: str) -> list[Estimate]:
    rows = []
    for estimand in ("reri", "ap", "synergy"):
        for kind, interval in getattr(made, estimand).items():
            row = question.row(estimand, method if kind == "delta" else f"{method}_{kind}")
            level = f"{made.first_level}/{made.second_level}"
            rows.append(_with(replace(row, level=level, reference=made.reference, stratum=stratum), interval))
    return rows


def _test_rows(
    question: Asking, method: str, fit: Fit, without: Fit, product: Product, v: FloatArray
) -> list[Estimate]:
    row = question.row("p_interaction", method)
    rows = wald(fit, product, {question.choice.name: v}, row=row)
    if question.frame.has_likelihood:
        rows.append(likelihood_ratio(without, fit, row=row))
    return rows
