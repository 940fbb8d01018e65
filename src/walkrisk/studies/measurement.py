"""The grammar of measurement error: how well a few days stand for usual exposure, and a misreported outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from walkrisk.cohorts.variables import Copy, Difference, Ratio, Sum
from walkrisk.declarations import Name, option
from walkrisk.sensitivity.simex import EXTRAPOLANTS, GRID
from walkrisk.studies.faults import Faults
from walkrisk.studies.priors import DeclaredPrior, check_prior

if TYPE_CHECKING:
    from walkrisk.studies.study import RatioAnalysis, Study

FEWEST_DRAWS, MOST_DRAWS = 200, 100_000
FEWEST_REPLICATES, MOST_REPLICATES = 20, 5000
CALIBRATED = ("modified_poisson", "log_binomial", "logistic")
"""Methods of the main analysis that can be fitted on a calibrated exposure."""
REFITTED = ("modified_poisson", "logistic")
"""Methods of the main analysis that can be refitted many times with added error."""
LOG_LINK = ("modified_poisson", "log_binomial")
"""Methods of the main analysis whose risks can be corrected for a misclassified outcome."""
FORMS = ("categories", "per_unit", "curve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Variance between persons and from day to day, and how reliable one day, the study's days and more would be."""

    id: Name
    title: str = "Reliability of the measured days"
    exposures: tuple[Name, ...] = option((), doc="By default those followed through; each must be made of days.")
    estimator: Literal["anova", "reml"] = option("reml", doc="Of the variance components.")
    limits: Literal["exact", "bootstrap"] = option(
        "bootstrap", doc="exact: of the F distribution, for normal values; bootstrap: persons drawn with their days."
    )
    replicates: int = option(2000, doc="Of the bootstrap.")
    weekdays: bool = option(False, doc="Take effects of the day of the week out first; needs dates (long layout).")
    wanted: float = option(0.8, doc="Reliability for which the number of days is given.")
    most_days: int = option(14, doc="Where the figure ends.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Regression calibration: the main model on expected usual exposure, per unit, by category and as a curve."""

    id: Name
    title: str = "Calibrated for day-to-day variation"
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    per: Mapping[Name, float] = option(
        factory=dict,
        doc="Exposure -> units of the linear ratio; by default the distance between the medians of its lowest and "
        "highest category.",
    )
    reliability: Mapping[Name, float] = option(
        factory=dict,
        doc="Exposure -> reliability of the study's measure, known from elsewhere, instead of its own days.",
    )
    source: str = option("", doc="Where a declared reliability comes from.")
    categories: bool = option(True, doc="Also categories of the calibrated exposure.")
    curve: str = option("", doc="The analysis of a declared curve, to be drawn of usual exposure too.")
    together: bool = option(False, doc="Also all exposures in one model, calibrated together.")
    replicates: int = option(0, doc="Bootstrap samples, each calibrated anew; 0 for none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simex:
    """Simulation extrapolation: the main model with error added, extrapolated to none."""

    id: Name
    title: str = "Extrapolated to no day-to-day variation (SIMEX)"
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    forms: tuple[Literal["categories", "per_unit", "curve"], ...] = option(
        ("categories", "per_unit"), doc="How the exposure enters; categories are cut anew on every noisier exposure."
    )
    per: Mapping[Name, float] = option(factory=dict, doc="As for a calibration.")
    added: tuple[float, ...] = option(GRID, doc="Added error, as multiples of its own variance.")
    replicates: int = option(100, doc="Fits at each size of added error.")
    noise: Literal["normal", "empirical"] = option(
        "normal", doc="empirical: made of the persons' own days, whatever their distribution."
    )
    extrapolants: tuple[Literal["linear", "quadratic", "rational"], ...] = option(
        ("quadratic", "linear", "rational"),
        doc="The first one is shown in the summary; rational is for the form per_unit alone.",
    )
    reliability: Mapping[Name, float] = option(factory=dict, doc="As for a calibration.")
    source: str = option("", doc="Where a declared reliability comes from.")
    curve: str = option("", doc="For the form curve: the analysis of a declared curve.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MisclassifiedOutcome:
    """The main ratios corrected for an outcome that is sometimes misreported.

    Either priors of sensitivity and specificity (the same for everyone, or others for the reference category), or the
    kappa of two answers, of which the pairs of sensitivity and specificity that agree with it follow.
    """

    id: Name
    title: str = "Corrected for misclassification of the outcome"
    exposures: tuple[Name, ...] = option((), doc="By default those followed through.")
    sensitivity: DeclaredPrior | None = option(None, doc="Prior of the share of true cases that answer yes.")
    specificity: DeclaredPrior | None = option(None, doc="Prior of the share of others that answer no.")
    sensitivity_reference: DeclaredPrior | None = option(None, doc="Of the reference category, where it differs.")
    specificity_reference: DeclaredPrior | None = option(None, doc="Of the reference category, where it differs.")
    correlation: float = option(0.8, doc="Of the priors of the reference category and of the others.")
    kappa: tuple[float, ...] = option((), doc="Lowest and highest kappa of the item, answered twice.")
    observed: float | None = option(
        None, doc="Share of yes answers where kappa was measured; by default that of the analysed."
    )
    source: str = option("", doc="Where the kappa, or the priors, come from.")
    estimator: Literal["score", "likelihood"] = option("score", doc="likelihood: binomial, risks below 1.")
    draws: int = option(1000, doc="Draws of sensitivity and specificity, the model refitted for each.")


Declared = Reliability | Calibration | Simex | MisclassifiedOutcome

# ---------------------------------------------------------------- the days behind a variable


def day_sources(study: Study, variable: str) -> tuple[Name, ...] | None:
    """The means of days (names of days.means) that a variable is made of; None if of anything else."""
    if study.days is None:
        return None
    if variable in study.days.means:
        return (variable,)
    d = study.variables.get(variable)
    match d:
        case Copy():
            names: tuple[str, ...] = (d.source,)
        case Sum():
            names = d.sources
        case Difference():
            names = (d.source, d.minus)
        case Ratio():
            names = (*d.weights, d.total)
        case _:
            return None
    found = [day_sources(study, name) for name in names]
    if any(f is None for f in found):
        return None
    return tuple(dict.fromkeys(source for f in found if f is not None for source in f))


def days_fault(study: Study, exposure: str) -> str:
    """Why there are no days behind an exposure; empty if there are."""
    e = study.exposures[exposure]
    if e.variable is None or e.cross:
        return f"{exposure} is a crossing of two exposures; name those."
    sources = day_sources(study, e.variable)
    if sources is None:
        return (
            f"{exposure} needs days: its variable {e.variable} is no mean of days ([days.means]), nor a copy, sum, "
            f"difference or ratio_of_means of such means, so its variation from day to day is not in the data; "
            f"declare its reliability instead, as reliability = {{ {exposure} = 0.8 }} with its source."
        )
    assert study.days is not None
    if len({study.days.means[s].days for s in sources}) > 1:
        return f"{exposure} mixes recorded and valid days ({', '.join(sources)}), so a day has no value of its own."
    return ""


# ---------------------------------------------------------------- checks


def check(study: Study, faults: Faults) -> None:
    """Every name that leads nowhere and every setting that contradicts another."""
    s = study.sensitivity
    main = next((a for a in study.analyses if a.id == s.analysis), None)
    if main is None:
        return
    for i, reliability in enumerate(s.reliabilities):
        _check_reliability(f"sensitivity.reliabilities[{i}] ({reliability.id})", reliability, main, study, faults)
    for i, calibration in enumerate(s.calibrations):
        key = f"sensitivity.calibrations[{i}] ({calibration.id})"
        _check_corrected(key, calibration, main, study, faults)
        if calibration.replicates and not FEWEST_DRAWS <= calibration.replicates <= MOST_DRAWS:
            faults.add(
                f"{key}.replicates", f"must be 0 (none) or {FEWEST_DRAWS} or more, got {calibration.replicates}."
            )
        if calibration.together and calibration.reliability:
            faults.add(f"{key}.together", "needs the days of every exposure, not a declared reliability.")
    for i, simex in enumerate(s.simex):
        _check_simex(f"sensitivity.simex[{i}] ({simex.id})", simex, main, study, faults)
    for i, outcome in enumerate(s.misclassified_outcomes):
        key = f"sensitivity.misclassified_outcomes[{i}] ({outcome.id})"
        _check_outcome(key, outcome, main, study, faults)


def _followed(declared: Declared, main: RatioAnalysis, study: Study) -> Sequence[str]:
    named = declared.exposures or study.sensitivity.exposures or main.exposures
    return [e for e in named if e in study.exposures]


def _check_names(key: str, declared: Declared, main: RatioAnalysis, study: Study, faults: Faults) -> None:
    faults.names(f"{key}.exposures", declared.exposures, main.exposures, f"exposure of {main.id}")


def _check_reliability(key: str, one: Reliability, main: RatioAnalysis, study: Study, faults: Faults) -> None:
    _check_names(key, one, main, study, faults)
    for exposure in _followed(one, main, study):
        if said := days_fault(study, exposure):
            faults.add(f"{key}.exposures", said.partition("; declare")[0] + ("." if "; declare" in said else ""))
    if not 0 < one.wanted < 1:
        faults.add(f"{key}.wanted", f"lies between 0 and 1, got {one.wanted:g}; 0.8 is usual.")
    if not 2 <= one.most_days <= 365:
        faults.add(f"{key}.most_days", f"must be from 2 to 365, got {one.most_days}.")
    if not FEWEST_DRAWS <= one.replicates <= MOST_DRAWS:
        faults.add(f"{key}.replicates", f"must be from {FEWEST_DRAWS} to {MOST_DRAWS}, got {one.replicates}.")
    if one.weekdays and (study.days is None or study.days.layout == "wide"):
        faults.add(f"{key}.weekdays", "the wide layout has no dates; use the long one, or leave weekdays in.")


def _check_corrected(key: str, one: Calibration | Simex, main: RatioAnalysis, study: Study, faults: Faults) -> None:
    """What a calibration and SIMEX have in common."""
    _check_names(key, one, main, study, faults)
    method = main.method or study.settings.method
    allowed = CALIBRATED if isinstance(one, Calibration) else REFITTED
    if method not in allowed:
        faults.add(key, f"needs a regression of risks or odds ({', '.join(allowed)}), and {main.id} has {method}.")
    followed = _followed(one, main, study)
    for name in ("per", "reliability"):
        faults.names(f"{key}.{name}", getattr(one, name), followed, "exposure followed")
    for exposure, value in one.per.items():
        if value <= 0:
            faults.add(f"{key}.per.{exposure}", f"must be positive, got {value:g}.")
    for exposure, value in one.reliability.items():
        if not 0 < value <= 1:
            faults.add(f"{key}.reliability.{exposure}", f"lies above 0 and up to 1, got {value:g}.")
    if one.reliability and not one.source:
        faults.add(f"{key}.source", "is missing; say where the declared reliability comes from.")
    for exposure in followed:
        said = days_fault(study, exposure) if exposure not in one.reliability else ""
        if said:
            faults.add(f"{key}.exposures", said)
    if one.curve:
        faults.name(f"{key}.curve", one.curve, [c.analysis for c in study.curves], "curve")


def _check_simex(key: str, one: Simex, main: RatioAnalysis, study: Study, faults: Faults) -> None:
    _check_corrected(key, one, main, study, faults)
    if not one.forms or not one.extrapolants:
        faults.add(key, f"needs a form ({', '.join(FORMS)}) and an extrapolant ({', '.join(EXTRAPOLANTS)}).")
    if ("curve" in one.forms) != bool(one.curve):
        faults.add(f"{key}.curve", "names the declared curve, and forms has 'curve' in it: both or neither.")
    if len(one.added) < 3 or any(v <= 0 for v in one.added):
        faults.add(f"{key}.added", "needs three sizes above 0 or more; [0.5, 1, 1.5, 2] is usual.")
    faults.increasing(f"{key}.added", one.added)
    if not FEWEST_REPLICATES <= one.replicates <= MOST_REPLICATES:
        faults.add(f"{key}.replicates", f"must be from {FEWEST_REPLICATES} to {MOST_REPLICATES}, got {one.replicates}.")
    if one.noise == "empirical" and one.reliability:
        faults.add(f"{key}.noise", "empirical noise is made of days, which a declared reliability does without.")
    if one.extrapolants and one.extrapolants[0] == "rational" and set(one.forms) != {"per_unit"}:
        faults.add(
            f"{key}.extrapolants",
            "a rational function is for the form per_unit (the pole of ratios of categories or of a curve is not "
            "determined by them); name quadratic or linear first.",
        )


def _check_outcome(key: str, one: MisclassifiedOutcome, main: RatioAnalysis, study: Study, faults: Faults) -> None:
    _check_names(key, one, main, study, faults)
    method = main.method or study.settings.method
    if method not in LOG_LINK:
        faults.add(key, f"needs a regression of risks ({', '.join(LOG_LINK)}), and {main.id} has {method}.")
    given = {
        name: prior
        for name in ("sensitivity", "specificity", "sensitivity_reference", "specificity_reference")
        if (prior := getattr(one, name)) is not None
    }
    for name, prior in given.items():
        what = f"A {name.partition('_')[0]}"
        check_prior(f"{key}.{name}", prior, faults, what=what, lowest=0.0, highest=1.0)
    if one.kappa:
        if len(one.kappa) != 2 or not 0 < one.kappa[0] <= one.kappa[1] < 1:
            faults.add(
                f"{key}.kappa", f"holds the lowest and the highest kappa, between 0 and 1; got {list(one.kappa)}."
            )
        if given:
            faults.add(
                f"{key}.kappa", "stands in the place of priors of sensitivity and specificity; give one of them."
            )
    elif "sensitivity" not in given or "specificity" not in given:
        faults.add(key, "needs priors of sensitivity and of specificity, or a kappa = [lowest, highest].")
    if one.observed is not None and not (one.kappa and 0 < one.observed < 1):
        faults.add(f"{key}.observed", "is a share between 0 and 1, and goes with a kappa.")
    if not -1 <= one.correlation <= 1:
        faults.add(f"{key}.correlation", f"lies between -1 and 1, got {one.correlation:g}.")
    if not FEWEST_DRAWS <= one.draws <= MOST_DRAWS:
        faults.add(f"{key}.draws", f"must be from {FEWEST_DRAWS} to {MOST_DRAWS}, got {one.draws}; 1000 is usual.")
