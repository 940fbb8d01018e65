"""Measurement error in rows: the reliability of days, the main model on calibrated exposure; SIMEX and a misclassified
outcome are beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.cohorts.samples import Sample, categorise
from walkrisk.errors import DataFault
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.rows import Estimate
from walkrisk.models.covariance import covariance
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.resampling import Resampling, resampling
from walkrisk.models.splines import restricted_cubic_basis
from walkrisk.sensitivity.calibration import (
    CalibratedFit,
    Measured,
    bootstrap_calibrated,
    calibrate,
    fit_calibrated,
    measured_by_days,
)
from walkrisk.sensitivity.reliability import PersonDays, person_days, reliability
from walkrisk.studies.bench import Bench, Rows, joined, variable_of
from walkrisk.studies.fitting import NoEstimate, choice_of
from walkrisk.studies.kinds import categorical
from walkrisk.studies.measurement import Calibration, Reliability
from walkrisk.studies.study import Study
from walkrisk.studies.vocabulary import BOOTSTRAP
from walkrisk.variations.ground import Ground, exposures_of, main_analysis, main_rows, seed_of
from walkrisk.variations.measured import (
    DRAWN,
    MEASURED,
    People,
    curve_points,
    daily_values,
    diagnostic_of,
    everyone_measured,
    knots_of,
    ratio_row,
    row_of,
    unit_of,
    variances_of,
    weekdays,
)
from walkrisk.variations.misclassified import misclassified
from walkrisk.variations.simex import extrapolated
from walkrisk.variations.variation import Arrays, Part, Variation, whichever_can

FloatArray = npt.NDArray[np.float64]

BLOCK = 50  # bootstrap samples of a part
CALIBRATED, TOGETHER = "calibrated", "calibrated together"  # strata of rows, items of points


def plan(ground: Ground) -> Iterator[Variation]:
    """Every declared analysis of measurement error. Raises DataFault for those these data make impossible."""
    s = ground.study.sensitivity
    for one in s.reliabilities:
        yield Variation(one.id, one.title, (), partial(_reliabilities, ground, one))
    work: list[tuple[str, Callable[[], Variation]]] = [
        *((f"calibrations ({c.id})", partial(_calibration, ground, c)) for c in s.calibrations),
        *((f"simex ({x.id})", partial(extrapolated, ground, x)) for x in s.simex),
        *((f"misclassified_outcomes ({o.id})", partial(misclassified, ground, o)) for o in s.misclassified_outcomes),
    ]
    yield from whichever_can(partial(_keyed, key, made) for key, made in work)


def _keyed(key: str, made: Callable[[], Variation]) -> Variation:
    """A variation whose faults say which declaration they are of."""
    try:
        return made()
    except (DataFault, ValueError) as fault:
        said = getattr(fault, "faults", [str(fault)])
        raise DataFault([f"sensitivity.{key}: {sentence}" for sentence in said]) from None


# ---------------------------------------------------------------- reliability


def _reliabilities(ground: Ground, declared: Reliability, parts: Sequence[Arrays]) -> Rows:
    found = [
        _reliability(ground, declared, exposure, number)
        for number, exposure in enumerate(declared.exposures or exposures_of(ground.study))
    ]
    return joined(found)


def _reliability(ground: Ground, declared: Reliability, exposure: str, number: int) -> Rows:
    study, included = ground.study, ground.bench.cohort.included
    variable = study.exposures[exposure].variable
    assert variable
    assert ground.day_values is not None
    values = daily_values(study, ground.day_values, variable)[included]
    weekday = weekdays(ground.day_values)[included] if declared.weekdays else None
    persons = person_days(values, weekday=weekday)
    row = Estimate(
        analysis=declared.id, exposure=exposure, estimand="reliability", method=declared.estimator, variance=""
    )
    try:
        made = reliability(
            persons,
            method=declared.estimator,
            limits=declared.limits,
            conf_level=study.settings.conf_level,
            replicates=declared.replicates,
            seed=seed_of(ground, declared.id, number),
        )
    except ValueError as error:
        return Rows(diagnostics=(_unreliable(row, persons, str(error)),))
    c = made.components
    row = replace(row, n=c.persons)

    def one(level: str, three: tuple[float, float, float], estimand: str = "reliability") -> Estimate:
        estimate, low, high = (float(v) if np.isfinite(v) else None for v in three)
        return replace(row, level=level, estimand=estimand, estimate=estimate, conf_low=low, conf_high=high)

    estimates = [
        one("one day", made.of_days(1)),
        one("study", made.of_study()),
        one(f"for {declared.wanted:g}", made.days_for(declared.wanted), "days_needed"),
        replace(row, level="between", estimand="variance", estimate=c.between),
        replace(row, level="within", estimand="variance", estimate=c.within),
        replace(row, level="within over between", estimand="variance_ratio", estimate=_share(c.within, c.between)),
        replace(row, level="days a person", estimand="mean", estimate=c.days / c.persons),
    ]
    points = [
        Point(analysis=declared.id, exposure=exposure, series="reliability", x=float(k), y=r, low=low, high=high)
        for k in range(1, declared.most_days + 1)
        for r, low, high in [made.of_days(k)]
    ]
    most = int(persons.days.max())
    counts = np.bincount(persons.days.astype(np.intp), minlength=most + 1)
    points += [
        Point(analysis=declared.id, exposure=exposure, series="days", x=float(k), y=float(v) / c.persons, n=int(v))
        for k, v in enumerate(counts.tolist())
        if k
    ]
    said = "Persons differ no more than their days do: the reliability comes out at 0." if c.negative else ""
    return Rows(
        estimates=tuple(estimates), points=tuple(points), diagnostics=(_unreliable(row, persons, said),) if said else ()
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _unreliable(row: Estimate, persons: PersonDays, said: str) -> Diagnostic:
    return Diagnostic(
        analysis=row.analysis,
        exposure=row.exposure,
        stratum="",
        model="variance components",
        method=row.method,
        n=int((persons.days > 0).sum()),
        events=0,
        parameters=2,
        converged=row.estimate is not None or row.n is not None,
        iterations=0,
        boundary=False,
        max_fitted_risk=None,
        log_likelihood=None,
        warnings=said,
    )


# ---------------------------------------------------------------- calibration


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """An exposure to be calibrated: its people, what was measured, and units of its ratio."""

    people: People
    measured: Measured
    per: float


def _calibration(ground: Ground, declared: Calibration) -> Variation:
    cases: list[_Case] = []
    found, none = everyone_measured(ground, declared)
    for people, measured in found:
        cases.append(_Case(people, measured, unit_of(people, ground.study, declared.per)))
        calibrate(cases[-1].measured, people.covariates(), weights=people.weights)  # what is impossible is said early
        if declared.replicates:
            _draw(ground, declared, people)
    parts = [
        Part(f"{case.people.exposure}_{first}", f"{case.people.exposure}, bootstrap from {first + 1}", work)
        for case in cases
        for first in range(0, declared.replicates, BLOCK)
        for work in [partial(_bootstrapped, ground, declared, case, first)]
    ]
    return Variation(declared.id, declared.title, tuple(parts), partial(_calibrated, ground, declared, cases, none))


def _draw(ground: Ground, declared: Calibration, people: People) -> Resampling:
    """Bootstrap samples of people, or of clusters or sampling units (within strata). Raises ValueError for one unit."""
    made = people.model.assembled
    choice = choice_of(people.model.asked.request, made, BOOTSTRAP)
    cluster = choice.cluster if made.survey is None else made.survey.psu  # numbered over all strata
    number = int(seed_of(ground, declared.id, 0).integers(2**62))
    return resampling(people.n, number, cluster=cluster, strata=choice.strata)


def _bootstrapped(ground: Ground, declared: Calibration, case: _Case, first: int) -> Arrays:
    people = case.people
    design, columns = people.design(["measured"], [people.value])
    naive = fit_model(people.method, design, people.y, weights=people.weights)
    draw = _draw(ground, declared, people)
    found = bootstrap_calibrated(
        people.method,
        design,
        people.y,
        case.measured,
        people.covariates(),
        columns,
        draw,
        first=first,
        stop=min(first + BLOCK, declared.replicates),
        start=naive.coefficients,
        weights=people.weights,
    )
    return {"log_ratios": found[:, 0] * case.per}


def _calibrated(
    ground: Ground,
    declared: Calibration,
    cases: Sequence[_Case],
    none: Sequence[Diagnostic],
    parts: Sequence[Arrays],
) -> Rows:
    found = [Rows(diagnostics=tuple(none))]
    each = len(parts) // len(cases) if cases else 0
    for i, case in enumerate(cases):
        mine = [p["log_ratios"] for p in parts[each * i : each * (i + 1)]]
        found += _of_exposure(ground, declared, case, np.concatenate(mine) if mine else None)
    if declared.together and len(cases) > 1:
        found += [_together(ground, declared, [cases[i], *cases[:i], *cases[i + 1 :]]) for i in range(len(cases))]
    return joined(found)


def _of_exposure(ground: Ground, declared: Calibration, case: _Case, replicates: FloatArray | None) -> Iterator[Rows]:
    people, z = case.people, ground.bench.z
    calibration = calibrate(case.measured, people.covariates(), weights=people.weights)
    design, columns = people.design(["measured"], [people.value])
    naive = fit_model(people.method, design, people.y, weights=people.weights)
    made = fit_calibrated(people.method, design, people.y, calibration, columns, weights=people.weights)
    row = row_of(people, declared.id)
    unit = replace(row, estimand="unit", estimate=case.per, stratum="", method="", variance="")
    share = float(np.average(calibration.kept[:, 0, 0], weights=people.weights))
    kept = replace(unit, estimand="reliability", level="given covariates", estimate=share)
    estimates = [unit, kept]
    for variance in variances_of(people, summed=False):
        choice = choice_of(people.model.asked.request, people.model.assembled, variance)
        v = covariance(naive, variance, cluster=choice.cluster, design=choice.survey)
        at = naive.position(columns)[0]
        base = replace(row, variance=variance)
        log_ratio, error = float(naive.coefficients[columns[0]]) * case.per, v[at, at] * case.per**2
        estimates.append(ratio_row(replace(base, stratum=MEASURED), log_ratio, float(error), z))
        v = made.covariance(variance, cluster=choice.cluster, design=choice.survey)
        log_ratio, error = float(made.coefficients()[0]) * case.per, v[0, 0] * case.per**2
        estimates.append(ratio_row(replace(base, stratum=CALIBRATED), log_ratio, float(error), z))
    said = list(people.said)
    if replicates is not None:
        estimates.append(_percentiles(ground.study, replace(estimates[-1], variance=BOOTSTRAP), replicates))
        lost = int(np.isnan(replicates).sum())
        if lost:
            said.append(f"{lost} of {len(replicates)} bootstrap samples could not be calibrated or fitted.")
    diagnostics = [
        diagnostic_of(people, declared.id, naive, (), stratum=MEASURED),
        diagnostic_of(people, declared.id, made.fit, said, stratum=CALIBRATED),
    ]
    yield Rows(estimates=tuple(estimates), diagnostics=tuple(diagnostics))
    if declared.categories and people.exposure in categorical(ground.study):
        yield _categories(ground, declared, case, calibration.expected[:, 0])
    if declared.curve:
        yield _curve(ground, declared, case, naive)


def _percentiles(study: Study, row: Estimate, replicates: FloatArray) -> Estimate:
    fine = replicates[np.isfinite(replicates)]
    level = study.settings.conf_level
    low, high = np.quantile(fine, [(1 - level) / 2, (1 + level) / 2])
    return replace(
        row,
        std_error=float(fine.std(ddof=1)),
        conf_low=float(np.exp(low)),
        conf_high=float(np.exp(high)),
        p_value=None,
    )


def _categories(ground: Ground, declared: Calibration, case: _Case, expected: FloatArray) -> Rows:
    """The main ratios by categories of the calibrated exposure, cut anew by the exposure's own rule."""
    people, bench = case.people, ground.bench
    variable = variable_of(ground.study, people.exposure)
    values = np.full(bench.cohort.n_all, np.nan)
    values[people.rows] = expected
    columns = {**bench.sample.columns, variable: values[bench.cohort.included]}
    cut = categorise(columns, {people.exposure: bench.rules[people.exposure]}, bench.sample.n)
    sample = Sample(
        columns,
        {**bench.sample.categories, **cut.categories},
        {**bench.sample.cuts, **cut.cuts},
        bench.sample.n,
    )
    again: Bench = replace(bench, sample=sample)
    variant = replace(main_analysis(ground.study), id=declared.id)
    rows = main_rows(again, people.exposure, analysis=variant)
    stratum = "categories of calibrated exposure"
    return Rows(
        estimates=tuple(replace(e, stratum=stratum) for e in rows.estimates),
        diagnostics=tuple(replace(d, stratum=stratum) for d in rows.diagnostics),
    )


def _curve(ground: Ground, declared: Calibration, case: _Case, naive: Fit) -> Rows:
    """The declared curve of the exposure as measured, and of usual exposure, between the 1st and 99th percentile."""
    people = case.people
    knots, reference = knots_of(ground.study, declared.curve, people.value)
    low, high = percentiles(people.value, [1, 99])
    x = np.linspace(float(low), float(high), DRAWN)
    basis = restricted_cubic_basis(np.append(x, reference), knots)
    contrasts = basis[:-1] - basis[-1]
    names = [f"measured{i}" for i in range(len(knots) - 1)]
    design, columns = people.design(names, list(restricted_cubic_basis(people.value, knots).T))
    plain = fit_model(people.method, design, people.y, weights=people.weights)
    calibration = calibrate(case.measured, people.covariates(), weights=people.weights)
    made: CalibratedFit = fit_calibrated(
        people.method, design, people.y, calibration, columns, weights=people.weights, knots=knots
    )
    variance = variances_of(people, summed=False)[0]
    choice = choice_of(people.model.asked.request, people.model.assembled, variance)
    at = plain.position(columns)
    v = covariance(plain, variance, cluster=choice.cluster, design=choice.survey)[np.ix_(at, at)]
    points: list[Point] = []
    for item, b, c in (
        (MEASURED, plain.coefficients[list(columns)], v),
        (CALIBRATED, made.coefficients(), made.covariance(variance, cluster=choice.cluster, design=choice.survey)),
    ):
        row = Point(analysis=declared.id, exposure=people.exposure, series="curve", item=item)
        points += curve_points(row, x, contrasts @ b, np.einsum("ki,ij,kj->k", contrasts, c, contrasts), ground.bench.z)
    points.append(Point(analysis=declared.id, exposure=people.exposure, series="curve reference", x=reference, y=1.0))
    return Rows(points=tuple(points))


def _together(ground: Ground, declared: Calibration, cases: Sequence[_Case]) -> Rows:
    """The first exposure, with the others in the model, as measured and all calibrated together."""
    first = cases[0].people
    days: list[FloatArray] = []
    values: list[FloatArray] = []
    for case in cases:
        place = {row: i for i, row in enumerate(case.people.rows.tolist())}
        at = [place.get(row, -1) for row in first.rows.tolist()]
        if min(at) < 0:
            raise NoEstimate(
                first.model.asked.request, "The exposures have other people in their models, so none are calibrated."
            )
        assert case.people.days is not None
        days.append(case.people.days[at])
        values.append(case.people.value[at])
    measured = replace(measured_by_days(days), mean=np.column_stack(values))
    names = [f"measured {case.people.exposure}" for case in cases]
    design, columns = first.design(names, values)
    naive = fit_model(first.method, design, first.y, weights=first.weights)
    calibration = calibrate(measured, first.covariates(), weights=first.weights)
    made = fit_calibrated(first.method, design, first.y, calibration, columns, weights=first.weights)
    estimates, per = [], cases[0].per
    for variance in variances_of(first, summed=False):
        choice = choice_of(first.model.asked.request, first.model.assembled, variance)
        row = row_of(first, declared.id)
        v = covariance(naive, variance, cluster=choice.cluster, design=choice.survey)
        at_first = naive.position(columns)[0]
        plain = replace(row, variance=variance, stratum=f"{MEASURED} together")
        log_ratio, error = float(naive.coefficients[columns[0]]) * per, float(v[at_first, at_first]) * per**2
        estimates.append(ratio_row(plain, log_ratio, error, ground.bench.z))
        v = made.covariance(variance, cluster=choice.cluster, design=choice.survey)
        both = replace(row, variance=variance, stratum=TOGETHER)
        log_ratio, error = float(made.coefficients()[0]) * per, float(v[0, 0]) * per**2
        estimates.append(ratio_row(both, log_ratio, error, ground.bench.z))
    return Rows(
        estimates=tuple(estimates),
        diagnostics=(diagnostic_of(first, declared.id, made.fit, (), stratum=TOGETHER),),
    )
