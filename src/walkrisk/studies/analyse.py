"""The ratio analyses of a study, its list of tasks, and its E-values. Nothing here reads or writes a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.eligibility import holds
from walkrisk.cohorts.samples import CategoryRule, Sample, categorise, recategorise
from walkrisk.estimates.ratios import LevelCount, count_levels, level_ratios, per_unit
from walkrisk.estimates.results import Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.models.design import Factor, Linear, Term
from walkrisk.sensitivity.evalue import evalue_rows
from walkrisk.studies.answers import answered, counted
from walkrisk.studies.bench import Bench, Rows, category_rule, common, cutpoints_of, everyone, fitted_to, variable_of
from walkrisk.studies.curves import curve_rows
from walkrisk.studies.fitting import Fitted, NoEstimate, Request, fit_terms, terms_of, with_profile, with_warning
from walkrisk.studies.section_rows import (
    answers_of,
    attributable_rows,
    comparison_rows,
    horizon_rows,
    standardised_rows,
    substitution_rows,
)
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.studies.trends_and_interactions import interaction_rows, trend_rows
from walkrisk.studies.vocabulary import COX, REGRESSIONS, estimand_asked, estimand_of

FloatArray = npt.NDArray[np.float64]


def tasks(study: Study) -> Iterator[tuple[str, Callable[[Bench], Rows]]]:
    """Every analysis of a study as (title, function of the bench), independent of one another, in declared order."""
    for analysis in study.analyses:
        for exposure in analysis.exposures:
            yield f"{analysis.title} ({exposure})", partial(ratio_rows, analysis=analysis, exposure=exposure)
    for declared in study.curves:
        for exposure in declared.exposures:
            yield f"Spline, {declared.analysis} ({exposure})", partial(curve_rows, declared=declared, exposure=exposure)
    for trend in study.trends:
        for exposure in trend.exposures:
            yield f"P for trend ({exposure})", partial(trend_rows, trend=trend, exposure=exposure)
    for interaction in study.interactions:
        yield f"Interaction with {interaction.modifier}", partial(interaction_rows, declared=interaction)
    yield from _section_tasks(study)


def _section_tasks(study: Study) -> Iterator[tuple[str, Callable[[Bench], Rows]]]:
    for risks in study.standardised:
        for exposure in risks.exposures:
            yield f"{risks.title} ({exposure})", partial(standardised_rows, declared=risks, exposure=exposure)
    for compared in study.comparisons:
        for exposure in compared.exposures:
            yield f"{compared.title} ({exposure})", partial(comparison_rows, declared=compared, exposure=exposure)
    for fraction in study.attributable:
        for exposure in fraction.exposures:
            yield f"{fraction.title} ({exposure})", partial(attributable_rows, declared=fraction, exposure=exposure)
    for moved in study.substitutions:
        yield moved.title, partial(substitution_rows, declared=moved)
    for horizon in study.horizons:
        for exposure in horizon.exposures:
            yield f"{horizon.title} ({exposure})", partial(horizon_rows, declared=horizon, exposure=exposure)


def carry_out(task: Callable[[Bench], Rows], bench: Bench) -> Rows:
    """The rows of one task; where it has no estimate, a diagnostics row that says why."""
    try:
        return task(bench)
    except NoEstimate as none:
        return Rows(diagnostics=(none.diagnostic,))


def evalues(study: Study, estimates: Sequence[Estimate], fits: Sequence[Diagnostic]) -> tuple[Estimate, ...]:
    """E-value rows of the declared analyses, from their ratio rows, with the counts of the fitted samples."""
    counts = {(d.analysis, d.exposure, d.stratum, d.model): (d.n or 0, d.events or 0) for d in fits}
    rows: list[Estimate] = []
    for declared in study.evalues:
        for source in declared.of:
            mine = [e for e in estimates if (e.analysis, e.model, e.estimand) == (source, declared.model, "risk_ratio")]
            rows += evalue_rows(
                mine,
                analysis=declared.analysis,
                z=declared.z,
                counts=lambda e: counts[e.analysis, e.exposure, e.stratum, e.model],
            )
    return tuple(rows)


def ratio_rows(bench: Bench, analysis: RatioAnalysis, exposure: str) -> Rows:
    """Ratios of one exposure in one analysis, over its strata and models."""
    sample, rules = _analysis_sample(bench, analysis, exposure)
    cutpoints = cutpoints_of(analysis.id, exposure, sample, rules) if analysis.form == "categories" else ()
    coincide = analysis.form == "categories" and bool(np.any(np.diff(sample.cuts.get(exposure, [])) == 0))
    estimates: list[Estimate] = []
    diagnostics: list[Diagnostic] = []
    for stratum, people in _strata(bench, analysis, sample):
        for model in analysis.models:
            request = _request(bench.study, analysis, exposure, stratum, model)
            try:
                made, diagnostic = _fit_ratio(bench, analysis, exposure, people, request, rules)
            except NoEstimate as none:
                made, diagnostic = [], none.diagnostic
            if coincide:
                said = "Cut points coincide, as many people share a value: some categories are empty."
                diagnostic = with_warning(diagnostic, said)
            estimates += made
            diagnostics.append(diagnostic)
    return Rows(tuple(estimates), (), cutpoints, tuple(diagnostics))


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A model of an analysis before it is fitted: who, what, by which terms; the first term is the exposure."""

    request: Request
    people: Sample
    terms: tuple[Term | str, ...]
    labels: Mapping[str, Sequence[str]]


def asked_of(bench: Bench, analysis: RatioAnalysis, exposure: str, model: str) -> Asked:
    """The model of an exposure in an analysis without strata."""
    sample, rules = _analysis_sample(bench, analysis, exposure)
    return _asked(bench, analysis, exposure, sample, _request(bench.study, analysis, exposure, "", model), rules)


def _asked(
    bench: Bench,
    analysis: RatioAnalysis,
    exposure: str,
    people: Sample,
    request: Request,
    rules: Mapping[str, CategoryRule],
) -> Asked:
    study = bench.study
    labels = {name: rule.labels(rules) for name, rule in rules.items()}
    linear = None
    if analysis.form == "per_unit":
        linear = Linear(variable_of(study, exposure), study.exposures[exposure].per or 1.0)
    covariates = _covariates(study, analysis, exposure, request.model)
    return Asked(request, people, (linear or exposure, *terms_of(covariates, bench.cohort.variables)), labels)


def _fit_ratio(
    bench: Bench,
    analysis: RatioAnalysis,
    exposure: str,
    people: Sample,
    request: Request,
    rules: Mapping[str, CategoryRule],
) -> tuple[list[Estimate], Diagnostic]:
    study = bench.study
    declared = study.exposures[exposure]
    model = _asked(bench, analysis, exposure, people, request, rules)
    labels, terms = model.labels, model.terms
    linear = terms[0] if isinstance(terms[0], Linear) else None
    asked = analysis.estimand, study.settings.estimand
    estimand = estimand_of(request.method, estimand_asked(request.method, *asked))
    if request.method not in (*REGRESSIONS, COX):
        ask = answers_of(request.method, estimand, bench)
        found = answered(bench, request, people, terms, ask, labels=labels)
        return list(counted(found.rows, _level_counts(people, request, labels))), found.diagnostic
    fitted, made = fit_terms(
        request, people, terms, bench.cohort.variables, labels=labels, design_sample=everyone(bench, request)
    )
    row = Estimate(
        analysis=analysis.id,
        exposure=exposure,
        stratum=request.stratum,
        model=request.model,
        estimand=estimand,
        method=request.method,
    )
    if linear:
        unit = f"per {declared.per:g} {declared.unit}".strip()
        rows = per_unit(
            fitted.fit, linear, fitted.covariances, row=replace(row, level=unit), z=bench.z, log_scale=False
        )
        column = fitted.fit.design.columns_of[linear][0]
        rows = [fitted.with_t(r, column, study.settings.conf_level) for r in rows]
        return rows, with_profile(fitted.diagnostic, rows)
    factor = made[0]
    assert isinstance(factor, Factor)
    counts = _level_counts(people, request, labels)
    rows = level_ratios(fitted.fit, factor, counts, fitted.covariances, row=row, z=bench.z)
    columns = dict(zip(factor.labels[1:], fitted.fit.design.columns_of[factor], strict=True))
    rows = [
        fitted.with_t(r, columns[r.level], study.settings.conf_level) if r.level in columns else r
        for r in counted(rows, counts)
    ]
    return rows, with_profile(_explain_reference(fitted, factor, labels[exposure]), rows)


def _level_counts(people: Sample, request: Request, labels: Mapping[str, Sequence[str]]) -> tuple[LevelCount, ...]:
    exposure = request.exposure
    return count_levels(people.categories[exposure], people.columns[request.outcome], labels[exposure])


def _explain_reference(fitted: Fitted, factor: Factor, labels: Sequence[str]) -> Diagnostic:
    diagnostic = fitted.diagnostic
    if factor in fitted.fit.no_reference:
        diagnostic = with_warning(
            diagnostic, f"The reference {factor.labels[0]} has no cases, so no ratio against it is estimable."
        )
    if factor.labels[0] != labels[0]:
        diagnostic = with_warning(diagnostic, f"Nobody is in {labels[0]} here, so the reference is {factor.labels[0]}.")
    return diagnostic


def _analysis_sample(bench: Bench, analysis: RatioAnalysis, exposure: str) -> tuple[Sample, Mapping[str, CategoryRule]]:
    """The restricted sample of an analysis, its exposures cut again or by other limits where declared."""
    sample, rules = bench.sample, dict(bench.rules)
    if analysis.restrict:
        sample = sample.where(np.logical_and.reduce([holds(c, sample.columns) for c in analysis.restrict]))
    for name, cuts in analysis.fixed_cuts.items():
        rules[name] = (
            replace(rules[name], quantiles=None, codes=(), cuts=cuts)
            if name in rules
            else replace(category_rule(bench.study, name, bench.cohort.variables), codes=(), cuts=cuts)
        )
    if analysis.recut:
        return categorise(sample.columns, rules, sample.n), rules
    return recategorise(sample, rules, analysis.fixed_cuts), rules


def _strata(bench: Bench, analysis: RatioAnalysis, sample: Sample) -> Iterator[tuple[str, Sample]]:
    if analysis.stratify is None:
        yield "", sample
        return
    by = analysis.stratify.by
    values = sample.categories[by] if by in sample.categories else sample.columns[by]
    for code, name in analysis.stratify.names.items():
        yield name, sample.where(values == code)


def _covariates(study: Study, analysis: RatioAnalysis, exposure: str, model: str) -> list[str]:
    drop = analysis.stratify.drop if analysis.stratify else ()
    names = [analysis.replace_covariates.get(c, c) for c in study.models[model].covariates if c not in drop]
    for addition in analysis.add:
        if model in addition.models and (not addition.exposures or exposure in addition.exposures):
            names += [variable_of(study, c) if c in study.exposures else c for c in addition.covariates]
    return names


def _request(study: Study, analysis: RatioAnalysis, exposure: str, stratum: str, model: str) -> Request:
    return Request(
        analysis=analysis.id,
        exposure=exposure,
        stratum=stratum,
        model=model,
        variances=tuple(analysis.variances or study.settings.variances),
        **fitted_to(study, analysis.method or study.settings.method, analysis.outcome or study.settings.outcome),
        **common(study, weighted=analysis.weighted),
    )
