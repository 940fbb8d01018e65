"""Words of a study declaration that name methods, estimands and variances, and which go together."""

from __future__ import annotations

from typing import Literal

from walkrisk.doors.methods import MARGINAL, methods_for
from walkrisk.doors.regression import ESTIMANDS
from walkrisk.doors.weighted import METHODS as WEIGHTED
from walkrisk.estimates.risk_influence import INFLUENCE_VARIANCES
from walkrisk.models.bootstrap_covariance import METHODS as BOOTSTRAPPED
from walkrisk.models.covariance import EXPECTED, MAY_HAVE_CLUSTERS, NEED_CLUSTERS, VARIANCES, Variance

Method = Literal[
    "auto",
    "modified_poisson",
    "log_binomial",
    "case_duplication",
    "bias_reduced_poisson",
    "logistic",
    "firth_logistic",
    "identity_binomial",
    "identity_poisson",
    "linear",
    "standardisation_logistic",
    "standardisation_poisson",
    "standardisation_log_binomial",
    "iptw",
    "aipw",
    "tmle",
    "mantel_haenszel",
    "cox",
]
Estimand = Literal["risk_ratio", "risk_difference"]
VarianceName = Literal[
    Variance,
    "HC0_expected",
    "stata_expected",
    "HC1_expected",
    "HC2_expected",
    "HC3_expected",
    "HC4_expected",
    "HC4m_expected",
    "HC5_expected",
    "cluster_expected",
    "CR0_expected",
    "CR0S_expected",
    "CR1_expected",
    "CR1S_expected",
    "CR2_expected",
    "CR3_expected",
    "KC_expected",
    "cluster_multi0_expected",
    "MBN_expected",
    "FG_expected",
    "survey_expected",
    "model_expected",
    "bootstrap",
]
Curved = Literal["modified_poisson", "log_binomial", "logistic"]

COMMON_KEYS = {
    "id": "Name in the results and in other sections; a plain identifier.",
    "title": "What tables, figures and the report call it.",
    "label": "Name for people, used in tables and figures.",
    "unit": "Unit shown beside the label.",
    "op": "Which of the kinds this is.",
    "analysis": "Id of the analysis.",
    "exposure": "One of [exposures].",
    "exposures": "Names of [exposures].",
    "model": "One of [models].",
    "models": "Names of [models].",
    "outcome": "One of [outcomes]; by default that of [settings].",
    "method": "Estimator; by default that of [settings].",
    "estimand": "Ratios or differences of risks; by default that of [settings].",
    "estimands": "Which quantities are reported.",
    "variance": "Variance of limits and tests; by default the first of [settings].",
    "variances": "Variances reported; by default those of [settings].",
    "from": "The column or variable (or several) it is made of.",
    "days": "Daily seconds, as recorded or only on valid days.",
    "decimals": "Decimals of means in tables.",
    "low": "Lowest value.",
    "high": "Highest value.",
    "value": "The value.",
}
"""What keys mean that have the same meaning in every section of study.toml."""

AUTO, COX, MANTEL_HAENSZEL, BOOTSTRAP = "auto", "cox", "mantel_haenszel", "bootstrap"
CURVED = ("modified_poisson", "log_binomial", "logistic")  # the methods of curves, joint effects and fractions
REGRESSIONS = tuple(ESTIMANDS)  # methods whose coefficients are the answer
ON_LOG_SCALE = (*(m for m, e in ESTIMANDS.items() if e != "risk_difference"), COX)

COX_VARIANCES = ("HC0", "cluster", "survey", "model")
SUMMED = ("HC0", "stata", "HC1", "cluster", "CR0", "CR0S", "CR1", "CR1S", "survey")  # sums over people, no leverage
WITH_T_LIMITS = ("CR2", "CR3")


def base_of(variance: str) -> str:
    """The name of a variance without the choice of information."""
    return variance.removesuffix(EXPECTED)


def needs_cluster(variance: str) -> bool:
    """Whether a variance cannot be without clusters."""
    return base_of(variance) in NEED_CLUSTERS


def uses_cluster(variance: str) -> bool:
    """Whether a variance uses clusters where they are declared."""
    return base_of(variance) in (*NEED_CLUSTERS, *MAY_HAVE_CLUSTERS, BOOTSTRAP)


def uses_design(variance: str) -> bool:
    """Whether a variance uses strata and primary sampling units where they are declared."""
    return base_of(variance) in ("survey", BOOTSTRAP)


def estimand_of(method: str, estimand: str | None) -> str:
    """What a method estimates: its own estimand, else the one declared, else risk ratios."""
    if method == COX:
        return "hazard_ratio"
    return ESTIMANDS.get(method) or estimand or "risk_ratio"


def estimand_fault(method: str, estimand: str | None) -> str:
    """Why a method cannot estimate a declared estimand; empty if it can, or none is declared."""
    if estimand is None or (method == AUTO or method in MARGINAL or estimand_of(method, None) == estimand):
        return ""
    what = estimand_of(method, None).replace("_", " ")
    known = ", ".join(m for m in methods_for(estimand) if estimand_of(m, estimand) == estimand)
    return f"{method} estimates a {what}, not a {estimand.replace('_', ' ')}; choose auto, {known}."


def estimand_asked(method: str, own: str | None, of_settings: str | None) -> str | None:
    """The estimand an analysis declares, else that of the settings where its method can estimate it."""
    return own or (None if estimand_fault(method, of_settings) else of_settings)


def variances_of(method: str, estimand: str | None = None) -> tuple[str, ...]:
    """The variances a method has (without the choice of information); none where it has its own."""
    if method == COX:
        return COX_VARIANCES
    if method == MANTEL_HAENSZEL:
        return ()
    if method in WEIGHTED:
        return INFLUENCE_VARIANCES
    if method == "case_duplication":
        return SUMMED
    resampled = method in BOOTSTRAPPED or method in MARGINAL or (method == AUTO and estimand != "risk_difference")
    return (*VARIANCES, BOOTSTRAP) if resampled else VARIANCES


def takes_expected(method: str) -> bool:
    """Whether variances of a method can be taken with the expected information."""
    return bool(variances_of(method)) and method not in (COX, *WEIGHTED)
