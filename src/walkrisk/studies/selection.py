"""Selection in a study: the main ratio without each level of a variable, and negative controls."""

from __future__ import annotations

from dataclasses import dataclass

from walkrisk.cohorts.eligibility import Condition
from walkrisk.declarations import Name, option


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveOneOut:
    """The main ratios without each level of some variables in turn."""

    id: Name = option(doc="Name of the analysis in the results.")
    title: str = "Leaving out one group at a time"
    variables: tuple[Name, ...] = option(doc="Each level of each is left out in turn.")
    recut: bool = option(False, doc="Cut the exposure again among those who are left.")
    exposures: tuple[Name, ...] = option((), doc="By default those that sensitivity analyses follow.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeControl:
    """The main model with an outcome that the exposure should not affect, or an exposure that should not affect the
    outcome."""

    id: Name = option(doc="Name of the analysis in the results.")
    title: str = "Negative control"
    outcome: Name | None = option(None, doc="The control outcome, one of [outcomes].")
    exposure: Name | None = option(None, doc="The control exposure, one of [exposures] with categories.")
    beside: tuple[Name, ...] = option(
        (), doc="Variables or exposures that stand in the model too, such as the exposure itself beside a control one."
    )
    restrict: tuple[Condition, ...] = option(
        (), doc="Restrict the sample, for example to those at risk of the control."
    )
    recut: bool = option(False, doc="Cut the exposure again in the restricted sample.")
    exposures: tuple[Name, ...] = option((), doc="With a control outcome: by default those followed.")
    why: str = option("", doc="A sentence on why no effect is expected, printed with the methods.")
