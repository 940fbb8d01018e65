"""Ratios by category of an exposure, per unit, and P for trend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import Estimate, on_own_scale, ratio
from walkrisk.models.design import Factor, Linear
from walkrisk.models.fit import Fit
from walkrisk.models.profile import profile_interval

FloatArray = npt.NDArray[np.float64]
Covariances = Mapping[str, FloatArray]

LARGEST = 700.0  # whose exponential is a number, and not 0
PROFILE = "profile"  # the variance of a row whose limits are by profile likelihood


@dataclass(frozen=True, slots=True)
class LevelCount:
    """People and events of one category of an exposure, before any loss to missing covariates of a model."""

    code: float
    label: str
    n: int
    events: int


def count_levels(
    codes: FloatArray, y: FloatArray, labels: Sequence[str], weights: FloatArray | None = None
) -> tuple[LevelCount, ...]:
    """Counts for category 1, 2, ... of `labels`, over rows (n,) with known category and outcome."""
    known = ~np.isnan(codes) & ~np.isnan(y)
    numbered = codes[known].astype(np.intp)
    n = np.bincount(numbered, minlength=len(labels) + 1)[1:]
    events = np.bincount(numbered, weights=y[known], minlength=len(labels) + 1)[1:]
    return tuple(LevelCount(i + 1.0, label, int(n[i]), int(events[i])) for i, label in enumerate(labels))


def level_ratios(
    fit: Fit, exposure: Factor, counts: Sequence[LevelCount], covariances: Covariances, *, row: Estimate, z: float
) -> list[Estimate]:
    """A row for each category and variance: the lowest category that occurs is the reference (ratio 1, difference 0).

    A category without people, without events, or in a fit that did not converge has a row without an estimate; so
    have all others if the reference has no events. Of a fit on the boundary, which has no standard errors, there is one
    row a category whatever the variances asked for: its limits are by profile likelihood, its P value by the likelihood
    ratio, and its variance says so; a limit that is not found is None (`profile_sentences`).
    """
    reference = exposure.labels[0]
    positions = dict(zip(exposure.levels[1:], fit.design.columns_of[exposure], strict=True))
    usable = fit.converged and exposure not in fit.no_reference
    rows = []
    for variance, v in _held(fit, covariances).items():
        for count in counts:
            base = replace(
                row, level=count.label, reference=reference, n=count.n, events=count.events, variance=variance
            )
            if count.code == exposure.levels[0]:
                rows.append(replace(base, estimate=0.0 if fit.link == "identity" else 1.0))
                continue
            column = positions.get(count.code)
            if column is None or not usable or not fit.estimable[column]:
                rows.append(base)
                continue
            rows.append(_filled(fit, column, v, base, z, log_scale=False))
    return rows


def per_unit(
    fit: Fit, term: Linear, covariances: Covariances, *, row: Estimate, z: float, log_scale: bool
) -> list[Estimate]:
    """A row a variance for a linear term: the ratio per unit, or with `log_scale` its log (as P for trend has it).

    Of a fit on the boundary one row, as in `level_ratios`.
    """
    column = fit.design.columns_of[term][0]
    rows = []
    for variance, v in _held(fit, covariances).items():
        base = replace(row, variance=variance, n=fit.n, events=fit.events)
        if fit.converged and fit.estimable[column]:
            base = _filled(fit, column, v, base, z, log_scale=log_scale)
        rows.append(base)
    return rows


def _held(fit: Fit, covariances: Covariances) -> Covariances:
    """The covariances that hold for a fit: on the boundary none does."""
    return covariances if fit.wald or not fit.converged else {PROFILE: np.zeros((0, 0))}


def _filled(fit: Fit, column: int, v: FloatArray, base: Estimate, z: float, *, log_scale: bool) -> Estimate:
    """`base` with the estimate of one column, its limits and P value."""
    own_scale = log_scale or fit.link == "identity"
    value = float(fit.coefficients[column])
    if fit.wald:
        at = fit.position((column,))[0]
        return (on_own_scale if own_scale else ratio)(base, value, float(np.sqrt(v[at, at])), z)
    contrast = np.zeros(len(fit.names))
    contrast[column] = 1.0
    found = profile_interval(fit, contrast, conf_level=math.erf(z / math.sqrt(2)))
    low, middle, high = (x if own_scale else _exp(x) for x in (found.low, value, found.high))
    if not own_scale and abs(value) > LARGEST:
        return base
    limits = [None if math.isnan(x) else x for x in (low, high)]
    return replace(base, estimate=middle, conf_low=limits[0], conf_high=limits[1], p_value=found.p_value)


def _exp(x: float) -> float:
    """The exponential, NaN where a finite number has none."""
    return math.nan if LARGEST < x < math.inf else math.exp(x)


def profile_sentences(rows: Sequence[Estimate]) -> list[str]:
    """What to say of rows whose profile-likelihood limits were not found, or are too large for a number."""
    lost = [r.level or r.exposure for r in rows if r.variance == PROFILE and r.estimate is not None and _lacks(r)]
    return [f"{', '.join(lost)}: a profile-likelihood limit was not found, so none is given."] if lost else []


def _lacks(row: Estimate) -> bool:
    return row.p_value is not None and (row.conf_low is None or row.conf_high is None)


def median_scores(values: FloatArray, categories: FloatArray) -> FloatArray:
    """Each person's (n,) category median of `values`, the score of a test for trend; NaN where unknown."""
    out = np.full(values.shape, np.nan)
    for category in np.unique(categories[~np.isnan(categories)]):
        members = categories == category
        out[members] = np.median(values[members])
    return out
