"""What the main ratio would be if those lost had all been cases, or none, or had k times the risk of the followed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.samples import Sample
from walkrisk.errors import DataFault
from walkrisk.estimates.results import Diagnostic, Point
from walkrisk.estimates.risk_influence import risk_covariance
from walkrisk.estimates.rows import Estimate, ratio
from walkrisk.models.design import Design, Factor
from walkrisk.sensitivity.bounds import Assumed, Lost, Scale, assumed, largest_multiplier, log_ratio, prepare, tipping
from walkrisk.studies.analyse import asked_of
from walkrisk.studies.bench import Rows
from walkrisk.studies.fitting import NoEstimate, assemble
from walkrisk.studies.losses import WorstCases
from walkrisk.studies.vocabulary import estimand_of
from walkrisk.variations.ground import Ground, exposures_of, main_analysis
from walkrisk.variations.loss_sample import counted, people_of
from walkrisk.variations.variation import Arrays, Part, Variation

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EXTREMES = ("highest", "lowest", "all cases", "no cases")
OF_LEVEL, OF_REFERENCE = "k of the category", "k of the reference"
FOLLOWED, LOST, INCOMPLETE = "followed", "lost", "incomplete"
BETWEEN = 2  # points of a scan between two declared k, for a smooth line


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ready:
    """The main model of followed and lost people together, its category columns (K,), -1 for none, and what was said.

    `counts` (2, K) are people followed and lost by category.
    """

    lost: Lost
    columns: tuple[int, ...]
    reference: int
    labels: tuple[str, ...]
    counts: FloatArray
    model: str
    method: str
    incomplete: int
    cluster: FloatArray | None
    z: float
    headline: str
    min_cell: int


def worst_cases(ground: Ground, declared: WorstCases) -> Variation:
    """Declared worst cases, a part an exposure. Raises DataFault for what cannot be done with these data."""
    ready: dict[str, Ready] = {}
    for exposure in exposures_of(ground.study):
        try:
            ready[exposure] = prepared(ground, declared, exposure)
            _check(ready[exposure], declared)
        except (ValueError, NoEstimate) as error:
            raise DataFault(f"sensitivity.worst_cases ({declared.id}): {exposure}: {error}") from None
    parts = tuple(Part(e, e, partial(_arrays, ready[e], declared)) for e in ready)
    return Variation(declared.id, declared.title, parts, partial(_rows, ground, declared, ready))


def prepared(ground: Ground, declared: WorstCases, exposure: str) -> Ready:
    """The people and design of the main model with those lost added.

    Raises ValueError if nobody was lost, everybody was, or the followed give no estimate; NoEstimate if nobody enters.
    """
    bench = ground.bench
    people = people_of(ground, bench, declared.steps, later=True)
    anyone = people_of(ground, bench, declared.steps, later=True, placed=())
    if people.followed.all() and not anyone.followed.all():
        raise ValueError("None of those lost has a known category of the exposure, so they have no place in its model.")
    analysis = main_analysis(ground.study)
    asked = asked_of(bench, analysis, exposure, analysis.models[0])
    request = replace(asked.request, variances=("HC0",))
    y = people.sample.columns[request.outcome]
    followed = people.followed & ~np.isnan(y)
    kept = followed | ~people.followed
    columns = {**people.sample.columns, request.outcome: np.where(followed, y, 0.0)}
    sample = Sample(columns, people.sample.categories, people.sample.cuts, len(y)).where(kept)
    made = assemble(request, sample, asked.terms, bench.cohort.variables, labels=asked.labels)
    frame, rows = made.frame, made.frame.rows
    factor = frame.exposure
    assert isinstance(factor, Factor)
    labels = tuple(asked.labels[exposure])
    levels = frame.columns[exposure].astype(np.intp) - 1
    known = followed[kept][rows]
    design = frame.design()
    lost = prepare(
        request.method,
        design,
        frame.y,
        known,
        levels,
        anchor=declared.anchor,
        sampling=frame.weights,
        engine=request.engine,
    )
    cluster = request.cluster if "cluster" in asked.request.variances else None
    return Ready(
        lost=lost,
        columns=_columns(design, factor, len(labels)),
        reference=int(factor.levels[0]) - 1,
        labels=labels,
        counts=np.array([np.bincount(levels[m], minlength=len(labels)) for m in (known, ~known)], dtype=np.float64),
        model=request.model,
        method=request.method,
        incomplete=int((~people_of(ground, bench, declared.steps).followed).sum() - (~known).sum()),
        cluster=sample.columns[cluster][rows] if cluster else None,
        z=bench.z,
        headline=ground.study.sensitivity.levels.get(exposure, labels[-1]),
        min_cell=ground.study.settings.min_cell,
    )


def _columns(design: Design, factor: Factor, levels: int) -> tuple[int, ...]:
    places = {int(code) - 1: c for code, c in zip(factor.levels[1:], design.columns_of[factor], strict=True)}
    return tuple(places.get(k, -1) for k in range(levels))


def _check(ready: Ready, declared: WorstCases) -> None:
    """Raises ValueError where a declared k puts a risk above 1, or a risk has no odds."""
    if declared.scale == "odds":
        if (ready.lost.risks > 1).any():
            raise ValueError(
                'The model gives some of those lost a risk above 1, which has no odds; choose anchor = "category".'
            )
        return
    limits, k = largest_multiplier(ready.lost), max(declared.multipliers)
    if k > limits.min():
        at = int(np.argmin(limits))
        raise ValueError(
            f"k = {k:g} gives some of those lost in {ready.labels[at]} a risk above 1; the largest k allowed is "
            f"{math.floor(100 * limits[at]) / 100:.2f} on the risk scale; lower the multipliers, or choose "
            'scale = "odds", which has no limit.'
        )


# ---------------------------------------------------------------- numbers of one exposure


def _arrays(ready: Ready, declared: WorstCases) -> Arrays:
    """Log ratios and standard errors: of extremes (4, K, 2), and of scans (2, K, X, 2) at k (X,); tipping points
    (2, K, 2) of ratio and limit; the log ratios (K, G, G) of a grid of two k (G,) for the headline category."""
    x = scan_values(declared)
    compared = [k for k in range(len(ready.labels)) if ready.columns[k] >= 0]
    size, g = len(ready.labels), len(declared.multipliers)
    scan, tips = np.full((2, size, len(x), 2), np.nan), np.full((2, size, 2), np.nan)
    grid = np.full((size, g, g), np.nan)
    for k in compared:
        for which, at in enumerate((k, ready.reference)):
            scan[which, k] = [_value(ready, _multiplied(ready, declared, {at: v}), k) for v in x]
            tips[which, k] = _tipping(ready, declared, k, at)
        if ready.labels[k] != ready.headline:
            continue
        for i, own in enumerate(declared.multipliers):
            for j, reference in enumerate(declared.multipliers):
                made = _multiplied(ready, declared, {k: own, ready.reference: reference})
                grid[k, i, j] = _value(ready, made, k)[0]
    return {"k": x, "extremes": _extremes(ready, compared), "scan": scan, "tipping": tips, "grid": grid}


def scan_values(declared: WorstCases) -> FloatArray:
    """The declared k and points between them, evenly on the log scale."""
    k = declared.multipliers
    fine = [np.geomspace(a, b, BETWEEN + 1)[:-1] for a, b in pairwise(k)]
    out = np.concatenate([*fine, [k[-1]]])
    out[::BETWEEN] = k  # to the last digit
    return out


NOTHING = (math.nan, math.nan)


def _value(ready: Ready, made: Assumed | None, k: int) -> tuple[float, float]:
    """The log ratio of category k (0 ..) and its standard error, by clusters where the study's variances are; NaN where
    the model gave no estimate."""
    if made is None:
        return NOTHING
    column = ready.columns[k]
    if ready.cluster is None or not made.fit.estimable[column]:
        return log_ratio(made, column)
    phi = made.influence[:, made.fit.position((column,))]
    variance = risk_covariance(phi, "cluster", cluster=ready.cluster)[0, 0]
    return float(made.fit.coefficients[column]), math.sqrt(variance)


def _extremes(ready: Ready, compared: Sequence[int]) -> FloatArray:
    """The highest and the lowest ratio of each category, and those with all of the lost as cases, or none."""
    size = len(ready.labels)
    out, ones = np.full((len(EXTREMES), size, 2), np.nan), np.ones(size)
    for k in compared:
        for row, (own, reference) in enumerate(((1.0, 0.0), (0.0, 1.0))):
            set_to = np.full(size, np.nan)
            set_to[k], set_to[ready.reference] = own, reference
            out[row, k] = _value(ready, _made(ready, ones, set_to=set_to), k)
    for row, risk in ((2, 1.0), (3, 0.0)):
        made = _made(ready, ones, set_to=np.full(size, risk))
        for k in compared:
            out[row, k] = _value(ready, made, k)
    return out


def _made(ready: Ready, k: FloatArray, *, scale: Scale = "odds", set_to: FloatArray | None = None) -> Assumed | None:
    """The outcome model with assumed risks; None where it gives no estimate with a variance (a log-binomial maximum on
    the boundary, everyone a case)."""
    try:
        return assumed(ready.lost, k, scale=scale, set_to=set_to)
    except ValueError:
        return None


def _multiplied(ready: Ready, declared: WorstCases, own: Mapping[int, float]) -> Assumed | None:
    k = np.ones(len(ready.labels))
    for at, value in own.items():
        k[at] = value
    return _made(ready, k, scale=declared.scale)


def _tipping(ready: Ready, declared: WorstCases, k: int, at: int) -> FloatArray:
    """The k of category `at` (2,) with which the ratio of category k, and its limit nearest to 1, is 1; NaN where it
    does not come to that, or the interval holds 1 as it is."""
    low, high = 1 / declared.widest, declared.widest
    if declared.scale == "risk":
        high = min(high, float(largest_multiplier(ready.lost)[at]) * (1 - 1e-9))
    value, error = _value(ready, _multiplied(ready, declared, {}), k)
    side = math.copysign(1.0, value)

    def away(v: float, *, errors: float) -> float:
        b, se = _value(ready, _multiplied(ready, declared, {at: v}), k)
        return b - side * errors * se

    outside = side * value > ready.z * error
    found = [math.nan, math.nan]
    for i, errors in enumerate((0.0, ready.z)):
        if i == 0 or outside:
            found[i] = tipping(partial(away, errors=errors), low=low, high=high).k
    return np.array(found)


# ---------------------------------------------------------------- rows


def _rows(ground: Ground, declared: WorstCases, ready: Mapping[str, Ready], parts: Sequence[Arrays]) -> Rows:
    estimates: list[Estimate] = []
    points: list[Point] = []
    diagnostics: list[Diagnostic] = []
    for (exposure, own), arrays in zip(ready.items(), parts, strict=True):
        estimates += _count_rows(declared, exposure, own)
        for k, label in enumerate(own.labels):
            if own.columns[k] < 0:
                continue
            base = _base(ground, declared, exposure, own, label)
            for row, stratum in enumerate(EXTREMES):
                estimates.append(_ratio(replace(base, stratum=stratum), arrays["extremes"][row, k], own.z))
            estimates += _tipping_rows(base, arrays["tipping"][:, k])
            points += _scan_points(base, arrays, k, own.z)
            if label == own.headline:
                points += _grid_points(base, declared, arrays["grid"][k])
        diagnostics.append(_diagnostic(declared, exposure, own, _failed(own, arrays)))
    return Rows(estimates=tuple(estimates), points=tuple(points), diagnostics=tuple(diagnostics))


def _base(ground: Ground, declared: WorstCases, exposure: str, own: Ready, label: str) -> Estimate:
    k = own.labels.index(label)
    return Estimate(
        analysis=declared.id,
        exposure=exposure,
        level=label,
        reference=own.labels[own.reference],
        model=own.model,
        estimand=estimand_of(own.method, main_analysis(ground.study).estimand),
        n=int(own.counts[:, k].sum()),
        method=own.method,
        variance="HC0" if own.cluster is None else "cluster",
    )


def _ratio(base: Estimate, value: FloatArray, z: float) -> Estimate:
    return ratio(base, float(value[0]), float(value[1]), z)


def _count_rows(declared: WorstCases, exposure: str, own: Ready) -> Iterator[Estimate]:
    """People followed and lost by category and altogether, and those lost without all covariates."""
    base = Estimate(analysis=declared.id, exposure=exposure, model=own.model, estimand="count")
    for what, counts in zip((FOLLOWED, LOST), own.counts, strict=True):
        for label, n in zip(("", *own.labels), (counts.sum(), *counts), strict=True):
            yield replace(base, stratum=what, level=label, n=int(n), estimate=float(n))
    yield replace(base, stratum=INCOMPLETE, n=own.incomplete, estimate=float(own.incomplete))


def _tipping_rows(base: Estimate, tips: FloatArray) -> Iterator[Estimate]:
    """The k at which the ratio (method "ratio") or its limit ("limit") is 1; no estimate where there is none."""
    for series, found in zip((OF_LEVEL, OF_REFERENCE), tips, strict=True):
        for what, k in zip(("ratio", "limit"), found, strict=True):
            yield replace(
                base,
                stratum=series,
                estimand="tipping_point",
                method=what,
                variance="",
                n=None,
                estimate=float(k) if math.isfinite(k) else None,
            )


def _scan_points(base: Estimate, arrays: Arrays, k: int, z: float) -> Iterator[Point]:
    for which, series in enumerate((OF_LEVEL, OF_REFERENCE)):
        for x, value in zip(arrays["k"], arrays["scan"][which, k], strict=True):
            row = _ratio(base, value, z)
            yield Point(
                analysis=base.analysis,
                exposure=base.exposure,
                level=base.level,
                series=series,
                x=float(x),
                y=row.estimate,
                low=row.conf_low,
                high=row.conf_high,
            )


def _grid_points(base: Estimate, declared: WorstCases, grid: FloatArray) -> Iterator[Point]:
    """The ratio y at k = x of the category and k = `low` of the reference."""
    for i, own in enumerate(declared.multipliers):
        for j, reference in enumerate(declared.multipliers):
            value = float(np.exp(grid[i, j]))
            yield Point(
                analysis=base.analysis,
                exposure=base.exposure,
                level=base.level,
                series="grid",
                item=f"reference {reference:g}",
                x=own,
                y=value if math.isfinite(value) else None,
                low=reference,
            )


def _failed(own: Ready, arrays: Arrays) -> int:
    """How many of the extremes and points of scans have no estimate."""
    compared = [k for k in range(len(own.labels)) if own.columns[k] >= 0]
    return sum(int(np.isnan(arrays[name][:, compared, ..., 0]).sum()) for name in ("extremes", "scan"))


def _diagnostic(declared: WorstCases, exposure: str, own: Ready, failed: int) -> Diagnostic:
    fit = own.lost.fit
    said = list(fit.warnings)
    if own.incomplete:
        few = counted(own.incomplete, own.min_cell)
        said.append(f"{few} of those lost lack a covariate of the main model and are not in these bounds.")
    if failed:
        said.append(
            f"{failed} models with assumed risks gave no estimate with a variance (a maximum on the boundary, or "
            "everyone a case); modified_poisson has none such."
        )
    return Diagnostic(
        analysis=declared.id,
        exposure=exposure,
        stratum="",
        model=own.model,
        method=own.method,
        n=fit.n,
        events=fit.events,
        parameters=fit.parameters,
        converged=fit.converged,
        iterations=fit.iterations,
        boundary=fit.boundary,
        max_fitted_risk=fit.max_fitted_risk,
        log_likelihood=None,
        warnings=" ".join(said),
    )
