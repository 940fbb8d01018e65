"""Sections of study.toml beyond ratios by category: absolute risks, methods side by side, impact, time, horizons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from walkrisk.declarations import Name, option
from walkrisk.studies.vocabulary import Curved, Estimand, Method, VarianceName

RiskEstimand = Literal["risk", "risk_ratio", "risk_difference", "odds_ratio", "nnt"]
RiskModel = Literal["logistic", "poisson", "log_binomial"]
Intervals = Literal["delta", "percentile", "bca", "normal", "basic"]
Formula = Literal["standardised", "miettinen", "levin"]
HorizonMethod = Literal["kaplan_meier", "aalen_johansen", "cox"]

RISKS: tuple[RiskEstimand, ...] = ("risk", "risk_ratio", "risk_difference", "odds_ratio", "nnt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standardised:
    """Risks by level of exposures, standardised over covariates, with their ratios, differences and numbers needed."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    title: str
    exposures: tuple[Name, ...]
    models: tuple[Name, ...]
    method: RiskModel = option("logistic", doc="The model of risks.")
    population: str = option("everyone", doc="Over whom: everyone, or the people of one level of the exposure.")
    at: Mapping[Name, tuple[float, ...]] = option(
        factory=dict, doc="Exposure -> values that are compared as numbers, the first the reference."
    )
    intervals: Intervals = option("delta", doc="Delta limits, or limits of the bootstrap in [settings].")
    estimands: tuple[RiskEstimand, ...] = RISKS
    outcome: Name | None = None
    variances: tuple[VarianceName, ...] = ()
    weighted: bool = option(False, doc="Use the design's weights.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One question answered by several methods, side by side."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    title: str
    exposures: tuple[Name, ...]
    model: Name
    methods: tuple[Method, ...] = option(
        ("modified_poisson", "log_binomial", "standardisation_logistic", "iptw", "aipw", "logistic"),
        doc="Methods set side by side, in this order.",
    )
    estimand: Estimand = option("risk_ratio", doc="What every method estimates.")
    outcome: Name | None = None
    variance: VarianceName | None = None
    weighted: bool = option(False, doc="Use the design's weights.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributable:
    """The fraction of cases that would not have been, had everyone been at the reference level of an exposure."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    title: str
    exposures: tuple[Name, ...]
    models: tuple[Name, ...]
    reference: str = option("", doc="The category everyone is set to; the first if none is named.")
    formula: Formula = option("standardised", doc="g-computation; from the cases (Miettinen); or Levin's.")
    method: Curved | None = option(None, doc="logistic for standardised fractions, else modified_poisson.")
    outcome: Name | None = None
    variances: tuple[VarianceName, ...] = ()
    weighted: bool = option(False, doc="Use the design's weights.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """Ratios for time moved from one part of the day to another, for all pairs of parts."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    title: str
    parts: tuple[Name, ...] = option(doc="Variables that share one unit of time.")
    amounts: tuple[float, ...] = option((30.0,), doc="How much time is moved, in the unit of the parts.")
    kind: Literal["isotemporal", "compositional"] = option(
        "isotemporal", doc="Linear in the parts, or in the log ratios of the composition."
    )
    model: Name = option(doc="The covariates.")
    method: Curved | None = None
    outcome: Name | None = None
    variances: tuple[VarianceName, ...] = ()
    weighted: bool = option(False, doc="Use the design's weights.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """Risks by a time of follow-up, with their ratios and differences, for an outcome with time and event."""

    analysis: Name = option(doc="Name of the analysis in the results.")
    title: str
    exposures: tuple[Name, ...]
    models: tuple[Name, ...]
    horizon: float = option(doc="In the unit of the follow-up time.")
    method: HorizonMethod = option(
        "cox", doc="kaplan_meier and aalen_johansen (event 2 competes) weight for covariates; cox standardises."
    )
    estimands: tuple[RiskEstimand, ...] = RISKS
    outcome: Name | None = None
    variances: tuple[VarianceName, ...] = ()
    weighted: bool = option(False, doc="Use the design's weights.")
