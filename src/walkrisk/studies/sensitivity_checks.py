"""Checks of the section on sensitivity analyses: every name known, nothing contradicting itself."""

from __future__ import annotations

from walkrisk.studies import confounding_checks, losses, measurement, missing_data, multiverse_checks, robustness_checks
from walkrisk.studies.faults import Faults
from walkrisk.studies.kinds import categorical, category_names
from walkrisk.studies.sensitivity import declares_any, ids
from walkrisk.studies.study import Study


def check_sensitivity(study: Study, known: list[str], faults: Faults) -> None:
    """Every name that leads nowhere and every setting that contradicts another, in the whole section."""
    s = study.sensitivity
    if not declares_any(s):
        return
    others = [a.id for a in study.analyses]
    faults.name("sensitivity.analysis", s.analysis, others, "ratio analysis")
    faults.unique("sensitivity", [*others, *ids(s)])
    main = next((a for a in study.analyses if a.id == s.analysis), None)
    if main is None:
        return
    if main.stratify or main.form != "categories":
        faults.add("sensitivity.analysis", f"{s.analysis!r} has strata or is per unit; choose one of categories.")
    if s.model:
        faults.name("sensitivity.model", s.model, main.models, f"model of {s.analysis}")
    faults.names("sensitivity.exposures", s.exposures, main.exposures, f"exposure of {s.analysis}")
    for exposure, level in s.levels.items():
        faults.name("sensitivity.levels", exposure, categorical(study), "exposure with categories")
        if exposure in categorical(study):
            faults.name(f"sensitivity.levels.{exposure}", level, category_names(study, exposure)[1:], "category")
    missing_data.check(s.imputations, study, known, faults)
    losses.check_weights(s.losses, study, known, faults)
    losses.check_worst(s.worst_cases, study, faults)
    confounding_checks.check(s, study, known, faults)
    measurement.check(study, faults)
    multiverse_checks.check(s.multiverses, study, known, faults)
    robustness_checks.check(study, known, faults)
