"""The grammar of unmeasured confounding and of selection by priors: how strong it would have to be, and what if."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from walkrisk.declarations import Name, option
from walkrisk.studies.priors import DeclaredPrior

DRAWS, REFITS = 20_000, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EValueCurves:
    """E-values of the main ratios, and along a whole dose-response curve."""

    id: Name
    title: str = "E-values of ratios and along the curve"
    curve: Name = option("", doc="The analysis of a declared curve; without one the categories alone have E-values.")
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    rare: bool | None = option(
        None,
        doc="Whether the outcome is rare at the end of follow-up, for odds and hazard ratios; by default below 15 %.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """Measured covariates as a yardstick: the main ratios without each, and its own associations."""

    id: Name
    title: str = "Each measured covariate left out"
    groups: Mapping[Name, tuple[Name, ...]] = option(factory=dict, doc="Name -> covariates left out together.")
    parts: int = option(5, doc="Equal-sized groups of a continuous covariate, for its associations.")
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    rare: bool | None = option(None, doc="As for E-values of odds and hazard ratios.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contours:
    """The adjusted ratio over all strengths of a confounder, measured covariates marked."""

    id: Name
    title: str = "What a confounder of any strength could do"
    benchmarks: Name | None = option(None, doc="The id of benchmarks whose covariates are marked.")
    largest: float | None = option(None, doc="Where the axes end; by default a little above the E-value.")
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    rare: bool | None = option(None, doc="As for E-values of odds and hazard ratios.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfounderArray:
    """The ratio adjusted for a binary confounder, over a grid of its parameters."""

    id: Name
    title: str = "A binary confounder of given prevalence and association"
    association: tuple[float, ...] = option((1.5, 2.0, 3.0), doc="Ratios of confounder and outcome.")
    prevalence: tuple[float, ...] = option(
        (0.1, 0.2, 0.3, 0.4, 0.5), doc="Prevalences in the category shown in the summary."
    )
    prevalence_reference: tuple[float, ...] = option(
        (0.1, 0.2, 0.3, 0.4, 0.5), doc="Prevalences in the reference category."
    )
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilisticConfounder:
    """A binary unmeasured confounder by priors, taken off the adjusted ratios and put into the records."""

    id: Name
    title: str = "Probabilistic analysis of an unmeasured confounder"
    association: DeclaredPrior = option(doc="Prior of the ratio of confounder and outcome.")
    prevalence: Mapping[str, DeclaredPrior] = option(doc="Category -> prior of the confounder's prevalence in it.")
    correlation: float = option(0.0, doc="Of the prevalences of all categories (their normal scores), from 0 to 1.")
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    draws: int = option(DRAWS, doc="Draws for the correction of the adjusted ratios.")
    refits: int = option(REFITS, doc="Draws for which the confounder enters the records and the model is refitted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilisticSelection:
    """Selection into the analysis by priors, taken off the adjusted ratios and as weights of the records."""

    id: Name
    title: str = "Probabilistic analysis of selection"
    with_outcome: Mapping[str, DeclaredPrior] = option(
        doc="Category -> prior of the probability to be here, of those with the outcome."
    )
    without_outcome: Mapping[str, DeclaredPrior] = option(doc="The same of those without the outcome.")
    correlation: float = option(0.0, doc="Of all probabilities (their normal scores), from 0 to 1.")
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    draws: int = option(DRAWS, doc="Draws for the correction of the adjusted ratios.")
    refits: int = option(REFITS, doc="Draws for which the records are weighted and the model is refitted.")
