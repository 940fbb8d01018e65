"""How much the main ratios rest on single people: counts and ratios, never who."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.models.fit import Fit
from walkrisk.sensitivity.influence import (
    CANONICAL,
    binned,
    cook_distances,
    fewest,
    first_order_changes,
    one_step_changes,
    refitted_without,
    relative_change_of_error,
    verified,
)
from walkrisk.studies.analyse import ratio_rows
from walkrisk.studies.bench import Rows
from walkrisk.studies.fitting import NoEstimate
from walkrisk.studies.robustness import Influence
from walkrisk.variations.contrasts import Contrasts, contrasts, emptied
from walkrisk.variations.ground import Ground, exposures_of, main_analysis, main_model
from walkrisk.variations.variation import Arrays, Part, Variation

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

REFITTED = 20  # people whose one-step change is largest, fitted again without each
BINS = 64  # of the histogram of changes, half of them to either side of 0
WIDTH = 0.25  # width of a bin in thresholds
TARGETS = ("null", "limit")


def plan(ground: Ground) -> Iterator[Variation]:
    """The declared analyses of influence."""
    for single in ground.study.sensitivity.influence:
        exposures = single.exposures or exposures_of(ground.study)
        parts = tuple(Part(e, e, partial(_influence_part, ground, e)) for e in exposures)
        yield Variation(single.id, single.title, parts, partial(_influence_rows, ground, single, exposures))


def _influence_part(ground: Ground, exposure: str) -> Arrays:
    """Of each category (k,): people beyond the threshold, the largest change, counts by bins, the fewest people."""
    try:
        made = contrasts(ground, exposure)
    except NoEstimate as none:
        return {"said": np.array([none.diagnostic.warnings])}
    fit, n = made.fit, made.fit.n
    threshold = 2 / math.sqrt(n)
    one = one_step_changes(fit)
    out: dict[str, list[object]] = {k: [] for k in ("beyond", "largest", "one_step", "counts", "fewest", "then")}
    for row, position in zip(made.rows, made.positions, strict=True):
        assert row.std_error is not None
        moves = one[:, position] / row.std_error
        edges = np.asarray(threshold * WIDTH * (np.arange(BINS + 1) - BINS / 2), dtype=np.float64)
        largest = np.argsort(-np.abs(np.nan_to_num(moves)), kind="stable")[:REFITTED]
        exact = _exactly(fit, largest, position) / row.std_error
        at = int(np.argmax(np.abs(exact)))
        out["beyond"].append(int((np.abs(moves) > threshold).sum()))
        out["largest"].append(exact[at])
        out["one_step"].append(moves[largest[at]])
        out["counts"].append([b.n for b in binned(moves, edges)])
        reached = [_fewest(ground, made, row, position, target) for target in TARGETS]
        out["fewest"].append([r.counts for r in reached])
        out["then"].append([r.ratio for r in reached])
    arrays = {k: np.array(v, dtype=float) for k, v in out.items()}
    if fit.working is not None:
        distance = cook_distances(fit)
        arrays["cook"] = np.array([float((distance > 4 / n).sum()), float(distance.max())])
    return arrays


def _exactly(fit: Fit, people: IntArray, position: int) -> FloatArray:
    """Changes of a coefficient without each of some people, by fitting again where that goes in a batch."""
    used = people[fit.rows[people]]
    if fit.outcome is None or fit.conditioned is not None:
        return one_step_changes(fit)[used, position]
    return refitted_without(fit, used)[:, position]


@dataclass(frozen=True, slots=True)
class _Reached:
    """People predicted and found to be needed (NaN: not to be had), and the ratio with its limits without them."""

    counts: tuple[float, float]
    ratio: tuple[float, float, float]


def _fewest(ground: Ground, made: Contrasts, row: Estimate, position: int, target: str) -> _Reached:
    """How few people suffice to bring a ratio to 1, or its nearer limit across 1, by first order and fitted again."""
    sign = _sign(row)
    change = sign * first_order_changes(made.fit)[:, position]
    now = _distance(row, sign, target)
    if target == "limit" and made.fit.method in CANONICAL:
        assert row.std_error is not None
        half = _distance(row, sign, "null") - now
        change = change - half * relative_change_of_error(made.fit, position)
    if now == 0:
        return _Reached((0.0, 0.0), _limits_of(row))
    found = fewest(change, -now)
    tried: dict[int, Estimate | None] = {}

    def crossed(k: int) -> bool:
        tried[k] = again = _without(ground, made, found.order[:k], row.level)
        return again is not None and again.estimate is not None and _distance(again, sign, target) * now <= 0

    most = len(found.order)
    k = verified(crossed, found.predicted or max(1, most // 2), most) if most else None
    predicted = math.nan if found.predicted is None else float(found.predicted)
    then = tried.get(k) if k is not None else None
    if k is None or then is None:
        return _Reached((predicted, math.nan), (math.nan, math.nan, math.nan))
    return _Reached((predicted, float(k)), _limits_of(then))


def _sign(row: Estimate) -> float:
    return -1.0 if (row.estimate or 1.0) < 1 else 1.0


def _distance(row: Estimate, sign: float, target: str) -> float:
    """How far, on the log scale, a ratio or its limit nearer 1 is from 1; negative beyond it."""
    if target == "null":
        return sign * math.log(row.estimate or math.nan)
    limit = row.conf_high if sign < 0 else row.conf_low
    return sign * math.log(limit) if limit else math.nan


def _limits_of(row: Estimate) -> tuple[float, float, float]:
    return (row.estimate or math.nan, row.conf_low or math.nan, row.conf_high or math.nan)


def _without(ground: Ground, made: Contrasts, gone: IntArray, level: str) -> Estimate | None:
    """The main ratio of a category without some rows of the model's frame, categories as they were."""
    people = made.model.asked.people
    keep = np.ones(people.n, dtype=bool)
    keep[np.flatnonzero(made.model.assembled.frame.rows)[gone]] = False
    again = replace(main_analysis(ground.study), restrict=(), recut=False)
    bench = replace(ground.bench, sample=people.where(keep))
    rows = ratio_rows(bench, again, made.rows[0].exposure).estimates
    variance = made.rows[0].variance
    return next((e for e in rows if e.level == level and e.variance == variance), None)


def _influence_rows(ground: Ground, declared: Influence, exposures: Sequence[str], parts: Sequence[Arrays]) -> Rows:
    estimates: list[Estimate] = []
    points: list[Point] = []
    diagnostics = []
    for exposure, found in zip(exposures, parts, strict=True):
        if "said" in found:
            request = replace(main_model(ground.bench, exposure).asked.request, analysis=declared.id)
            diagnostics.append(NoEstimate(request, str(found["said"][0])).diagnostic)
            continue
        made = contrasts(ground, exposure)
        n, threshold = made.fit.n, 2 / math.sqrt(made.fit.n)
        for i, row in enumerate(made.rows):
            blank = emptied(row, analysis=declared.id, n=n, events=made.fit.events)
            estimates += _influence_estimates(blank, {k: v[i] for k, v in found.items() if k != "cook"})
            points += [
                Point(
                    analysis=declared.id,
                    exposure=exposure,
                    level=row.level,
                    series="changes",
                    x=threshold * WIDTH * (j - BINS / 2),
                    high=threshold * WIDTH * (j + 1 - BINS / 2),
                    n=int(count),
                )
                for j, count in enumerate(found["counts"][i])
            ]
        if "cook" in found:
            all_ = emptied(made.rows[0], analysis=declared.id, level="", n=n, events=made.fit.events)
            for what, value in zip(("beyond_cook", "largest_cook"), found["cook"], strict=True):
                estimates.append(replace(all_, stratum=what, estimand=_KIND[what], estimate=float(value)))
    return Rows(estimates=tuple(estimates), points=tuple(points), diagnostics=tuple(diagnostics))


_KIND = {"beyond_cook": "count", "largest_cook": "cook_distance"}


def _influence_estimates(blank: Estimate, found: Arrays) -> Iterator[Estimate]:
    """Rows of one category; `stratum` says which number it is."""

    def row(stratum: str, estimand: str, value: float) -> Estimate:
        known = None if math.isnan(value) else float(value)
        return replace(blank, stratum=stratum, estimand=estimand, estimate=known)

    yield row("beyond_threshold", "count", float(found["beyond"]))
    yield row("largest_change", "change_in_se", float(found["largest"]))
    yield row("largest_change_one_step", "change_in_se", float(found["one_step"]))
    for j, target in enumerate(TARGETS):
        predicted, needed = (float(v) for v in found["fewest"][j])
        yield row(f"to_{target}_first_order", "count", predicted)
        yield row(f"to_{target}", "count", needed)
        yield row(f"to_{target}", "share", needed / blank.n if blank.n else math.nan)
        ratio_then, low, high = (None if math.isnan(v) else float(v) for v in found["then"][j])
        yield replace(
            blank,
            stratum=f"without_to_{target}",
            n=None,
            events=None,
            estimate=ratio_then,
            conf_low=low,
            conf_high=high,
        )
