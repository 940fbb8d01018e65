"""Checks of the sections of a study beyond its ratio analyses, as faults with their keys."""

from __future__ import annotations

import math
from collections.abc import Sequence

from walkrisk.doors.methods import methods_for
from walkrisk.studies.faults import Faults
from walkrisk.studies.kinds import categorical, category_names, is_factor, levels_of, numeric
from walkrisk.studies.method_checks import Combination, check_combination, check_variance_needs, check_variances
from walkrisk.studies.sections import Attributable, Comparison, Horizon, Standardised, Substitution
from walkrisk.studies.study import Curve, Interaction, Study
from walkrisk.studies.vocabulary import (
    BOOTSTRAP,
    COX,
    CURVED,
    ON_LOG_SCALE,
    REGRESSIONS,
)

EVERYONE = "everyone"
DEFAULT_KNOTS = (10.0, 50.0, 90.0)
Section = Standardised | Comparison | Attributable | Horizon


def check_sections(study: Study, known: list[str], faults: Faults) -> None:
    """Faults of curves, tests and every section that yields estimates of another kind than ratios by category."""
    for i, curve in enumerate(study.curves):
        _check_curve(study, f"curves[{i}] ({curve.analysis})", curve, faults)
    parts = [n for n in categorical(study) if study.exposures[n].variable]
    for i, t in enumerate(study.trends):
        key = f"trends[{i}] ({t.analysis})"
        faults.names(f"{key}.exposures", t.exposures, parts, "exposure with categories")
        faults.names(f"{key}.models", t.models, study.models, "model")
        _check_test_method(study, key, t.method, (*REGRESSIONS, COX), faults)
    for i, x in enumerate(study.interactions):
        _check_interaction(study, f"interactions[{i}] ({x.analysis})", x, known, faults)
    additive = [f"{x.analysis} of {x.exposure}" for x in study.interactions if x.additive]
    faults.unique("interactions.additive", additive)
    for i, s in enumerate(study.standardised):
        _check_standardised(study, f"standardised[{i}] ({s.analysis})", s, faults)
    for i, c in enumerate(study.comparisons):
        _check_comparison(study, f"comparisons[{i}] ({c.analysis})", c, faults)
    for i, a in enumerate(study.attributable):
        _check_attributable(study, f"attributable[{i}] ({a.analysis})", a, faults)
    for i, sub in enumerate(study.substitutions):
        _check_substitution(study, f"substitutions[{i}] ({sub.analysis})", sub, known, faults)
    for i, h in enumerate(study.horizons):
        _check_horizon(study, f"horizons[{i}] ({h.analysis})", h, faults)
    _check_ids(study, faults)


def _section_ids(study: Study) -> list[str]:
    """The names of the analyses of the sections."""
    groups: tuple[Sequence[Section | Substitution], ...] = (
        study.standardised, study.comparisons, study.attributable, study.substitutions, study.horizons,
    )  # fmt: skip
    return [s.analysis for group in groups for s in group]


def _check_ids(study: Study, faults: Faults) -> None:
    ids = _section_ids(study)
    faults.unique("analysis", ids)
    others = {a.id for a in study.analyses}
    others |= {x.analysis for group in (study.curves, study.trends, study.interactions, study.evalues) for x in group}
    taken = [i for i in dict.fromkeys(ids) if i in others]
    if taken:
        faults.add(
            "analysis", f"{', '.join(taken)} is the name of another analysis; rows of the results need their own."
        )


# ---------------------------------------------------------------- curves and tests


def _check_curve(study: Study, key: str, c: Curve, faults: Faults) -> None:
    variables = [n for n, e in study.exposures.items() if e.variable]
    faults.names(f"{key}.exposures", c.exposures, variables, "exposure with a variable")
    faults.name(f"{key}.model", c.model, study.models, "model")
    if len(c.knot_percentiles) < 3 or not all(0 < p < 100 for p in c.knot_percentiles):
        got = list(c.knot_percentiles)
        faults.add(
            f"{key}.knot_percentiles",
            f"needs three or more percentages between 0 and 100, got {got}; 10, 50, 90 is usual.",
        )
    faults.increasing(f"{key}.knot_percentiles", c.knot_percentiles)
    if c.knots is not None and not 3 <= c.knots <= 7:
        faults.add(f"{key}.knots", f"must be from 3 to 7, got {c.knots}; give knot_percentiles for others.")
    if c.knots is not None and c.knot_percentiles != DEFAULT_KNOTS:
        faults.add(f"{key}.knots", "give knots or knot_percentiles, not both.")
    if not 0 < c.reference_percentile < 100:
        faults.add(f"{key}.reference_percentile", f"must be between 0 and 100, got {c.reference_percentile}.")
    for exposure in c.exposures:
        if c.step.get(exposure, 0) <= 0:
            faults.add(f"{key}.step", f"give a positive step for {exposure}.")
    if c.weighted and not study.design.weights:
        faults.add(f"{key}.weighted", "needs design.weights.")
    if c.variance:
        check_variance_needs(study, f"{key}.variance", (c.variance,), faults)
    variances = tuple(dict.fromkeys([*([c.variance] if c.variance else []), *study.settings.variances]))
    _check_test_method(study, key, c.method, CURVED if c.standardised else ON_LOG_SCALE, faults, variances)
    if c.standardised and variances[:1] == (BOOTSTRAP,):
        faults.add(f"{key}.standardised", "has no bootstrap variance; name another `variance` for this curve.")


def _check_test_method(
    study: Study,
    key: str,
    method: str | None,
    allowed: Sequence[str],
    faults: Faults,
    variances: Sequence[str] = (),
) -> None:
    """Faults of the method behind a curve or test: one of `allowed`, with the variances of the settings."""
    used = method or study.settings.method
    if used not in allowed:
        whose = "" if method else f" (that of the settings, {used}, is not)"
        faults.add(f"{key}.method", f"needs one of {', '.join(allowed)}{whose}; name it here.")
    elif method:
        asked = Combination(method=method, variances=variances or study.settings.variances, own=False)
        check_combination(study, key, asked, faults)
    elif variances:
        check_variances(f"{key}.variance", used, variances[:1], faults)


def _check_interaction(study: Study, key: str, x: Interaction, known: list[str], faults: Faults) -> None:
    exposures = categorical(study)
    faults.name(f"{key}.exposure", x.exposure, exposures, "exposure with categories")
    factors = [*exposures, *(n for n in known if is_factor(study, n))]
    faults.name(f"{key}.modifier", x.modifier, factors, "variable with levels, or exposure,")
    faults.name(f"{key}.model", x.model, study.models, "model")
    faults.names(f"{key}.drop", x.drop, known, "variable")
    if x.modifier == x.exposure:
        faults.add(f"{key}.modifier", "is the exposure itself; name another variable.")
    _check_test_method(study, key, x.method, CURVED if x.additive else (*REGRESSIONS, COX), faults)
    if not x.additive:
        return
    names = category_names(study, x.exposure) if x.exposure in exposures else ()
    names += (
        category_names(study, x.modifier) if x.modifier in exposures else tuple(levels_of(study, x.modifier).values())
    )
    if any("/" in n for n in names):
        faults.add(f"{key}.additive", "joint groups are written first/second, so no level may have a / in its name.")


# ---------------------------------------------------------------- the other sections


def _check_places(study: Study, key: str, s: Section | Substitution, faults: Faults, exposures: Sequence[str]) -> None:
    """Faults of the exposures, models and outcome a section names, and of what its variances need."""
    if not isinstance(s, Substitution):
        faults.names(f"{key}.exposures", s.exposures, exposures, "exposure with categories")
        if not s.exposures:
            faults.add(f"{key}.exposures", "name at least one exposure.")
    models = (s.model,) if isinstance(s, (Comparison, Substitution)) else s.models
    faults.names(
        f"{key}.model{'' if isinstance(s, (Comparison, Substitution)) else 's'}", models, study.models, "model"
    )
    if not models:
        faults.add(f"{key}.models", "name at least one model.")
    if s.outcome:
        faults.name(f"{key}.outcome", s.outcome, study.outcomes, "outcome")
    if isinstance(s, Comparison):
        check_variance_needs(study, f"{key}.variance", (s.variance,) if s.variance else (), faults)
    else:
        check_variance_needs(study, f"{key}.variances", s.variances, faults)


def _check_standardised(study: Study, key: str, s: Standardised, faults: Faults) -> None:
    _check_places(study, key, s, faults, [*categorical(study), *(e for e in s.at if e in numeric(study))])
    faults.names(
        f"{key}.at", s.at, [e for e in s.exposures if e in numeric(study)], "exposure of this section with a number"
    )
    for exposure, values in s.at.items():
        if len(set(values)) < 2 or len(set(values)) < len(values):
            faults.add(f"{key}.at.{exposure}", f"needs two or more different values, got {list(values)}.")
    if s.population != EVERYONE:
        for exposure in (e for e in s.exposures if e in study.exposures):
            names = () if exposure in s.at else category_names(study, exposure)
            if s.population not in names:
                levels = ", ".join(names) or "it is compared at values"
                faults.add(f"{key}.population", f"{s.population!r} is no category of {exposure} ({levels}).")
    if not s.estimands:
        faults.add(f"{key}.estimands", "name at least one, for example risk.")
    method = f"standardisation_{s.method}"
    variances = s.variances or study.settings.variances
    check_combination(study, key, Combination(method=method, variances=variances, weighted=s.weighted), faults)


def _check_comparison(study: Study, key: str, c: Comparison, faults: Faults) -> None:
    _check_places(study, key, c, faults, categorical(study))
    faults.unique(f"{key}.methods", c.methods)
    if not c.methods:
        faults.add(f"{key}.methods", "name two or more methods.")
    variances = (c.variance,) if c.variance else study.settings.variances[:1]
    beside = ("logistic", "firth_logistic") if c.estimand == "risk_ratio" else ()  # odds ratios, for comparison
    for method in c.methods:
        if method not in (*methods_for(c.estimand), "auto"):
            faults.add(f"{key}.methods", f"{method} estimates no {c.estimand.replace('_', ' ')}.")
            continue
        asked = Combination(
            method=method,
            estimand=None if method in beside else c.estimand,
            variances=variances,
            own=False,
            weighted=c.weighted,
            models=(c.model,),
        )
        own = Faults()
        check_combination(study, key, asked, own)
        faults.sentences += [s for s in own.sentences if s not in faults.sentences]


def _check_attributable(study: Study, key: str, a: Attributable, faults: Faults) -> None:
    _check_places(study, key, a, faults, categorical(study))
    for exposure in (e for e in a.exposures if e in categorical(study)):
        names = category_names(study, exposure)
        if a.reference and len(names) > 1 and a.reference not in names:
            faults.add(f"{key}.reference", f"{a.reference!r} is no category of {exposure} ({', '.join(names)}).")
    method = a.method or ("logistic" if a.formula == "standardised" else "modified_poisson")
    if a.formula != "standardised" and method == "logistic":
        faults.add(
            f"{key}.method", f"the {a.formula} formula needs risk ratios; choose modified_poisson or log_binomial."
        )
    _check_no_bootstrap(study, key, a, method, faults)


def _check_no_bootstrap(study: Study, key: str, s: Attributable | Substitution, method: str, faults: Faults) -> None:
    variances = s.variances or study.settings.variances
    if isinstance(s, Attributable) and BOOTSTRAP in variances:
        faults.add(f"{key}.variances", "a fraction has no bootstrap variance; choose HC0 or another robust one.")
    else:
        check_combination(study, key, Combination(method=method, variances=variances, weighted=s.weighted), faults)


def _check_substitution(study: Study, key: str, s: Substitution, known: list[str], faults: Faults) -> None:
    _check_places(study, key, s, faults, ())
    faults.names(f"{key}.parts", s.parts, known, "variable")
    faults.unique(f"{key}.parts", s.parts)
    factors = [p for p in s.parts if is_factor(study, p)]
    if factors:
        faults.add(f"{key}.parts", f"{', '.join(factors)} has levels; time is a number.")
    if len(s.parts) < 2:
        faults.add(f"{key}.parts", "name two or more parts of the day.")
    if not s.amounts or not all(math.isfinite(a) and a > 0 for a in s.amounts):
        faults.add(f"{key}.amounts", f"must be positive, got {list(s.amounts)}.")
    if s.model in study.models:
        twice = [p for p in s.parts if p in study.models[s.model].covariates]
        if twice:
            faults.add(
                f"{key}.model", f"{', '.join(twice)} is a part of the day already; take it out of the covariates."
            )
    method = s.method or study.settings.method
    if method not in CURVED:
        faults.add(f"{key}.method", f"needs one of {', '.join(CURVED)}; name it here.")
    else:
        _check_no_bootstrap(study, key, s, method, faults)


def _check_horizon(study: Study, key: str, h: Horizon, faults: Faults) -> None:
    _check_places(study, key, h, faults, categorical(study))
    name = h.outcome or study.settings.outcome
    declared = study.outcomes.get(name)
    if declared and not (declared.time and declared.event):
        faults.add(f"{key}.outcome", "risks at a horizon need an outcome with time and event.")
    if not h.horizon > 0:
        faults.add(f"{key}.horizon", f"must be a positive time, got {h.horizon:g}.")
    if not h.estimands:
        faults.add(f"{key}.estimands", "name at least one, for example risk.")
    check_combination(
        study,
        key,
        Combination(method="iptw", variances=h.variances or study.settings.variances, weighted=h.weighted),
        faults,
    )
    if h.method == "aalen_johansen" and name in _cox_outcomes(study):
        faults.add(f"{key}.outcome", f"{name} has competing events here and is modelled by Cox elsewhere; declare two.")


def _cox_outcomes(study: Study) -> set[str]:
    s = study.settings
    asked: list[tuple[str, str]] = [(a.method or s.method, a.outcome or s.outcome) for a in study.analyses]
    asked += [(h.method, h.outcome or s.outcome) for h in study.horizons]
    return {outcome for method, outcome in asked if method == COX}
