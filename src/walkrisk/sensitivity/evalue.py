"""E-values: how strong unmeasured confounding, or several biases together, must be to explain an estimate away.

The E-value of a risk ratio r (its inverse below 1) is E = r + sqrt(r (r - 1)): confounding by a factor that is related
to exposure and to outcome by risk ratios of E each, and not by less, can move r to 1. Other measures are first turned
into approximate risk ratios:

    odds ratio of a common outcome    sqrt(OR)
    hazard ratio of a common outcome  (1 - 0.5^sqrt(HR))/(1 - 0.5^sqrt(1/HR))
    standardised mean difference d    exp(0.91 d), limits exp(0.91 d -+ 1.78 se)
    coefficient b of least squares    d = b delta/sd

References: VanderWeele & Ding 2017, doi 10.7326/M16-2607; Ding & VanderWeele 2016, doi 10.1097/EDE.0000000000000457
(bias factor, risk differences); VanderWeele 2017, doi 10.1097/EDE.0000000000000581 (non-null values); Smith, Mathur &
VanderWeele 2021, doi 10.1097/EDE.0000000000001380 (several biases). Numbers are those of the R package EValue 4.1.4,
but its `multi_evalue` stops its search at 1e-4, and ours at the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from walkrisk.estimates.rows import Estimate, critical_value

RATIOS = {"RR": "risk ratio", "OR": "odds ratio", "HR": "hazard ratio"}
MEASURES = (*RATIOS, "MD", "OLS", "RD")
CHUNK = 1_000_000  # grid points of bias factors at a time


@dataclass(frozen=True, slots=True)
class EValue:
    """E-value of an estimate and of the limit of its interval that is nearer to no effect.

    `limit` is 1 if the interval holds the true value (no effect, if none is named), and NaN if no limit was given.
    """

    point: float
    limit: float


@dataclass(frozen=True, slots=True)
class Bias:
    """One bias of a multi-bias E-value: parameters of size E each divide a ratio by E^numerator/(2 E - 1)^denominator.

    Made by `confounding`, `selection` and `misclassification`.
    """

    kind: str
    numerator: int
    denominator: int
    selected: bool = False


def evalue(
    risk_ratio: float | None = None,
    conf_low: float | None = None,
    conf_high: float | None = None,
    *,
    measure: str = "RR",
    rare: bool | None = None,
    true: float | None = None,
    std_error: float | None = None,
    sd: float | None = None,
    delta: float = 1.0,
    counts: tuple[float, float, float, float] | None = None,
    conf_level: float = 0.95,
    grid: float = 1e-4,
) -> EValue:
    """E-values of an estimate with its confidence interval.

    `measure` is RR, OR or HR (with `rare`: whether the outcome is rare at the end of follow-up, or in the source
    population of a case-control study), MD (standardised mean difference), OLS (coefficient for `delta` units, `sd`
    that of the outcome) or RD (from `counts`: exposed with and without the outcome, unexposed with and without). MD and
    OLS take limits or a `std_error`. `true` is a value other than no effect to be explained away: a ratio, for MD and
    OLS a standardised difference, for RD a difference. `grid` is the step of the search for the limit of an RD.
    Raises ValueError for what is no such measure, or lies outside its interval.

    >>> e = evalue(3.9, 1.8, 8.7)
    >>> round(e.point, 2), round(e.limit, 2)
    (7.26, 3.0)
    """
    if measure not in MEASURES:
        raise ValueError(f"unknown measure {measure!r} of an E-value; choose from {', '.join(MEASURES)}")
    if measure == "RD":
        if counts is None or not (risk_ratio is None and conf_low is None and conf_high is None):
            raise ValueError(
                "an E-value of a risk difference needs `counts` (exposed with and without the outcome, unexposed with "
                "and without) instead of an estimate with its limits"
            )
        return _of_risk_difference(counts, 0.0 if true is None else true, conf_level, grid)
    if counts is not None:
        raise ValueError(f"counts belong to measure 'RD'; an E-value of {measure} needs the estimate with its limits")
    if measure in RATIOS:
        point, low, high, to = _ratio(risk_ratio, conf_low, conf_high, 1.0 if true is None else true, measure, rare)
    else:
        point, low, high, to = _difference(
            risk_ratio, conf_low, conf_high, 0.0 if true is None else true, measure, std_error, sd, delta
        )
    return _both(point, low, high, to, _of)


def risk_ratio_of(ratio: float, measure: str, *, rare: bool | None = None) -> float:
    """The risk ratio that a ratio stands for: itself if RR, or of a rare outcome; the table above otherwise.

    Raises ValueError for another measure than RR, OR and HR, a ratio that is not positive, or an unknown `rare`.
    """
    if measure not in RATIOS:
        raise ValueError(f"unknown ratio {measure!r} of an E-value; choose from {', '.join(RATIOS)}")
    return _ratio(ratio, None, None, 1.0, measure, rare)[0]


def bias_factor(exposure_confounder: float, confounder_outcome: float) -> float:
    """The most by which a confounder can move a risk ratio: ab/(a + b - 1), for risk ratios a and b of at least 1.

    Raises ValueError for ratios below 1 (take the inverse).
    """
    a, b = exposure_confounder, confounder_outcome
    if not (1 <= a < math.inf and 1 <= b < math.inf):
        raise ValueError("a bias factor needs two finite risk ratios of at least 1; give the inverse of one below 1")
    return a * b / (a + b - 1)


def confounding() -> Bias:
    """Unmeasured confounding: two parameters, E^2/(2 E - 1)."""
    return Bias("confounding", 2, 1)


def selection(*assumptions: str) -> Bias:
    """Selection bias under `assumptions`: "increased risk" or "decreased risk" of the outcome in both selected exposure
    groups, "S = U" (the unmeasured factor is selection itself), or "selected" (the selected people are the target).

    Raises ValueError for assumptions that are unknown or exclude each other.
    """
    chosen = set(assumptions) - {"general"}
    if unknown := chosen - {"selected", "S = U", "increased risk", "decreased risk"}:
        raise ValueError(f"unknown assumption about selection: {', '.join(sorted(unknown))}")
    if "selected" in chosen and len(set(assumptions)) > 1:
        raise ValueError("'selected' as the target population goes with no other assumption about selection")
    if {"increased risk", "decreased risk"} <= chosen:
        raise ValueError("selection goes with an increased or with a decreased risk, not with both")
    if "selected" in chosen:
        return Bias("selection", 2, 1, selected=True)
    one_group = bool(chosen & {"increased risk", "decreased risk"})
    numerator, denominator = (2, 1) if one_group else (4, 2)
    if "S = U" in chosen:
        numerator, denominator = numerator // 2, 0
    return Bias("selection", numerator, denominator)


def misclassification(of: str, *, rare_outcome: bool = False, rare_exposure: bool = False) -> Bias:
    """Differential misclassification of the "outcome", or of the "exposure" (of a rare outcome only).

    Raises ValueError for anything else.
    """
    if of == "outcome":
        return Bias("misclassification", 1, 0)
    if of != "exposure":
        raise ValueError(f"misclassification is of the 'outcome' or of the 'exposure', not of {of!r}")
    if not rare_outcome:
        raise ValueError("a bound for a misclassified exposure is known for a rare outcome only: say rare_outcome=True")
    return Bias("misclassification", 1 if rare_exposure else 2, 0)


def multi_bias_evalue(
    risk_ratio: float,
    conf_low: float | None,
    conf_high: float | None,
    biases: Sequence[Bias],
    *,
    measure: str = "RR",
    rare: bool | None = None,
    true: float = 1.0,
) -> EValue:
    """The least size that all parameters of several biases must have to explain an estimate away together.

    The E with E^n/(2 E - 1)^d equal to the ratio, n and d summed over the biases. Measures RR, OR and HR, `rare` and
    `true` as in `evalue`. Raises ValueError as `evalue` does, without biases, or with two of a kind.
    """
    kinds = [bias.kind for bias in biases]
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError("a multi-bias E-value needs at least one bias, and no kind of bias twice")
    if measure not in RATIOS:
        raise ValueError(f"a multi-bias E-value is of {', '.join(RATIOS)}, not of {measure!r}")
    n, d = sum(bias.numerator for bias in biases), sum(bias.denominator for bias in biases)
    if "confounding" in kinds and any(bias.selected for bias in biases):
        n, d = n - 2, d - 1  # one factor does both among the selected
    point, low, high, to = _ratio(risk_ratio, conf_low, conf_high, true, measure, rare)
    return _both(point, low, high, to, lambda r: _root(r, n, d))


def multi_bias_bound(
    *,
    confounding: tuple[float, float] | None = None,
    selection_exposed: tuple[float, float] | None = None,
    selection_unexposed: tuple[float, float] | None = None,
    misclassification: float = 1.0,
) -> float:
    """The most by which named biases together can move a risk ratio: the product of their bias factors.

    Each pair holds the two risk ratios of a bias (1 for the second one where it is assumed away). Raises ValueError for
    ratios below 1.
    """
    if not 1 <= misclassification < math.inf:
        raise ValueError(
            "the bound of misclassification is a finite ratio of at least 1; give the inverse of one below"
        )
    pairs = [pair for pair in (confounding, selection_exposed, selection_unexposed) if pair is not None]
    return misclassification * math.prod(bias_factor(*pair) for pair in pairs)


def evalue_rows(
    estimates: list[Estimate], *, analysis: str, z: float, counts: Callable[[Estimate], tuple[int, int]]
) -> list[Estimate]:
    """Two rows (`e_value`, `e_value_ci`) for each estimated risk ratio that is not a reference.

    `z` sets the interval (the published tables use 1.96); `counts` gives n and events of the fitted sample of a row.
    """
    rows = []
    for e in estimates:
        if e.estimate is None or e.std_error is None:
            continue
        half = z * e.std_error
        low = e.estimate * math.exp(-half)
        high = e.estimate * math.exp(half) if half < 700 else math.inf
        values = evalue(e.estimate, low, high)
        n, events = counts(e)
        base = replace(
            e, analysis=analysis, n=n, events=events, std_error=None, conf_low=None, conf_high=None, p_value=None
        )
        rows.append(replace(base, estimand="e_value", estimate=values.point))
        rows.append(replace(base, estimand="e_value_ci", estimate=values.limit))
    return rows


def _of(risk_ratio: float) -> float:
    return risk_ratio + math.sqrt(risk_ratio * (risk_ratio - 1)) if risk_ratio < 1e150 else 2 * risk_ratio


def _root(ratio: float, n: int, d: int) -> float:
    """The E of at least 1 with E^n/(2 E - 1)^d = ratio, by bisection of its logarithm."""

    def gap(e: float) -> float:
        return n * math.log(e) - d * math.log(2 * e - 1) - math.log(ratio)

    if math.isinf(ratio):
        return math.inf
    low, high = 1.0, 2.0
    while gap(high) < 0:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if gap(middle) < 0 else (low, middle)
    return low if ratio == 1 else high


def _both(point: float, low: float | None, high: float | None, true: float, size: Callable[[float], float]) -> EValue:
    """E-values of a ratio and its nearer limit against a true ratio: `size` of their quotient, or its inverse."""

    def against(value: float) -> float:
        return size(max(value / true, true / value if value > 0 else math.inf))

    if point == true or (low is not None and high is not None and low <= true <= high):
        return EValue(against(point), math.nan if low is None and high is None else 1.0)
    near = low if point > true else high
    if near is None:
        return EValue(against(point), math.nan)
    return EValue(against(point), 1.0 if (near <= true) == (point > true) else against(near))


def _ratio(
    ratio: float | None, low: float | None, high: float | None, true: float, measure: str, rare: bool | None
) -> tuple[float, float | None, float | None, float]:
    """The risk ratio, limits and true value that a ratio stands for."""
    below, above = 0.0 if low is None else low, math.inf if high is None else high
    if ratio is None or not 0 <= below <= ratio <= above or not 0 < ratio < math.inf:
        raise ValueError(f"an E-value needs a positive {RATIOS[measure]} inside its interval")
    if not 0 < true < math.inf:
        raise ValueError(f"the true {RATIOS[measure]} of an E-value must be positive and finite, not {true:g}")
    if measure == "RR":
        return ratio, low, high, true
    if rare is None:
        raise ValueError(
            f"an E-value of {'an odds' if measure == 'OR' else 'a hazard'} ratio needs to know whether the outcome is "
            "rare (below 15 %): say rare=True or rare=False"
        )
    if rare:
        return ratio, low, high, true
    turned = math.sqrt if measure == "OR" else _risk_ratio_of_hazard_ratio
    return (
        turned(ratio),
        None if low is None else turned(low),
        None if high is None else turned(high),
        turned(true),
    )


def _risk_ratio_of_hazard_ratio(hazard_ratio: float) -> float:
    if hazard_ratio in (0.0, math.inf):
        return hazard_ratio
    root = math.sqrt(hazard_ratio)
    return math.expm1(-math.log(2) * root) / math.expm1(-math.log(2) / root)


def _difference(
    estimate: float | None,
    low: float | None,
    high: float | None,
    true: float,
    measure: str,
    std_error: float | None,
    sd: float | None,
    delta: float,
) -> tuple[float, float | None, float | None, float]:
    """The risk ratio, limits and true value that a mean difference stands for."""
    if measure == "OLS" and (sd is None or not 0 < sd < math.inf):
        raise ValueError("an E-value of a least-squares coefficient needs the standard deviation of the outcome, `sd`")
    given = [v for v in (estimate, low, high, std_error, true, delta) if v is not None]
    if estimate is None or not all(map(math.isfinite, given)) or (std_error is not None and std_error < 0):
        raise ValueError("an E-value of a difference needs a finite estimate, and limits or a standard error")
    if std_error is not None and (low is not None or high is not None):
        raise ValueError("give the limits of a difference or its standard error, not both")
    if (low is not None and low > estimate) or (high is not None and high < estimate):
        raise ValueError("an E-value needs a difference inside its interval")
    scale = abs(delta) / sd if measure == "OLS" and sd is not None else 1.0
    middle = 0.91 * estimate * scale
    if std_error is not None:
        limits = [middle - 1.78 * std_error * scale, middle + 1.78 * std_error * scale]
    else:
        limits = [math.nan if v is None else 0.91 * v * scale for v in (low, high)]
    if max(map(abs, (middle, *(v for v in limits if not math.isnan(v))))) > 700:
        raise ValueError("this difference is beyond hundreds of standard deviations; is it standardised?")
    ends = [None if math.isnan(v) else math.exp(v) for v in limits]
    return math.exp(middle), ends[0], ends[1], math.exp(0.91 * true)


def _of_risk_difference(
    counts: tuple[float, float, float, float], true: float, conf_level: float, grid: float
) -> EValue:
    """E-values of a risk difference: the bias factor that moves it, or its lower limit, to `true`.

    The first point of the grid at which the lower limit reaches `true`, as in EValue.
    """
    n11, n10, n01, n00 = counts
    exposed, unexposed = n11 + n10, n01 + n00
    if not all(0 <= n < math.inf for n in counts) or min(exposed, unexposed, n01) <= 0:
        raise ValueError("an E-value of a risk difference needs people in both groups, and cases among the unexposed")
    if not 0 < grid < 1:
        raise ValueError(f"the step of the search for a bias factor must be between 0 and 1, not {grid:g}")
    p1, p0, f = n11 / exposed, n01 / unexposed, exposed / (exposed + unexposed)
    if p1 < p0:
        raise ValueError("this risk difference is negative; count the exposure the other way round")
    if p1 - p0 <= true:
        raise ValueError("the true risk difference of an E-value must be below the estimated one")
    shift = true + p0 * (1 - f) - p1 * f
    factor = (math.sqrt(shift**2 + 4 * p1 * p0 * f * (1 - f)) - shift) / (2 * p0 * f)
    z = critical_value(conf_level)
    s1, s0, sf = p1 * (1 - p1) / exposed, p0 * (1 - p0) / unexposed, f * (1 - f) / (exposed + unexposed)
    if p1 - p0 - z * math.sqrt(s1 + s0) <= true:
        return EValue(_of(factor), 1.0)
    points = math.floor((factor - 1) / grid + 1e-10) + 1
    for start in range(0, points, CHUNK):
        b = 1 + grid * np.arange(start, min(start + CHUNK, points))
        rd, share = p1 - p0 * b, f + (1 - f) / b
        low = rd * share - z * np.sqrt((s1 + s0 * b**2) * share**2 + rd**2 * (1 - 1 / b) ** 2 * sf)
        if (low <= true).any():
            return EValue(_of(factor), _of(float(b[np.argmax(low <= true)])))
    return EValue(_of(factor), _of(factor))
