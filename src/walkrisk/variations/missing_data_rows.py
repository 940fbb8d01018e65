"""Rows of a multiple imputation: ratios pooled over the sets, scans over shifts, how the chains went."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.cohorts.samples import CategoryRule, cut_names
from walkrisk.estimates.disclosure import RATIOS
from walkrisk.estimates.results import CutPoint, Diagnostic, Point
from walkrisk.estimates.rows import Estimate
from walkrisk.sensitivity.imputation import MIXED, gelman_rubin
from walkrisk.sensitivity.pooling import PooledScalar, pool_scalar
from walkrisk.sensitivity.tipping import interval_tipping_point, tipping_point
from walkrisk.studies.bench import Rows
from walkrisk.studies.kinds import category_names
from walkrisk.studies.missing_data import Delta, Imputation
from walkrisk.studies.study import Study
from walkrisk.studies.vocabulary import estimand_asked, estimand_of
from walkrisk.variations.ground import exposures_of, main_analysis
from walkrisk.variations.variation import Arrays

FloatArray = npt.NDArray[np.float64]
FIT = ("n", "events", "parameters", "converged", "iterations", "boundary", "max_fitted_risk")


@dataclass(frozen=True, slots=True)
class RatioShape:
    """What the ratios of an exposure are: its categories (the reference first), variances, and what rows share."""

    levels: tuple[str, ...]
    variances: tuple[str, ...]
    row: Estimate

    @classmethod
    def of(cls, study: Study, exposure: str) -> RatioShape:
        """The shape of the main ratios of an exposure."""
        analysis = main_analysis(study)
        method = analysis.method or study.settings.method
        row = Estimate(
            analysis=analysis.id,
            exposure=exposure,
            model=analysis.models[0],
            reference=category_names(study, exposure)[0],
            estimand=estimand_of(method, estimand_asked(method, analysis.estimand, study.settings.estimand)),
            method=method,
        )
        return cls(category_names(study, exposure), tuple(analysis.variances or study.settings.variances), row)


@dataclass(frozen=True, slots=True)
class Texts:
    """What the shared part of an imputation has to say: targets in the order of visits, their holes, its sentences."""

    names: tuple[str, ...]
    holes: Mapping[str, int]
    warnings: tuple[str, ...]


def variant_of(delta: Delta, value: float) -> str:
    """The stratum of the rows of one shift: score +1, smoking 2 -0.5."""
    return f"{variant_name(delta)} {value:+g}"


def variant_name(delta: Delta) -> str:
    """What is shifted: score, or smoking 2."""
    return delta.variable if delta.level is None else f"{delta.variable} {delta.level}"


def pooled_variation(study: Study, declared: Imputation, texts: Texts, parts: Sequence[Arrays]) -> Rows:
    """All rows of an imputation but those of its distributions, from the arrays of its parts in their order."""
    m = declared.sets
    sets = parts[:m]
    estimates: list[Estimate] = []
    points: list[Point] = [*_traces(declared, texts, sets)]
    diagnostics: list[Diagnostic] = []
    cuts: list[CutPoint] = []
    said = _said_of_chains(texts, sets)
    largest: list[float] = []
    for exposure in exposures_of(study):
        shape = RatioShape.of(study, exposure)
        at_random = Pooling.of(declared, shape, exposure, sets)
        estimates += at_random.rows()
        points += at_random.points()
        largest += [p.fmi for (_, variance), p in at_random.pooled.items() if variance == shape.variances[0]]
        warnings = [*said, *at_random.faults]
        for j, delta in enumerate(declared.deltas):
            shifted = parts[m * (j + 1) : m * (j + 2)]
            made, drawn = _scan(declared, shape, exposure, delta, at_random, shifted)
            estimates += made
            points += drawn
        diagnostics.append(_diagnostic(declared, shape, exposure, sets, warnings))
        cuts += _mean_cuts(study, declared, exposure, sets)
    if largest:
        estimates.append(Estimate(analysis=declared.id, estimand="sets_needed", estimate=sets_needed(max(largest))))
    return Rows(tuple(estimates), (), tuple(cuts), tuple(diagnostics), tuple(points))


def sets_needed(fmi: float) -> float:
    """The customary number of imputed sets, the least whole number m >= 100 x the fraction of missing information.

    So the loss of precision by a finite m is small, and another run would give nearly the same results.
    Reference: White, Royston & Wood 2011 doi 10.1002/sim.4067.
    """
    return float(math.ceil(round(100 * fmi, 9)))


@dataclass(frozen=True, slots=True, eq=False)
class Pooling:
    """Ratios of one exposure pooled over m sets, by (level, variance), with mean counts and what cannot be pooled."""

    declared: Imputation
    shape: RatioShape
    stratum: str
    pooled: Mapping[tuple[str, str], PooledScalar]
    counts: FloatArray
    df: FloatArray
    faults: tuple[str, ...]

    @classmethod
    def of(
        cls,
        declared: Imputation,
        shape: RatioShape,
        exposure: str,
        sets: Sequence[Mapping[str, npt.NDArray[Any]]],
        *,
        stratum: str = "",
        df: FloatArray | None = None,
    ) -> Pooling:
        """Pooled from the arrays of the sets; `df` (variances,) are those of the complete data."""
        estimate = np.array([s[f"{exposure} estimate"] for s in sets])
        error = np.array([s[f"{exposure} std_error"] for s in sets])
        counts = np.mean([s[f"{exposure} counts"] for s in sets], axis=0)
        df = complete_df(exposure, sets) if df is None else df
        log = shape.row.estimand in RATIOS
        pooled: dict[tuple[str, str], PooledScalar] = {}
        faults: dict[str, None] = {}
        for i, level in enumerate(shape.levels[1:], start=1):
            for k, variance in enumerate(shape.variances):
                usable = np.isfinite(estimate[:, i, k]) & (error[:, i, k] > 0)
                if usable.all():
                    values = np.log(estimate[:, i, k]) if log else estimate[:, i, k]
                    pooled[level, variance] = pool_scalar(
                        values, error[:, i, k] ** 2, dfcom=None if np.isinf(df[k]) else float(df[k]), name=level
                    )
                else:
                    faults[
                        f"{level} has an estimate with a standard error in {int(usable.sum())} of {len(sets)} sets, so "
                        "it is not pooled; merge small categories."
                    ] = None
        return cls(declared, shape, stratum, pooled, counts, df, tuple(faults))

    def rows(self) -> Iterator[Estimate]:
        """A row of every level under every variance; levels without a pooled estimate have their counts."""
        base = replace(self.shape.row, analysis=self.declared.id, stratum=self.stratum)
        for variance in self.shape.variances:
            for i, level in enumerate(self.shape.levels):
                n, events = (round(float(v)) for v in self.counts[i])
                row = replace(base, level=level, n=n, events=events, variance=variance)
                found = self.pooled.get((level, variance))
                if i == 0:
                    yield replace(row, estimate=1.0 if base.estimand in RATIOS else 0.0)
                elif found is None:
                    yield row
                else:
                    yield self._row(row, found)

    def _row(self, row: Estimate, found: PooledScalar) -> Estimate:
        numbers = (found.estimate, found.conf_low, found.conf_high)
        value, low, high = (math.exp(v) for v in numbers) if row.estimand in RATIOS else numbers
        return replace(
            row, estimate=value, std_error=found.std_error, conf_low=low, conf_high=high, p_value=found.p_value
        )

    def points(self) -> Iterator[Point]:
        """Fraction of missing information, relative efficiency and degrees of freedom of every ratio."""
        for (level, variance), found in self.pooled.items():
            row = Point(
                analysis=self.declared.id, exposure=self.shape.row.exposure, level=level, series="", item=variance
            )
            yield replace(row, series="fmi", y=found.fmi)
            yield replace(row, series="relative efficiency", y=1 / (1 + found.fmi / self.declared.sets))
            yield replace(row, series="df", y=found.df)


def complete_df(exposure: str, sets: Sequence[Mapping[str, npt.NDArray[Any]]]) -> FloatArray:
    """Degrees of freedom (variances,) without missing data: n less parameters, or those of t limits if fewer."""
    n, parameters = (np.array([s[f"{exposure} fit"][FIT.index(name)] for s in sets]) for name in ("n", "parameters"))
    residual = float((n - parameters).min())
    own = np.min([s[f"{exposure} df"] for s in sets], axis=0)
    return np.asarray(np.minimum(own, residual))


def _scan(
    declared: Imputation,
    shape: RatioShape,
    exposure: str,
    delta: Delta,
    at_random: Pooling,
    parts: Sequence[Arrays],
) -> tuple[list[Estimate], list[Point]]:
    """Ratios at every shift of a variant, and its tipping points."""
    pooled = {0.0: at_random}
    estimates: list[Estimate] = []
    for i, value in enumerate(delta.values):
        one = [{key: array[i] for key, array in part.items() if key.startswith(exposure + " ")} for part in parts]
        found = Pooling.of(declared, shape, exposure, one, stratum=variant_of(delta, value), df=at_random.df)
        estimates += found.rows()
        pooled[value] = found if value else at_random
    points: list[Point] = []
    variance = shape.variances[0]
    for level in shape.levels[1:]:
        known = {v: p.pooled[level, variance] for v, p in sorted(pooled.items()) if (level, variance) in p.pooled}
        row = Point(analysis=declared.id, exposure=exposure, stratum=variant_name(delta), level=level, series="shift")
        change = math.exp if shape.row.estimand in RATIOS else float
        points += [
            replace(row, x=v, y=change(p.estimate), low=change(p.conf_low), high=change(p.conf_high))
            for v, p in known.items()
        ]
        estimates += _tips(declared, shape, delta, level, known)
    return estimates, points


def _tips(
    declared: Imputation, shape: RatioShape, delta: Delta, level: str, known: Mapping[float, PooledScalar]
) -> Iterator[Estimate]:
    """The tipping points of the estimate and of its interval; without an estimate where the grid has none."""
    shifts = list(known)
    base = replace(
        shape.row, analysis=declared.id, stratum=variant_name(delta), level=level, variance=shape.variances[0]
    )
    if len(shifts) < 2:
        return
    found = tipping_point(shifts, [p.estimate for p in known.values()])
    yield replace(base, estimand="tipping_point", estimate=found)
    limits = interval_tipping_point(shifts, [p.conf_low for p in known.values()], [p.conf_high for p in known.values()])
    yield replace(base, estimand="tipping_point_interval", estimate=limits)


def _traces(declared: Imputation, texts: Texts, sets: Sequence[Arrays]) -> Iterator[Point]:
    """Mean and SD of the imputed values after every cycle of every set, and how well the chains mixed."""
    mixed = gelman_rubin([s["means"] for s in sets])
    for i, name in enumerate(texts.names):
        row = Point(analysis=declared.id, series="", item=name, n=texts.holes[name])
        for number, arrays in enumerate(sets, start=1):
            for series in ("means", "sds"):
                for cycle, value in enumerate(arrays[series][:, i], start=1):
                    yield replace(
                        row, series=f"trace {series[:-1]}", stratum=f"set {number}", x=float(cycle), y=float(value)
                    )
        yield replace(row, series="r_hat", y=float(mixed[i]) if np.isfinite(mixed[i]) else None, high=MIXED)


def _said_of_chains(texts: Texts, sets: Sequence[Arrays]) -> list[str]:
    mixed = gelman_rubin([s["means"] for s in sets])
    said = [*texts.warnings]
    for name, value in zip(texts.names, mixed, strict=True):
        if value > MIXED:
            said.append(
                f"The chains of {name} may not have mixed: their Gelman-Rubin statistic is {value:.2f}, above {MIXED}; "
                "look at their traces, and give more cycles or sets."
            )
    times: dict[str, int] = {}
    for arrays in sets:
        for one in arrays["said"]:
            times[str(one)] = times.get(str(one), 0) + 1
    return [*said, *(f"{one} ({count} of {len(sets)} sets)" for one, count in times.items())]


def _diagnostic(
    declared: Imputation, shape: RatioShape, exposure: str, sets: Sequence[Arrays], warnings: Sequence[str]
) -> Diagnostic:
    fits = np.array([s[f"{exposure} fit"] for s in sets])
    of = {name: fits[:, i] for i, name in enumerate(FIT)}
    own = _grouped([str(w) for s in sets for w in s[f"{exposure} said"]], len(sets))
    risk = float(of["max_fitted_risk"].max())
    return Diagnostic(
        analysis=declared.id,
        exposure=exposure,
        stratum="",
        model=shape.row.model,
        method=shape.row.method,
        n=round(float(of["n"].mean())),
        events=round(float(of["events"].mean())),
        parameters=int(of["parameters"].max()),
        converged=bool(of["converged"].all()),
        iterations=int(of["iterations"].max()),
        boundary=bool(of["boundary"].any()),
        max_fitted_risk=risk if math.isfinite(risk) else None,
        log_likelihood=None,
        warnings=" ".join([*warnings, *own]),
    )


def _grouped(said: Sequence[str], sets: int) -> Iterator[str]:
    """What fits of the sets say, sentences that differ in numbers alone once, with how often."""
    alike: dict[str, list[str]] = {}
    for one in said:
        alike.setdefault(re.sub(r"\d[\d.,]*", "#", one), []).append(one)
    for same in alike.values():
        yield f"{same[0]} (So or alike in {len(same)} of {sets} sets.)"


def _mean_cuts(study: Study, declared: Imputation, exposure: str, sets: Sequence[Arrays]) -> Iterator[CutPoint]:
    """The cut points of an exposure, as their mean over the sets."""
    rule = study.exposures[exposure]
    parts = rule.cross or (exposure,)
    values = np.mean([s[f"{exposure} cuts"] for s in sets], axis=0)
    names = [
        (p, k)
        for p in parts
        for k in cut_names(CategoryRule(quantiles=study.exposures[p].quantiles, cuts=study.exposures[p].cuts))
    ]
    if len(names) == len(values):
        for (part, cut), value in zip(names, values, strict=True):
            yield CutPoint(analysis=declared.id, exposure=part, cut=cut, value=float(value))
