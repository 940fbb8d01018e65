"""Contrasts of risks: risk ratios and differences, odds ratios, numbers needed to treat or to harm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.contrasts import quantile_of
from walkrisk.estimates.rows import two_sided_p
from walkrisk.estimates.standardisation import StandardisedRisks

FloatArray = npt.NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """An estimate with its interval and two-sided P value; NaN where there is none.

    Of a ratio, `estimate` and limits are ratios and `std_error` is that of the log.
    """

    estimate: float = NAN
    std_error: float = NAN
    conf_low: float = NAN
    conf_high: float = NAN
    p_value: float = NAN


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberNeeded:
    """Number needed to treat for one person to benefit (`benefit`: the risk is lower) or be harmed (`harm`: higher).

    `number` is 1/|risk difference|. Its limits are `first` (the nearer to 1 in size) and `last`, each with the side it
    lies on. If the interval of the risk difference holds 0, `through_infinity` is True and the interval runs from
    `first`, on the side of `kind`, through infinity to `last` on the other side (Altman 1998).
    """

    kind: str = "none"
    number: float = NAN
    first: float = NAN
    first_kind: str = "none"
    last: float = NAN
    last_kind: str = "none"
    through_infinity: bool = False

    def text(self, digits: int = 1) -> str:
        """As printed: `NNTH 22.5 (15.9 to 38.4)`, or `NNTH 120 (NNTH 27 to infinity to NNTB 50)`."""
        if math.isnan(self.number):
            return ""
        name = {"benefit": "NNTB ", "harm": "NNTH ", "none": ""}

        def shown(value: float) -> str:
            return "infinity" if math.isinf(value) else f"{value:.{digits}f}"

        point = f"{name[self.kind]}{shown(self.number)}"
        if math.isnan(self.first):
            return point
        first, last = shown(self.first), shown(self.last)
        if self.through_infinity:
            return f"{point} ({name[self.first_kind]}{first} to infinity to {name[self.last_kind]}{last})"
        return f"{point} ({first} to {last})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskContrast:
    """The risk under `level` against that under `reference`."""

    level: str
    reference: str
    risk_ratio: Quantity
    risk_difference: Quantity
    odds_ratio: Quantity
    number_needed: NumberNeeded


def number_needed(difference: float, low: float, high: float) -> NumberNeeded:
    """The number needed to treat or harm from a risk difference (level minus reference) and its limits.

    NNT = 1/|RD|; the limits are the reciprocals of those of RD. Where these enclose 0 the reciprocals bound not an
    interval but its complement: NNTB 1/|low| ... infinity ... NNTH 1/high. Never a finite interval around it. Limits
    that are NaN leave the number without an interval. Reference: Altman 1998 doi 10.1136/bmj.317.7168.1309.
    """
    if not math.isfinite(difference):
        return NumberNeeded()
    kind = "harm" if difference > 0 else "benefit" if difference < 0 else "none"
    number = _reciprocal(difference)
    if not (math.isfinite(low) and math.isfinite(high)):
        return NumberNeeded(kind=kind, number=number)
    holds_zero = low < 0 < high
    benefit, harm = (_reciprocal(low), "benefit"), (_reciprocal(high), "harm")
    if holds_zero:
        first, last = (benefit, harm) if difference < 0 else (harm, benefit)
    elif low >= 0:
        first, last = harm, (_reciprocal(low), "harm")
    else:
        first, last = benefit, (_reciprocal(high), "benefit")
    return NumberNeeded(
        kind=kind,
        number=number,
        first=first[0],
        first_kind=first[1],
        last=last[0],
        last_kind=last[1],
        through_infinity=holds_zero,
    )


def _reciprocal(value: float) -> float:
    return 1 / abs(value) if value else math.inf


def level_risks(
    risks: StandardisedRisks,
    covariance: FloatArray,
    *,
    conf_level: float = 0.95,
    df: float | None = None,
    scale: str = "identity",
) -> tuple[Quantity, ...]:
    """The risk of each level with its interval, from the covariance (L, L) of the risks.

    `scale` is where the interval is symmetric: `identity`, as most programs give it, `log` or `logit`, which stays
    within 0 to 1 and covers better for small risks. `std_error` is that of the risk itself; there is no P value.
    """
    if scale not in ("identity", "log", "logit"):
        raise ValueError(f"There is no scale '{scale}' for a risk; choose among identity, log, logit.")
    z = quantile_of(conf_level, df)
    out = []
    for m, se in zip(risks.risks.tolist(), standard_errors(covariance).tolist(), strict=True):
        low, high = m - z * se, m + z * se
        if scale == "log":
            low, high = (m * math.exp(-z * se / m), m * math.exp(z * se / m)) if m > 0 else (NAN, NAN)
        if scale == "logit":
            low, high = logit_limits(m, z * se) if 0 < m < 1 else (NAN, NAN)
        out.append(Quantity(estimate=m, std_error=se, conf_low=low, conf_high=high))
    return tuple(out)


def logit_limits(m: float, half: float) -> tuple[float, float]:
    """Limits of a share m in (0, 1), symmetric on the logit scale, from the half width on its own scale."""
    centre, width = math.log(m) - math.log1p(-m), half / (m * (1 - m))
    return _expit(centre - width), _expit(centre + width)


def _expit(x: float) -> float:
    """1 / (1 + e^-x) without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def risk_contrasts(
    risks: StandardisedRisks,
    covariance: FloatArray,
    *,
    reference: str | None = None,
    pairwise: bool = False,
    conf_level: float = 0.95,
    df: float | None = None,
) -> tuple[RiskContrast, ...]:
    """Every level against `reference` (the first level if None), or all pairs, by the delta method.

    With S the covariance (L, L) of the risks: var(log RR) = a'Sa, a = (1/m_l, -1/m_r); var(RD) with a = (1, -1);
    var(log OR) with a = (1/(m_l(1 - m_l)), -1/(m_r(1 - m_r))). Intervals are normal, or of Student's t on `df` degrees
    of freedom, on the log scale for ratios. A ratio needs risks above 0, an odds ratio also below 1: else it is NaN.
    """
    z = quantile_of(conf_level, df)
    if pairwise:
        pairs = [(high, low) for low, high in combinations(range(len(risks.levels)), 2)]
    else:
        base = 0 if reference is None else risks.position(reference)
        pairs = [(level, base) for level in range(len(risks.levels)) if level != base]
    return tuple(_contrast(risks, covariance, pair, z, df) for pair in pairs)


def _contrast(
    risks: StandardisedRisks, covariance: FloatArray, pair: tuple[int, int], z: float, df: float | None
) -> RiskContrast:
    m, r = (float(risks.risks[i]) for i in pair)
    s = covariance[np.ix_(pair, pair)]
    difference = _quantity(m - r, _error(s, 1.0, -1.0), z, df)
    ratio = odds = Quantity()
    if m > 0 and r > 0:
        ratio = _exponentiated(math.log(m) - math.log(r), _error(s, 1 / m, -1 / r), z, df)
    if 0 < m < 1 and 0 < r < 1:
        log_odds = math.log(m) - math.log1p(-m) - math.log(r) + math.log1p(-r)
        odds = _exponentiated(log_odds, _error(s, 1 / (m * (1 - m)), -1 / (r * (1 - r))), z, df)
    return RiskContrast(
        level=risks.levels[pair[0]],
        reference=risks.levels[pair[1]],
        risk_ratio=ratio,
        risk_difference=difference,
        odds_ratio=odds,
        number_needed=number_needed(difference.estimate, difference.conf_low, difference.conf_high),
    )


def standard_errors(covariance: FloatArray) -> FloatArray:
    """Roots (K,) of the diagonal; NaN for a variance that is negative or NaN, never 0 in its place."""
    spread = np.diag(covariance)
    return np.asarray(np.sqrt(np.where(spread >= 0, spread, np.nan)))


def _error(s: FloatArray, *slopes: float) -> float:
    a = np.array(slopes)
    return float(np.sqrt(np.maximum(a @ s @ a, 0.0)))


def _quantity(value: float, error: float, z: float, df: float | None) -> Quantity:
    p = p_of(value / error, df) if error > 0 else NAN
    return Quantity(estimate=value, std_error=error, conf_low=value - z * error, conf_high=value + z * error, p_value=p)


def _exponentiated(log_value: float, error: float, z: float, df: float | None) -> Quantity:
    with np.errstate(over="ignore"):
        middle, low, high = (float(np.exp(x)) for x in (log_value, log_value - z * error, log_value + z * error))
    p = p_of(log_value / error, df) if error > 0 else NAN
    return Quantity(estimate=middle, std_error=error, conf_low=low, conf_high=high, p_value=p)


def p_of(statistic: float, df: float | None = None) -> float:
    """Two-sided P value of a statistic: normal, or of Student's t on `df` degrees of freedom."""
    if df is None or math.isinf(df):
        return two_sided_p(statistic)
    from scipy.special import stdtr

    return float(2 * stdtr(df, -abs(statistic)))


def contrasts_of_risks(risks: FloatArray, *, reference: int = 0) -> dict[str, FloatArray]:
    """Contrasts (R, L) of replicated risks (R, L), each level against column `reference`, on the analysis scales.

    Keys `log_risk_ratio`, `risk_difference`, `log_odds_ratio`; NaN where a replicate has no such contrast (a risk that
    is not above 0, or for odds not below 1). For the intervals of a bootstrap: the limits of a number needed are those
    of `risk_difference` through `number_needed`.
    """
    replicated = np.asarray(risks, dtype=np.float64)
    logs = np.log(np.where(replicated > 0, replicated, np.nan))
    odds = logs - np.log(np.where(replicated < 1, 1 - replicated, np.nan))
    return {
        "log_risk_ratio": logs - logs[:, [reference]],
        "risk_difference": replicated - replicated[:, [reference]],
        "log_odds_ratio": odds - odds[:, [reference]],
    }
