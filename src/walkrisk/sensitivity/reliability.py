"""How well a few days stand for a person's usual level: variance between persons and from day to day.

Day j of person i is x_ij = mu + b_i + e_ij, b_i with variance s_b (between persons), e_ij with s_w (within), days
independent of each other given the person. With k_i days of a of N = sum k_i in all, m_i a person's mean:

    MSW = sum_ij (x_ij - m_i)^2 / (N - a);  MSB = sum_i k_i (m_i - mean)^2 / (a - 1)
    anova: s_w = MSW, s_b = (MSB - MSW) / n0, n0 = (N - sum k_i^2 / N) / (a - 1)
    reml:  the maximum of the restricted normal likelihood over s_b >= 0, s_w > 0
    reliability of a k-day mean: R_k = s_b / (s_b + s_w / k); of the study's means: s_b / (s_b + s_w mean(1 / k_i))
    days needed for R: R / (1 - R) s_w / s_b

R_k is also the factor by which the slope on a k-day mean is drawn towards 0. With persons of one, two ... days it is
that of `study`. Weekly or serial patterns within a person are part of s_w only as far as days are exchangeable.

References: Searle, Casella & McCulloch 1992, doi 10.1002/9780470316856 (ANOVA and REML estimators); Shrout & Fleiss
1979, doi 10.1037/0033-2909.86.2.420 (R_1 of equal k is their ICC(1,1)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.models.resampling import Seed, resampling

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Components = Literal["anova", "reml"]
Limits = Literal["exact", "bootstrap"]

BLOCK = 200  # bootstrap replicates at a time


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PersonDays:
    """Days of each person in three numbers: `days` (n,), `mean` (n,) and `squares` (n,), the sum of squares about it.

    `lost` is the number of degrees of freedom that effects taken out of all days (weekdays) have used.
    """

    days: FloatArray
    mean: FloatArray
    squares: FloatArray
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Variance `between` persons and `within` (from day to day), from `persons` with `days` in all.

    `mean_inverse` is the mean of 1 / k_i. `negative` says that the estimate of `between` came out at 0 or below (and is
    0): persons then do not differ by more than their days do.
    """

    between: float
    within: float
    persons: int
    days: int
    mean_inverse: float
    negative: bool = False

    def reliability(self, days: float) -> float:
        """Of a mean of so many days."""
        total = self.between + self.within / days
        return self.between / total if total > 0 else math.nan

    @property
    def study(self) -> float:
        """Of the means as the study has them, over its distribution of days."""
        return self.reliability(1 / self.mean_inverse)

    def days_for(self, reliability: float) -> float:
        """Days whose mean has this reliability, not rounded; infinite where persons do not differ."""
        if self.between <= 0:
            return math.inf
        return reliability / (1 - reliability) * self.within / self.between


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Components with limits (low, high) of the reliability of one day; any other follows from it (`of_days`)."""

    components: VarianceComponents
    one_day: tuple[float, float]
    conf_level: float
    limits: str

    def of_days(self, days: float) -> tuple[float, float, float]:
        """Reliability of a mean of so many days with its limits, by k R / (1 + (k - 1) R)."""
        low, high = (_stepped_up(r, days) for r in self.one_day)
        return self.components.reliability(days), low, high

    def of_study(self) -> tuple[float, float, float]:
        """Of the study's means with its limits."""
        return self.of_days(1 / self.components.mean_inverse)

    def days_for(self, reliability: float) -> tuple[float, float, float]:
        """Days needed with their limits, not rounded."""
        low, high = (
            math.inf if r <= 0 else reliability / (1 - reliability) * (1 - r) / r for r in reversed(self.one_day)
        )
        return self.components.days_for(reliability), low, high


def ratio_days(parts: FloatArray, totals: FloatArray, *, jackknife: bool = False) -> FloatArray:
    """Days (n, D) of a ratio of means R_i = sum_j p_ij / sum_j t_ij, as values whose mean over a person's days is R_i.

    R_i + (p_ij - R_i t_ij) / mean(t_i), the linearised ratio; their variance over k is the delta method's variance of
    R_i. With `jackknife` the pseudo-values k R_i - (k - 1) R_i without day j, of days where others remain; their mean
    differs from R_i by the jackknife's correction. NaN where a part or the total of the day is unknown, or all totals
    are 0. Reference: Cochran, Sampling Techniques, 3rd ed. 1977, ISBN 978-0-471-16240-7, section 6.4.
    """
    known = ~(np.isnan(parts) | np.isnan(totals))
    p, t = np.where(known, parts, 0.0), np.where(known, totals, 0.0)
    days = known.sum(axis=1, keepdims=True)
    sum_p, sum_t = p.sum(axis=1, keepdims=True), t.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sum_p / sum_t
        if jackknife:
            others = (sum_p - p) / (sum_t - t)
            value = np.where(days > 1, days * ratio - (days - 1) * others, ratio)
        else:
            value = ratio + (p - ratio * t) / (sum_t / days)
    return np.where(known & np.isfinite(value), value, np.nan)


def person_days(values: FloatArray, *, weekday: FloatArray | None = None) -> PersonDays:
    """Days, mean and sum of squares of each person of (n, D) daily values, NaN where a day does not count.

    With `weekday` (n, D), numbers of days of the week, their effects (summing to 0 over the weekdays there are) are
    estimated within persons and taken out first. Raises ValueError for shapes that differ or weekdays unknown.
    """
    known = ~np.isnan(values)
    lost = 0
    if weekday is not None:
        values, lost = _without_weekdays(values, weekday, known)
    days = known.sum(axis=1).astype(np.float64)
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore"):
        mean = filled.sum(axis=1) / days
    squares = (np.where(known, values - mean[:, None], 0.0) ** 2).sum(axis=1)
    return PersonDays(days=days, mean=mean, squares=squares, lost=lost)


def _without_weekdays(values: FloatArray, weekday: FloatArray, known: npt.NDArray[np.bool_]) -> tuple[FloatArray, int]:
    if weekday.shape != values.shape or np.isnan(weekday[known]).any():
        raise ValueError("The weekdays do not fit the days: give one for every day that counts.")
    kinds = np.unique(weekday[known])
    if len(kinds) < 2:
        return values, 0
    dummies = np.stack([(weekday == kind) & known for kind in kinds[1:]], axis=-1).astype(np.float64)
    dummies -= ((weekday == kinds[0]) & known).astype(np.float64)[..., None]
    count = known.sum(axis=1)
    several = count > 1
    at = known[several]
    centred = dummies[several] - (dummies[several].sum(axis=1) / count[several, None])[:, None, :]
    y = np.where(known, values, 0.0)[several]
    y = y - (y.sum(axis=1) / count[several])[:, None]
    effects, _, rank, _ = np.linalg.lstsq(centred[at], y[at], rcond=None)
    return np.asarray(values - dummies @ effects), int(rank)


def variance_components(persons: PersonDays, *, method: Components = "anova") -> VarianceComponents:
    """Components of the one-way random model, for persons with one day or more.

    Raises ValueError for an unknown method, fewer than two persons, or nobody with two days.
    """
    if method not in get_args(Components):
        raise ValueError(f"unknown estimator {method!r} of variance components; choose anova or reml")
    some = persons.days > 0
    days, mean, squares = persons.days[some], persons.mean[some], persons.squares[some]
    if len(days) < 2 or days.sum() - len(days) - persons.lost < 1:
        raise ValueError(
            "The days of a person vary in nobody: variance from day to day needs persons with two valid days or more; "
            "declare the reliability instead, with its source."
        )
    sums = _sums(days, mean, squares)[None]
    between, within = (float(v[0]) for v in _anova(sums, persons.lost))
    if method == "reml":
        between, within = _reml(days, mean, float(squares.sum()), persons.lost, start=max(between, 0.0) / within)
    return VarianceComponents(
        between=max(between, 0.0),
        within=within,
        persons=len(days),
        days=int(days.sum()),
        mean_inverse=float((1 / days).mean()),
        negative=bool(between <= 0),
    )


def _sums(days: FloatArray, mean: FloatArray, squares: FloatArray) -> FloatArray:
    """What the ANOVA estimators are made of, for one sample; sums over resamples are products with counts."""
    return np.asarray(_addends(days, mean, squares).sum(axis=0))


def _addends(days: FloatArray, mean: FloatArray, squares: FloatArray) -> FloatArray:
    return np.column_stack([np.ones_like(days), days, days**2, days * mean, days * mean**2, squares])


def _anova(sums: FloatArray, lost: int) -> tuple[FloatArray, FloatArray]:
    """Between and within (B,) of B sums (B, 6); between may be negative."""
    a, n, n2, x, x2, ss = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        within = ss / (n - a - lost)
        msb = (x2 - x**2 / n) / (a - 1)
        return (msb - within) / ((n - n2 / n) / (a - 1)), within


def _reml(days: FloatArray, mean: FloatArray, squares: float, lost: int, *, start: float) -> tuple[float, float]:
    """Between and within at the maximum of the restricted likelihood, profiled to t = between / within."""
    from scipy import optimize

    df = days.sum() - 1 - lost

    def parts(t: float) -> tuple[float, FloatArray]:
        weight = days / (1 + t * days)
        mu = (weight @ mean) / weight.sum()
        return squares + float(weight @ (mean - mu) ** 2), weight

    def deviance(log_t: float) -> float:
        t = math.exp(log_t)
        q, weight = parts(t)
        return float(df * math.log(q) + np.log1p(t * days).sum() + math.log(weight.sum()))

    middle = math.log(max(start, 1e-6))
    found = optimize.minimize_scalar(
        deviance, bounds=(middle - 12, middle + 12), method="bounded", options={"xatol": 1e-12, "maxiter": 500}
    )
    near = (found.x - 1e-4, found.x + 1e-4)
    polished = optimize.minimize_scalar(deviance, bounds=near, method="bounded", options={"xatol": 1e-14})
    t = math.exp(float(polished.x if polished.fun <= found.fun else found.x))
    zero = df * math.log(parts(0.0)[0]) + math.log(days.sum())
    if zero <= deviance(math.log(t)):
        t = 0.0
    within = float(parts(t)[0] / df)
    return t * within, within


def reliability(
    persons: PersonDays,
    *,
    method: Components = "anova",
    limits: Limits = "exact",
    conf_level: float = 0.95,
    replicates: int = 2000,
    seed: Seed = 1,
) -> Reliability:
    """Variance components, and limits of the reliability of one day.

    `exact` are those of the F distribution, exact for normal effects and equal k; with unequal k those of Thomas &
    Hultquist 1978, doi 10.1214/aos/1176344202, which replace k by its harmonic mean and MSB by that of unweighted
    means. `bootstrap` draws persons with all their days (percentiles, ANOVA estimators), and needs no normality.
    Raises ValueError as `variance_components` does.
    """
    components = variance_components(persons, method=method)
    if limits == "bootstrap":
        one_day = _bootstrapped(persons, conf_level, replicates, seed)
    elif limits == "exact":
        one_day = _thomas_hultquist(persons, conf_level)
    else:
        raise ValueError(f"unknown limits {limits!r} of a reliability; choose exact or bootstrap")
    return Reliability(components=components, one_day=one_day, conf_level=conf_level, limits=limits)


def _thomas_hultquist(persons: PersonDays, conf_level: float) -> tuple[float, float]:
    from scipy import stats

    some = persons.days > 0
    days, mean = persons.days[some], persons.mean[some]
    a, n = len(days), days.sum()
    harmonic = a / (1 / days).sum()
    within = persons.squares[some].sum() / (n - a - persons.lost)
    f = harmonic * mean.var(ddof=1) / within
    tail = (1 - conf_level) / 2
    upper, lower = stats.f.ppf([1 - tail, tail], a - 1, n - a - persons.lost)
    t = [max(float((f / q - 1) / harmonic), 0.0) for q in (upper, lower)]
    return t[0] / (1 + t[0]), t[1] / (1 + t[1])


def _bootstrapped(persons: PersonDays, conf_level: float, replicates: int, seed: Seed) -> tuple[float, float]:
    some = persons.days > 0
    addends = _addends(persons.days[some], persons.mean[some] - persons.mean[some].mean(), persons.squares[some])
    draw = resampling(len(addends), seed)
    values = []
    for first in range(0, replicates, BLOCK):
        sums = draw.weights(first, min(first + BLOCK, replicates)) @ addends
        between, within = _anova(sums, persons.lost)
        between = np.maximum(between, 0.0)
        values.append(between / (between + within))
    found = np.concatenate(values)
    low, high = np.quantile(found[np.isfinite(found)], [(1 - conf_level) / 2, (1 + conf_level) / 2])
    return float(low), float(high)


def _stepped_up(r: float, days: float) -> float:
    """The Spearman-Brown formula."""
    return days * r / (1 + (days - 1) * r)
