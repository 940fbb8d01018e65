"""Mantel-Haenszel risk ratio, risk difference and odds ratio over strata, tests of homogeneity, standardised ratios.

Of n1k exposed people of stratum k, ak have the outcome, of n0k unexposed ck; Nk = n1k + n0k, mk = ak + ck:

    RR = sum(ak n0k/Nk) / sum(ck n1k/Nk)                  var log RR: Greenland and Robins 1985
    RD = sum((ak n0k - ck n1k)/Nk) / sum(n1k n0k/Nk)      var RD: Sato 1989, or binomial within strata
    OR = sum(ak dk/Nk) / sum(bk ck/Nk)                    var log OR: Robins, Breslow and Greenland 1986

References: Mantel & Haenszel 1959 doi 10.1093/jnci/22.4.719; Greenland & Robins 1985 doi 10.2307/2530643; Sato 1989
doi 10.2307/2531768; Robins et al. 1986 doi 10.2307/2531052; Breslow & Day 1980, IARC 32; Tarone 1985
doi 10.1093/biomet/72.1.91; Rothman, Greenland & Lash 2008, Modern Epidemiology, ch. 15.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import chi_square_p, critical_value, two_sided_p
from walkrisk.estimates.two_by_two import Interval, TestResult

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

STANDARDS = ("everyone", "exposed", "unexposed")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StratifiedCounts:
    """A 2x2 table for each of K strata: events and people, exposed and unexposed, each (K,)."""

    events_exposed: FloatArray
    exposed: FloatArray
    events_unexposed: FloatArray
    unexposed: FloatArray

    def __post_init__(self) -> None:
        columns = (self.events_exposed, self.exposed, self.events_unexposed, self.unexposed)
        if len({np.shape(c) for c in columns}) != 1 or np.ndim(self.exposed) != 1 or not len(self.exposed):
            raise ValueError("Stratified counts need four lists of the same length, a number for each stratum.")
        whole = all(np.isfinite(c).all() and (np.asarray(c) == np.round(c)).all() for c in columns)
        if not whole or any((np.asarray(c) < 0).any() for c in columns):
            raise ValueError("The counts of the strata must be whole numbers of at least 0.")
        if (self.events_exposed > self.exposed).any() or (self.events_unexposed > self.unexposed).any():
            raise ValueError("A stratum has more events than people; give events and people, not events and the rest.")
        if not self.exposed.sum() or not self.unexposed.sum():
            raise ValueError("One of the two exposure groups has no people in any stratum; leave this contrast out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MantelHaenszel:
    """What `mantel_haenszel` computes for one contrast.

    `risk_difference`: sato, greenland_robins, unbiased (as greenland_robins, over n - 1). `homogeneity`:
    risk_ratio (Wald about the inverse-variance mean), risk_ratio_about_mh, odds_ratio (Woolf), breslow_day, tarone.
    `association`: cmh, cmh_corrected. `informative` counts the strata that add to the risk ratio, the risk difference
    and the odds ratio. `pooled_inverse_variance` is the inverse-variance mean of the strata's risk ratios.
    """

    level: str
    reference: str
    n: int
    events: int
    strata: int
    informative: Mapping[str, int]
    risk_ratio: Interval
    risk_difference: Mapping[str, Interval]
    odds_ratio: Interval
    pooled_inverse_variance: Interval
    stratum_ratios: tuple[Interval, ...]
    homogeneity: Mapping[str, TestResult]
    association: Mapping[str, TestResult]
    sentences: tuple[str, ...]


def crossed(strata: Sequence[FloatArray]) -> npt.NDArray[np.intp]:
    """The number (n,) of each row's stratum, the crossing of several coded columns (each (n,))."""
    if not strata:
        raise ValueError("Strata need at least one column; for a crude table give a column of zeros.")
    table = np.column_stack([np.asarray(s, dtype=np.float64) for s in strata])
    if not np.isfinite(table).all():
        raise ValueError("A stratifying column has missing or infinite values; leave these rows out or impute them.")
    return np.asarray(np.unique(table, axis=0, return_inverse=True)[1], dtype=np.intp).reshape(-1)


def stratified_counts(
    exposure: FloatArray, y: FloatArray, strata: Sequence[FloatArray], *, level: float, reference: float
) -> StratifiedCounts:
    """The tables of people at `level` of an exposure (n,) against `reference`, y (n,) 0/1, by the crossing of `strata`.

    Raises ValueError for missing values, an outcome other than 0 and 1, or a level that nobody has.
    """
    exposure, y = np.asarray(exposure, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not np.isfinite(exposure).all() or not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("Exposure and outcome must be known for every row, and the outcome 0 or 1.")
    if level == reference:
        raise ValueError("The level and its reference are the same; name two different levels.")
    inside = (exposure == level) | (exposure == reference)
    number = crossed([np.asarray(s)[inside] for s in strata]) if inside.any() else np.zeros(0, dtype=np.intp)
    at, events, k = exposure[inside] == level, y[inside], int(number.max(initial=0)) + 1

    def count(who: BoolArray, weights: FloatArray | None = None) -> FloatArray:
        kept = None if weights is None else weights[who]
        return np.bincount(number[who], weights=kept, minlength=k).astype(np.float64)

    return StratifiedCounts(
        events_exposed=count(at, events),
        exposed=count(at),
        events_unexposed=count(~at, events),
        unexposed=count(~at),
    )


def mantel_haenszel_levels(
    exposure: FloatArray,
    y: FloatArray,
    strata: Sequence[FloatArray],
    *,
    levels: Sequence[float],
    labels: Sequence[str],
    conf_level: float = 0.95,
) -> tuple[MantelHaenszel, ...]:
    """`mantel_haenszel` of each level of an exposure against the first of `levels`."""
    if len(levels) < 2 or len(levels) != len(labels):
        raise ValueError("Name at least two levels of the exposure, the reference first, with a label for each.")
    return tuple(
        mantel_haenszel(
            stratified_counts(exposure, y, strata, level=level, reference=levels[0]),
            level=label,
            reference=labels[0],
            conf_level=conf_level,
        )
        for level, label in zip(levels[1:], labels[1:], strict=True)
    )


def mantel_haenszel(
    counts: StratifiedCounts, *, level: str = "", reference: str = "", conf_level: float = 0.95
) -> MantelHaenszel:
    """Mantel-Haenszel estimates over strata with their limits and tests (equations and sources: this module).

    A stratum that adds nothing to a measure is counted, never filled up; where a sum that is divided by is 0, the
    measure is None with a sentence.
    """
    if not 0 < conf_level < 1:
        raise ValueError(f"The confidence level must lie between 0 and 1, got {conf_level:g}.")
    z = critical_value(conf_level)
    both = (counts.exposed > 0) & (counts.unexposed > 0)
    t = _Tables.of(counts, both)
    informative = {
        "risk_ratio": int((t.m > 0).sum()),
        "risk_difference": int(both.sum()),
        "odds_ratio": int(((t.m > 0) & (t.m < t.total)).sum()),
    }
    risk_ratio, odds_ratio = _risk_ratio(t, z), _odds_ratio(t, z)
    ratios = tuple(_stratum_ratio(*row, z=z) for row in zip(t.a, t.n1, t.c, t.n0, strict=True))
    pooled, homogeneity = _homogeneity(t, risk_ratio, odds_ratio, z)
    return MantelHaenszel(
        level=level,
        reference=reference,
        n=int(counts.exposed.sum() + counts.unexposed.sum()),
        events=int(counts.events_exposed.sum() + counts.events_unexposed.sum()),
        strata=len(both),
        informative=informative,
        risk_ratio=risk_ratio,
        risk_difference=_risk_differences(t, z),
        odds_ratio=odds_ratio,
        pooled_inverse_variance=pooled,
        stratum_ratios=ratios,
        homogeneity=homogeneity,
        association=_association(t),
        sentences=tuple(_sentences(counts, both, t, informative)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """The strata with people in both groups, each array (K,)."""

    a: FloatArray
    b: FloatArray
    c: FloatArray
    d: FloatArray
    n1: FloatArray
    n0: FloatArray
    m: FloatArray
    total: FloatArray

    @classmethod
    def of(cls, counts: StratifiedCounts, both: BoolArray) -> _Tables:
        a, n1 = counts.events_exposed[both].astype(float), counts.exposed[both].astype(float)
        c, n0 = counts.events_unexposed[both].astype(float), counts.unexposed[both].astype(float)
        return cls(a, n1 - a, c, n0 - c, n1, n0, a + c, n1 + n0)


def _ratio_interval(method: str, ratio: float, variance: float, z: float) -> Interval:
    se, log = math.sqrt(max(variance, 0.0)), math.log(ratio)
    if se == 0:
        return Interval(method=method, estimate=ratio)
    low, high = math.exp(log - z * se), math.exp(log + z * se)
    return Interval(method=method, estimate=ratio, std_error=se, low=low, high=high, p_value=two_sided_p(log / se))


def _risk_ratio(t: _Tables, z: float) -> Interval:
    method = "mantel_haenszel"
    over, under = float((t.a * t.n0 / t.total).sum()), float((t.c * t.n1 / t.total).sum())
    if over == 0 or under == 0:
        return Interval(method=method, estimate=0.0 if under else (math.inf if over else None))
    variance = float(((t.m * t.n1 * t.n0 - t.a * t.c * t.total) / t.total**2).sum()) / (over * under)
    return _ratio_interval(method, over / under, variance, z)


def _odds_ratio(t: _Tables, z: float) -> Interval:
    method = "mantel_haenszel"
    g, h = t.a * t.d / t.total, t.b * t.c / t.total
    p, q = (t.a + t.d) / t.total, (t.b + t.c) / t.total
    over, under = float(g.sum()), float(h.sum())
    if over == 0 or under == 0:
        return Interval(method=method, estimate=0.0 if under else (math.inf if over else None))
    variance = (p @ g) / (2 * over**2) + float((p * h + q * g).sum()) / (2 * over * under) + (q @ h) / (2 * under**2)
    return _ratio_interval(method, over / under, float(variance), z)


def _risk_differences(t: _Tables, z: float) -> dict[str, Interval]:
    weight = t.n1 * t.n0 / t.total
    w = float(weight.sum())
    names = ("sato", "greenland_robins", "unbiased")
    if w == 0:
        return {name: Interval(method=name) for name in names}
    d = float(((t.a * t.n0 - t.c * t.n1) / t.total).sum()) / w
    p = float(((t.n1**2 * t.c - t.n0**2 * t.a + t.n1 * t.n0 * (t.n0 - t.n1) / 2) / t.total**2).sum())
    q = float(((t.a * t.d + t.c * t.b) / (2 * t.total)).sum())
    binomial = float((weight**2 * (t.a * t.b / t.n1**3 + t.c * t.d / t.n0**3)).sum()) / w**2
    spare1, spare0 = np.maximum(t.n1 - 1, 1), np.maximum(t.n0 - 1, 1)  # a group of one has a variance of 0 either way
    unbiased = float((weight**2 * (t.a * t.b / (t.n1**2 * spare1) + t.c * t.d / (t.n0**2 * spare0))).sum()) / w**2
    out = {}
    for name, variance in zip(names, ((d * p + q) / w**2, binomial, unbiased), strict=True):
        se = math.sqrt(max(variance, 0.0))
        if se == 0:
            out[name] = Interval(method=name, estimate=d)
            continue
        out[name] = Interval(
            method=name, estimate=d, std_error=se, low=d - z * se, high=d + z * se, p_value=two_sided_p(d / se)
        )
    return out


def _stratum_ratio(a: float, n1: float, c: float, n0: float, *, z: float) -> Interval:
    if a == 0 or c == 0:
        return Interval(method="wald", estimate=0.0 if c else (math.inf if a else None))
    return _ratio_interval("wald", (a / n1) / (c / n0), 1 / a - 1 / n1 + 1 / c - 1 / n0, z)


def _chi_square(method: str, statistic: float, df: int) -> TestResult:
    if df < 1 or not math.isfinite(statistic):
        return TestResult(method=method)
    return TestResult(method=method, statistic=statistic, df=df, p_value=chi_square_p(statistic, df))


def _homogeneity(
    t: _Tables, risk_ratio: Interval, odds_ratio: Interval, z: float
) -> tuple[Interval, dict[str, TestResult]]:
    out, pooled = {}, Interval(method="inverse_variance")
    able = (t.a > 0) & (t.c > 0) & (t.b + t.d > 0)
    df = int(able.sum()) - 1
    a, c, n1, n0 = t.a[able], t.c[able], t.n1[able], t.n0[able]
    log, weight = np.log((a / n1) / (c / n0)), 1 / (1 / a - 1 / n1 + 1 / c - 1 / n0)
    center = float(weight @ log / weight.sum()) if df >= 0 else math.nan
    if df >= 0:
        pooled = _ratio_interval("inverse_variance", math.exp(center), 1 / float(weight.sum()), z)
    out["risk_ratio"] = _chi_square("wald", float(weight @ (log - center) ** 2), df)
    about = math.log(risk_ratio.estimate) if risk_ratio.std_error is not None and risk_ratio.estimate else math.nan
    out["risk_ratio_about_mh"] = _chi_square("wald", float(weight @ (log - about) ** 2), df)
    out["odds_ratio"] = woolf(t.a, t.b, t.c, t.d)
    out["breslow_day"], out["tarone"] = _breslow_day(t, odds_ratio)
    return pooled, out


def woolf(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray, *, added: float = 0.0) -> TestResult:
    """Wald chi-square that the strata's odds ratios (cells (K,)) are one, over the strata without an empty cell.

    `added` to every cell (0.5 in some programs) is a choice to declare: no number is added unless it is named.
    """
    cells = np.array([a, b, c, d], dtype=np.float64) + added
    a, b, c, d = cells[:, (cells > 0).all(axis=0)]
    if not len(a):
        return TestResult(method="woolf")
    log, weight = np.log(a * d / (b * c)), 1 / (1 / a + 1 / b + 1 / c + 1 / d)
    return _chi_square("woolf", float(weight @ (log - weight @ log / weight.sum()) ** 2), len(a) - 1)


def _breslow_day(t: _Tables, odds_ratio: Interval) -> tuple[TestResult, TestResult]:
    """Observed against expected exposed events at the common odds ratio; Tarone's correction for estimating it."""
    psi, able = odds_ratio.estimate, (t.m > 0) & (t.m < t.total)
    df = int(able.sum()) - 1
    if odds_ratio.std_error is None or psi is None or df < 1:
        return TestResult(method="breslow_day"), TestResult(method="tarone")
    n1, n0, m, a = t.n1[able], t.n0[able], t.m[able], t.a[able]
    b = n1 * psi + n0 - m * (psi - 1)
    p0 = 2 * m / (b + np.sqrt(b**2 + 4 * n0 * (psi - 1) * m))
    expected = m - n0 * p0
    variance = 1 / (1 / expected + 1 / (n1 - expected) + 1 / (m - expected) + 1 / (n0 - m + expected))
    chi2 = float(((a - expected) ** 2 / variance).sum())
    correction = float((a - expected).sum()) ** 2 / float(variance.sum())
    return _chi_square("breslow_day", chi2, df), _chi_square("tarone", chi2 - correction, df)


def _association(t: _Tables) -> dict[str, TestResult]:
    """Cochran-Mantel-Haenszel: (|sum(a - E a)| - correction)^2 / sum var a, given all margins."""
    able = t.total > 1
    n1, n0, m, total = t.n1[able], t.n0[able], t.m[able], t.total[able]
    variance = float((n1 * n0 * m * (total - m) / (total**2 * (total - 1))).sum())
    if variance == 0:
        return {name: TestResult(method=name) for name in ("cmh", "cmh_corrected")}
    gap = abs(float((t.a[able] - n1 * m / total).sum()))
    corrected = gap - 0.5 if gap >= 0.5 else gap
    return {
        "cmh": _chi_square("cmh", gap**2 / variance, 1),
        "cmh_corrected": _chi_square("cmh_corrected", corrected**2 / variance, 1),
    }


def _sentences(counts: StratifiedCounts, both: BoolArray, t: _Tables, informative: Mapping[str, int]) -> list[str]:
    said, alone = [], ~both
    people = counts.exposed + counts.unexposed
    if alone.any():
        events = int((counts.events_exposed + counts.events_unexposed)[alone].sum())
        said.append(
            f"{int(alone.sum())} of {len(both)} strata ({int(people[alone].sum())} people, {events} events) have "
            "people of one exposure group only and add nothing to any measure."
        )
    if informative["risk_ratio"] < informative["risk_difference"]:
        none = informative["risk_difference"] - informative["risk_ratio"]
        said.append(f"{none} strata without events add nothing to the risk ratio and pull the risk difference to 0.")
    everyone = int((t.m == t.total).sum())
    if everyone:
        said.append(f"{everyone} strata where everyone has the outcome add nothing to the odds ratio.")
    if not both.any():
        said.append("No stratum has both exposed and unexposed people: take coarser strata, or a model.")
    elif not t.m.any():
        said.append("No stratum with both exposure groups has an event, so no ratio can be estimated.")
    elif not (t.a * t.n0).any() or not (t.c * t.n1).any():
        who = "exposed" if not t.a.any() else "unexposed"
        said.append(f"No {who} person of these strata has the outcome: the ratios have no limits.")
    return said


def standardised_risk_ratio(
    counts: StratifiedCounts, *, standard: str = "everyone", conf_level: float = 0.95
) -> Interval:
    """The ratio of risks standardised to the strata of a standard population, sum(wk p1k) / sum(wk p0k).

    `standard` is everyone, the exposed (the standardised morbidity ratio) or the unexposed; the weights wk are taken as
    fixed, the risks of a stratum as binomial: var log = sum(wk^2 p1k q1k/n1k)/R1^2 + sum(wk^2 p0k q0k/n0k)/R0^2.

    Raises ValueError for an unknown standard, or a stratum of the standard that lacks one of the groups.
    """
    if standard not in STANDARDS:
        raise ValueError(f"Unknown standard '{standard}'; choose from {', '.join(STANDARDS)}.")
    people = {"everyone": counts.exposed + counts.unexposed, "exposed": counts.exposed, "unexposed": counts.unexposed}
    weight = people[standard].astype(float)
    lacking = (weight > 0) & ((counts.exposed == 0) | (counts.unexposed == 0))
    if lacking.any():
        raise ValueError(
            f"{int(lacking.sum())} strata of the standard lack exposed or unexposed people, so no risk can be "
            "standardised to them; take coarser strata."
        )
    used = weight > 0
    w, z = weight[used] / weight.sum(), critical_value(conf_level)
    n1, n0 = counts.exposed[used], counts.unexposed[used]
    p1, p0 = counts.events_exposed[used] / n1, counts.events_unexposed[used] / n0
    risk1, risk0 = float(w @ p1), float(w @ p0)
    if risk1 == 0 or risk0 == 0:
        return Interval(method="standardised", estimate=0.0 if risk0 else (math.inf if risk1 else None))
    variance = float((w**2) @ (p1 * (1 - p1) / n1)) / risk1**2 + float((w**2) @ (p0 * (1 - p0) / n0)) / risk0**2
    return _ratio_interval("standardised", risk1 / risk0, variance, z)
