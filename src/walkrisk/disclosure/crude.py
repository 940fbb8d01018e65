"""Which models have numbers that follow from counts alone: those without covariates, or with one of few values.

The counts by category and value may stand in a table of strata or joint groups, and with so few cells to guess the
digits of an estimate tell them anyway.
"""

from __future__ import annotations

from collections.abc import Collection

from walkrisk.cohorts.variables import AllOf, AnyOf, AtLeast, Coalesce, Copy, EventBy, Fill, Gated, Recode, sources_of
from walkrisk.estimates.results import Diagnostic, Specification
from walkrisk.estimates.rows import Estimate
from walkrisk.studies.kinds import category_names, is_factor
from walkrisk.studies.multiverse import CovariatesOption, PerUnitOption, SplineOption
from walkrisk.studies.study import Study

OF_CODES = (AtLeast, AnyOf, AllOf, EventBy, Recode)
AS_ITS_SOURCES = (Copy, Coalesce, Gated, Fill)
FEW = 10  # whole numbers between the smallest and the largest value that a column may have
WITHOUT = "without "  # of a stratum of leaving one level of a variable out


def is_crude(study: Study, row: Estimate | Diagnostic, two_valued: Collection[str] = ()) -> bool:
    """Whether a row's numbers follow from counts alone; `two_valued` are numbers found to have two values only."""
    model = study.models.get(row.model)
    if model is None:
        return False
    analysis = next((a for a in study.analyses if a.id == row.analysis), None)
    left = set(model.covariates)
    if analysis and analysis.stratify:
        left -= set(analysis.stratify.drop)
    if analysis:
        left |= {c for a in analysis.add if row.model in a.models for c in a.covariates}
        left -= {c.variable for c in analysis.restrict if c.equals is not None}
    for x in study.interactions:
        if x.analysis == row.analysis:
            left -= {*x.drop, x.modifier}
    if row.stratum.startswith(WITHOUT):
        left.discard(row.stratum.removeprefix(WITHOUT).partition(": ")[0])
    for b in study.sensitivity.benchmarks:
        if b.id == row.analysis:
            left -= {*b.groups.get(row.stratum, (row.stratum,))}
    return of_counts(study, left, two_valued)


def is_crude_specification(study: Study, row: Specification, two_valued: Collection[str] = ()) -> bool:
    """Whether a specification's numbers follow from counts alone."""
    multiverse = next((m for m in study.sensitivity.multiverses if m.id == row.analysis), None)
    model = study.models.get(study.sensitivity.model)
    if multiverse is None or model is None:
        return False
    chosen = {tuple(c.split("=", 1)) for c in row.choices.split("; ")}
    left = list(model.covariates)
    for option in (o for d in multiverse.decisions for o in d.options if (d.id, o.id) in chosen):
        if isinstance(option, PerUnitOption | SplineOption):
            return False
        if isinstance(option, CovariatesOption):
            left = list(study.models[option.model].covariates) if option.model else left
            left = [option.replace.get(c, c) for c in (*left, *option.add) if c not in option.drop]
    return of_counts(study, left, two_valued)


def of_counts(study: Study, covariates: Collection[str], two_valued: Collection[str] = ()) -> bool:
    """Whether a model with these covariates has numbers that follow from counts alone."""
    return len(covariates) <= 1 and all(c in two_valued or has_few_values(study, c) for c in covariates)


def has_few_values(study: Study, name: str) -> bool:
    """Whether a covariate is declared to have few values: levels or categories, yes and no, codes, a short range."""
    if name in study.exposures:
        return bool(category_names(study, name))
    if is_factor(study, name):
        return True
    derived = study.variables.get(name)
    if derived is not None:
        sources = sources_of(derived)
        return isinstance(derived, OF_CODES) or (
            isinstance(derived, AS_ITS_SOURCES) and all(has_few_values(study, s) for s in sources)
        )
    column = study.columns.get(name)
    if column is None:
        return False
    bounded = column.minimum is not None and column.maximum is not None
    short = column.kind == "integer" and bounded and (column.maximum or 0) - (column.minimum or 0) < FEW
    return column.kind in ("boolean", "code") or short
