"""Checks of selection, influence, form and power in a study's section on sensitivity analyses."""

from __future__ import annotations

from typing import get_args

from walkrisk.doors.methods import methods_for
from walkrisk.studies.faults import Faults
from walkrisk.studies.kinds import categorical, levels_of, numeric
from walkrisk.studies.method_checks import Combination, check_combination
from walkrisk.studies.precision import Power
from walkrisk.studies.robustness import Influence, Jackknife, OtherForms
from walkrisk.studies.selection import LeaveOneOut, NegativeControl
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.studies.vocabulary import COX, VarianceName, variances_of

MOST_LEVELS = 100  # of a variable that is left out level by level
MOST_GROUPS = 2000
LEAST_REPLICATES, MOST_REPLICATES = 50, 20_000
FEWEST_RATIOS = 3  # of a power curve on one side of 1
WITH_DELETION = ("modified_poisson", "log_binomial", "logistic", COX)  # methods whose fits are taken apart by person


def check(study: Study, known: list[str], faults: Faults) -> None:
    """Faults of everything here that a study declares."""
    s = study.sensitivity
    check_leave_one_out(s.leave_one_out, study, known, faults)
    check_negative_controls(s.negative_controls, study, known, faults)
    check_influence(s.influence, study, faults)
    check_jackknives(s.jackknives, study, known, faults)
    check_other_forms(s.other_forms, study, faults)
    check_power(s.power, study, faults)


def check_leave_one_out(declared: tuple[LeaveOneOut, ...], study: Study, known: list[str], faults: Faults) -> None:
    """Faults of leaving out levels: unknown variables, and those without two to a hundred levels."""
    for d in declared:
        key = f"sensitivity.leave_one_out ({d.id})"
        faults.names(f"{key}.exposures", d.exposures, _of_main(study), "exposure of the main analysis")
        if not d.variables:
            faults.add(f"{key}.variables", "name at least one variable with levels.")
        faults.unique(f"{key}.variables", d.variables)
        for name in d.variables:
            faults.name(f"{key}.variables", name, known, "variable")
            levels = levels_of(study, name)
            if len(levels) == 1:
                faults.add(f"{key}.variables", f"{name} has a single level; leaving it out leaves nobody.")
            if len(levels) > MOST_LEVELS:
                faults.add(
                    f"{key}.variables", f"{name} has {len(levels)} levels; group them into {MOST_LEVELS} or fewer."
                )


def check_negative_controls(
    declared: tuple[NegativeControl, ...], study: Study, known: list[str], faults: Faults
) -> None:
    """Faults of negative controls: none or two of outcome and exposure named, or those of the main analysis itself."""
    main = _main(study)
    for d in declared:
        key = f"sensitivity.negative_controls ({d.id})"
        if bool(d.outcome) == bool(d.exposure):
            faults.add(key, "give either outcome (a control outcome) or exposure (a control exposure).")
        faults.names(f"{key}.restrict", [c.variable for c in d.restrict], known, "variable")
        pool = [*known, *(n for n, e in study.exposures.items() if e.variable)]
        faults.names(f"{key}.beside", d.beside, pool, "variable, or exposure with a variable,")
        faults.names(f"{key}.exposures", d.exposures, _of_main(study), "exposure of the main analysis")
        if d.outcome:
            faults.name(f"{key}.outcome", d.outcome, study.outcomes, "outcome")
            own = (main.outcome if main else None) or study.settings.outcome
            if d.outcome == own:
                faults.add(f"{key}.outcome", f"{own} is the outcome of the main analysis itself; name another outcome.")
            elif _variable(study, d.outcome) == _variable(study, own):
                faults.add(f"{key}.outcome", f"{d.outcome} is the variable of {own} itself; name another outcome.")
        if d.exposure:
            faults.name(f"{key}.exposure", d.exposure, categorical(study), "exposure with categories")
            if d.exposure in _followed(study):
                faults.add(f"{key}.exposure", f"{d.exposure} is an exposure of the main analysis; name another one.")
            if d.exposures:
                faults.add(f"{key}.exposures", "is for control outcomes; leave it out beside a control exposure.")
            if d.exposure in d.beside:
                faults.add(f"{key}.beside", f"{d.exposure} is the control exposure itself; leave it out.")


def check_influence(declared: tuple[Influence, ...], study: Study, faults: Faults) -> None:
    """Faults of looking at single people: exposures of another analysis, a method without a model to take apart."""
    for d in declared:
        _check_common(study, f"sensitivity.influence ({d.id})", d.exposures, faults)


def check_jackknives(declared: tuple[Jackknife, ...], study: Study, known: list[str], faults: Faults) -> None:
    """Faults of the jackknife: no groups named, or by two ways at once."""
    for d in declared:
        key = f"sensitivity.jackknives ({d.id})"
        _check_common(study, key, d.exposures, faults)
        if d.random_groups is not None:
            if d.over or d.strata:
                faults.add(key, "give either over (and strata) or random_groups.")
            if not 2 <= d.random_groups <= MOST_GROUPS:
                faults.add(f"{key}.random_groups", f"must be from 2 to {MOST_GROUPS}, got {d.random_groups}.")
        elif not (d.over or study.design.cluster):
            faults.add(
                f"{key}.over", "names no groups, and the design has no cluster; name a variable, or random_groups."
            )
        faults.names(key, [n for n in (d.over, d.strata) if n], known, "variable")


def check_other_forms(declared: tuple[OtherForms, ...], study: Study, faults: Faults) -> None:
    """Faults of other methods and scales: those that do not go with the study, exposures that are no number."""
    main = _main(study)
    for d in declared:
        key = f"sensitivity.other_forms ({d.id})"
        exposures = d.exposures or study.sensitivity.exposures or (main.exposures if main else ())
        faults.names(f"{key}.exposures", d.exposures, main.exposures if main else (), "exposure of the main analysis")
        faults.unique(f"{key}.methods", d.methods)
        faults.unique(f"{key}.differences", d.differences)
        if d.comparison:
            faults.name(f"{key}.comparison", d.comparison, [c.analysis for c in study.comparisons], "comparison")
        if not 50 < d.winsorise_percentile < 100:
            faults.add(
                f"{key}.winsorise_percentile", f"must be between 50 and 100, got {d.winsorise_percentile}; 99 is usual."
            )
        if d.changes:
            faults.names(f"{key}.changes", exposures, numeric(study), "exposure that is a number")
        for exposure, unit in d.units.items():
            faults.name(f"{key}.units", exposure, exposures, "exposure of this analysis")
            if unit <= 0:
                faults.add(f"{key}.units.{exposure}", f"must be positive, got {unit}.")
        for estimand, methods in (("risk_ratio", d.methods), ("risk_difference", d.differences)):
            for method in methods:
                _check_method(study, key, estimand, method, faults)


def _check_method(study: Study, key: str, estimand: str, method: str, faults: Faults) -> None:
    where = "methods" if estimand == "risk_ratio" else "differences"
    if method not in (*methods_for(estimand), "auto") and not (method == COX and estimand == "risk_ratio"):
        faults.add(f"{key}.{where}", f"{method} estimates no {estimand.replace('_', ' ')}.")
        return
    main = _main(study)
    if main is None:
        return
    fits_ratio = method in ("logistic", "firth_logistic", COX)
    asked = Combination(
        method=method,
        estimand=None if fits_ratio else estimand,
        variances=variances_for(study, main.variances, method, estimand),
        own=False,
        outcome=main.outcome,
        weighted=main.weighted,
        models=(study.sensitivity.model or main.models[-1],),
    )
    own = Faults()
    check_combination(study, f"{key}.{where}", asked, own)
    faults.sentences += [s for s in own.sentences if s not in faults.sentences]


def variances_for(
    study: Study, own: tuple[VarianceName, ...], method: str, estimand: str | None
) -> tuple[VarianceName, ...]:
    """The variances of the main analysis that a method has, or the first it has; none where it has its own."""
    has = variances_of(method, estimand)
    kept = tuple(v for v in own or study.settings.variances if v in has)
    return kept or tuple(v for v in get_args(VarianceName) if v in has)[:1]


def _check_common(study: Study, key: str, exposures: tuple[str, ...], faults: Faults) -> None:
    main = _main(study)
    if main is None:
        return
    faults.names(f"{key}.exposures", exposures, main.exposures, "exposure of the main analysis")
    method = main.method or study.settings.method
    if method not in WITH_DELETION:
        faults.add(
            key,
            f"the main analysis is by {method}, which has no single model to leave people out of; choose a main "
            f"analysis by {', '.join(WITH_DELETION)}.",
        )


def check_power(declared: tuple[Power, ...], study: Study, faults: Faults) -> None:
    """Faults of power: at a ratio of 1, outside 0 to 1, on the side that is not asked for."""
    main = _main(study)
    for d in declared:
        key = f"sensitivity.power ({d.id})"
        faults.names(f"{key}.exposures", d.exposures, main.exposures if main else (), "exposure of the main analysis")
        if _method(study) == COX:
            faults.add(
                key, "outcomes are simulated as risks, and the main analysis is of hazards; choose one of risks."
            )
        if not d.powers:
            faults.add(f"{key}.powers", "name at least one, for example 0.8.")
        alpha = 1 - study.settings.conf_level
        for power in d.powers:
            if not alpha < power < 1:
                faults.add(f"{key}.powers", f"must be between {alpha:.3g} (the size of the test) and 1, got {power:g}.")
        if not LEAST_REPLICATES <= d.replicates <= MOST_REPLICATES:
            faults.add(
                f"{key}.replicates", f"must be from {LEAST_REPLICATES} to {MOST_REPLICATES}, got {d.replicates}."
            )
        _check_ratios(d, key, faults)


def _check_ratios(d: Power, key: str, faults: Faults) -> None:
    faults.unique(f"{key}.ratios", [f"{r:g}" for r in d.ratios])
    for r in d.ratios:
        if r <= 0:
            faults.add(f"{key}.ratios", f"a ratio is positive, got {r:g}.")
        elif r == 1:
            faults.add(
                f"{key}.ratios",
                "at a true ratio of 1 there is nothing to detect (what is detected then is simulated "
                "anyway); leave it out.",
            )
        elif (d.direction == "below" and r > 1) or (d.direction == "above" and r < 1):
            faults.add(f"{key}.ratios", f"{r:g} is not {d.direction} 1, the direction asked for.")
    for side, name in ((-1, "below"), (1, "above")):
        count = sum(1 for r in d.ratios if r > 0 and (r - 1) * side > 0)
        if 0 < count < FEWEST_RATIOS:
            faults.add(f"{key}.ratios", f"names {count} {name} 1; a power curve there needs {FEWEST_RATIOS} or more.")


# ---------------------------------------------------------------- parts


def _main(study: Study) -> RatioAnalysis | None:
    return next((a for a in study.analyses if a.id == study.sensitivity.analysis), None)


def _of_main(study: Study) -> tuple[str, ...]:
    main = _main(study)
    return main.exposures if main else ()


def _followed(study: Study) -> tuple[str, ...]:
    return study.sensitivity.exposures or _of_main(study)


def _method(study: Study) -> str:
    main = _main(study)
    return (main.method if main else None) or study.settings.method


def _variable(study: Study, outcome: str) -> str:
    return study.outcomes[outcome].variable if outcome in study.outcomes else outcome
