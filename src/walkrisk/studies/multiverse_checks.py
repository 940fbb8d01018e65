"""Checks of multiverses: every name known, no decision against another, and at least two specifications left."""

from __future__ import annotations

from math import prod

from walkrisk.cohorts.variables import sources_of
from walkrisk.studies.faults import Faults
from walkrisk.studies.kinds import is_factor
from walkrisk.studies.multiverse import (
    AsDeclaredOption,
    CategoriesOption,
    CovariatesOption,
    Decision,
    DerivationOption,
    MethodOption,
    MissingDataOption,
    Multiverse,
    Option,
    OutcomeOption,
    PerUnitOption,
    RestrictOption,
    SplineOption,
    ValidDaysOption,
)
from walkrisk.studies.study import Study
from walkrisk.studies.vocabulary import ON_LOG_SCALE

MOST = 100_000
MOST_DECISIONS = 12
METHODS = (
    *ON_LOG_SCALE,
    "auto",
    "standardisation_logistic",
    "standardisation_poisson",
    "standardisation_log_binomial",
    "iptw",
    "aipw",
    "tmle",
    "mantel_haenszel",
)


def check(declared: tuple[Multiverse, ...], study: Study, known: list[str], faults: Faults) -> None:
    """Every name that leads nowhere, decisions that contradict each other, multiverses without a specification."""
    for m in declared:
        key = f"sensitivity.multiverses ({m.id})"
        before = len(faults.sentences)
        faults.unique(f"{key}.decisions", [d.id for d in m.decisions])
        faults.names(f"{key}.exposures", m.exposures, _simple(study), "exposure with a variable")
        if not 2 <= len(m.decisions) <= MOST_DECISIONS:
            few = "; a single one is better run twice and compared (walkrisk compare)" if len(m.decisions) == 1 else ""
            faults.add(f"{key}.decisions", f"there must be from 2 to {MOST_DECISIONS}, got {len(m.decisions)}{few}.")
        for d in m.decisions:
            _check_decision(d, f"{key}.decisions ({d.id})", study, known, faults)
        _check_between(m, key, faults)
        for name, least, most in (("permutations", 0, 100_000), ("sample", 2, MOST)):
            value = getattr(m, name)
            if value is not None and not least <= value <= most:
                faults.add(f"{key}.{name}", f"must be from {least} to {most}, got {value}.")
        if 0 < m.permutations < 20:
            faults.add(f"{key}.permutations", f"must be 0 or at least 20, got {m.permutations}; 500 is usual.")
        if len(faults.sentences) == before:
            _check_number(m, key, faults)


def _simple(study: Study) -> list[str]:
    return [n for n, e in study.exposures.items() if e.variable and (e.quantiles or e.cuts)]


def _check_decision(d: Decision, key: str, study: Study, known: list[str], faults: Faults) -> None:
    faults.unique(f"{key}.options", [o.id for o in d.options])
    faults.names(f"{key}.exposures", d.exposures, _simple(study), "exposure with a variable")
    if len(d.options) < 2:
        faults.add(f"{key}.options", "a decision needs two options or more.")
    if sum(o.reference for o in d.options) > 1:
        faults.add(f"{key}.options", "exactly one option is the reference.")
    contents = [_content(o) for o in d.options]
    for i, content in enumerate(contents):
        if content in contents[:i]:
            first = d.options[contents.index(content)].id
            faults.add(f"{key}.options", f"{first} and {d.options[i].id} say the same; leave one out.")
    for o in d.options:
        _check_option(o, f"{key}.{o.id}", study, known, faults)


def _content(o: Option) -> tuple[object, ...]:
    return (o.op, *(repr(getattr(o, f)) for f in o.__dataclass_fields__ if f not in ("id", "title", "reference", "op")))


def _check_option(o: Option, key: str, study: Study, known: list[str], faults: Faults) -> None:
    match o:
        case ValidDaysOption():
            if study.days is None:
                faults.add(key, "the study has no [days], so there is no valid day.")
                return
            if o.valid is None and o.fewest is None:
                faults.add(key, "give valid (a rule) or fewest (a number of days).")
            if o.valid is not None:
                activities = list(study.days.sources)
                named = (*o.valid.zero_invalidates, *o.valid.total_of, *o.valid.not_worn)
                faults.names(f"{key}.valid", named, activities, "activity")
            if o.fewest is not None:
                faults.name(f"{key}.count", o.count, study.days.counts, "day count")
                if not 1 <= o.fewest <= study.days.number:
                    faults.add(f"{key}.fewest", f"must be from 1 to {study.days.number}, got {o.fewest}.")
        case CategoriesOption():
            if bool(o.quantiles) == bool(o.cuts):
                faults.add(key, "give either quantiles or cuts.")
            if o.quantiles is not None and not 2 <= o.quantiles <= 100:
                faults.add(f"{key}.quantiles", f"must be from 2 to 100, got {o.quantiles}.")
            faults.names(f"{key}.cuts", o.cuts, _simple(study), "exposure with a variable")
            for name, cuts in o.cuts.items():
                faults.increasing(f"{key}.cuts.{name}", cuts)
                if not cuts:
                    faults.add(f"{key}.cuts.{name}", "is empty; give at least one limit.")
        case SplineOption():
            if o.knots is not None and not 3 <= o.knots <= 7:
                faults.add(f"{key}.knots", f"must be from 3 to 7, got {o.knots}.")
            faults.increasing(f"{key}.knot_percentiles", o.knot_percentiles)
            if o.knots is None and len(o.knot_percentiles) < 3:
                faults.add(f"{key}.knot_percentiles", f"a spline needs 3 or more, got {len(o.knot_percentiles)}.")
        case CovariatesOption():
            if o.model:
                faults.name(f"{key}.model", o.model, study.models, "model")
            faults.names(key, (*o.add, *o.drop, *o.replace, *o.replace.values()), known, "variable")
        case MethodOption():
            if o.method not in METHODS:
                faults.add(f"{key}.method", f"{o.method} gives no ratio; choose from {', '.join(METHODS)}.")
        case OutcomeOption():
            faults.name(f"{key}.outcome", o.outcome, study.outcomes, "outcome")
        case DerivationOption():
            for name, derivation in o.variables.items():
                faults.name(f"{key}.variables", name, study.variables, "derived variable")
                if name in study.variables:
                    before = known[: known.index(name)] if name in known else known
                    faults.names(
                        f"{key}.variables.{name}", sources_of(derivation), before, "column or earlier variable"
                    )
            if not o.variables:
                faults.add(f"{key}.variables", "is empty; name a variable and its derivation.")
        case RestrictOption():
            faults.names(f"{key}.require", [c.variable for c in o.require], known, "variable")
            faults.names(f"{key}.without", o.without, [s.id for s in study.exclusions], "exclusion")
            if not o.require and not o.without:
                faults.add(key, 'give require or without; for everyone, write op = "as_declared".')
        case MissingDataOption():
            _check_missing(o, key, study, known, faults)
        case _:
            pass


def _check_missing(o: MissingDataOption, key: str, study: Study, known: list[str], faults: Faults) -> None:
    if o.approach == "imputed":
        declared = {i.id: i for i in study.sensitivity.imputations}
        if o.imputation is None:
            faults.add(f"{key}.imputation", "is missing; name one of sensitivity.imputations.")
            return
        faults.name(f"{key}.imputation", o.imputation, declared, "imputation")
        if o.imputation in declared and not 2 <= o.sets <= declared[o.imputation].sets:
            faults.add(f"{key}.sets", f"must be from 2 to the {declared[o.imputation].sets} sets it has, got {o.sets}.")
        return
    if not o.variables:
        faults.add(f"{key}.variables", "is empty; name the factors in which unknown becomes a level.")
    faults.names(f"{key}.variables", o.variables, known, "variable")
    numbers = [v for v in o.variables if v in known and (v not in study.variables or not is_factor(study, v))]
    if numbers:
        faults.add(
            f"{key}.variables",
            f"{', '.join(numbers)} is no derived variable with levels, so unknown cannot be one of them; "
            "impute it, or cut it into levels.",
        )
    faults.names(f"{key}.without", o.without, [s.id for s in study.exclusions], "exclusion")


def _check_between(m: Multiverse, key: str, faults: Faults) -> None:
    owners: dict[str, list[str]] = {}
    for d in m.decisions:
        for what in {w for o in d.options for w in _changes(o)}:
            owners.setdefault(what, []).append(d.id)
    for what, decisions in owners.items():
        if len(decisions) > 1:
            faults.add(f"{key}.decisions", f"{' and '.join(decisions)} both change {what}; make one decision of them.")
    ids = {d.id: [o.id for o in d.options] for d in m.decisions}
    for i, names in enumerate(m.never):
        if not names:
            faults.add(f"{key}.never[{i}]", "is empty; name decisions and their options.")
        for decision, options in names.items():
            faults.name(f"{key}.never[{i}]", decision, ids, "decision")
            if decision in ids:
                faults.names(f"{key}.never[{i}].{decision}", options, ids[decision], "option")


def _changes(o: Option) -> list[str]:
    """What an option changes that no other decision may."""
    match o:
        case CovariatesOption():
            return ["the model"] if o.model else []
        case DerivationOption():
            return [f"the derivation of {name}" for name in o.variables]
        case AsDeclaredOption() | RestrictOption():
            return []
        case CategoriesOption() | PerUnitOption() | SplineOption():
            return ["the form of the exposure"]
        case ValidDaysOption():
            return [w for w, v in (("the valid day", o.valid), ("the fewest days", o.fewest)) if v is not None]
        case _:
            return [f"the {o.op.replace('_', ' ')}"]


def _check_number(m: Multiverse, key: str, faults: Faults) -> None:
    size = prod(len(d.options) for d in m.decisions)
    if size > MOST:
        faults.add(
            f"{key}.decisions", f"make {size:,} combinations, more than {MOST:,}; leave decisions or options out."
        )
        return
    found = list(m.combinations())
    if not found:
        faults.add(f"{key}.never", "leaves no admissible specification; take some of these exclusions out.")
    elif m.reference not in found:
        faults.add(f"{key}.never", "leaves the study's own combination out; take that exclusion out.")
    elif len(found) < 2:
        faults.add(f"{key}.never", "leaves a single specification, so there is nothing to compare.")
