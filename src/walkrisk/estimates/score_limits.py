"""Score limits and exact (conditional) limits of a 2x2 table: a of n1 exposed and c of n0 unexposed have the outcome.

A score limit is where z(value), the gap to a hypothesis over its standard error at the restricted maximum of the
likelihood, is the normal quantile (Koopman 1984 doi 10.2307/2531405; Mee 1984, Biometrics 40:1175); times N/(N - 1) in
the variance it is Miettinen and Nurminen's (1985 doi 10.1002/sim.4780040211). An exact limit is where a tail of the
noncentral hypergeometric distribution of a, given both margins, is half of alpha. All are found by bisection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

WIDEST = 300.0  # of a log ratio


def inflation(total: int) -> float:
    """Miettinen and Nurminen's factor of the variance, N/(N - 1)."""
    return total / (total - 1)


def ratio_score(a: int, n1: int, c: int, n0: int, factor: float) -> Callable[[float], float]:
    """z(theta) of the hypothesis p1 = theta p0, its variance at the restricted maximum of the likelihood."""

    def score(theta: float) -> float:
        b = n1 * theta + a + n0 + c * theta
        root = math.sqrt(max(b * b - 4 * (n1 + n0) * theta * (a + c), 0.0))
        p0 = 2 * (a + c) / (b + root)
        p1 = min(theta * p0, 1.0)
        p0 = min(p0, 1.0)
        variance = (p1 * (1 - p1) / n1 + theta**2 * p0 * (1 - p0) / n0) * factor
        return _standardised(a / n1 - theta * c / n0, variance)

    return score


def odds_score(a: int, n1: int, c: int, n0: int, factor: float) -> Callable[[float], float]:
    """z(psi) of the hypothesis that the odds ratio is psi."""
    m = a + c

    def score(psi: float) -> float:
        b = n1 * psi + n0 - m * (psi - 1)
        p0 = 2 * m / (b + math.sqrt(max(b * b + 4 * n0 * (psi - 1) * m, 0.0)))
        odds = psi * p0 / (1 - p0) if p0 < 1 else math.inf
        p1 = odds / (1 + odds) if math.isfinite(odds) else 1.0
        spread1, spread0 = n1 * p1 * (1 - p1), n0 * p0 * (1 - p0)
        if spread1 <= 0 or spread0 <= 0:
            return _standardised(a - n1 * p1, 0.0)
        return _standardised(a - n1 * p1, factor / (1 / spread1 + 1 / spread0))

    return score


def difference_score(a: int, n1: int, c: int, n0: int, factor: float) -> Callable[[float], float]:
    """z(delta) of the hypothesis p1 - p0 = delta; the restricted maximum is found by bisection of its likelihood."""

    def slope(p0: float, delta: float) -> float:
        p1 = p0 + delta
        up = (a / p1 if a else 0.0) + (c / p0 if c else 0.0)
        return up - ((n1 - a) / (1 - p1) if a < n1 else 0.0) - ((n0 - c) / (1 - p0) if c < n0 else 0.0)

    def score(delta: float) -> float:
        low, high = max(0.0, -delta), min(1.0, 1.0 - delta)
        for _ in range(60):
            middle = (low + high) / 2
            if not low < middle < high:
                break
            low, high = (middle, high) if slope(middle, delta) > 0 else (low, middle)
        p0 = min(max((low + high) / 2, 0.0), 1.0)
        p1 = min(max(p0 + delta, 0.0), 1.0)
        variance = (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * factor
        return _standardised(a / n1 - c / n0 - delta, variance)

    return score


def _standardised(gap: float, variance: float) -> float:
    if variance > 0:
        return gap / math.sqrt(variance)
    return math.copysign(math.inf, gap) if gap else 0.0


def limits_of_difference(score: Callable[[float], float], estimate: float, z: float) -> tuple[float, float]:
    """Where the score of a risk difference is z and -z."""
    low = -1.0 if estimate == -1 else bisect(lambda x: z - score(x), estimate, -1.0)
    high = 1.0 if estimate == 1 else bisect(lambda x: score(x) + z, estimate, 1.0)
    return low, high


def limits_of_log(score: Callable[[float], float], estimate: float, z: float) -> tuple[float, float]:
    """Where a score that falls with the logarithm of a ratio is z and -z; 0 or infinity where it never is."""

    def at(log_ratio: float) -> float:
        return score(math.exp(log_ratio))

    start = 0.0 if estimate in (0.0, math.inf) else math.log(estimate)
    low = 0.0 if estimate == 0 else _crossing(at, start, -1.0, z)
    high = math.inf if estimate == math.inf else _crossing(at, start, 1.0, z)
    return (math.exp(low) if estimate else 0.0), (math.exp(high) if estimate != math.inf else math.inf)


def _crossing(at: Callable[[float], float], start: float, direction: float, z: float) -> float:
    """Where `at`, which falls, is z (leftwards of `start`) or -z (rightwards)."""
    target = -direction * z
    # start may lie beyond the crossing (an infinite or zero estimate): step back first
    inner = start
    while abs(inner) < WIDEST and (at(inner) - target) * direction < 0:
        inner -= direction
    step, outer = 1.0, inner
    while abs(outer) < WIDEST and (at(outer) - target) * direction > 0:
        outer, step = outer + direction * step, step * 2
    return bisect(lambda x: (at(x) - target) * direction, inner, outer)


def bisect(positive_inside: Callable[[float], float], inside: float, outside: float) -> float:
    for _ in range(200):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        inside, outside = (middle, outside) if positive_inside(middle) > 0 else (inside, middle)
    return (inside + outside) / 2


@dataclass(frozen=True, slots=True, eq=False)
class ConditionalOdds:
    """The distribution of the exposed events given both margins: `support` (k,) and its log weights at odds ratio 1."""

    support: FloatArray
    log_weight: FloatArray
    observed: int

    @classmethod
    def of(cls, a: int, n1: int, c: int, n0: int) -> ConditionalOdds:
        """That of a table."""
        m = a + c
        support = range(max(0, m - n0), min(n1, m) + 1)
        log_weight = [-sum(math.lgamma(v + 1) for v in (x, n1 - x, m - x, n0 - m + x)) for x in support]
        return cls(np.array(support, dtype=np.float64), np.array(log_weight), a)

    def probabilities(self, log_odds: float) -> FloatArray:
        """Of each point of the support (k,)."""
        log = self.log_weight + self.support * log_odds
        weight = np.exp(log - log.max())
        return np.asarray(weight / weight.sum())

    def tail(self, log_odds: float, *, upper: bool, share: float) -> float:
        """P(X beyond the observed) + `share` P(X = observed)."""
        p = self.probabilities(log_odds)
        beyond = self.support > self.observed if upper else self.support < self.observed
        return float(p[beyond].sum() + share * p[self.support == self.observed].sum())

    def _solve(self, falling: Callable[[float], float]) -> float:
        return math.exp(_crossing(falling, 0.0, 1.0, 0.0))

    def maximum_likelihood(self) -> float:
        """The odds ratio at which the expected number of exposed events is the observed one."""
        if self.observed == self.support[0]:
            return 0.0 if len(self.support) > 1 else math.nan
        if self.observed == self.support[-1]:
            return math.inf
        return self._solve(lambda t: self.observed - float(self.probabilities(t) @ self.support))

    def median_unbiased(self) -> float:
        """The odds ratio at which both mid-P tails are a half."""
        if self.observed in (self.support[0], self.support[-1]):
            return self.maximum_likelihood()
        return self._solve(lambda t: 0.5 - self.tail(t, upper=True, share=0.5))

    def limits(self, alpha: float, share: float) -> tuple[float, float]:
        """Where the upper and the lower tail are alpha/2: exact for a `share` of 1, mid-P for one of 0.5."""
        low, high = 0.0, math.inf
        if self.observed > self.support[0]:
            low = self._solve(lambda t: alpha / 2 - self.tail(t, upper=True, share=share))
        if self.observed < self.support[-1]:
            high = self._solve(lambda t: self.tail(t, upper=False, share=share) - alpha / 2)
        return low, high

    def fisher(self) -> float:
        """The two-sided P value: all tables no more probable than this one (within rounding)."""
        p = self.probabilities(0.0)
        here = float(p[self.support == self.observed].sum())
        return min(float(p[p <= here * (1 + 1e-7)].sum()), 1.0)

    def doubled_mid_p(self) -> float:
        """Twice the smaller mid-P tail."""
        tails = [self.tail(0.0, upper=upper, share=0.5) for upper in (True, False)]
        return min(2 * min(tails), 1.0)
