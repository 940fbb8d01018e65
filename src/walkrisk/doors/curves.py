"""Dose-response: the risk ratio along a numeric exposure, by the shape the user declares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.doors.faults import as_faults, door
from walkrisk.doors.frames import Asked, Clusters, Data, ModelFrame, Subset
from walkrisk.doors.ratios import asking as asking_of
from walkrisk.doors.regression import Asking, fit_by
from walkrisk.doors.results import Estimates, estimates, fitted_model, with_t_limits
from walkrisk.doors.terms import CategoriesTerm, DeclaredTerm, LinearTerm, SplineTerm
from walkrisk.errors import UsageFault
from walkrisk.estimates.contrasts import JointTest, likelihood_ratio_without, nonlinearity_test, overall_test
from walkrisk.estimates.dose_response import Curve, category_curve, lowest_risk, ratio_curve, spread
from walkrisk.estimates.rows import CurvePoint, Estimate, on_own_scale
from walkrisk.estimates.standardised_curve import standardised_curve
from walkrisk.models.design import (
    Factor,
    FractionalPolynomial,
    Linear,
    Main,
    Power,
    Product,
    Spline,
    Term,
    build_design,
)
from walkrisk.models.fit import Fit
from walkrisk.models.power_selection import Selection, select_powers

FloatArray = npt.NDArray[np.float64]
Shape = Literal["spline", "linear", "quadratic", "fractional_polynomial", "categories"]

METHODS = ("modified_poisson", "log_binomial", "logistic")
POINTS = 101


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Drawn:
    """A fitted curve with the terms it is made of."""

    fit: Fit
    terms: tuple[Term, ...]
    term: Main
    covariance: FloatArray
    selection: Selection | None = None


@door
def dose_response(
    data: Data,
    *,
    outcome: str,
    exposure: str | SplineTerm | LinearTerm | CategoriesTerm,
    covariates: Sequence[str | DeclaredTerm] = (),
    shape: Shape | None = None,
    method: str = "modified_poisson",
    variance: str = "HC0",
    reference: float | None = None,
    at: Sequence[float] | None = None,
    standardised: bool = False,
    cluster: Clusters = None,
    weights: str | None = None,
    conf_level: float = 0.95,
    strata: str | None = None,
    psu: str | None = None,
    lonely: str = "fail",
    subset: Subset = None,
    limits: str | None = None,
    replicates: int = 2000,
    seed: int = 1,
) -> Estimates:
    """The risk ratio along a numeric exposure against a reference value, with limits and tests of its shape.

    `exposure` is a column or a term: `spline("x", knots=4)`, `categories("x", quantiles=4)`. `shape` may name it
    instead: spline (4 knots by Harrell's rule; the default), linear, quadratic, fractional_polynomial (chosen by the
    function selection procedure), categories (quartiles, placed at their medians). `reference` is the value of ratio 1
    (the median by default); `at` the points of the curve (101 between the 1st and 99th percentile by default).
    `standardised` gives the curve of risks averaged over everyone's covariates (in `details`) and marginal ratios.

    Returns `Estimates`: points of the curve in `curve_frame()`, rows of the test of non-linearity (Wald and likelihood
    ratio), and in `details` the knots or powers, the overall test and the value of lowest risk. Raises UsageFault,
    DataFault or ModelFault.

    >>> from walkrisk import dose_response, example_cohort
    >>> found = dose_response(
    ...     example_cohort(), outcome="event", exposure="walking_min_day", covariates=["age", "sex"], reference=60
    ... )
    >>> len(found.curve), found.curve[0].reference
    (101, 60.0)

    References: Harrell 2015 doi 10.1007/978-3-319-19425-7; Royston & Altman 1994 doi 10.2307/2986270; Durrleman & Simon
    1989 doi 10.1002/sim.4780080504.
    """
    declared = _declared(exposure, shape)
    if method not in METHODS:
        raise UsageFault(f"`method` of a dose-response must be one of {', '.join(METHODS)}, got {method!r}.")
    asked = Asked(
        outcome=outcome,
        exposure=declared,
        covariates=covariates,
        weights=weights,
        cluster=cluster,
        strata=strata,
        psu=psu,
        subset=subset,
    )
    question = asking_of(
        data,
        asked,
        variance=variance,
        limits=limits,
        conf_level=conf_level,
        lonely=lonely,
        replicates=replicates,
        seed=seed,
    )
    frame = question.frame
    with as_faults():
        drawn = _drawn(question, method, shape)
        if isinstance(drawn.term, Factor):
            return _by_category(question, method, drawn, data)
        values = frame.columns[drawn.term.name]
        if isinstance(drawn.term, (Spline, Linear, Power)) and len(np.unique(values)) < 3:
            raise ValueError(f"{frame.exposure_name} has fewer than three different values, so it has no curve.")
        start = float(np.median(values)) if reference is None else float(reference)
        x = _usual_points(values) if at is None else np.asarray(at, dtype=np.float64)
        return _continuous(question, method, drawn, x, start, standardised=standardised)


def _usual_points(values: FloatArray) -> FloatArray:
    low, high = (float(v) for v in np.percentile(values, [1, 99]))
    return np.linspace(low, high, POINTS)


def _declared(exposure: str | DeclaredTerm, shape: str | None) -> Any:
    if shape not in (None, *get_args(Shape)):
        raise UsageFault(f"`shape` must be one of {', '.join(get_args(Shape))}, got {shape!r}.")
    if not isinstance(exposure, str):
        if shape is not None:
            raise UsageFault("Name the shape by the term or by `shape`, not by both.")
        return exposure
    if shape in (None, "spline"):
        return SplineTerm(exposure, 4)
    return CategoriesTerm(exposure, quantiles=4) if shape == "categories" else LinearTerm(exposure)


def _drawn(question: Asking, method: str, shape: str | None) -> Drawn:
    frame = question.frame
    terms: list[Term] = frame.terms()
    selection = None
    if shape == "quadratic":
        terms.insert(1, Power(frame.exposure.name, 2.0))
    if shape == "fractional_polynomial":
        selection = select_powers(
            method, frame.columns, frame.exposure.name, frame.covariates, frame.y, keep=True, weights=frame.weights
        )
        assert selection.term is not None
        terms[0] = selection.term
    fit = fit_by(method, frame, build_design(frame.columns, terms, frame.n))
    term = terms[0]
    assert not isinstance(term, Product)
    return Drawn(
        fit=fit,
        terms=tuple(terms),
        term=term,
        covariance=question.choice.covariance(fit),
        selection=selection,
    )


def _continuous(
    question: Asking, method: str, drawn: Drawn, x: FloatArray, reference: float, *, standardised: bool
) -> Estimates:
    frame, fit, name = question.frame, drawn.fit, drawn.term.name
    df = question.choice.df(fit)
    finite = None if math.isinf(df) else df
    details: dict[str, Any] = {"reference": reference, **_shape_details(drawn)}
    found = ratio_curve(fit, name, drawn.covariance, x, reference=reference, conf_level=question.conf_level, df=finite)
    low, high = float(x.min()), float(x.max())
    said = [*question.said()]
    if not (frame.columns[name].min() <= reference <= frame.columns[name].max()):
        said.append(f"The reference {reference:g} lies outside the observed values of {frame.exposure_name}.")
    lowest = lowest_risk(fit, name, drawn.covariance, low=low, high=high, conf_level=question.conf_level, df=finite)
    details["lowest_risk"] = lowest
    details["overall_test"] = overall_test(fit, name, drawn.covariance)
    details["sd"], details["iqr"] = (spread(frame.columns[name], k) for k in ("sd", "iqr"))
    points = _points(question, found)
    details["curve_std_errors"] = found.values.std_error
    if standardised:
        risks = standardised_curve(
            fit,
            drawn.terms,
            frame.columns,
            name,
            x,
            y=frame.y,
            reference=reference,
            variance=question.choice.name,
            conf_level=question.conf_level,
            df=finite,
            weights=frame.weights,
            cluster=question.choice.cluster,
            design=question.choice.survey,
        )
        details["standardised"], details["curve_std_errors"] = risks, risks.ratio_std_error
        said += risks.warnings
        points = [
            replace(p, estimate=float(a), conf_low=float(b), conf_high=float(c))
            for p, a, b, c in zip(points, risks.ratio, risks.ratio_low, risks.ratio_high, strict=True)
        ]
    rows = _tests(question, method, drawn)
    model = fitted_model(fit, question.choice.name, drawn.covariance)
    return estimates(rows, fit=model, curve=points, said=said, details=details)


def _shape_details(drawn: Drawn) -> dict[str, Any]:
    if isinstance(drawn.term, Spline):
        return {"knots": drawn.term.knots}
    if isinstance(drawn.term, FractionalPolynomial) and drawn.selection is not None:
        return {"powers": drawn.term.powers, "selection": drawn.selection}
    return {}


def _points(question: Asking, curve: Curve) -> list[CurvePoint]:
    v = curve.values
    return [
        CurvePoint(
            analysis="",
            exposure=question.frame.exposure_name,
            stratum="",
            model="adjusted" if question.frame.covariates else "crude",
            x=float(x),
            estimate=float(r),
            conf_low=float(low),
            conf_high=float(high),
            reference=curve.reference,
        )
        for x, r, low, high in zip(curve.x, v.ratio, v.low, v.high, strict=True)
    ]


def _tests(question: Asking, method: str, drawn: Drawn) -> list[Estimate]:
    """Wald and likelihood-ratio tests of non-linearity, for shapes that can bend."""
    fit = drawn.fit
    columns = [c for t in drawn.terms if getattr(t, "name", "") == drawn.term.name for c in fit.design.columns_of[t]]
    if len(columns) < 2 or isinstance(drawn.term, FractionalPolynomial):
        return []
    row = question.row("p_nonlinearity", method)
    wald = nonlinearity_test(fit, drawn.term.name, drawn.covariance)
    rows = [_test_row(row, wald, "wald", fit)]
    if question.frame.has_likelihood:
        ratio = likelihood_ratio_without(fit, columns[1:])
        rows.append(replace(_test_row(row, ratio, "likelihood_ratio", fit), variance="model"))
    return rows


def _test_row(row: Estimate, test: JointTest, method: str, fit: Fit) -> Estimate:
    return replace(row, estimate=test.chi2, p_value=test.p_value, method=method, n=fit.n, events=fit.events)


def _by_category(question: Asking, method: str, drawn: Drawn, data: Data) -> Estimates:
    frame, fit, term = question.frame, drawn.fit, drawn.term
    assert isinstance(term, Factor)
    codes = frame.columns[term.name]
    values = np.asarray(data[frame.exposure_name], dtype=np.float64)[frame.rows]
    medians = [float(percentiles(values[codes == code], [50])[0]) for code in term.levels]
    df = question.choice.df(fit)
    curve = category_curve(
        fit, term, drawn.covariance, medians, conf_level=question.conf_level, df=None if math.isinf(df) else df
    )
    trend = _trend(question, method, frame, term, medians)
    model = fitted_model(fit, question.choice.name, drawn.covariance)
    return estimates(
        trend,
        fit=model,
        curve=_points(question, curve),
        said=question.said(),
        details={
            "medians": dict(zip(term.labels, medians, strict=True)),
            "curve_std_errors": curve.values.std_error,
        },
    )


def _trend(question: Asking, method: str, frame: ModelFrame, term: Factor, medians: Sequence[float]) -> list[Estimate]:
    """P for trend: the log ratio per unit of the category medians, and per category."""
    codes = frame.columns[term.name]
    rows = []
    ranks = np.argsort(np.argsort(medians)).astype(np.float64) + 1
    for level, scores in (("median", np.array(medians, dtype=np.float64)), ("ordinal", ranks)):
        columns = {**frame.columns, "score": scores[np.searchsorted(term.levels, codes)]}
        fit = fit_by(method, frame, build_design(columns, [Linear("score"), *frame.covariates], frame.n))
        b, v = fit.coefficients[1], question.choice.covariance(fit)[1, 1]
        row = replace(question.row("p_trend", method), level=level, n=fit.n, events=fit.events)
        contrast = np.eye(fit.parameters)[1]
        row = on_own_scale(row, float(b), math.sqrt(v), question.z)
        rows.append(with_t_limits(row, question.choice.df(fit, contrast), question.conf_level))
    return rows
