"""Intervals from bootstrap replicates: normal, basic, percentile, and bias-corrected and accelerated (BCa).

With t0 the estimate, t the R replicates, q(alpha) their quantile at rank (R + 1) alpha, interpolated between order
statistics on the scale of normal quantiles (as R's boot does), z(alpha) normal quantiles, Phi their distribution:

    normal       t0 - bias -/+ z se,          bias = mean(t) - t0, se = standard deviation of t
    basic        2 t0 - q(1 - alpha), 2 t0 - q(alpha)
    percentile   q(alpha), q(1 - alpha)
    bca          q(Phi(z0 + (z0 + z) / (1 - a (z0 + z)))) at z = z(alpha), z(1 - alpha)
                 z0 = z(share of t below t0), a = sum l^3 / (6 (sum l^2)^1.5) of influence values l

References: Davison & Hinkley 1997 doi 10.1017/CBO9780511802843, chapter 5; Efron 1987 doi
10.1080/01621459.1987.10478410.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.models.resampling import acceleration

FloatArray = npt.NDArray[np.float64]
IntervalKind = Literal["normal", "basic", "percentile", "bca"]
INTERVAL_KINDS: tuple[str, ...] = get_args(IntervalKind)
FAILED_LIMIT = 0.05
FEWEST = 20

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BootstrapIntervals:
    """Limits of k statistics and what they rest on; every array is (k,), NaN where there is no answer.

    `rank_low`, `rank_high` are the places of the limits among the R finite replicates (NaN for a normal interval).
    `error_low`, `error_high` are the Monte Carlo standard errors of the limits, given z0 and a: what another seed would
    change. `sentences` say what is wrong with a limit, if anything is.
    """

    kind: str
    conf_level: float
    estimate: FloatArray
    conf_low: FloatArray
    conf_high: FloatArray
    std_error: FloatArray
    bias: FloatArray
    z0: FloatArray
    acceleration: FloatArray
    rank_low: FloatArray
    rank_high: FloatArray
    error_low: FloatArray
    error_high: FloatArray
    replicates: int
    failed: int
    sentences: tuple[str, ...]


def bootstrap_intervals(
    replicates: FloatArray,
    estimate: FloatArray,
    *,
    kind: str = "percentile",
    conf_level: float = 0.95,
    influence: FloatArray | None = None,
    failed_limit: float = FAILED_LIMIT,
) -> BootstrapIntervals:
    """Intervals for k statistics from replicates (R, k) and the estimates (k,) of the sample itself.

    A replicate in which any statistic is not finite has failed: it counts in `failed` and is left out, and above
    `failed_limit` (a share of R) no limits are given, since those that are left no longer stand for the sampling
    distribution. `bca` needs `influence` (units, k): delete-one, infinitesimal or regression values.

    Raises ValueError for an unknown kind, a level outside (0, 1), shapes that do not fit, or BCa without influence.
    """
    replicates, estimate = _checked(replicates, estimate, kind, conf_level, influence)
    k = len(estimate)
    fine = replicates[np.isfinite(replicates).all(axis=1)]
    failed = len(replicates) - len(fine)
    a = np.full(k, np.nan) if influence is None else acceleration(influence)
    sentences = _too_few(len(fine), failed, len(replicates), failed_limit)
    columns = [
        _limits(np.sort(fine[:, j]), float(estimate[j]), float(a[j]), kind, conf_level, j, sentences)
        if not sentences or sentences[0].startswith("Statistic")
        else np.full(9, np.nan)
        for j in range(k)
    ]
    low, high, se, bias, z0, rank_low, rank_high, error_low, error_high = np.array(columns).reshape(k, 9).T
    return BootstrapIntervals(
        kind=kind,
        conf_level=conf_level,
        estimate=estimate,
        conf_low=low,
        conf_high=high,
        std_error=se,
        bias=bias,
        z0=z0,
        acceleration=a,
        rank_low=rank_low,
        rank_high=rank_high,
        error_low=error_low,
        error_high=error_high,
        replicates=len(replicates),
        failed=failed,
        sentences=tuple(sentences),
    )


def _checked(
    replicates: FloatArray, estimate: FloatArray, kind: str, conf_level: float, influence: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    if kind not in INTERVAL_KINDS:
        raise ValueError(f"unknown interval {kind!r}; choose from {', '.join(INTERVAL_KINDS)}")
    if not 0 < conf_level < 1:
        raise ValueError(f"The confidence level {conf_level} must lie between 0 and 1.")
    replicates, estimate = np.asarray(replicates, dtype=np.float64), np.asarray(estimate, dtype=np.float64)
    if replicates.ndim != 2 or estimate.shape != replicates.shape[1:]:
        raise ValueError(f"Replicates {replicates.shape} do not fit estimates {estimate.shape}: give (R, k) and (k,).")
    if kind == "bca" and (influence is None or influence.shape[1:] != estimate.shape):
        raise ValueError("A BCa interval needs the influence of each unit on each statistic (units, k).")
    return replicates, estimate


def _too_few(fine: int, failed: int, replicates: int, failed_limit: float) -> list[str]:
    if failed > failed_limit * replicates:
        return [
            f"{failed} of {replicates} resamples have no estimate (more than {failed_limit:.0%}), so no bootstrap "
            "interval is given: join sparse categories, or take an interval that needs no resamples."
        ]
    if fine < FEWEST:
        return [f"{fine} replicates are too few for a bootstrap interval; take 2,000."]
    return []


def _limits(
    t: FloatArray, t0: float, a: float, kind: str, conf_level: float, j: int, sentences: list[str]
) -> FloatArray:
    """Limits, standard error, bias, z0, ranks and Monte Carlo errors of one statistic from sorted replicates t (R,)."""
    r, alpha = len(t), (1 - conf_level) / 2
    z, se, bias = _NORMAL.inv_cdf(1 - alpha), float(t.std(ddof=1)), float(t.mean()) - t0
    below = float((t < t0).mean())
    z0 = _NORMAL.inv_cdf(below) if 0 < below < 1 else np.copysign(np.inf, below - 0.5)
    if not np.isfinite(t0) or se == 0:
        sentences.append(
            f"Statistic {j + 1} has no estimate or does not vary over the replicates, so it has no limits."
        )
        return np.array([np.nan, np.nan, se, bias, *[np.nan] * 5])
    if kind == "normal":
        error = se * float(np.sqrt((1 + z * z / 2) / r))
        return np.array([t0 - bias - z * se, t0 - bias + z * se, se, bias, z0, np.nan, np.nan, error, error])
    levels = [alpha, 1 - alpha]
    if kind == "bca":
        if not (np.isfinite(z0) and np.isfinite(a)):
            sentences.append(
                f"Statistic {j + 1}: {'all replicates lie on one side of the estimate' if np.isfinite(a) else 'nobody'}"
                f"{'' if np.isfinite(a) else ' has influence'}, so BCa has no correction; take percentile limits."
            )
            return np.array([np.nan, np.nan, se, bias, z0, *[np.nan] * 4])
        levels = [_bca_level(z0, a, s) for s in (-z, z)]
    ranks = [(r + 1) * level for level in levels]
    if not all(1 < rank < r for rank in ranks):
        sentences.append(
            f"Statistic {j + 1}: {r} replicates are too few for these {kind} limits (extreme order statistics are used "
            "as endpoints); take more replicates."
        )
    low, high = (quantile(t, level) for level in levels)
    errors = [_monte_carlo_error(t, level) for level in levels]
    if kind == "basic":
        return np.array([2 * t0 - high, 2 * t0 - low, se, bias, z0, *ranks[::-1], *errors[::-1]])
    return np.array([low, high, se, bias, z0, *ranks, *errors])


def _bca_level(z0: float, a: float, z: float) -> float:
    shrink = 1 - a * (z0 + z)
    return _NORMAL.cdf(z0 + (z0 + z) / shrink) if shrink > 0 else float(z > 0)


def quantile(t: FloatArray, level: float) -> float:
    """The quantile of sorted replicates t (R,) at rank (R + 1) level; beyond the extremes, the extreme.

    Between order statistics, interpolated on the scale of normal quantiles: Davison & Hinkley 1997, equation 5.8.
    """
    r = len(t)
    rank = (r + 1) * level
    k = int(rank)
    if k <= 0:
        return float(t[0])
    if k >= r:
        return float(t[-1])
    if k == rank:
        return float(t[k - 1])
    at, before, after = (_NORMAL.inv_cdf(u) for u in (level, k / (r + 1), (k + 1) / (r + 1)))
    return float(t[k - 1] + (at - before) / (after - before) * (t[k] - t[k - 1]))


def _monte_carlo_error(t: FloatArray, level: float) -> float:
    """Half the distance between the quantiles one standard error of the level (that of a share of R) apart."""
    if not 0 < level < 1:
        return float("nan")
    spread = float(np.sqrt(level * (1 - level) / len(t)))
    inside = 1 / (len(t) + 1)
    low, high = (min(max(level + s, inside), 1 - inside) for s in (-spread, spread))
    return (quantile(t, high) - quantile(t, low)) / 2
