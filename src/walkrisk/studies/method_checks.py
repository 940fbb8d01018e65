"""Which methods, estimands and variances of a declaration cannot be together, as faults with their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from walkrisk.studies.faults import Faults
from walkrisk.studies.kinds import is_factor
from walkrisk.studies.study import Study
from walkrisk.studies.vocabulary import (
    BOOTSTRAP,
    COX,
    MANTEL_HAENSZEL,
    base_of,
    estimand_fault,
    needs_cluster,
    takes_expected,
    uses_cluster,
    uses_design,
    variances_of,
)

LEAST_REPLICATES, MOST_REPLICATES = 50, 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """What one analysis asks for, its own choices or those of the settings; `own` says that it names variances."""

    method: str
    estimand: str | None = None
    variances: Sequence[str] = ()
    own: bool = True
    outcome: str | None = None
    weighted: bool = False
    models: Sequence[str] = ()


def check_combination(study: Study, key: str, asked: Combination, faults: Faults) -> None:
    """Faults of a method with an estimand, variances, an outcome, weights and models."""
    said = estimand_fault(asked.method, asked.estimand)
    if said:
        faults.add(f"{key}.estimand", said)
    if asked.weighted and not study.design.weights:
        faults.add(f"{key}.weighted", "needs design.weights.")
    if asked.method == COX:
        check_cox(study, f"{key}.method", asked.variances, asked.outcome, faults)
    elif asked.method == MANTEL_HAENSZEL:
        _check_mantel_haenszel(study, key, asked, faults)
    else:
        check_variances(f"{key}.variances", asked.method, asked.variances, faults, estimand=asked.estimand)


def check_variances(
    key: str, method: str, variances: Sequence[str], faults: Faults, *, estimand: str | None = None
) -> None:
    """Faults of variances that a method does not have."""
    known = variances_of(method, estimand)
    expected = takes_expected(method)
    wrong = [v for v in variances if base_of(v) not in known or (base_of(v) != v and not expected)]
    if wrong:
        faults.add(key, f"{method} has no variance {', '.join(wrong)}; choose from {', '.join(known)}.")


def check_cox(study: Study, key: str, variances: Sequence[str], outcome: str | None, faults: Faults) -> None:
    """Faults of a Cox model: an outcome without time and event, a variance that it does not have."""
    declared = study.outcomes.get(outcome or study.settings.outcome)
    if declared and not (declared.time and declared.event):
        faults.add(key, "a Cox model needs an outcome with time and event.")
    known = variances_of(COX)
    wrong = [v for v in variances if v not in known]
    if wrong:
        faults.add(key, f"a Cox model has no variance {', '.join(wrong)}; choose from {', '.join(known)}.")


def _check_mantel_haenszel(study: Study, key: str, asked: Combination, faults: Faults) -> None:
    if asked.variances and asked.own:
        faults.add(f"{key}.variances", "mantel_haenszel has variances of its own; leave variances out.")
    elif any(needs_cluster(v) or uses_design(v) for v in asked.variances):
        faults.add(
            f"{key}.method",
            f"mantel_haenszel knows no clusters, survey design or bootstrap (variances {', '.join(asked.variances)}); "
            "choose a regression.",
        )
    if asked.weighted:
        faults.add(f"{key}.weighted", "mantel_haenszel knows no weights; choose a regression.")
    covariates = dict.fromkeys(c for m in asked.models if m in study.models for c in study.models[m].covariates)
    numbers = [c for c in covariates if not is_factor(study, c)]
    if numbers:
        faults.add(
            f"{key}.method",
            f"strata of mantel_haenszel are made of categories, but {', '.join(numbers)} enters as a number; "
            "give it levels, or choose another method.",
        )


def check_variance_needs(study: Study, key: str, variances: Sequence[str], faults: Faults) -> None:
    """Faults of variances that need clusters or a survey design which is not declared."""
    for variance in variances:
        if needs_cluster(variance) and not study.design.cluster:
            faults.add(key, f"variance {variance!r} needs design.cluster.")
        if base_of(variance) == "survey" and not (study.design.strata and study.design.psu):
            faults.add(key, f"variance {variance!r} needs design.strata and design.psu.")
    both = [v for v in variances if uses_cluster(v) and uses_design(v)]
    if both and study.design.cluster and study.design.psu:
        faults.add(
            key, f"variance {BOOTSTRAP!r} draws clusters or sampling units; declare design.cluster or design.psu."
        )


def check_bootstrap(study: Study, faults: Faults) -> None:
    """Faults of the number of bootstrap samples and of the seed."""
    s = study.settings
    if not LEAST_REPLICATES <= s.replicates <= MOST_REPLICATES:
        faults.add(
            "settings.replicates",
            f"must be from {LEAST_REPLICATES} to {MOST_REPLICATES}, got {s.replicates}; 2000 is usual.",
        )
    if s.seed < 0:
        faults.add("settings.seed", f"must be 0 or more, got {s.seed}.")
