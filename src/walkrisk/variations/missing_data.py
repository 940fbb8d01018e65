"""Multiple imputation of a study as work: one part a set, and one a set and a variant that is not at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.results import Point
from walkrisk.sensitivity.imputation import Chain, Prepared, Shift
from walkrisk.sensitivity.imputation_design import Visit
from walkrisk.studies.bench import Bench, Rows
from walkrisk.studies.missing_data import Delta, Imputation
from walkrisk.studies.vocabulary import REGRESSIONS
from walkrisk.variations.ground import Ground, exposures_of, main_analysis, main_fit, main_rows
from walkrisk.variations.imputed import Imputing, bench_of, imputed_set, imputing
from walkrisk.variations.missing_data_rows import FIT, RatioShape, Texts, pooled_variation
from walkrisk.variations.variation import Arrays, Part, Variation, whichever_can

FloatArray = npt.NDArray[np.float64]
BINS = 12  # of the distribution of a continuous variable


def plan(ground: Ground) -> Iterator[Variation]:
    """Every declared imputation. Raises DataFault for one that is impossible with these data."""
    return whichever_can(partial(_planned, ground, declared) for declared in ground.study.sensitivity.imputations)


def _planned(ground: Ground, declared: Imputation) -> Variation:
    made = imputing(ground, declared)
    if made.prepared is None:
        return Variation(declared.id, declared.title, (), partial(_nothing_missing, made))
    return Variation(declared.id, declared.title, tuple(_parts(made)), partial(_finish, made))


def _parts(made: Imputing) -> Iterator[Part]:
    declared = made.declared
    for number in range(declared.sets):
        yield Part(f"set {number + 1}", f"set {number + 1}", partial(_one_set, made, number))
    for j, delta in enumerate(declared.deltas):
        for number in range(declared.sets):
            title = f"{delta.variable} shifted, set {number + 1}"
            yield Part(f"shift {j + 1} set {number + 1}", title, partial(_shifted_set, made, delta, number))


def _one_set(made: Imputing, number: int) -> Arrays:
    """The ratios in one set, its chain's traces, and how its imputed values are distributed."""
    assert made.prepared is not None
    chain = imputed_set(made, number)
    out: dict[str, npt.NDArray[np.generic]] = {"means": chain.means, "sds": chain.sds, "said": texts(chain.warnings)}
    for visit in made.prepared.visits:
        out[f"counts {visit.target.name}"] = counted(visit, chain.values[visit.target.name])
    return {**out, **_ratios(made, bench_of(made, chain), with_df=True)}


def _shifted_set(made: Imputing, delta: Delta, number: int) -> Arrays:
    """The ratios in one set at every shift of a variant, stacked along the first axis."""
    found = []
    said: list[str] = []
    for value in delta.values:
        shift = Shift(name=delta.variable, delta=value, level=delta.level)
        chain: Chain = imputed_set(made, number, shift)
        said += chain.warnings
        found.append(_ratios(made, bench_of(made, chain), with_df=False))
    return {key: np.stack([one[key] for one in found]) for key in found[0]} | {"said": texts(dict.fromkeys(said))}


def _ratios(made: Imputing, bench: Bench, *, with_df: bool) -> dict[str, npt.NDArray[np.generic]]:
    """Estimates and standard errors (levels, variances), counts (levels, 2) and the fit of every exposure."""
    out: dict[str, npt.NDArray[np.generic]] = {}
    for exposure in exposures_of(made.ground.study):
        shape = RatioShape.of(made.ground.study, exposure)
        rows = main_rows(bench, exposure)
        values = np.full((2, len(shape.levels), len(shape.variances)), np.nan)
        counts = np.zeros((len(shape.levels), 2))
        for e in rows.estimates:
            if e.level in shape.levels and e.variance in ("", *shape.variances):
                at = shape.levels.index(e.level)
                counts[at] = e.n or 0, e.events or 0
                if e.estimate is not None and e.variance:
                    column = shape.variances.index(e.variance)
                    values[:, at, column] = e.estimate, np.nan if e.std_error is None else e.std_error
        fit = rows.diagnostics[0]
        out[f"{exposure} estimate"], out[f"{exposure} std_error"] = values
        out[f"{exposure} counts"] = counts
        numbers = [np.nan if (v := getattr(fit, name)) is None else float(v) for name in FIT]
        out[f"{exposure} fit"] = np.array(numbers)
        out[f"{exposure} cuts"] = np.array([c.value for c in rows.cutpoints])
        if with_df:
            out[f"{exposure} df"] = _degrees(bench, exposure, shape)
            out[f"{exposure} said"] = texts([fit.warnings] if fit.warnings else [])
    return out


def _degrees(bench: Bench, exposure: str, shape: RatioShape) -> FloatArray:
    """Degrees of freedom of t limits (variances,) where a variance has them, else infinite."""
    method = main_analysis(bench.study).method or bench.study.settings.method
    if method not in REGRESSIONS:
        return np.full(len(shape.variances), np.inf)
    fitted, _ = main_fit(bench, exposure)
    return np.array([fitted.df(v) for v in shape.variances])


def counted(visit: Visit, values: FloatArray) -> FloatArray:
    """How many values of a target fall into each level, or each bin of a continuous one; those beyond into the last."""
    if visit.coding.levels is not None:
        return np.array([(values == level).sum() for level in visit.coding.levels], dtype=np.float64)
    edges = bin_edges(visit)
    return np.histogram(values.clip(edges[0], edges[-1]), edges)[0].astype(np.float64)


def bin_edges(visit: Visit) -> FloatArray:
    """Edges of the bins of a continuous target, from the 1st to the 99th percentile of its known values."""
    low, high = np.percentile(visit.values, [1, 99])
    if (visit.values == np.round(visit.values)).all():  # whole numbers: bins of a whole number each
        width = max(1.0, np.ceil((high - low + 1) / BINS))
        return np.asarray(np.arange(low - 0.5, high + 0.5 + width, width))
    return np.asarray(np.linspace(low, high, BINS + 1))


def texts(said: Sequence[str] | dict[str, None]) -> npt.NDArray[np.generic]:
    """Sentences as an array that can be kept."""
    return np.array(list(said), dtype=np.str_)


def _finish(made: Imputing, parts: Sequence[Arrays]) -> Rows:
    prepared = made.prepared
    assert prepared is not None
    points = [*_missing(made, prepared), *_distributions(made, prepared, parts[: made.declared.sets])]
    said = Texts(prepared.names, {v.target.name: len(v.rows) for v in prepared.visits}, prepared.warnings)
    rows = pooled_variation(made.ground.study, made.declared, said, parts)
    return replace(rows, points=(*points, *rows.points))


def _missing(made: Imputing, prepared: Prepared) -> Iterator[Point]:
    """How many people lack each imputed variable, how many lack any, and how many there are."""
    n = prepared.n
    row = Point(analysis=made.declared.id, series="missing")
    for visit in prepared.visits:
        k = len(visit.rows)
        yield replace(row, item=visit.target.name, level=visit.target.kind, x=float(n), y=k / n, n=k)
    yield replace(row, series="imputed people", x=float(n), y=len(prepared.incomplete) / n, n=len(prepared.incomplete))


def _distributions(made: Imputing, prepared: Prepared, sets: Sequence[Arrays]) -> Iterator[Point]:
    """Shares of known and of imputed values (mean over sets) by level, or densities by bin."""
    for visit in prepared.visits:
        name, levels = visit.target.name, visit.coding.levels
        edges = None if levels is not None else bin_edges(visit)
        many = np.mean([s[f"counts {name}"] for s in sets], axis=0)
        for group, counts in (("known", counted(visit, visit.values)), ("imputed", many)):
            for i, count in enumerate(counts):
                width = 1.0 if edges is None else float(edges[i + 1] - edges[i])
                low = float(levels[i]) if levels is not None else float(edges[i]) if edges is not None else 0.0
                yield Point(
                    analysis=made.declared.id,
                    stratum=group,
                    level="" if levels is None else f"{low:g}",
                    series="distribution",
                    item=name,
                    x=low,
                    y=float(count / counts.sum() / width),
                    low=low if edges is not None else None,
                    high=low + width if edges is not None else None,
                    n=round(float(count)),
                )


def _nothing_missing(made: Imputing, parts: Sequence[Arrays]) -> Rows:
    """The main ratios again, with a note, as there is nothing to impute."""
    declared: Imputation = made.declared
    said = (
        "Nothing is missing in the variables to impute, so this is the main analysis; name in `replaces` the exclusion "
        "that leaves out people with missing values."
    )
    estimates, diagnostics = [], []
    for exposure in exposures_of(made.ground.study):
        rows = main_rows(made.base, exposure)
        estimates += [replace(e, analysis=declared.id) for e in rows.estimates]
        for d in rows.diagnostics:
            diagnostics.append(replace(d, analysis=declared.id, warnings=f"{said} {d.warnings}".strip()))
    return Rows(tuple(estimates), (), (), tuple(diagnostics))
