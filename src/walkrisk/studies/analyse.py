"""The analyses of a study on its cohort: samples, terms, fits, rows. Nothing here reads or writes a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles, winsorise_upper
from walkrisk.cohorts.cohort import Cohort
from walkrisk.cohorts.eligibility import holds
from walkrisk.cohorts.samples import CategoryRule, Sample, categorise, cut_names, recategorise
from walkrisk.estimates.dose_response import curve, grid, nonlinearity
from walkrisk.estimates.interaction import likelihood_ratio, wald
from walkrisk.estimates.ratios import count_levels, level_ratios, median_scores, per_unit
from walkrisk.estimates.results import CutPoint, Diagnostic
from walkrisk.estimates.rows import CurvePoint, Estimate, critical_value
from walkrisk.models.design import Factor, Linear, Product, Spline, Term
from walkrisk.sensitivity.evalue import evalue_rows
from walkrisk.studies.fitting import Fitted, NobodyLeft, Request, fit_terms, terms_of, with_warning
from walkrisk.studies.study import Curve, Interaction, RatioAnalysis, Study, Trend

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """What one analysis yields."""

    estimates: tuple[Estimate, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    cutpoints: tuple[CutPoint, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A study with its analytic sample, ready to be analysed."""

    study: Study
    cohort: Cohort
    rules: Mapping[str, CategoryRule]
    sample: Sample
    z: float

    def labels(self) -> dict[str, tuple[str, ...]]:
        """Category names by exposure."""
        return {name: rule.labels(self.rules) for name, rule in self.rules.items()}


def make_bench(study: Study, cohort: Cohort) -> Bench:
    """The analytic sample with every exposure cut on it (and winsorised first where declared)."""
    rules = {name: _rule(study, name) for name in study.exposures}
    columns = {name: values[cohort.included] for name, values in cohort.everyone.items()}
    for name, exposure in study.exposures.items():
        if exposure.variable and exposure.winsorise_percentile:
            capped = winsorise_upper(columns[exposure.variable], exposure.winsorise_percentile)
            columns[variable_of(study, name)] = capped
    cut = {name: rule for name, rule in rules.items() if rule.cross or rule.quantiles or rule.cuts}
    return Bench(study, cohort, cut, categorise(columns, cut, cohort.n), critical_value(study.settings.conf_level))


def variable_of(study: Study, exposure: str) -> str:
    """The column of a sample that holds an exposure's values; a winsorised one has a column of its own."""
    declared = study.exposures[exposure]
    assert declared.variable
    return f"{exposure} winsorised" if declared.winsorise_percentile else declared.variable


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


def carry_out(task: Callable[[Bench], Rows], bench: Bench) -> Rows:
    """The rows of one task; where nobody of its sample can enter the model, a diagnostics row that says so."""
    try:
        return task(bench)
    except NobodyLeft as nobody:
        return Rows(diagnostics=(nobody.diagnostic,))


def evalues(study: Study, estimates: Sequence[Estimate], fits: Sequence[Diagnostic]) -> tuple[Estimate, ...]:
    """E-value rows of the declared analyses, from their ratio rows, with the counts of the fitted samples."""
    counts = {(d.analysis, d.exposure, d.stratum, d.model): (d.n, d.events) for d in fits}
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


# ---------------------------------------------------------------- ratios


def ratio_rows(bench: Bench, analysis: RatioAnalysis, exposure: str) -> Rows:
    """Ratios of one exposure in one analysis, over its strata and models."""
    sample, rules = _analysis_sample(bench, analysis, exposure)
    cutpoints = _cutpoints(analysis.id, exposure, sample, rules) if analysis.form == "categories" else ()
    estimates: list[Estimate] = []
    diagnostics: list[Diagnostic] = []
    for stratum, people in _strata(bench, analysis, sample):
        for model in analysis.models:
            request = _request(bench.study, analysis, exposure, stratum, model)
            try:
                made, diagnostic = _fit_ratio(bench, analysis, exposure, people, request, rules)
            except NobodyLeft as nobody:
                made, diagnostic = [], nobody.diagnostic
            estimates += made
            diagnostics.append(diagnostic)
    return Rows(tuple(estimates), (), cutpoints, tuple(diagnostics))


def _fit_ratio(
    bench: Bench,
    analysis: RatioAnalysis,
    exposure: str,
    people: Sample,
    request: Request,
    rules: Mapping[str, CategoryRule],
) -> tuple[list[Estimate], Diagnostic]:
    study = bench.study
    labels = {name: rule.labels(rules) for name, rule in rules.items()}
    declared = study.exposures[exposure]
    linear = Linear(variable_of(study, exposure), declared.per or 1.0) if analysis.form == "per_unit" else None
    covariates = _covariates(study, analysis, exposure, request.model)
    terms: list[Term | str] = [linear or exposure, *terms_of(covariates, bench.cohort.variables)]
    fitted, made = fit_terms(
        request, people, terms, bench.cohort.variables, labels=labels, design_sample=_everyone(bench, request)
    )
    estimand = (
        "hazard_ratio" if request.method == "cox" else "odds_ratio" if request.method == "logistic" else "risk_ratio"
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
        return rows, fitted.diagnostic
    assert isinstance(made[0], Factor)
    counts = count_levels(people.categories[exposure], people.columns[request.outcome], labels[exposure])
    rows = level_ratios(fitted.fit, made[0], counts, fitted.covariances, row=row, z=bench.z)
    return rows, _explain_reference(fitted, made[0], labels[exposure])


def _explain_reference(fitted: Fitted, factor: Factor, labels: Sequence[str]) -> Diagnostic:
    diagnostic = fitted.diagnostic
    if factor in fitted.fit.no_reference:
        diagnostic = with_warning(
            diagnostic, f"The reference {factor.labels[0]} has no cases, so no ratio against it is estimable."
        )
    if factor.labels[0] != labels[0]:
        diagnostic = with_warning(diagnostic, f"Nobody is in {labels[0]} here, so the reference is {factor.labels[0]}.")
    return diagnostic


def _rule(study: Study, name: str) -> CategoryRule:
    e = study.exposures[name]
    variable = variable_of(study, name) if e.variable else ""
    return CategoryRule(variable=variable, quantiles=e.quantiles, cuts=e.cuts, cross=e.cross, prefix=e.prefix)


def _analysis_sample(bench: Bench, analysis: RatioAnalysis, exposure: str) -> tuple[Sample, Mapping[str, CategoryRule]]:
    """The restricted sample of an analysis, its exposures cut again or by other limits where declared."""
    sample, rules = bench.sample, dict(bench.rules)
    if analysis.restrict:
        sample = sample.where(np.logical_and.reduce([holds(c, sample.columns) for c in analysis.restrict]))
    for name, cuts in analysis.fixed_cuts.items():
        rules[name] = (
            replace(rules[name], quantiles=None, cuts=cuts)
            if name in rules
            else replace(_rule(bench.study, name), cuts=cuts)
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
        **_fitted_to(study, analysis.method or study.settings.method, analysis.outcome or study.settings.outcome),
        **_common(study, weighted=analysis.weighted),
    )


def _fitted_to(study: Study, method: str, outcome: str) -> dict[str, Any]:
    """Method and outcome of a request; a Cox model takes the event and its time."""
    declared = study.outcomes[outcome]
    if method == "cox":
        return {"method": method, "outcome": declared.event, "time": declared.time}
    return {"method": method, "outcome": declared.variable}


def _common(study: Study, *, weighted: bool) -> dict[str, Any]:
    d = study.design
    return {
        "weights": d.weights if weighted else None,
        "strata": d.strata,
        "psu": d.psu,
        "cluster": d.cluster,
        "engine": study.settings.engine,
    }


def _everyone(bench: Bench, request: Request) -> Sample | None:
    """Everyone with a place in the survey design, whose PSUs count even where nobody is analysed."""
    if "survey" not in request.variances:
        return None
    columns = {n: bench.cohort.everyone[n] for n in (request.strata, request.psu) if n}
    return Sample(columns, {}, {}, bench.cohort.n_all)


def _cutpoints(analysis: str, exposure: str, sample: Sample, rules: Mapping[str, CategoryRule]) -> tuple[CutPoint, ...]:
    rule = rules[exposure]
    parts = rule.cross or (exposure,)
    return tuple(
        CutPoint(analysis=analysis, exposure=part, cut=name, value=float(value))
        for part in parts
        for name, value in zip(cut_names(rules[part]), sample.cuts[part], strict=True)
    )


# ---------------------------------------------------------------- splines


def curve_rows(bench: Bench, declared: Curve, exposure: str) -> Rows:
    """The dose-response curve of one exposure, its knots, and the test of non-linearity."""
    study, sample = bench.study, bench.sample
    variances = tuple(dict.fromkeys([declared.variance or study.settings.variances[0], *study.settings.variances]))
    request = Request(
        analysis=declared.analysis,
        exposure=exposure,
        model=declared.model,
        **_fitted_to(study, study.settings.method, study.settings.outcome),
        variances=variances,
        **_common(study, weighted=declared.weighted),
    )
    names = [exposure, *(e for e in declared.exposures if e != exposure)] if declared.mutual else [exposure]
    splines = [_spline(study, sample, declared, e) for e in names]
    cutpoints = tuple(
        CutPoint(analysis=declared.analysis, exposure=exposure, cut=f"knot_p{p:g}", value=k)
        for p, k in zip(declared.knot_percentiles, splines[0].knots, strict=True)
    )
    if any(b <= a for s in splines for a, b in zip(s.knots, s.knots[1:], strict=False)):
        sentence = "The knots of the spline are not distinct, as too many people share a value, so no curve is fitted."
        return Rows((), (), cutpoints, (NobodyLeft(request, sentence).diagnostic,))
    covariates = terms_of(study.models[declared.model].covariates, bench.cohort.variables)
    fitted, _ = fit_terms(
        request,
        sample,
        [*covariates, *splines],
        bench.cohort.variables,
        labels={},
        design_sample=_everyone(bench, request),
    )
    values = sample.columns[splines[0].name]
    reference = float(percentiles(values, [declared.reference_percentile])[0])
    point = CurvePoint(
        analysis=declared.analysis,
        exposure=exposure,
        stratum="",
        model=declared.model,
        x=0.0,
        estimate=1.0,
        conf_low=1.0,
        conf_high=1.0,
        reference=reference,
    )
    x = grid(values, declared.step[exposure])
    points = curve(
        fitted.fit, splines[0], fitted.covariances[variances[0]], x, reference=reference, row=point, z=bench.z
    )
    row = Estimate(analysis=declared.analysis, exposure=exposure, model=declared.model, estimand="p_nonlinearity")
    return Rows(
        tuple(nonlinearity(fitted.fit, splines[0], fitted.covariances, row=row)),
        tuple(points),
        cutpoints,
        (fitted.diagnostic,),
    )


def _spline(study: Study, sample: Sample, declared: Curve, exposure: str) -> Spline:
    variable = variable_of(study, exposure)
    return Spline(variable, tuple(float(k) for k in percentiles(sample.columns[variable], declared.knot_percentiles)))


# ---------------------------------------------------------------- trend and interaction


def trend_rows(bench: Bench, trend: Trend, exposure: str) -> Rows:
    """The log ratio per unit of each score of one exposure, with its P value, for each model."""
    study, variables = bench.study, bench.cohort.variables
    variable = variable_of(study, exposure)
    values, categories = bench.sample.columns[variable], bench.sample.categories[exposure]
    scores = {"quartile_median": median_scores(values, categories), "quartile_score": categories, "continuous": values}
    term = Linear("_score")
    estimates: list[Estimate] = []
    diagnostics: list[Diagnostic] = []
    for score in trend.scores:
        sample = replace(bench.sample, columns={**bench.sample.columns, term.name: scores[score]})
        for model in trend.models:
            request = _test_request(study, trend.analysis, exposure, model)
            terms = [term, *terms_of(study.models[model].covariates, variables)]
            fitted, _ = fit_terms(request, sample, terms, variables, labels={}, design_sample=_everyone(bench, request))
            row = Estimate(
                analysis=trend.analysis,
                exposure=exposure,
                level=score,
                model=model,
                estimand="p_trend",
                method=request.method,
            )
            estimates += per_unit(fitted.fit, term, fitted.covariances, row=row, z=bench.z, log_scale=True)
            diagnostics.append(fitted.diagnostic)
    return Rows(tuple(estimates), (), (), tuple(diagnostics))


def interaction_rows(bench: Bench, declared: Interaction) -> Rows:
    """Likelihood-ratio and robust Wald tests of the product of an exposure's categories with a modifier."""
    study, variables, labels = bench.study, bench.cohort.variables, bench.labels()
    request = _test_request(study, declared.analysis, declared.exposure, declared.model, stratum=declared.modifier)
    covariates = [
        c for c in study.models[declared.model].covariates if c not in declared.drop and c != declared.modifier
    ]
    main: list[Term | str] = [declared.exposure, declared.modifier, *terms_of(covariates, variables)]
    empty = Factor("", (), ())
    product = Product(replace(empty, name=declared.exposure), replace(empty, name=declared.modifier))
    whole = _everyone(bench, request)
    without, _ = fit_terms(request, bench.sample, main, variables, labels=labels, design_sample=whole)
    added, made = fit_terms(request, bench.sample, [*main, product], variables, labels=labels, design_sample=whole)
    row = Estimate(
        analysis=declared.analysis,
        exposure=declared.exposure,
        stratum=declared.modifier,
        model=declared.model,
        estimand="p_interaction",
    )
    assert isinstance(made[-1], Product)
    rows = [likelihood_ratio(without.fit, added.fit, row=row), *wald(added.fit, made[-1], added.covariances, row=row)]
    return Rows(tuple(rows), (), (), (without.diagnostic, added.diagnostic))


def _test_request(study: Study, analysis: str, exposure: str, model: str, stratum: str = "") -> Request:
    return Request(
        analysis=analysis,
        exposure=exposure,
        stratum=stratum,
        model=model,
        **_fitted_to(study, study.settings.method, study.settings.outcome),
        variances=study.settings.variances,
        **_common(study, weighted=False),
    )
