"""The main result in one sentence."""

from __future__ import annotations

from walkrisk.accounts.account import View
from walkrisk.estimates.rows import Estimate
from walkrisk.studies.study import RatioAnalysis
from walkrisk.tables.categories import level_names
from walkrisk.tables.cells import difference

WORDS = {
    "risk_ratio": "risk ratio",
    "hazard_ratio": "hazard ratio",
    "odds_ratio": "odds ratio",
    "risk_difference": "difference in risk (percentage points)",
}


def headline(view: View) -> tuple[str, ...]:
    """One sentence on the main analysis under its last model: the last category of every exposure against the first.

    No sentence where the study declares no analysis of ratios.
    """
    study = view.study
    analysis = main_of(view)
    if analysis is None:
        return ()
    model = analysis.models[-1]
    found = [(e, row) for e in analysis.exposures if (row := headline_row(view, analysis, e)) is not None]
    if not found:
        return ()
    estimands = dict.fromkeys(WORDS[row.estimand] for _, row in found)
    outcome = study.outcomes[analysis.outcome or study.settings.outcome].label
    begins = "In these simulated data the" if view.simulated else "The"
    said = "; ".join(f"{_result(view, row)} for {_contrast(view, analysis, e, row)}" for e, row in found)
    adjusted = study.models[model].label or model
    return (f"{begins} {' or '.join(estimands)} of {in_text(outcome)} ({adjusted} model) was {said}.",)


def main_of(view: View) -> RatioAnalysis | None:
    """The analysis that sensitivity analyses are set beside, else the first main one, else the first."""
    analyses = view.study.analyses
    named = [a for a in analyses if a.id == view.study.sensitivity.analysis]
    return next(iter([*named, *(a for a in analyses if a.group == "main"), *analyses]), None)


def headline_row(view: View, analysis: RatioAnalysis, exposure: str) -> Estimate | None:
    """The row of the category shown for an exposure, the last one or the one declared, under the last model."""
    rows = [
        e
        for e in view.rows(analysis.id, exposure=exposure, stratum="", model=analysis.models[-1], estimand=tuple(WORDS))
        if e.level != e.reference
    ]
    wanted = view.study.sensitivity.levels.get(exposure)
    return next((e for e in rows if e.level == wanted), rows[-1] if rows else None)


def in_text(label: str) -> str:
    """A label within a sentence: its first letter small, unless it begins with a short form (BMI, E-value)."""
    return label if label[:2].isupper() and label[1:2] != " " else label[:1].lower() + label[1:]


def _result(view: View, row: Estimate) -> str:
    crude = not view.study.models[row.model].covariates
    reference = [
        e for e in view.rows(row.analysis, exposure=row.exposure, level=row.reference, model=row.model) if not e.stratum
    ]
    if view.guard.hides_ratio(row, *reference, crude=crude):
        return "not reported"
    if row.estimate is None:
        return "not estimable"
    text = (
        difference(row, view.rounding)
        if row.estimand == "risk_difference"
        else view.rounding.interval(row.estimate, row.conf_low, row.conf_high)
    )
    return text.replace("(", f"({100 * view.study.settings.conf_level:g}% CI ", 1)


def _contrast(view: View, analysis: RatioAnalysis, exposure: str, row: Estimate) -> str:
    """What is compared: walking volume >126 against ≤78 min/day."""
    label = view.exposures[exposure]
    name = " and ".join(view.exposures[part].label for part in label.cross) if label.cross else label.label
    if not row.reference:
        return f"{in_text(name)}, {row.level}"
    names = level_names(
        [row.level, row.reference], view.results.cutpoints, analysis.id, label, view.exposures
    )  # ranks are those of the names
    shown, reference = (" and ".join(names.get(level, (level,))) for level in (row.level, row.reference))
    return f"{in_text(name)} {shown} against {reference} {label.unit}".rstrip()
