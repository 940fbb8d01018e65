"""The people of the main model with their exposure as a number and the days behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.cohorts.days import DATE, not_valid
from walkrisk.cohorts.samples import Sample
from walkrisk.cohorts.variables import Copy, Difference, Ratio, Sum
from walkrisk.errors import DataFault
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.rows import Estimate, ratio
from walkrisk.models.design import Design, Linear, build_design
from walkrisk.models.fit import Fit
from walkrisk.models.splines import harrell_knots
from walkrisk.sensitivity.calibration import Measured, measured_by_days, measured_with_reliability
from walkrisk.sensitivity.reliability import ratio_days
from walkrisk.studies.bench import Bench, variable_of
from walkrisk.studies.fitting import NoEstimate, choice_of
from walkrisk.studies.kinds import categorical
from walkrisk.studies.measurement import Calibration, Simex
from walkrisk.studies.study import Study
from walkrisk.studies.vocabulary import BOOTSTRAP, SUMMED, base_of, estimand_of, uses_cluster
from walkrisk.variations.ground import Ground, MainModel, exposures_of, main_model

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

ROW = "row of the extract"  # a column that follows people through restrictions
MEASURED = "as measured"  # stratum of a row, item of a point
DRAWN = 61  # points of a curve
SAME = 1e-9  # relative difference up to which the days give the exposure itself


def daily_values(study: Study, day_values: Mapping[str, FloatArray], variable: str) -> FloatArray:
    """Daily values (n_all, D) of a variable made of days, whose mean over a person's days is the person's value."""
    days = study.days
    assert days is not None
    if variable in days.means:
        mean = days.means[variable]
        values = day_values[mean.of] / mean.divide_by
        return np.where(not_valid(days, day_values), np.nan, values) if mean.days == "valid" else values
    d = study.variables[variable]
    match d:
        case Copy():
            return daily_values(study, day_values, d.source) * d.multiply
        case Sum():
            return np.sum([daily_values(study, day_values, s) for s in d.sources], axis=0)
        case Difference():
            both = [daily_values(study, day_values, s) for s in (d.source, d.minus)]
            return (both[0] - both[1]) / d.divide_by
        case Ratio():
            parts = np.sum([w * daily_values(study, day_values, s) for s, w in d.weights.items()], axis=0)
            return ratio_days(parts, daily_values(study, day_values, d.total))
        case _:
            raise TypeError(f"{variable} is not made of days")


def weekdays(day_values: Mapping[str, FloatArray]) -> FloatArray:
    """Day of the week (n_all, D), 0 a Monday, of long days."""
    return (day_values[DATE] + 3) % 7


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """The people (n,) of the main model of an exposure: `rows` in the extract, `value` as analysed, its `days` (n, D).

    `said` are sentences on those whose days do not give their value.
    """

    exposure: str
    model: MainModel
    rows: IntArray
    value: FloatArray
    days: FloatArray | None
    said: tuple[str, ...]

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.value)

    @property
    def y(self) -> FloatArray:
        """The outcome (n,)."""
        return self.model.assembled.frame.y

    @property
    def weights(self) -> FloatArray | None:
        """Weights (n,) of the main analysis."""
        return self.model.assembled.frame.weights

    @property
    def method(self) -> str:
        """The regression of the main analysis."""
        return self.model.asked.request.method

    def measured(self, reliability: float | None) -> Measured:
        """The exposure with its error: of a declared reliability, or by days. Raises ValueError without them."""
        if reliability is not None:
            return measured_with_reliability(self.value[:, None], reliability)
        assert self.days is not None
        made = measured_by_days([self.days])
        return replace(made, mean=self.value[:, None])

    def design(self, names: Sequence[str], values: Sequence[FloatArray]) -> tuple[Design, tuple[int, ...]]:
        """The main model with linear terms of `values` ((n,) each) in the place of the exposure, and their columns."""
        frame = self.model.assembled.frame
        terms = [Linear(name) for name in names]
        columns = {**frame.columns, **dict(zip(names, values, strict=True))}
        design = build_design(columns, [*terms, *frame.covariates], frame.n)
        return design, tuple(design.columns_of[t][0] for t in terms)

    def covariates(self) -> FloatArray:
        """The intercept and the covariates (n, p)."""
        frame = self.model.assembled.frame
        return np.asarray(build_design(frame.columns, list(frame.covariates), frame.n).matrix)


def people_of(ground: Ground, exposure: str, *, by_days: bool) -> People:
    """The people of an exposure's main model, with days unless its reliability is declared.

    Raises DataFault for people in the model without any day, NoEstimate if nobody can enter it.
    """
    numbered = _numbered(ground.bench)
    model = main_model(numbered, exposure)
    kept = model.assembled.frame.rows
    rows = model.asked.people.columns[ROW][kept].astype(np.intp)
    crossed = bool(ground.study.exposures[exposure].cross)
    value = np.zeros(len(rows)) if crossed else model.asked.people.columns[variable_of(ground.study, exposure)][kept]
    if np.isnan(value).any():
        raise DataFault(f"{exposure}: {int(np.isnan(value).sum())} people of the main model have no value of it.")
    if not by_days:
        return People(exposure, model, rows, value, None, ())
    variable = ground.study.exposures[exposure].variable
    assert variable
    assert ground.day_values is not None
    days = daily_values(ground.study, ground.day_values, variable)[rows]
    known = (~np.isnan(days)).sum(axis=1)
    if not known.all():
        raise DataFault(
            f"{exposure}: {int((known == 0).sum())} people of the main model have a value of {variable} and no day "
            "with all it is made of; exclude people without such a day, or declare the reliability."
        )
    apart = np.abs(np.nansum(days, axis=1) / known - value) > SAME * np.maximum(np.abs(value), 1.0)
    said: tuple[str, ...] = ()
    if apart.any():
        text = f"{exposure}: for {int(apart.sum())} people the mean of the days is not the value analysed (it is "
        said = (text + "winsorised, or parts of it are known on different days); the value analysed was taken.",)
    return People(exposure, model, rows, value, days, said)


def everyone_measured(
    ground: Ground, declared: Calibration | Simex
) -> tuple[list[tuple[People, Measured]], list[Diagnostic]]:
    """The people of each exposure with what was measured, and why there are none where nobody can enter a model."""
    found: list[tuple[People, Measured]] = []
    none: list[Diagnostic] = []
    for exposure in declared.exposures or exposures_of(ground.study):
        known = declared.reliability.get(exposure)
        try:
            people = people_of(ground, exposure, by_days=known is None)
        except NoEstimate as without:
            none.append(replace(without.diagnostic, analysis=declared.id))
            continue
        found.append((people, people.measured(known)))
    return found, none


def _numbered(bench: Bench) -> Bench:
    """The bench with each person's row of the extract as a column."""
    columns = {**bench.sample.columns, ROW: np.flatnonzero(bench.cohort.included).astype(np.float64)}
    sample = Sample(columns, bench.sample.categories, bench.sample.cuts, bench.sample.n)
    return replace(bench, sample=sample)


def unit_of(people: People, study: Study, per: Mapping[str, float]) -> float:
    """Units of a linear ratio: declared, or the distance between the medians of the exposure's lowest and highest
    category, so that it can stand beside their ratio; without categories, one standard deviation.
    """
    if people.exposure in per:
        return per[people.exposure]
    frame = people.model.assembled.frame
    if people.exposure in categorical(study):
        codes = frame.columns[people.exposure]
        low, high = (float(np.median(people.value[codes == c])) for c in (codes.min(), codes.max()))
        if high > low:
            return high - low
    return float(people.value.std(ddof=1))


# ---------------------------------------------------------------- curves


def knots_of(study: Study, curve: str, values: FloatArray) -> tuple[tuple[float, ...], float]:
    """Knots and reference value of a declared curve."""
    declared = next(c for c in study.curves if c.analysis == curve)
    reference = float(percentiles(values, [declared.reference_percentile])[0])
    if declared.knots:
        return harrell_knots(values, declared.knots), reference
    return tuple(float(k) for k in percentiles(values, declared.knot_percentiles)), reference


def curve_points(row: Point, x: FloatArray, log_ratios: FloatArray, variances: FloatArray, z: float) -> list[Point]:
    """Points of a curve of ratios with limits."""
    half = z * np.sqrt(np.maximum(variances, 0.0))
    return [
        replace(row, x=float(a), y=float(np.exp(b)), low=float(np.exp(b - h)), high=float(np.exp(b + h)))
        for a, b, h in zip(x, log_ratios, half, strict=True)
    ]


# ---------------------------------------------------------------- rows


def row_of(people: People, analysis: str, *, stratum: str = "", level: str = "", estimand: str = "") -> Estimate:
    """A row of an analysis of these people, without an estimate yet."""
    request = people.model.asked.request
    return Estimate(
        analysis=analysis,
        exposure=people.exposure,
        stratum=stratum,
        level=level,
        model=request.model,
        estimand=estimand or estimand_of(request.method, None),
        n=people.n,
        events=int(people.y.sum()),
        method=request.method,
    )


def ratio_row(row: Estimate, log_ratio: float, variance: float, z: float) -> Estimate:
    """A row with a ratio and its limits."""
    return ratio(row, log_ratio, float(np.sqrt(variance)) if variance >= 0 else float("nan"), z)


def diagnostic_of(people: People, analysis: str, fit: Fit | None, said: Sequence[str], *, stratum: str) -> Diagnostic:
    """A diagnostics row of a fit of these people."""
    request = people.model.asked.request
    finite = fit is not None and np.isfinite(fit.max_fitted_risk)
    return Diagnostic(
        analysis=analysis,
        exposure=people.exposure,
        stratum=stratum,
        model=request.model,
        method=request.method,
        n=people.n,
        events=int(people.y.sum()),
        parameters=fit.parameters if fit is not None else 0,
        converged=fit.converged if fit is not None else True,
        iterations=fit.iterations if fit is not None else 0,
        boundary=fit.boundary if fit is not None else False,
        max_fitted_risk=fit.max_fitted_risk if fit is not None and finite else None,
        log_likelihood=fit.log_likelihood if fit is not None and np.isfinite(fit.log_likelihood) else None,
        warnings=" ".join(dict.fromkeys([*(fit.warnings if fit is not None else ()), *said])),
    )


def variances_of(people: People, *, summed: bool) -> tuple[str, ...]:
    """The declared variances but the bootstrap; with `summed`, those that are sums over persons or clusters.

    In the place of another stands HC0, or `cluster`.
    """
    names = people.model.asked.request.variances
    clustered = people.model.assembled.frame.cluster is not None

    def possible(variance: str) -> str:
        base = base_of(variance)
        if base != BOOTSTRAP and (base in SUMMED or not summed):
            return variance
        return "cluster" if clustered and uses_cluster(variance) else "HC0"

    return tuple(dict.fromkeys(possible(v) for v in names))


def covariance_by(people: People, variance: str, phi: FloatArray, like: Fit) -> FloatArray:
    """Covariance (k, k) of estimates by their influence phi (n, k), as a declared variance sums it."""
    return choice_of(people.model.asked.request, people.model.assembled, variance).of(phi, like)
