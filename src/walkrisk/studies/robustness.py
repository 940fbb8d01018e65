"""Influence and form in a study: single people, groups of people, other methods and scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from walkrisk.declarations import Name, option
from walkrisk.studies.vocabulary import Method

Change = Literal["unit", "sd", "winsorised_sd", "doubling"]
CHANGES: tuple[Change, ...] = ("unit", "sd", "winsorised_sd", "doubling")


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """How much each main ratio rests on single people, by how many there are, never who."""

    id: Name = option(doc="Name of the analysis in the results.")
    title: str = "Influence of single people"
    exposures: tuple[Name, ...] = option((), doc="By default those that sensitivity analyses follow.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jackknife:
    """The main ratios without each group of people in turn, and their standard errors by the jackknife."""

    id: Name = option(doc="Name of the analysis in the results.")
    title: str = "Jackknife over groups of people"
    over: Name | None = option(None, doc="The variable that numbers the groups; by default design.cluster.")
    strata: Name | None = option(None, doc="A variable within whose values the groups lie (sampling strata).")
    random_groups: int | None = option(None, doc="Deal people at random to so many groups instead.")
    exposures: tuple[Name, ...] = option((), doc="By default those that sensitivity analyses follow.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherForms:
    """The same contrast by other methods and on other scales, and the exposure as a number."""

    id: Name = option(doc="Name of the analysis in the results.")
    title: str = "Other methods and scales"
    methods: tuple[Method, ...] = option(
        ("log_binomial", "standardisation_logistic", "logistic"), doc="Ratios by category; cox where there is a time."
    )
    differences: tuple[Method, ...] = option(
        ("linear", "standardisation_logistic"), doc="Risk differences by category."
    )
    comparison: Name | None = option(None, doc="A comparison of the study whose ratios stand in place of `methods`.")
    changes: tuple[Change, ...] = option(
        CHANGES, doc="The exposure as a number: per declared unit, per SD, the same with values capped, per doubling."
    )
    units: Mapping[Name, float] = option(factory=dict, doc="Exposure -> unit of a ratio, where it has no `per`.")
    winsorise_percentile: float = option(99.0, doc="Of values capped: those above this percentile are set to it.")
    exposures: tuple[Name, ...] = option((), doc="By default those that sensitivity analyses follow.")
