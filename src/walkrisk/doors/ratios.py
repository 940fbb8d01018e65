"""Risk ratios and risk differences of any data frame, by any method, and all methods side by side."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.doors import regression as by_coefficient
from walkrisk.doors.faults import door
from walkrisk.doors.frames import Asked, Clusters, Data, Subset, model_frame
from walkrisk.doors.methods import (
    ODDS_RATIO,
    RISK_DIFFERENCE,
    RISK_RATIO,
    Options,
    answer,
    methods_for,
)
from walkrisk.doors.regression import Asking
from walkrisk.doors.results import Estimates, WalkriskWarning, estimates
from walkrisk.doors.standardised import (
    ALL,
    Intervals,
    Population,
    RiskLimits,
    Standard,
    population_weights,
    standardised,
)
from walkrisk.doors.terms import DeclaredTerm, MainTerm
from walkrisk.doors.variances import BOOTSTRAP, chosen
from walkrisk.doors.weighted import LOSS, PROPENSITY, Weighting, weighted
from walkrisk.doors.weighted import METHODS as WEIGHTED
from walkrisk.errors import ModelFault, UsageFault, WalkriskError
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor

FloatArray = npt.NDArray[np.float64]

SIDE_BY_SIDE = (
    "modified_poisson",
    "log_binomial",
    "case_duplication",
    "bias_reduced_poisson",
    "standardisation_logistic",
    "standardisation_poisson",
    "mantel_haenszel",
    "iptw",
    "aipw",
    "logistic",
)


def asking(
    data: Data,
    asked: Asked,
    *,
    variance: str,
    limits: str | None,
    conf_level: float,
    replicates: int = 2000,
    seed: int = 1,
    lonely: str = "fail",
) -> Asking:
    """A question with its rows, its variance and its level of confidence checked."""
    if not 0.5 <= conf_level < 1:
        raise UsageFault(f"`conf_level` must be from 0.5 to below 1, got {conf_level}; 0.95 is usual.")
    frame = model_frame(data, asked)
    choice = chosen(frame, variance, limits=limits, replicates=replicates, seed=seed, lonely=lonely)
    return Asking(frame=frame, choice=choice, conf_level=conf_level)


@door
def risk_ratios(
    data: Data,
    *,
    outcome: str,
    exposure: str | MainTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    method: str = "auto",
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
    at: Sequence[float] = (),
    replicates: int = 2000,
    seed: int = 1,
    correlation: str | None = None,
) -> Estimates:
    """Adjusted risk ratios of a 0/1 outcome by level of an exposure, or per unit of a numeric one.

    `outcome`, `exposure` and `covariates` are columns of `data`, or terms (`categories`, `spline`, `power`, `linear`,
    `product`). A string or categorical column is a factor, its first level the reference unless `reference` names
    another; anything else is linear. Rows with an unknown value in a named column are left out, which is said.

    `method`: `modified_poisson`, `log_binomial`, `case_duplication`, `bias_reduced_poisson` (conditional ratios by
    regression); `standardisation_logistic`, `standardisation_poisson`, `standardisation_log_binomial`, `iptw`, `aipw`,
    `tmle` (marginal ratios); `mantel_haenszel`; `logistic` and `firth_logistic` (odds ratios, for comparison). `auto`
    takes modified Poisson; if fitted risks exceed 1, log-binomial; if that is on its boundary, standardisation after a
    logistic model; `tried` in the result says so.

    `variance`: HC0 to HC5, stata, MBN, FG, model; with `cluster` cluster (CR1), CR0 to CR3, KC; with `strata` and `psu`
    survey; bootstrap (`replicates` samples by `seed`). `limits` "t" takes Student's t (the default of CR2 and CR3).
    `at` are the values of a numeric exposure that marginal methods compare, the first the reference. `weights` is a
    column; `cluster` a column or a list of crossed ones; `strata` and `psu` are those of a survey, a stratum with one
    PSU is refused unless `lonely` says what it adds ("adjust" or "certainty"). `subset` (a 0/1 column, or a mask) are
    the rows to analyse: unlike rows taken out beforehand, the others still count in the survey design. `correlation`
    ("exchangeable", "ar1", "unstructured", "independence") solves generalised estimating equations within clusters, for
    modified_poisson and logistic. The interval is Wald's (`conf_level`), by profile likelihood on a boundary.

    Returns `Estimates`. Raises UsageFault, DataFault or ModelFault with every reason why there is no answer.

    >>> from walkrisk import example_cohort, risk_ratios, categories
    >>> found = risk_ratios(
    ...     example_cohort(),
    ...     outcome="event",
    ...     exposure=categories("walking_min_day", quantiles=4),
    ...     covariates=["age", "sex", "smoking", "bmi"],
    ... )
    >>> [round(r.estimate, 2) for r in found.rows]
    [1.0, 0.72, 0.65, 0.68]

    References: Zou 2004 doi 10.1093/aje/kwh090; Wacholder 1986 doi 10.1093/oxfordjournals.aje.a114212; Greenland 2004
    doi 10.1093/aje/kwh221.
    """
    return _asked(RISK_RATIO, data, locals())


@door
def risk_differences(
    data: Data,
    *,
    outcome: str,
    exposure: str | MainTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    method: str = "auto",
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
    at: Sequence[float] = (),
    replicates: int = 2000,
    seed: int = 1,
) -> Estimates:
    """Adjusted risk differences, asked as `risk_ratios` asks for ratios.

    `method`: `identity_binomial` (maximum likelihood under 0 to 1), `identity_poisson`, `linear` (least squares, for
    which HC3 is the usual variance), or a marginal method of `risk_ratios`. `auto` takes identity_binomial if its
    maximum lies inside, else standardisation after a logistic model. Returns `Estimates`; raises as `risk_ratios` does.

    >>> from walkrisk import example_cohort, risk_differences
    >>> found = risk_differences(example_cohort(), outcome="event", exposure="smoking", covariates=["age", "sex"])
    >>> found.rows[0].level, found.rows[0].estimate
    ('never', 0.0)

    References: Spiegelman & Hertzmark 2005 doi 10.1093/aje/kwi188; Cheung 2007 doi 10.1093/aje/kwm223.
    """
    return _asked(RISK_DIFFERENCE, data, locals())


def _asked(estimand: str, data: Data, named: dict[str, Any]) -> Estimates:
    if len(named["at"]) and named["method"] in by_coefficient.ESTIMANDS:
        raise UsageFault(f"`at` is for methods that compare risks at values; {named['method']} gives a ratio per unit.")
    question = asking(data, _as_asked(named), **{k: named[k] for k in CHOICE})
    if len(named["at"]) and isinstance(question.frame.exposure, Factor):
        raise UsageFault("`at` names values of a numeric exposure; the levels of a factor are all compared anyway.")
    if named["variance"] == BOOTSTRAP:
        intervals: Intervals = "percentile"
    else:
        intervals = "delta"
    standard = Standard(
        at=tuple(float(v) for v in named["at"]),
        intervals=intervals,
        replicates=named["replicates"],
        seed=named["seed"],
    )
    options = Options(standard=standard, correlation=named.get("correlation"))
    return answer(question, named["method"], estimand, options)


CHOICE = ("variance", "limits", "conf_level", "replicates", "seed", "lonely")
ASKED = ("outcome", "exposure", "covariates", "reference", "weights", "cluster", "strata", "psu", "subset")


def _as_asked(named: dict[str, Any]) -> Asked:
    return Asked(**{k: named[k] for k in ASKED})


@door
def standardised_risks(
    data: Data,
    *,
    outcome: str,
    exposure: str | MainTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    method: str = "standardisation_logistic",
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
    at: Sequence[float] = (),
    population: Population = None,
    sampled: bool = True,
    intervals: Intervals = "delta",
    replicates: int = 2000,
    seed: int = 1,
    risk_limits: RiskLimits = "logit",
) -> Estimates:
    """Risks under each level of an exposure standardised over covariates (g-computation), and their contrasts.

    After `method` standardisation_logistic, standardisation_poisson or standardisation_log_binomial (or `logistic`,
    `modified_poisson`, `log_binomial` for short). Rows: risk, risk_ratio, risk_difference, odds_ratio and nnt by level.
    Standardised over everyone, or over `population`: a level of the exposure (those exposed to it), or a mask or
    weights (a value for each row of `data`). `sampled` adds the sampling of the covariates to the variance
    (M-estimation); without, covariates are taken as fixed. `intervals`: "delta", or by bootstrap "percentile", "bca",
    "basic", "normal". A numeric exposure needs `at`, the values to compare. `risk_limits` is the scale on which limits
    of a risk are symmetric: "logit" (within 0 to 1, and better for small risks), "identity" or "log".
    The other parameters are those of `risk_ratios`. Raises UsageFault, DataFault or ModelFault.

    >>> from walkrisk import example_cohort, standardised_risks
    >>> found = standardised_risks(example_cohort(), outcome="event", exposure="smoking", covariates=["age", "sex"])
    >>> [(r.level, round(r.estimate, 3)) for r in found.rows if r.estimand == "risk"]
    [('never', 0.166), ('former', 0.193), ('current', 0.181)]

    References: Lane & Nelder 1982 doi 10.2307/2530400; Localio et al. 2007 doi 10.1016/j.jclinepi.2006.12.001.
    """
    named = locals()
    question = asking(data, _as_asked(named), **{k: named[k] for k in CHOICE})
    full = method if method.startswith("standardisation_") else f"standardisation_{_short(method)}"
    if variance == BOOTSTRAP and intervals == "delta":
        intervals = "percentile"
    standard = Standard(
        population=population_weights(question.frame, population),
        sampled=sampled,
        at=tuple(float(v) for v in at),
        intervals=intervals,
        replicates=replicates,
        seed=seed,
        risk_limits=risk_limits,
    )
    return standardised(question, full, standard, estimands=ALL)


def _short(method: str) -> str:
    if method not in ("logistic", "modified_poisson", "poisson", "log_binomial"):
        raise UsageFault(f"`method` must be standardisation_logistic, _poisson or _log_binomial, got {method!r}.")
    return method.removeprefix("modified_")


@door
def weighted_risks(
    data: Data,
    *,
    outcome: str,
    exposure: str | MainTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    method: str = "iptw",
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
    estimand: str = "ATE",
    target: str | None = None,
    stabilised: bool = True,
    truncate: tuple[float, float] | None = None,
    fixed: bool = False,
    risk_limits: RiskLimits = "logit",
    propensity_covariates: Sequence[str | DeclaredTerm] | None = None,
    loss_covariates: Sequence[str | DeclaredTerm] | None = None,
) -> Estimates:
    """Risks by level of a categorical exposure by inverse probability weighting, alone or doubly robust.

    `method`: `iptw` (Hajek), `aipw` or `tmle` (with a logistic outcome model of the same covariates). `estimand`: ATE
    (everyone), ATT (people of level `target`) or ATO (overlap). `truncate` gives percentiles beyond which weights are
    cut off. The variance accounts for the estimation of the weights (`fixed` takes them as known).

    `propensity_covariates` are the terms of the model of the exposure, where they are not the `covariates` (those of
    the outcome model of aipw and tmle). With `loss_covariates` (iptw) rows without an outcome are people lost to
    follow-up: those observed also weigh 1 over their probability to be observed given these terms and the exposure, and
    the variance accounts for that model too. `risk_limits` as in `standardised_risks`, the others as in `risk_ratios`.

    Rows: risk, risk_ratio, risk_difference, odds_ratio and nnt by level. `details` hold the weights' summary and the
    balance of covariates. Raises UsageFault, DataFault or ModelFault.

    >>> from walkrisk import example_cohort, weighted_risks
    >>> found = weighted_risks(example_cohort(), outcome="event", exposure="smoking", covariates=["age", "sex"])
    >>> round(found.row("risk_ratio", "current").estimate, 2)
    1.09

    References: Lunceford & Davidian 2004 doi 10.1002/sim.1903; Li & Li 2019 doi 10.1214/19-AOAS1282; van der Laan &
    Rose 2011 doi 10.1007/978-1-4419-9782-1.
    """
    if method not in WEIGHTED:
        raise UsageFault(f"`method` must be one of {', '.join(WEIGHTED)}, got {method!r}.")
    asked = _as_asked(locals())
    further = {PROPENSITY: propensity_covariates, LOSS: loss_covariates}
    asked = replace(
        asked,
        also={what: terms for what, terms in further.items() if terms is not None},
        outcome_may_lack=loss_covariates is not None,
    )
    question = asking(data, asked, variance=variance, limits=limits, conf_level=conf_level, lonely=lonely)
    weighting = Weighting(
        estimand=estimand, target=target, stabilised=stabilised, truncate=truncate, fixed=fixed, risk_limits=risk_limits
    )
    return weighted(question, method, weighting)


@door
def compare_methods(
    data: Data,
    *,
    outcome: str,
    exposure: str | MainTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    methods: Sequence[str] = SIDE_BY_SIDE,
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
    at: Sequence[float] = (),
    replicates: int = 2000,
    seed: int = 1,
) -> Estimates:
    """The same question by several methods: one row a level and method, in the order of `methods`.

    A method that has no answer is left out of the rows, and `warnings` say why. Conditional and marginal ratios answer
    different questions (the `method` says which is which) and differ where the ratio is not the same for everyone. The
    parameters are those of `risk_ratios`. Returns `Estimates`; raises UsageFault or DataFault, and ModelFault if no
    method has an answer.

    >>> from walkrisk import compare_methods, example_cohort
    >>> found = compare_methods(example_cohort(), outcome="event", exposure="sex", covariates=["smoking"])
    >>> sorted({r.method for r in found.rows})[:3]
    ['aipw', 'bias_reduced_poisson', 'case_duplication']

    Reference: Naimi & Whitcomb 2020 doi 10.1093/aje/kwaa044.
    """
    named = locals()
    question = asking(data, _as_asked(named), **{k: named[k] for k in CHOICE})
    intervals: Intervals = "percentile" if variance == BOOTSTRAP else "delta"
    standard = Standard(at=tuple(float(v) for v in at), intervals=intervals, replicates=replicates, seed=seed)
    options = Options(standard=standard)
    rows: list[Estimate] = []
    said: list[str] = question.said()
    unknown = [m for m in methods if m not in methods_for(RISK_RATIO)]
    if unknown:
        raise UsageFault(f"There is no method {', '.join(unknown)}; choose from {', '.join(methods_for(RISK_RATIO))}.")
    for method in methods:
        estimand = ODDS_RATIO if method in ("logistic", "firth_logistic") else RISK_RATIO
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", WalkriskWarning)
                made = answer(question, method, estimand if estimand != ODDS_RATIO else RISK_RATIO, options)
        except WalkriskError as fault:
            said += [f"{method}: {sentence}" for sentence in fault.faults]
            continue
        rows += made.rows
        said += [f"{method}: {s}" for s in made.warnings if s not in said]
    if not rows:
        raise ModelFault(said or "No method has an answer.")
    return estimates(rows, said=said)
