"""Checks of the declared analyses of unmeasured confounding and of selection by priors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from walkrisk.sensitivity.confounding_draws import FEWEST
from walkrisk.sensitivity.confounding_records import METHODS
from walkrisk.studies.confounding import (
    Benchmarks,
    ConfounderArray,
    Contours,
    EValueCurves,
    ProbabilisticConfounder,
    ProbabilisticSelection,
)
from walkrisk.studies.faults import Faults
from walkrisk.studies.kinds import category_names
from walkrisk.studies.priors import DeclaredPrior, check_prior
from walkrisk.studies.sensitivity import Sensitivity
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.studies.vocabulary import ON_LOG_SCALE, estimand_asked, estimand_of

MOST_DRAWS = 1_000_000
LEAST_GROUPS, MOST_GROUPS = 2, 20

Priors = ProbabilisticConfounder | ProbabilisticSelection
Declared = EValueCurves | Benchmarks | Contours | ConfounderArray | Priors


def check(declared: Sensitivity, study: Study, known: list[str], faults: Faults) -> None:
    """Every name that leads nowhere and every setting that contradicts another."""
    main = next((a for a in study.analyses if a.id == declared.analysis), None)
    if main is None:
        return
    for key, one in _keyed(declared):
        faults.names(f"{key}.exposures", one.exposures, main.exposures, f"exposure of {main.id}")
        _check_scale(key, one, main, study, faults)
    for i, curve in enumerate(declared.evalue_curves):
        if curve.curve:
            key = f"sensitivity.evalue_curves[{i}] ({curve.id}).curve"
            faults.name(key, curve.curve, [c.analysis for c in study.curves], "curve")
    for i, benchmarks in enumerate(declared.benchmarks):
        _check_benchmarks(f"sensitivity.benchmarks[{i}] ({benchmarks.id})", benchmarks, main, study, faults)
    for i, contours in enumerate(declared.contours):
        key = f"sensitivity.contours[{i}] ({contours.id})"
        if contours.benchmarks:
            faults.name(f"{key}.benchmarks", contours.benchmarks, [b.id for b in declared.benchmarks], "benchmarks")
        if contours.largest is not None and contours.largest <= 1:
            faults.add(f"{key}.largest", f"must be above 1, got {contours.largest:g}; 4 is a wide range.")
    for i, array in enumerate(declared.confounder_arrays):
        _check_array(f"sensitivity.confounder_arrays[{i}] ({array.id})", array, faults)
    for i, confounder in enumerate(declared.probabilistic_confounders):
        key = f"sensitivity.probabilistic_confounders[{i}] ({confounder.id})"
        check_prior(f"{key}.association", confounder.association, faults, what="A ratio", lowest=0.0, open_low=True)
        _check_shares(f"{key}.prevalence", confounder.prevalence, confounder, main, study, faults, of="A prevalence")
        _check_draws(key, confounder, faults)
    for i, selected in enumerate(declared.probabilistic_selections):
        key = f"sensitivity.probabilistic_selections[{i}] ({selected.id})"
        for name in ("with_outcome", "without_outcome"):
            priors = getattr(selected, name)
            _check_shares(f"{key}.{name}", priors, selected, main, study, faults, of="A selection probability")
        _check_draws(key, selected, faults)


def _keyed(declared: Sensitivity) -> Iterator[tuple[str, Declared]]:
    parts = (
        "evalue_curves",
        "benchmarks",
        "contours",
        "confounder_arrays",
        "probabilistic_confounders",
        "probabilistic_selections",
    )
    for part in parts:
        for i, one in enumerate(getattr(declared, part)):
            yield f"sensitivity.{part}[{i}] ({one.id})", one


def _check_scale(key: str, one: Declared, main: RatioAnalysis, study: Study, faults: Faults) -> None:
    """Differences have E-values alone; priors need a regression on the log scale, the records one of its risks."""
    method = main.method or study.settings.method
    estimand = estimand_of(method, estimand_asked(method, main.estimand, study.settings.estimand))
    if estimand == "risk_difference" and not isinstance(one, EValueCurves):
        faults.add(key, f"{main.id} estimates risk differences; choose an analysis of ratios for this.")
        return
    if not isinstance(one, Priors):
        return
    if method not in ON_LOG_SCALE:
        faults.add(key, f"needs a regression on the log scale, not {method}; modified_poisson is one.")
    elif one.refits and method not in METHODS:
        faults.add(
            f"{key}.refits",
            f"the records can be corrected under {' and '.join(METHODS)}, not {method}; set refits = 0 to correct the "
            "adjusted ratios alone.",
        )


def _check_benchmarks(key: str, one: Benchmarks, main: RatioAnalysis, study: Study, faults: Faults) -> None:
    model = study.sensitivity.model or main.models[-1]
    covariates = set(study.models[model].covariates) if model in study.models else set()
    covariates = {main.replace_covariates.get(c, c) for c in covariates}
    covariates |= {c for a in main.add if model in a.models for c in a.covariates}
    if not covariates:
        faults.add(key, f"model {model!r} has no covariates to leave out.")
    for name, group in one.groups.items():
        faults.names(f"{key}.groups.{name}", group, covariates, f"covariate of {model}")
        if name in covariates:
            faults.add(f"{key}.groups.{name}", "is the name of a covariate; call the group something else.")
        if len(group) < 2:
            faults.add(f"{key}.groups.{name}", "a group has two covariates or more; each is left out alone anyway.")
    if not LEAST_GROUPS <= one.parts <= MOST_GROUPS:
        faults.add(f"{key}.parts", f"must be from {LEAST_GROUPS} to {MOST_GROUPS}, got {one.parts}; 5 makes fifths.")


def _check_array(key: str, one: ConfounderArray, faults: Faults) -> None:
    for name in ("association", "prevalence", "prevalence_reference"):
        values = getattr(one, name)
        if not values:
            faults.add(f"{key}.{name}", "names no value; give a list such as [0.1, 0.3, 0.5].")
        faults.increasing(f"{key}.{name}", values)
    if any(v <= 0 for v in one.association):
        faults.add(f"{key}.association", "a ratio of confounder and outcome must be positive.")
    for name in ("prevalence", "prevalence_reference"):
        if any(not 0 <= v <= 1 for v in getattr(one, name)):
            faults.add(f"{key}.{name}", "a prevalence lies between 0 and 1.")


def _check_shares(
    key: str,
    priors: Mapping[str, DeclaredPrior],
    one: Priors,
    main: RatioAnalysis,
    study: Study,
    faults: Faults,
    *,
    of: str,
) -> None:
    for exposure in one.exposures or study.sensitivity.exposures or main.exposures:
        if exposure not in study.exposures:
            continue
        levels = category_names(study, exposure)
        faults.names(key, priors, levels, f"category of {exposure}")
        if missing := [level for level in levels if level not in priors]:
            faults.add(key, f"has no prior for {', '.join(missing)} of {exposure}; give one for every category.")
    for level, prior in priors.items():
        check_prior(f"{key}.{level}", prior, faults, what=of, lowest=0.0, highest=1.0)


def _check_draws(key: str, one: Priors, faults: Faults) -> None:
    if not 0 <= one.correlation <= 1 or math.isnan(one.correlation):
        faults.add(f"{key}.correlation", f"lies between 0 and 1, got {one.correlation:g}.")
    if not FEWEST <= one.draws <= MOST_DRAWS:
        faults.add(f"{key}.draws", f"must be from {FEWEST} to {MOST_DRAWS}, got {one.draws}; 20000 is enough.")
    if one.refits and not FEWEST <= one.refits <= MOST_DRAWS:
        faults.add(f"{key}.refits", f"must be 0 (none) or at least {FEWEST}, got {one.refits}; 500 is usual.")
