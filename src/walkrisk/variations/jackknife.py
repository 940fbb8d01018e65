"""The main ratios without each group of people: areas, clusters, sampling units, or groups dealt at random."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from walkrisk.doors.results import with_t_limits
from walkrisk.errors import DataFault
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate, ratio
from walkrisk.models.batch import fit_batch
from walkrisk.models.cluster_robust import numbered
from walkrisk.models.cox import fit_cox
from walkrisk.models.design import build_design
from walkrisk.models.fit import fit_model
from walkrisk.sensitivity.jackknife import Refit, dealt, jackknife
from walkrisk.studies.bench import Rows
from walkrisk.studies.fitting import NoEstimate
from walkrisk.studies.robustness import Jackknife
from walkrisk.variations.contrasts import Contrasts, contrasts, emptied
from walkrisk.variations.ground import Ground, MainModel, exposures_of, main_model, seed_of
from walkrisk.variations.variation import Arrays, Part, Variation

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


def plan(ground: Ground) -> Iterator[Variation]:
    """The declared jackknives. Raises DataFault for groups that cannot be left out."""
    for declared in ground.study.sensitivity.jackknives:
        exposures = declared.exposures or exposures_of(ground.study)
        for e in exposures:
            _groups_of(ground, declared, main_model(ground.bench, e))
        parts = tuple(Part(e, e, partial(_jackknife_part, ground, declared, e)) for e in exposures)
        yield Variation(declared.id, declared.title, parts, partial(_jackknife_rows, ground, declared, exposures))


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    number: IntArray
    strata: IntArray | None


def _groups_of(ground: Ground, declared: Jackknife, model: MainModel) -> _Groups:
    """The group (and stratum) of each row of the main model. Raises DataFault where it cannot be left out."""
    frame, key = model.assembled.frame, f"sensitivity.jackknives ({declared.id})"
    if declared.random_groups:
        if declared.random_groups > frame.n:
            raise DataFault(f"{key}: {declared.random_groups} groups for {frame.n} people; name fewer.")
        rng = seed_of(ground, declared.id)
        return _Groups(dealt(frame.n, declared.random_groups, rng), None)
    over = declared.over or ground.study.design.cluster
    assert over
    found = {}
    for name in (over, declared.strata):
        if not name:
            continue
        values = model.asked.people.columns[name][frame.rows]
        unknown = int(np.isnan(values).sum())
        if unknown:
            raise DataFault(
                f"{key}: {name} is unknown for some people of the main model, so they belong to no group; exclude "
                "them, or give them a code of their own."
            )
        found[name] = values
    whole = found[over]
    if declared.strata:  # the same number in two strata is two groups
        whole = np.stack([found[declared.strata], whole], axis=1)
        _, number = np.unique(whole, axis=0, return_inverse=True)
    else:
        number = numbered(whole)[0]
    number = number.reshape(-1).astype(np.intp)
    strata = numbered(found[declared.strata])[0] if declared.strata else None
    count = int(number.max(initial=-1)) + 1
    if count < 2:
        raise DataFault(f"{key}: {over} has a single group, so leaving it out leaves nobody; name another variable.")
    if strata is not None:
        lonely = int((np.bincount(np.unique(np.stack([strata, number], 1), axis=0)[:, 0]) == 1).sum())
        if lonely:
            raise DataFault(
                f"{key}: {lonely} values of {declared.strata} hold a single group of {over}, so nothing is known of "
                "the variance within them; merge them, or leave strata out."
            )
    return _Groups(number, strata)


def _jackknife_part(ground: Ground, declared: Jackknife, exposure: str) -> Arrays:
    """Log ratios (G, k) without each group, people (G,), jackknife standard errors (k,), groups without an estimate."""
    try:
        made = contrasts(ground, exposure)
        groups = _groups_of(ground, declared, made.model)
        used = made.fit.rows
        number = numbered(groups.number[used].astype(float))[0]
        strata = None if groups.strata is None else groups.strata[used]
        found = jackknife(_refit(made), made.weights[used], number, strata=strata)
    except NoEstimate as none:
        return {"said": np.array([none.diagnostic.warnings])}
    except ValueError as error:
        return {"said": np.array([f"The jackknife: {error}."])}
    return {
        "without": found.without,
        "people": found.people,
        "errors": np.sqrt(np.diag(found.covariance)),
        "lost": np.array([found.lost]),
        "strata": np.array([0 if strata is None else int(strata.max()) + 1]),
    }


def _refit(made: Contrasts) -> Refit:
    """Log ratios of the categories (B, k) under weights (B, m) of the rows used; NaN where one is not estimable."""
    fit = made.fit
    if fit.method == "cox" or fit.conditioned is not None:
        return lambda weights: np.array([_alone(made, w) for w in weights])
    y, x, at = fit.outcome, fit.x, list(made.positions)
    assert y is not None

    def refit(weights: FloatArray) -> FloatArray:
        found = fit_batch(fit.method, x, y, weights, base=made.weights[fit.rows], likelihood=False).coefficients[:, at]
        for i in np.flatnonzero(~np.isfinite(found).all(axis=1)):  # a covariate may be constant without this group
            found[i] = _alone(made, weights[i])
        return found

    return refit


def _alone(made: Contrasts, weights: FloatArray) -> FloatArray:
    """Log ratios (k,) by a single fit, which leaves out what these people do not determine."""
    fit, frame = made.fit, made.model.assembled.frame
    left = np.flatnonzero(fit.rows)[weights > 0]
    design = build_design({k: v[left] for k, v in frame.columns.items()}, frame.terms(), len(left))
    w = weights[weights > 0]
    if fit.method == "cox":
        time = made.model.assembled.time
        assert time is not None
        again = fit_cox(design, time[left], frame.y[left], weights=w)
    else:
        again = fit_model(fit.method, design, frame.y[left], weights=w)
    columns = [int(np.flatnonzero(fit.estimated)[p]) for p in made.positions]
    return np.where(again.converged & again.estimable[columns], again.coefficients[columns], np.nan)


def _jackknife_rows(ground: Ground, declared: Jackknife, exposures: Sequence[str], parts: Sequence[Arrays]) -> Rows:
    estimates: list[Estimate] = []
    points: list[Point] = []
    diagnostics = []
    for exposure, found in zip(exposures, parts, strict=True):
        if "said" in found:
            request = replace(main_model(ground.bench, exposure).asked.request, analysis=declared.id)
            diagnostics.append(NoEstimate(request, str(found["said"][0])).diagnostic)
            continue
        made = contrasts(ground, exposure)
        count, people = len(found["people"]), found["people"]
        df = count - (int(found["strata"][0]) or 1)
        for i, main in enumerate(made.rows):
            row = emptied(main, analysis=declared.id, variance="jackknife", n=None, events=None)
            theta = math.log(main.estimate or math.nan)
            estimates.append(
                with_t_limits(ratio(row, theta, float(found["errors"][i]), ground.bench.z), df, _level(ground))
            )
            without = found["without"][:, i]
            order = np.argsort(without, kind="stable")
            known = [int(g) for g in order if np.isfinite(without[g])]
            moved = max(known, key=lambda g: abs(without[g] - theta))
            for name, g in (("smallest", known[0]), ("largest", known[-1]), ("largest_change", moved)):
                estimates.append(replace(row, stratum=name, estimate=math.exp(without[g]), n=int(people[g])))
            points += [
                Point(
                    analysis=declared.id,
                    exposure=exposure,
                    level=main.level,
                    series="without",
                    x=float(place),
                    y=math.exp(without[g]),
                    n=int(people[g]),
                )
                for place, g in enumerate(known, start=1)
            ]
        blank = emptied(made.rows[0], analysis=declared.id, level="", variance="jackknife", n=made.fit.n, events=None)
        counted = {"groups": count, "lost": int(found["lost"][0]), "smallest_group": int(people.min())}
        estimates += [replace(blank, stratum=k, estimand="count", estimate=float(v)) for k, v in counted.items()]
    return Rows(estimates=tuple(estimates), points=tuple(points), diagnostics=tuple(diagnostics))


def _level(ground: Ground) -> float:
    return ground.study.settings.conf_level
