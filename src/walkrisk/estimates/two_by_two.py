"""Every measure of a 2x2 table: risk ratio, risk difference, odds ratio, number needed, attributable fractions, tests.

Of n1 exposed people a have the outcome, of n0 unexposed c; p1 = a/n1, p0 = c/n0, N = n1 + n0. Nothing is ever added to
a cell: where one is 0, Wald limits do not exist and are None, and score and exact limits, which do, are given.

References: Koopman 1984 doi 10.2307/2531405; Miettinen & Nurminen 1985 doi 10.1002/sim.4780040211; Mee 1984, Biometrics
40:1175; Newcombe 1998, Stat Med 17:873 (hybrid of Wilson's limits); Wilson 1927 doi 10.1080/01621459.1927.10502953;
Jewell 2004, Statistics for Epidemiology (small-sample ratio, attributable fraction); Altman 1998
doi 10.1136/bmj.317.7168.1309 (number needed); Pirikahu et al. 2016, BMC Med Res Methodol (attributable risk).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import chi_square_p, critical_value, two_sided_p
from walkrisk.estimates.score_limits import (
    ConditionalOdds,
    difference_score,
    inflation,
    limits_of_difference,
    limits_of_log,
    odds_score,
    ratio_score,
)

FloatArray = npt.NDArray[np.float64]

SMALL_EXPECTED = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with limits; None where it does not exist, `inf` where it is infinite.

    `std_error` is on the log for ratios. `through_infinity` (a number needed whose risk difference has limits on both
    sides of 0): the values run from `high` up through infinity and on from minus infinity to `low`.
    """

    method: str
    estimate: float | None = None
    std_error: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    through_infinity: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """A test: its statistic and degrees of freedom (None for an exact test) and two-sided P value."""

    __test__ = False  # no test case, whatever pytest reads from the name

    method: str
    statistic: float | None = None
    df: int | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoByTwo:
    """What `two_by_two` computes: intervals and tests by the name of their method.

    `risk_ratio`: wald, small_sample, koopman, miettinen_nurminen. `risk_difference`: wald, newcombe, mee,
    miettinen_nurminen. `odds_ratio`: wald, score, miettinen_nurminen, exact (conditional maximum likelihood), mid_p
    (median-unbiased). `number_needed`: as `risk_difference`. `attributable_fraction` (of the exposed), by the method of
    the risk ratio: wald, koopman, miettinen_nurminen. `population_attributable_risk` and `_fraction`: delta,
    log_complement. `risk_exposed`, `risk_unexposed`: Wilson. `tests`: pearson, yates, fisher, mid_p.
    """

    events_exposed: int
    exposed: int
    events_unexposed: int
    unexposed: int
    conf_level: float
    risk_exposed: Interval
    risk_unexposed: Interval
    risk_ratio: Mapping[str, Interval]
    risk_difference: Mapping[str, Interval]
    odds_ratio: Mapping[str, Interval]
    number_needed: Mapping[str, Interval]
    attributable_fraction: Mapping[str, Interval]
    population_attributable_risk: Interval
    population_attributable_fraction: Interval
    tests: Mapping[str, TestResult]
    phi: float | None
    sentences: tuple[str, ...]


def two_by_two(
    events_exposed: int, exposed: int, events_unexposed: int, unexposed: int, *, conf_level: float = 0.95
) -> TwoByTwo:
    """Every measure of the table of a of n1 exposed and c of n0 unexposed people with the outcome.

    Raises ValueError for a group without people, events below 0 or above the people, counts that are no whole numbers,
    or a confidence level outside (0, 1).
    """
    a, n1, c, n0 = _checked(events_exposed, exposed, events_unexposed, unexposed, conf_level)
    z = critical_value(conf_level)
    ratios, differences = _risk_ratios(a, n1, c, n0, z), _risk_differences(a, n1, c, n0, z)
    tests = _tests(a, n1, c, n0)
    return TwoByTwo(
        events_exposed=a,
        exposed=n1,
        events_unexposed=c,
        unexposed=n0,
        conf_level=conf_level,
        risk_exposed=wilson(a, n1, z),
        risk_unexposed=wilson(c, n0, z),
        risk_ratio=ratios,
        risk_difference=differences,
        odds_ratio=_odds_ratios(a, n1, c, n0, z, 1 - conf_level),
        number_needed={name: number_needed(row) for name, row in differences.items()},
        attributable_fraction={
            name: _complement_of_inverse(ratios[name]) for name in ("wald", "koopman", "miettinen_nurminen")
        },
        population_attributable_risk=_population_attributable_risk(a, n1, c, n0, z),
        population_attributable_fraction=_population_attributable_fraction(a, n1, c, n0, z),
        tests=tests,
        phi=None if tests["pearson"].statistic is None else _phi(a, n1, c, n0),
        sentences=tuple(_sentences(a, n1, c, n0)),
    )


def _checked(a: float, n1: float, c: float, n0: float, conf_level: float) -> tuple[int, int, int, int]:
    if not all(math.isfinite(v) and v == int(v) for v in (a, n1, c, n0)):
        raise ValueError("The counts of a 2x2 table must be whole numbers; weighted counts need a weighted model.")
    if n1 <= 0 or n0 <= 0:
        raise ValueError("A 2x2 table needs people in both groups; this one has a group with none.")
    if not (0 <= a <= n1 and 0 <= c <= n0):
        raise ValueError("The events of a group must lie between 0 and its number of people.")
    if not 0 < conf_level < 1:
        raise ValueError(f"The confidence level must lie between 0 and 1, got {conf_level:g}.")
    return int(a), int(n1), int(c), int(n0)


def _sentences(a: int, n1: int, c: int, n0: int) -> list[str]:
    said = []
    if a == 0 and c == 0:
        said.append("Nobody has the outcome, so no ratio can be estimated.")
    elif a == n1 and c == n0:
        said.append("Everyone has the outcome, so there is no contrast of risks and no odds ratio.")
    elif 0 in (a, c):
        who = "exposed" if a == 0 else "unexposed"
        said.append(f"No {who} person has the outcome: Wald limits do not exist; read score or exact limits.")
    elif a == n1 or c == n0:
        who = "exposed" if a == n1 else "unexposed"
        said.append(f"Every {who} person has the outcome: Wald limits of the odds ratio do not exist.")
    m, total = a + c, n1 + n0
    smallest = min(n1, n0) * min(m, total - m) / total
    if 0 < smallest < SMALL_EXPECTED:
        said.append(
            f"The smallest expected count is {smallest:.1f}: read the exact test, not the chi-square, "
            "and score or exact limits, not Wald's."
        )
    return said


def wilson(events: int, n: int, z: float) -> Interval:
    """A risk with Wilson's score limits, (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)."""
    p, zz = events / n, z * z / n
    middle, half = p + zz / 2, z * math.sqrt(p * (1 - p) / n + zz / (4 * n))
    low = 0.0 if events == 0 else (middle - half) / (1 + zz)
    high = 1.0 if events == n else (middle + half) / (1 + zz)
    return Interval(method="wilson", estimate=p, std_error=math.sqrt(p * (1 - p) / n), low=low, high=high)


def _log_wald(method: str, ratio: float, variance: float, z: float) -> Interval:
    se = math.sqrt(max(variance, 0.0))
    log = math.log(ratio)
    return Interval(
        method=method,
        estimate=ratio,
        std_error=se,
        low=math.exp(log - z * se),
        high=math.exp(log + z * se),
        p_value=two_sided_p(log / se) if se > 0 else None,
    )


def _risk_ratios(a: int, n1: int, c: int, n0: int, z: float) -> dict[str, Interval]:
    ratio = (a / n1) / (c / n0) if c else (math.inf if a else None)
    wald, small = Interval(method="wald", estimate=ratio), Interval(method="small_sample")
    if a and c and a + c < n1 + n0:
        variance = 1 / a - 1 / n1 + 1 / c - 1 / n0
        wald = _log_wald("wald", (a / n1) / (c / n0), variance, z)
        small = replace(_log_wald("small_sample", (a / n1) / ((c + 1) / (n0 + 1)), variance, z), p_value=None)
    out = {"wald": wald, "small_sample": small}
    for name, factor in (("koopman", 1.0), ("miettinen_nurminen", inflation(n1 + n0))):
        if ratio is None:
            out[name] = Interval(method=name)
            continue
        score = ratio_score(a, n1, c, n0, factor)
        low, high = limits_of_log(score, ratio, z)
        out[name] = Interval(method=name, estimate=ratio, low=low, high=high, p_value=_score_p(score(1.0)))
    return out


def _score_p(z: float) -> float | None:
    return two_sided_p(z) if math.isfinite(z) else None


def _risk_differences(a: int, n1: int, c: int, n0: int, z: float) -> dict[str, Interval]:
    p1, p0 = a / n1, c / n0
    d, se = p1 - p0, math.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)
    out = {"wald": Interval(method="wald", estimate=d)}
    if 0 < a < n1 and 0 < c < n0:
        out["wald"] = Interval(
            method="wald", estimate=d, std_error=se, low=d - z * se, high=d + z * se, p_value=two_sided_p(d / se)
        )
    w1, w0 = wilson(a, n1, z), wilson(c, n0, z)
    assert w1.low is not None
    assert w1.high is not None
    assert w0.low is not None
    assert w0.high is not None
    low, high = d - math.hypot(p1 - w1.low, w0.high - p0), d + math.hypot(w1.high - p1, p0 - w0.low)
    out["newcombe"] = Interval(method="newcombe", estimate=d, low=low, high=high)
    for name, factor in (("mee", 1.0), ("miettinen_nurminen", inflation(n1 + n0))):
        score = difference_score(a, n1, c, n0, factor)
        low, high = limits_of_difference(score, d, z)
        out[name] = Interval(method=name, estimate=d, low=low, high=high, p_value=_score_p(score(0.0)))
    return out


def number_needed(difference: Interval) -> Interval:
    """One over a risk difference: people exposed for one more event (negative: for one event fewer).

    Limits on both sides of 0 give a set that runs through infinity (Altman 1998), said by `through_infinity`.
    """
    if difference.estimate is None:
        return Interval(method=difference.method)

    def inverse(value: float, sign: float) -> float:
        return 1 / value if value else sign * math.inf

    estimate = inverse(difference.estimate, 1.0)
    if difference.low is None or difference.high is None:
        return Interval(method=difference.method, estimate=estimate)
    if difference.low < 0 < difference.high:
        return Interval(
            method=difference.method,
            estimate=estimate,
            low=1 / difference.low,
            high=1 / difference.high,
            through_infinity=True,
        )
    sign = -1.0 if difference.high <= 0 and difference.low < 0 else 1.0
    limits = sorted((inverse(difference.low, sign), inverse(difference.high, sign)))
    return Interval(method=difference.method, estimate=estimate, low=limits[0], high=limits[1])


def _complement_of_inverse(ratio: Interval) -> Interval:
    """1 - 1/RR with the limits of the ratio: negative for a ratio below 1."""

    def turned(value: float | None) -> float | None:
        if value is None:
            return None
        return 1 - 1 / value if value > 0 else -math.inf

    return Interval(
        method=ratio.method,
        estimate=turned(ratio.estimate),
        low=turned(ratio.low),
        high=turned(ratio.high),
        p_value=ratio.p_value,
    )


def _population_attributable_risk(a: int, n1: int, c: int, n0: int, z: float) -> Interval:
    """(a + c)/N - c/n0 with its delta-method variance, the four counts one multinomial sample."""
    total, m = n1 + n0, a + c
    estimate = m / total - c / n0
    slope = np.array([1 / total, 0.0, 1 / total - 1 / n0 + c / n0**2, c / n0**2]) - m / total**2
    se = math.sqrt(float(slope**2 @ np.array([a, n1 - a, c, n0 - c])))
    if se == 0:
        return Interval(method="delta", estimate=estimate)
    return Interval(
        method="delta",
        estimate=estimate,
        std_error=se,
        low=estimate - z * se,
        high=estimate + z * se,
        p_value=two_sided_p(estimate / se),
    )


def _population_attributable_fraction(a: int, n1: int, c: int, n0: int, z: float) -> Interval:
    """1 - (c/n0)/((a + c)/N), its limits on log(1 - fraction) (Walter 1976 doi 10.2307/2529268)."""
    total, m = n1 + n0, a + c
    if m == 0:
        return Interval(method="log_complement")
    estimate = 1 - (c / n0) / (m / total)
    if c == 0:
        return Interval(method="log_complement", estimate=estimate)
    se = math.sqrt(max(n1 - a + estimate * (a + n0 - c), 0.0) / (total * c))
    if se == 0:
        return Interval(method="log_complement", estimate=estimate)
    log = math.log(1 - estimate)
    return Interval(
        method="log_complement",
        estimate=estimate,
        std_error=se,
        low=1 - math.exp(log + z * se),
        high=1 - math.exp(log - z * se),
        p_value=two_sided_p(log / se),
    )


def _odds_ratios(a: int, n1: int, c: int, n0: int, z: float, alpha: float) -> dict[str, Interval]:
    b, d, m = n1 - a, n0 - c, a + c
    names = ("wald", "score", "miettinen_nurminen", "exact", "mid_p")
    if m in (0, n1 + n0):
        return {name: Interval(method=name) for name in names}
    odds = a * d / (b * c) if b * c else math.inf
    out = {"wald": Interval(method="wald", estimate=odds)}
    if a * b * c * d:
        out["wald"] = _log_wald("wald", odds, 1 / a + 1 / b + 1 / c + 1 / d, z)
    for name, factor in (("score", 1.0), ("miettinen_nurminen", inflation(n1 + n0))):
        score = odds_score(a, n1, c, n0, factor)
        low, high = limits_of_log(score, odds, z)
        out[name] = Interval(method=name, estimate=odds, low=low, high=high, p_value=_score_p(score(1.0)))
    exact = ConditionalOdds.of(a, n1, c, n0)
    low, high = exact.limits(alpha, 1.0)
    out["exact"] = Interval(
        method="exact", estimate=exact.maximum_likelihood(), low=low, high=high, p_value=exact.fisher()
    )
    low, high = exact.limits(alpha, 0.5)
    out["mid_p"] = Interval(
        method="mid_p", estimate=exact.median_unbiased(), low=low, high=high, p_value=exact.doubled_mid_p()
    )
    return out


def _tests(a: int, n1: int, c: int, n0: int) -> dict[str, TestResult]:
    b, d, total, m = n1 - a, n0 - c, n1 + n0, a + c
    if m in (0, total):
        return {name: TestResult(method=name) for name in ("pearson", "yates", "fisher", "mid_p")}
    gap, spread = abs(a * d - b * c), n1 * n0 * m * (total - m) / total
    out = {}
    for name, correction in (("pearson", 0.0), ("yates", min(total / 2, gap))):
        chi2 = (gap - correction) ** 2 / spread
        out[name] = TestResult(method=name, statistic=chi2, df=1, p_value=chi_square_p(chi2, 1))
    exact = ConditionalOdds.of(a, n1, c, n0)
    out["fisher"] = TestResult(method="fisher", p_value=exact.fisher())
    out["mid_p"] = TestResult(method="mid_p", p_value=exact.doubled_mid_p())
    return out


def _phi(a: int, n1: int, c: int, n0: int) -> float:
    """The correlation of exposure and outcome, with its sign."""
    m, total = a + c, n1 + n0
    return (a * (n0 - c) - (n1 - a) * c) / math.sqrt(n1 * n0 * m * (total - m))
