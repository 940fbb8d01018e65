"""Dose-response curves, tests for trend and tests of interaction of a study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.cohorts.samples import Sample
from walkrisk.estimates.dose_response import curve, grid, nonlinearity
from walkrisk.estimates.interaction import likelihood_ratio, wald
from walkrisk.estimates.ratios import median_scores, per_unit
from walkrisk.estimates.results import CutPoint, Diagnostic
from walkrisk.estimates.rows import CurvePoint, Estimate
from walkrisk.models.design import Factor, Linear, Product, Spline, Term
from walkrisk.studies.bench import Bench, Rows, common, everyone, fitted_to, variable_of
from walkrisk.studies.fitting import NobodyLeft, Request, fit_terms, terms_of
from walkrisk.studies.study import Curve, Interaction, Study, Trend

FloatArray = npt.NDArray[np.float64]


def curve_rows(bench: Bench, declared: Curve, exposure: str) -> Rows:
    """The dose-response curve of one exposure, its knots, and the test of non-linearity."""
    study, sample = bench.study, bench.sample
    variances = tuple(dict.fromkeys([declared.variance or study.settings.variances[0], *study.settings.variances]))
    request = Request(
        analysis=declared.analysis,
        exposure=exposure,
        model=declared.model,
        **fitted_to(study, study.settings.method, study.settings.outcome),
        variances=variances,
        **common(study, weighted=declared.weighted),
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
        design_sample=everyone(bench, request),
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
            fitted, _ = fit_terms(request, sample, terms, variables, labels={}, design_sample=everyone(bench, request))
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
    whole = everyone(bench, request)
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
        **fitted_to(study, study.settings.method, study.settings.outcome),
        variances=study.settings.variances,
        **common(study, weighted=False),
    )
