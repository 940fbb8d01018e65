"""The grammar of multiple imputation: what is imputed and by which model, and how values not at random are shifted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from walkrisk.cohorts.variables import sources_of
from walkrisk.declarations import Name, option
from walkrisk.studies.faults import Faults
from walkrisk.studies.vocabulary import MANTEL_HAENSZEL

if TYPE_CHECKING:
    from walkrisk.studies.study import Study

ImputationModel = Literal["auto", "pmm", "normal", "binary", "ordinal", "nominal"]
FEWEST_SETS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Imputed values shifted from what is at random, over a grid that is scanned for a tipping point."""

    variable: Name = option(doc="An imputed variable: a covariate, or the outcome.")
    values: tuple[float, ...] = option(
        doc="The grid, increasing: units of a pmm or normal variable, else log-odds (of the higher level of a binary "
        "one, of being higher for an ordinal one, of `level` against the others for a nominal one)."
    )
    level: int | None = option(None, doc="The level of a nominal variable whose log-odds are shifted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imputation:
    """Multiple imputation by chained equations, everything derived and every quantile made again in each set.

    The models hold the outcome, the exposures (as numbers and as categories), the covariates of the main model, the
    other imputed variables and the auxiliaries. Auxiliaries with missing values are imputed too.
    """

    id: Name
    title: str = "Multiple imputation"
    impute: Mapping[Name, ImputationModel] = option(
        doc="Column or variable -> pmm (predictive mean matching), normal, binary (logistic), ordinal (proportional "
        "odds), nominal (multinomial), or auto: binary with two values, nominal with named levels, else pmm."
    )
    auxiliaries: tuple[Name, ...] = option((), doc="Further variables that predict, but are not in the main model.")
    replaces: tuple[Name, ...] = option(
        (), doc="Exclusions that are no longer needed: those of people with a value that is now imputed."
    )
    known: tuple[Name, ...] = option((), doc="What replaced exclusions asked for and must still be known.")
    sets: int = option(20, doc="Imputed data sets.")
    cycles: int = option(10, doc="Times every variable is imputed in turn before a set is taken.")
    donors: int = option(5, doc="Nearest known people among whom predictive mean matching draws.")
    delete_imputed_outcomes: bool = option(
        False,
        doc="Impute the outcome for the models' sake, then leave out whoever has it imputed (not where an auxiliary "
        "tells of the outcome beyond the covariates: what it tells is then thrown away).",
    )
    deltas: tuple[Delta, ...] = option((), doc="Variants in which imputed values are not missing at random.")


def check(declared: tuple[Imputation, ...], study: Study, known: list[str], faults: Faults) -> None:
    """Every name that leads nowhere and every setting that contradicts another, in all imputations."""
    for i, d in enumerate(declared):
        key = f"sensitivity.imputations[{i}] ({d.id})"
        if not d.impute:
            faults.add(f"{key}.impute", "names nothing to impute.")
        ids = {n for n, c in study.columns.items() if c.kind == "id"}
        for name in (*d.impute, *d.auxiliaries):
            if name in ids:
                faults.add(f"{key}.impute", f"{name} is the identifier of people, which says nothing; leave it out.")
        names = [n for n in (*d.impute, *d.auxiliaries) if n not in ids]
        faults.names(f"{key}.impute", [n for n in d.impute if n in names], known, "column or variable")
        faults.names(f"{key}.auxiliaries", [n for n in d.auxiliaries if n in names], known, "column or variable")
        faults.unique(f"{key}.auxiliaries", [*d.impute, *d.auxiliaries])
        faults.names(f"{key}.replaces", d.replaces, [e.id for e in study.exclusions], "exclusion")
        faults.names(f"{key}.known", d.known, known, "column or variable")
        twice = sorted({*d.known} & {*d.impute})
        if twice:
            faults.add(f"{key}.known", f"{', '.join(twice)} is imputed, so it need not be known; name it once.")
        if d.sets < FEWEST_SETS:
            faults.add(f"{key}.sets", f"pooling needs at least {FEWEST_SETS} sets, got {d.sets}; 20 is usual.")
        for field in ("cycles", "donors"):
            if getattr(d, field) < 1:
                faults.add(f"{key}.{field}", f"must be at least 1, got {getattr(d, field)}.")
        _check_relations(d, study, key, faults)
        _check_deltas(d, key, faults)


def ancestors(study: Study, name: str) -> set[str]:
    """Every column and variable that a variable is derived from, near or far."""
    if name not in study.variables:
        return set()
    near = set(sources_of(study.variables[name]))
    return near.union(*(ancestors(study, source) for source in near))


def outcome_of(study: Study) -> str:
    """The name of the outcome of the main analysis."""
    main = next((a for a in study.analyses if a.id == study.sensitivity.analysis), None)
    return (main.outcome if main else None) or study.settings.outcome


def _check_relations(d: Imputation, study: Study, key: str, faults: Faults) -> None:
    names = (*d.impute, *d.auxiliaries)
    for name in names:
        for source in sorted(ancestors(study, name) & set(names)):
            faults.add(
                f"{key}.impute", f"{name} is derived from {source} and follows it in every set; name one of the two."
            )
    outcome = study.outcomes.get(outcome_of(study))
    if d.delete_imputed_outcomes and outcome and not {outcome.variable, outcome.event} & set(d.impute):
        faults.add(f"{key}.delete_imputed_outcomes", f"the outcome {outcome.variable} is not among `impute`.")
    main = next((a for a in study.analyses if a.id == study.sensitivity.analysis), None)
    if main and (main.method or study.settings.method) == MANTEL_HAENSZEL:
        faults.add(key, "the main analysis is Mantel-Haenszel's; choose a regression to be pooled over imputed sets.")


def _check_deltas(d: Imputation, key: str, faults: Faults) -> None:
    for j, delta in enumerate(d.deltas):
        at = f"{key}.deltas[{j}]"
        faults.name(f"{at}.variable", delta.variable, d.impute, "imputed variable")
        if len(delta.values) < 1:
            faults.add(f"{at}.values", "names no shift; give a grid such as [-1.0, -0.5, 0.0, 0.5, 1.0].")
        faults.increasing(f"{at}.values", delta.values)
        if d.impute.get(delta.variable) == "nominal" and delta.level is None:
            faults.add(f"{at}.level", "a nominal variable is shifted at one level; name it.")
    faults.unique(f"{key}.deltas", [f"{x.variable} {'' if x.level is None else x.level}".strip() for x in d.deltas])
