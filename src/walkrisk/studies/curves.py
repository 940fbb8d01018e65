"""Dose-response curves of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.cohorts.samples import Sample
from walkrisk.estimates.contrasts import quantile_of
from walkrisk.estimates.dose_response import curve, grid, lowest_risk, nonlinearity
from walkrisk.estimates.results import CutPoint, Diagnostic
from walkrisk.estimates.rows import CurvePoint, Estimate
from walkrisk.estimates.standardised_curve import standardised_curve
from walkrisk.models.design import Spline, Term
from walkrisk.models.splines import harrell_knots
from walkrisk.studies.answers import people_of
from walkrisk.studies.bench import Bench, Rows, common, everyone, fitted_to, variable_of
from walkrisk.studies.fitting import Fitted, NoEstimate, Request, fit_terms, sentence_of, terms_of, with_warning
from walkrisk.studies.study import Curve, Study

FloatArray = npt.NDArray[np.float64]


def curve_rows(bench: Bench, declared: Curve, exposure: str) -> Rows:
    """The dose-response curve of one exposure, its knots, and the test of non-linearity."""
    study = bench.study
    variances = tuple(dict.fromkeys([declared.variance or study.settings.variances[0], *study.settings.variances]))
    request = Request(
        analysis=declared.analysis,
        exposure=exposure,
        model=declared.model,
        **fitted_to(study, declared.method or study.settings.method, study.settings.outcome),
        variances=variances,
        **common(study, weighted=declared.weighted),
    )
    names = [exposure, *(e for e in declared.exposures if e != exposure)] if declared.mutual else [exposure]
    try:
        splines = [_spline(study, bench.sample, declared, e) for e in names]
    except ValueError as error:
        return Rows(diagnostics=(NoEstimate(request, sentence_of(error)).diagnostic,))
    knots = [f"knot_p{p:g}" for p in declared.knot_percentiles]
    if declared.knots:
        knots = [f"knot_{i}" for i in range(1, declared.knots + 1)]
    cutpoints = tuple(
        CutPoint(analysis=declared.analysis, exposure=exposure, cut=name, value=k)
        for name, k in zip(knots, splines[0].knots, strict=True)
    )
    if any(b <= a for s in splines for a, b in pairwise(s.knots)):
        sentence = "The knots of the spline are not distinct, as too many people share a value, so no curve is fitted."
        return Rows((), (), cutpoints, (NoEstimate(request, sentence).diagnostic,))
    estimates, points, diagnostic = _curve(bench, declared, request, splines)
    return Rows(tuple(estimates), tuple(points), cutpoints, (diagnostic,))


def _curve(
    bench: Bench, declared: Curve, request: Request, splines: Sequence[Spline]
) -> tuple[list[Estimate], list[CurvePoint], Diagnostic]:
    study, sample, spline = bench.study, bench.sample, splines[0]
    covariates = terms_of(study.models[declared.model].covariates, bench.cohort.variables)
    terms: list[Term | str] = [*covariates, *splines]
    fitted, made = fit_terms(
        request, sample, terms, bench.cohort.variables, labels={}, design_sample=everyone(bench, request)
    )
    values = sample.columns[spline.name]
    reference = float(percentiles(values, [declared.reference_percentile])[0])
    point = CurvePoint(
        analysis=declared.analysis,
        exposure=request.exposure,
        stratum="",
        model=declared.model,
        x=0.0,
        estimate=1.0,
        conf_low=1.0,
        conf_high=1.0,
        reference=reference,
    )
    shown = request.variances[0]
    x = grid(values, declared.step[request.exposure])
    row = Estimate(
        analysis=declared.analysis, exposure=request.exposure, model=declared.model, estimand="p_nonlinearity"
    )
    usable = {v: m for v, m in fitted.covariances.items() if np.isfinite(m).all()}
    rows = nonlinearity(fitted.fit, spline, usable, row=row)
    diagnostic = fitted.diagnostic
    points: list[CurvePoint] = []
    try:
        if declared.standardised:
            points = _standardised_points(bench, request, terms, fitted, made, x, point, reference)
        elif shown in usable:
            z = quantile_of(study.settings.conf_level, _finite(fitted.df(shown)))
            points = curve(fitted.fit, spline, usable[shown], x, reference=reference, row=point, z=z)
        if declared.lowest and shown in usable:
            rows.append(_lowest(bench, fitted, spline, values, replace(row, estimand="lowest_risk", variance=shown)))
    except ValueError as error:
        diagnostic = with_warning(diagnostic, sentence_of(error))
    return rows, points, diagnostic


def _standardised_points(
    bench: Bench,
    request: Request,
    terms: Sequence[Term | str],
    fitted: Fitted,
    made: Sequence[Term],
    x: FloatArray,
    point: CurvePoint,
    reference: float,
) -> list[CurvePoint]:
    """The curve of ratios of standardised risks, under the first variance of a request."""
    spline = next(t for t in terms if isinstance(t, Spline))
    frame = people_of(bench, request, bench.sample, terms, labels={}).frame
    choice = fitted.choices[request.variances[0]]
    found = standardised_curve(
        fitted.fit,
        list(made),
        frame.columns,
        spline.name,
        x,
        y=frame.y,
        reference=reference,
        variance=choice.name,
        weights=frame.weights,
        cluster=choice.cluster,
        design=choice.survey,
        conf_level=bench.study.settings.conf_level,
        df=_finite(fitted.df(choice.name)),
    )
    return [
        replace(point, x=float(a), estimate=float(b), conf_low=float(c), conf_high=float(d))
        for a, b, c, d in zip(x, found.ratio, found.ratio_low, found.ratio_high, strict=True)
        if np.isfinite([b, c, d]).all()
    ]


def _lowest(bench: Bench, fitted: Fitted, spline: Spline, values: FloatArray, row: Estimate) -> Estimate:
    """The value of lowest risk between the 1st and 99th percentile; at an end of the range it has no limits."""
    low, high = (float(v) for v in percentiles(values, [1, 99]))
    found = lowest_risk(
        fitted.fit,
        spline.name,
        fitted.covariances[row.variance],
        low=low,
        high=high,
        conf_level=bench.study.settings.conf_level,
        df=_finite(fitted.df(row.variance)),
    )
    row = replace(row, level=f"at the {found.at_edge} end" if found.at_edge else "", method=fitted.fit.method)
    return replace(
        row,
        n=fitted.fit.n,
        events=fitted.fit.events,
        estimate=found.x,
        std_error=found.std_error,
        conf_low=found.low,
        conf_high=found.high,
    )


def _finite(df: float) -> float | None:
    return df if np.isfinite(df) else None


def _spline(study: Study, sample: Sample, declared: Curve, exposure: str) -> Spline:
    variable = variable_of(study, exposure)
    values = sample.columns[variable]
    if declared.knots:
        return Spline(variable, tuple(float(k) for k in harrell_knots(values[~np.isnan(values)], declared.knots)))
    return Spline(variable, tuple(float(k) for k in percentiles(values, declared.knot_percentiles)))
