"""Unmeasured confounding in rows: E-values, measured covariates left out, contours, the array; priors are beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.rows import CurvePoint, Estimate
from walkrisk.sensitivity.confounding import array_approach, contour, evalue_curve, is_rare
from walkrisk.sensitivity.evalue import EValue, bias_factor, evalue, risk_ratio_of
from walkrisk.studies.bench import Bench, Rows, joined, variable_of
from walkrisk.studies.confounding import Benchmarks, ConfounderArray, Contours, EValueCurves
from walkrisk.studies.curves import curve_rows
from walkrisk.studies.fitting import sentence_of, with_warning
from walkrisk.studies.kinds import category_names
from walkrisk.studies.study import Curve, Study
from walkrisk.studies.vocabulary import COX
from walkrisk.variations.benchmarks import benchmark_rows
from walkrisk.variations.confounding_priors import Declared as Priors
from walkrisk.variations.confounding_priors import probabilistic
from walkrisk.variations.ground import Ground, exposures_of, main_rows
from walkrisk.variations.variation import Variation, whichever_can

FloatArray = npt.NDArray[np.float64]

Whole = EValueCurves | Benchmarks | Contours | ConfounderArray
MEASURES = {"risk_ratio": "RR", "odds_ratio": "OR", "hazard_ratio": "HR"}
TARGETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
CONTOUR_POINTS = 40
SHOWN = (1, 99)  # percentiles of people between which a curve is shown
NARROWEST, WIDEST = 2.0, 20.0


def plan(ground: Ground) -> Iterator[Variation]:
    """Every declared analysis of unmeasured confounding and of selection by priors.

    Raises DataFault for priors that contradict the data in all but a few draws.
    """
    s = ground.study.sensitivity
    bench = ground.bench
    priors: tuple[Priors, ...] = (*s.probabilistic_confounders, *s.probabilistic_selections)
    for curves in s.evalue_curves:
        yield _whole(curves, bench, partial(_evalues, bench, curves))
    for marks in s.benchmarks:
        yield _whole(marks, bench, partial(benchmark_rows, bench, marks))
    for lines in s.contours:
        yield _whole(lines, bench, partial(_contours, bench, lines))
    for array in s.confounder_arrays:
        yield _whole(array, bench, partial(_array, bench, array))
    yield from whichever_can(partial(probabilistic, ground, declared) for declared in priors)


def headline(study: Study, exposure: str) -> str:
    """The category of an exposure that the summary shows."""
    return study.sensitivity.levels.get(exposure, category_names(study, exposure)[-1])


def rare_outcome(declared: bool | None, fit: Diagnostic) -> bool:
    """Whether the outcome counts as rare: as declared, else if fewer than 15 per cent of those analysed have it."""
    return is_rare(fit.events or 0, fit.n or 0) if declared is None else declared


def _whole(declared: Whole, bench: Bench, rows_of: Callable[[str], Rows]) -> Variation:
    """A variation without parts: the rows of one exposure after the other."""
    followed = declared.exposures or exposures_of(bench.study)
    return Variation(declared.id, declared.title, (), lambda _: joined([rows_of(exposure) for exposure in followed]))


# ---------------------------------------------------------------- E-values


def _evalues(bench: Bench, declared: EValueCurves, exposure: str) -> Rows:
    found = main_rows(bench, exposure)
    fit = replace(found.diagnostics[0], analysis=declared.id)
    references = {(e.variance): e for e in found.estimates if e.level == e.reference}
    estimates: list[Estimate] = []
    for e in found.estimates:
        if e.level == e.reference or e.estimate is None:
            continue
        try:
            values = _evalue_of(e, references[e.variance], declared, fit, bench.study.settings.conf_level)
        except ValueError as error:
            fit = with_warning(fit, f"{e.level}: {sentence_of(error)}")
            continue
        estimates += _evalue_pair(e, declared.id, values, fit)
    points: tuple[Point, ...] = ()
    if declared.curve:
        curve = next(c for c in bench.study.curves if c.analysis == declared.curve)
        if exposure in curve.exposures:
            points = _curve_points(bench, declared, exposure, curve, fit)
    return Rows(estimates=tuple(estimates), diagnostics=(fit,), points=points)


def _evalue_of(e: Estimate, reference: Estimate, declared: EValueCurves, fit: Diagnostic, conf_level: float) -> EValue:
    if e.estimand != "risk_difference":
        measure = MEASURES[e.estimand]
        assert e.estimate is not None
        return evalue(e.estimate, e.conf_low, e.conf_high, measure=measure, rare=rare_outcome(declared.rare, fit))
    exposed, unexposed = (e.events or 0, e.n or 0), (reference.events or 0, reference.n or 0)
    if exposed[0] * unexposed[1] < unexposed[0] * exposed[1]:
        exposed, unexposed = unexposed, exposed
    a, b = exposed[0], unexposed[0]
    return evalue(measure="RD", counts=(a, exposed[1] - a, b, unexposed[1] - b), conf_level=conf_level)


def _evalue_pair(e: Estimate, id_: str, values: EValue, fit: Diagnostic) -> Iterator[Estimate]:
    base = replace(
        e, analysis=id_, n=fit.n, events=fit.events, std_error=None, conf_low=None, conf_high=None, p_value=None
    )
    yield replace(base, estimand="e_value", estimate=values.point)
    if not math.isnan(values.limit):
        yield replace(base, estimand="e_value_ci", estimate=values.limit)


def _curve_points(
    bench: Bench, declared: EValueCurves, exposure: str, curve: Curve, fit: Diagnostic
) -> tuple[Point, ...]:
    """E-values at every point of a curve, and the part of it that is shown, with its reference as `x`."""
    made: Sequence[CurvePoint] = curve_rows(bench, curve, exposure).curves
    method = curve.method or bench.study.settings.method
    measure = "HR" if method == COX else "OR" if method == "logistic" and not curve.standardised else "RR"
    estimate, low, high = (np.array([getattr(p, name) for p in made]) for name in ("estimate", "conf_low", "conf_high"))
    values = evalue_curve(estimate, low, high, measure=measure, rare=rare_outcome(declared.rare, fit))
    if not made:
        return ()
    ends = percentiles(bench.sample.columns[variable_of(bench.study, exposure)], SHOWN)
    shown = Point(
        analysis=declared.id,
        exposure=exposure,
        series="shown",
        x=made[0].reference,
        low=float(ends[0]),
        high=float(ends[1]),
    )
    return (
        shown,
        *(
            Point(analysis=declared.id, exposure=exposure, series=series, x=p.x, y=float(y))
            for series, column in (("e_value", values.point), ("e_value_ci", values.limit))
            for p, y in zip(made, column, strict=True)
            if not math.isnan(y)
        ),
    )


# ---------------------------------------------------------------- contours and the array


def _main_row(bench: Bench, exposure: str) -> tuple[Estimate, Estimate, Diagnostic]:
    """The main row of the category the summary shows, its reference, and the fit."""
    found = main_rows(bench, exposure)
    level = headline(bench.study, exposure)
    first = found.estimates[0].variance if found.estimates else ""
    row = next((e for e in found.estimates if e.level == level and e.variance == first), None)
    if row is None:
        row = Estimate(analysis="", exposure=exposure, level=level, estimand="risk_ratio")
    reference = next((e for e in found.estimates if e.level == row.reference), row)
    return row, reference, found.diagnostics[0]


def _contours(bench: Bench, declared: Contours, exposure: str) -> Rows:
    row, _, fit = _main_row(bench, exposure)
    fit = replace(fit, analysis=declared.id)
    if row.estimate is None:
        return Rows(diagnostics=(with_warning(fit, f"{row.level} has no ratio, so it has no contours."),))
    rare = rare_outcome(declared.rare, fit)
    ends = [
        None if v is None else risk_ratio_of(v, MEASURES[row.estimand], rare=rare)
        for v in (row.estimate, row.conf_low, row.conf_high)
    ]
    ratio = ends[0]
    assert ratio is not None
    largest = declared.largest or _axes(bench, declared)
    lines = [("contour", ratio, target) for target in _targets(ratio, largest)]
    lines.append(("contour_estimate", ratio, 1.0))
    near = ends[1] if ratio > 1 else ends[2]
    if near is not None and (near > 1) == (ratio > 1):
        lines.append(("contour_limit", near, 1.0))
    points = [
        Point(analysis=declared.id, exposure=exposure, level=row.level, series=series, item=f"{target:g}", x=x, y=y)
        for series, start, target in lines
        for x, y in _line(start, target, largest)
    ]
    end = Point(analysis=declared.id, exposure=exposure, level=row.level, series="end", x=largest, y=largest)
    points.append(end)
    for series, start, target in lines:
        factor = max(start / target, target / start)
        if factor > 1:
            item = f"{target:g}" if series == "contour" else series.removeprefix("contour_")
            points.append(replace(end, series="equal", item=item, x=evalue(factor).point, y=factor))
    return Rows(points=tuple(points))


def _axes(bench: Bench, declared: Contours) -> float:
    """Where the axes of every exposure end: above the E-values, and the associations of covariates that are marked."""
    marks = [b for b in bench.study.sensitivity.benchmarks if b.id == declared.benchmarks]
    ends = [NARROWEST]
    for exposure in declared.exposures or exposures_of(bench.study):
        row, _, fit = _main_row(bench, exposure)
        if row.estimate is not None:
            rare = rare_outcome(declared.rare, fit)
            ends.append(1.3 * evalue(row.estimate, measure=MEASURES[row.estimand], rare=rare).point)
        ends += [
            1.1 * e.estimate
            for b in marks
            for e in benchmark_rows(bench, b, exposure).estimates
            if e.level == row.level and e.estimand in ("exposure_association", "outcome_association") and e.estimate
        ]
    return min(math.ceil(2 * max(ends)) / 2, WIDEST)


def _targets(ratio: float, largest: float) -> list[float]:
    """Round adjusted ratios that a confounder within the axes can reach."""
    reach = bias_factor(largest, largest)
    low, high = (ratio, ratio * reach) if ratio < 1 else (ratio / reach, ratio)
    return [t for t in TARGETS if low * 1.001 < t < high * 0.999]


def _line(ratio: float, target: float, largest: float) -> Iterator[tuple[float, float]]:
    """Points of a contour inside the axes."""
    factor = max(ratio / target, target / ratio)
    if factor <= 1 or factor >= bias_factor(largest, largest):
        return
    same = evalue(factor).point
    x = np.geomspace(same, largest, CONTOUR_POINTS)
    half = list(zip(x.tolist(), contour(ratio, target, x).tolist(), strict=True))
    yield from ((y, x) for x, y in reversed(half[1:]))  # both associations stand for each other
    yield from half


def _array(bench: Bench, declared: ConfounderArray, exposure: str) -> Rows:
    """Adjusted ratios and limits over the declared grid; without values where a risk above 1 would be needed."""
    row, reference, fit = _main_row(bench, exposure)
    fit = replace(fit, analysis=declared.id)
    if row.estimate is None or row.conf_low is None or row.conf_high is None:
        return Rows(diagnostics=(with_warning(fit, f"{row.level} has no ratio with limits, so it has no array."),))
    risks = None
    if row.estimand == "risk_ratio" and row.n and reference.n:
        risks = ((row.events or 0) / row.n, (reference.events or 0) / reference.n)
    g = np.array(declared.association)[:, None, None]
    p0 = np.array(declared.prevalence_reference)[None, :, None]
    p1 = np.array(declared.prevalence)[None, None, :]
    ends = (row.estimate, row.conf_low, row.conf_high)
    estimate, low, high = (array_approach(v, g, p1, p0, risks=risks) for v in ends)
    points = []
    for i, j, k in np.ndindex(estimate.shape):
        values = [None if math.isnan(a[i, j, k]) else float(a[i, j, k]) for a in (estimate, low, high)]
        points.append(
            Point(
                analysis=declared.id,
                exposure=exposure,
                level=row.level,
                series="array",
                stratum=f"{declared.association[i]:g}",
                item=f"{declared.prevalence_reference[j]:g}",
                x=declared.prevalence[k],
                y=values[0],
                low=values[1],
                high=values[2],
            )
        )
    return Rows(points=tuple(points))
