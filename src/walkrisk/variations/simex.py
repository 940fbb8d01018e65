"""SIMEX of the main model in rows and points: fits with added error in parts, then what each extrapolant reads off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.categories import percentiles
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.rows import Estimate
from walkrisk.models.fit import Fit, fit_model
from walkrisk.sensitivity.calibration import Measured
from walkrisk.sensitivity.simex import (
    Extrapolation,
    Form,
    Intervals,
    Model,
    Noise,
    PerUnit,
    Quantiles,
    Replicates,
    Spline,
    extrapolate,
    joined,
    replicates,
)
from walkrisk.sensitivity.simex import extrapolated as at_size
from walkrisk.studies.bench import Rows
from walkrisk.studies.fitting import sentence_of
from walkrisk.studies.kinds import category_names
from walkrisk.studies.measurement import Simex
from walkrisk.studies.study import Study
from walkrisk.variations.ground import Ground, main_analysis, seed_of
from walkrisk.variations.measured import (
    DRAWN,
    MEASURED,
    People,
    covariance_by,
    curve_points,
    diagnostic_of,
    everyone_measured,
    knots_of,
    ratio_row,
    row_of,
    unit_of,
    variances_of,
)
from walkrisk.variations.variation import Arrays, Part, Variation

FloatArray = npt.NDArray[np.float64]

BLOCK = 25  # fits of a part
NAMES = {"categories": "categories", "per_unit": "per unit", "curve": "curve"}


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """One exposure in one form: its people, the model, the error added, and for a curve its grid and reference."""

    number: int
    people: People
    name: str
    form: Form
    per: float
    model: Model
    noise: Noise
    levels: tuple[str, ...]
    reference: float | None


def extrapolated(ground: Ground, declared: Simex) -> Variation:
    """A declared SIMEX, in parts of 25 fits. Raises ValueError or DataFault for errors that cannot be made."""
    cases: list[_Case] = []
    found, none = everyone_measured(ground, declared)
    for people, measured in found:
        cases += _cases(ground.study, declared, people, measured, len(cases))
    parts = tuple(_parts(ground, declared, cases))
    return Variation(declared.id, declared.title, parts, partial(_finish, ground, declared, cases, none))


def _cases(study: Study, declared: Simex, people: People, measured: Measured, first: int) -> Iterator[_Case]:
    error = measured.error
    if error is None:
        assert measured.squares is not None
        assert measured.spare is not None
        if not measured.spare.any():
            raise ValueError(
                f"{people.exposure}: nobody has two valid days or more, so variation from day to day cannot be seen; "
                "declare the reliability instead, with its source."
            )
        error = measured.squares.sum(axis=0) / measured.spare.sum()
    days = people.days if declared.noise == "empirical" else None
    noise = Noise(exposure=people.value, variance=float(error[0, 0]) * measured.share, days=days)
    for name in declared.forms:
        per, reference = 1.0, None
        levels: tuple[str, ...] = ("",)
        form: Form
        if name == "curve":
            knots, reference = knots_of(study, declared.curve, people.value)
            form = Spline(knots)
        elif name == "per_unit":
            per = unit_of(people, study, declared.per)
            form = PerUnit(per)
        else:
            form, levels = _categories(study, people)
        model = Model(method=people.method, z=people.covariates(), y=people.y, form=form, weights=people.weights)
        yield _Case(first, people, name, form, per, model, noise, levels, reference)
        first += 1


def _categories(study: Study, people: People) -> tuple[Form, tuple[str, ...]]:
    exposure = study.exposures[people.exposure]
    cuts = main_analysis(study).fixed_cuts.get(people.exposure, exposure.cuts)
    names = category_names(study, people.exposure)[1:]
    if cuts:
        return Intervals(tuple(cuts)), names
    if exposure.quantiles:
        return Quantiles(exposure.quantiles), names
    raise ValueError(
        f"{people.exposure}: its categories are codes, which no error can be added to; leave the form categories out."
    )


def _parts(ground: Ground, declared: Simex, cases: Sequence[_Case]) -> Iterator[Part]:
    for case in cases:
        for s, size in enumerate(declared.added):
            for block, first in enumerate(range(0, declared.replicates, BLOCK)):
                number = min(BLOCK, declared.replicates - first)
                work = partial(_replicates, ground, declared, case, (s, size), (block, number))
                what = f"{case.people.exposure}, {NAMES[case.name]}, added error {size:g}, from {first + 1}"
                yield Part(f"{case.people.exposure}_{case.name}_{s}_{block}", what, work)


def _replicates(
    ground: Ground, declared: Simex, case: _Case, sized: tuple[int, float], block: tuple[int, int]
) -> Arrays:
    rng = seed_of(ground, declared.id, case.number, sized[0], block[0])
    start, _, _ = case.model.fit(case.noise.exposure, None)
    made = replicates(case.model, case.noise, sized[1], block[1], rng, start=start)
    return {"estimates": made.estimates, "variances": made.variances, "influence": made.influence}


# ---------------------------------------------------------------- rows


def _finish(
    ground: Ground, declared: Simex, cases: Sequence[_Case], none: Sequence[Diagnostic], parts: Sequence[Arrays]
) -> Rows:
    estimates: list[Estimate] = []
    points: list[Point] = []
    diagnostics = list(none)
    blocks = -(-declared.replicates // BLOCK)
    done = iter(parts)
    for case in cases:
        by_size = [joined([_made(next(done)) for _ in range(blocks)]) for _ in declared.added]
        like, said = _like(case), list(case.people.said)
        try:
            found = extrapolate(
                case.model.alone(case.noise.exposure),
                declared.added,
                by_size,
                extrapolants=_extrapolants(declared, case),
            )
        except ValueError as error:
            said.append(sentence_of(error))
            diagnostics.append(diagnostic_of(case.people, declared.id, None, said, stratum=NAMES[case.name]))
            continue
        said += _said(found)
        if case.name == "curve":
            points += _curve(ground, declared, case, found, like)
        else:
            estimates += _rows(ground, declared, case, found, like)
            points += _points(declared, case, found)
        diagnostics.append(diagnostic_of(case.people, declared.id, like, said, stratum=NAMES[case.name]))
    return Rows(estimates=tuple(estimates), points=tuple(points), diagnostics=tuple(diagnostics))


def _extrapolants(declared: Simex, case: _Case) -> tuple[str, ...]:
    """Those declared; of categories and curves without the rational one, whose pole such ratios do not determine."""
    if case.name == "per_unit":
        return declared.extrapolants
    return tuple(name for name in declared.extrapolants if name != "rational")


def _made(part: Arrays) -> Replicates:
    return Replicates(estimates=part["estimates"], variances=part["variances"], influence=part["influence"])


def _like(case: _Case) -> Fit:
    columns = case.form.columns(case.noise.exposure)
    names = [f"measured{i}" for i in range(columns.shape[1])]
    design, _ = case.people.design(names, list(columns.T))
    return fit_model(case.people.method, design, case.people.y, weights=case.people.weights)


def _said(found: Extrapolation) -> Iterator[str]:
    if found.failed:
        yield f"{found.failed} of {found.made} fits with added error had no maximum and were left out of the means."
    lost = [name for name, read in found.read.items() if not np.isfinite(read.corrected).all()]
    for name in lost:
        yield f"The {name} extrapolant has no place for its pole beyond -1 for every ratio, so it gives none there."


def _rows(ground: Ground, declared: Simex, case: _Case, found: Extrapolation, like: Fit) -> Iterator[Estimate]:
    z, unit = ground.bench.z, NAMES[case.name]
    reference = "" if case.name == "per_unit" else category_names(ground.study, case.people.exposure)[0]
    if case.name == "per_unit":
        yield replace(row_of(case.people, declared.id, stratum=unit, estimand="unit"), estimate=case.per, method="")
    naive = case.model.alone(case.noise.exposure)
    read: Mapping[str, tuple[FloatArray, FloatArray, FloatArray]] = {
        MEASURED: (naive.estimates[0], naive.influence, np.zeros(len(case.levels))),
        **{name: (r.corrected, r.influence, r.monte_carlo) for name, r in found.read.items()},
    }
    for name, (values, influence, monte_carlo) in read.items():
        row = row_of(case.people, declared.id, stratum=f"{unit}, {name}")
        for i, level in enumerate(case.levels):
            base = replace(row, level=level, reference=reference)
            if level:  # a category's own people differ from fit to fit
                base = replace(base, n=None, events=None)
            if not np.isfinite(values[i]):
                yield base
                continue
            for variance in variances_of(case.people, summed=True):
                v = covariance_by(case.people, variance, influence[:, [i]], like)
                yield ratio_row(replace(base, variance=variance), float(values[i]), float(v[0, 0]), z)
            if name != MEASURED:
                error = replace(base, estimand="monte_carlo_error", estimate=float(monte_carlo[i]))
                yield replace(error, n=None, events=None)


def _points(declared: Simex, case: _Case, found: Extrapolation) -> Iterator[Point]:
    """Mean ratios by size of the error (1 + lambda times its own), and the curves of the extrapolants."""
    for i, level in enumerate(case.levels):
        row = Point(analysis=declared.id, exposure=case.people.exposure, level=level, series=NAMES[case.name])
        for size, value in zip(found.sizes, found.estimates[:, i], strict=True):
            yield replace(row, item="mean", x=float(1 + size), y=float(np.exp(value)))
        grid = np.linspace(-1.0, float(found.sizes[-1]), DRAWN)
        for name, read in found.read.items():
            if np.isfinite(read.corrected[i]):
                for size, value in zip(grid, at_size(name, read.parameters[:, i], grid), strict=True):
                    yield replace(row, item=name, x=float(1 + size), y=float(np.exp(value)))


def _curve(ground: Ground, declared: Simex, case: _Case, found: Extrapolation, like: Fit) -> Iterator[Point]:
    """The curve as measured and by the first extrapolant, between the 1st and 99th percentile."""
    assert isinstance(case.form, Spline)
    assert case.reference is not None
    low, high = percentiles(case.people.value, [1, 99])
    x = np.linspace(float(low), float(high), DRAWN)
    contrasts = case.form.along(x, case.reference)
    variance = variances_of(case.people, summed=True)[0]
    naive, first = case.model.alone(case.noise.exposure), declared.extrapolants[0]
    both = (
        (MEASURED, naive.estimates[0], naive.influence),
        (first, found.read[first].corrected, found.read[first].influence),
    )
    for item, values, influence in both:
        v = covariance_by(case.people, variance, influence @ contrasts.T, like)
        row = Point(analysis=declared.id, exposure=case.people.exposure, series="curve", item=item)
        yield from curve_points(row, x, contrasts @ values, np.diag(v), ground.bench.z)
    yield Point(analysis=declared.id, exposure=case.people.exposure, series="curve reference", x=case.reference, y=1.0)
