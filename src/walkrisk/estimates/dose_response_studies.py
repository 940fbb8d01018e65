"""A linear trend from published category ratios, and its pooling over studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.estimates.rows import two_sided_p

FloatArray = npt.NDArray[np.float64]
StudyType = Literal["case_control", "cumulative", "rate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTrend:
    """The log ratio per unit of dose of one study (or pooled), with the variance `tau2` between studies if pooled."""

    slope: float
    std_error: float
    p_value: float
    studies: int
    tau2: float | None


def category_covariance(
    cases: Sequence[float], people: Sequence[float], log_ratio: Sequence[float], std_error: Sequence[float], kind: str
) -> FloatArray:
    """The covariance (K, K) of K published log ratios against one reference, by Greenland and Longnecker.

    `cases` and `people` (K + 1,) start with the reference; `people` are subjects (cases and controls), persons at risk
    (`cumulative`) or person-time (`rate`). Cases A are found that give the adjusted ratios and keep the total of cases;
    with c_k = 1/A_k + 1/B_k (case_control, B the controls), 1/A_k - 1/N_k (cumulative) or 1/A_k (rate), the correlation
    of k and l is c_0 / sqrt((c_k + c_0)(c_l + c_0)), and the published standard errors are the diagonal.
    dosresmeta 2.2 leaves -1/N out for cumulative incidences, which is the covariance of rates.
    Raises ValueError for counts or standard errors that are not above 0, cases above people, and unknown kinds.
    Reference: Greenland & Longnecker 1992, doi 10.1093/oxfordjournals.aje.a116237.
    """
    a, n, y, se = (np.asarray(v, dtype=np.float64) for v in (cases, people, log_ratio, std_error))
    if kind not in get_args(StudyType):
        raise ValueError(f"The kind of study must be one of {', '.join(get_args(StudyType))}, got {kind!r}.")
    if not len(a) == len(n) == len(y) + 1 == len(se) + 1 or len(y) < 1:
        raise ValueError("A study needs one more count (the reference) than log ratios and standard errors.")
    if not np.all(np.isfinite(np.concatenate([a, n, y, se]))) or not np.all(a > 0) or not np.all(se > 0):
        raise ValueError("Cases and standard errors must be above 0 and every number finite.")
    if np.any(n <= 0) or (kind != "rate" and np.any(a >= n)):
        raise ValueError("Each category needs fewer cases than people.")
    fitted = _fitted_cases(a, n, np.append(0.0, y), kind)
    c = 1 / fitted
    if kind == "case_control":
        c = c + 1 / (n - fitted)
    elif kind == "cumulative":
        c = c - 1 / n
    spread = np.sqrt(c[1:] + c[0])
    out = c[0] / np.outer(spread, spread) * np.outer(se, se)
    np.fill_diagonal(out, se**2)
    return np.asarray(out)


def _fitted_cases(cases: FloatArray, people: FloatArray, log_ratio: FloatArray, kind: str) -> FloatArray:
    """Cases that give the ratios and keep their total: it rises with the risk (or rate) of the reference, so bisect."""

    def at(log_reference: float) -> FloatArray:
        level = np.exp(np.minimum(log_reference + log_ratio, 600.0))
        return people * (level / (1 + level) if kind == "case_control" else level)

    low, high = -60.0, 60.0
    for _ in range(300):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if at(middle).sum() > cases.sum() else (middle, high)
    fitted = at((low + high) / 2)
    if kind == "cumulative" and np.any(fitted >= people):
        raise ValueError("No counts of cases below the people of each category give these ratios; check the table.")
    return fitted


def study_trend(dose: Sequence[float], log_ratio: Sequence[float], covariance: FloatArray) -> StudyTrend:
    """The slope through the reference by generalised least squares: (x' V^-1 y)/(x' V^-1 x), x the dose less its first.

    `dose` (K + 1,) starts with the reference, `log_ratio` (K,) and `covariance` (K, K) are against it. Raises
    ValueError if all doses are the same.
    """
    x = np.asarray(dose, dtype=np.float64)
    y = np.asarray(log_ratio, dtype=np.float64)
    if len(x) != len(y) + 1 or covariance.shape != (len(y), len(y)) or not np.all(np.isfinite(x)):
        raise ValueError("A study needs one more dose (the reference) than log ratios, all known.")
    x = x[1:] - x[0]
    if not np.any(x):
        raise ValueError("All doses are that of the reference, so there is no slope.")
    weighted = np.linalg.solve(covariance, x)
    information = float(weighted @ x)
    return _trend(float(weighted @ y) / information, 1 / np.sqrt(information), 1, None)


def pooled_trend(trends: Sequence[StudyTrend], method: Literal["fixed", "reml"] = "reml") -> StudyTrend:
    """Slopes pooled by 1/(SE^2 + tau2): tau2 = 0 (`fixed`), or the maximum of the restricted likelihood (`reml`).

    The standard error is 1/sqrt(sum of weights). Raises ValueError for fewer than two studies.
    Reference: Orsini et al. 2012, doi 10.1093/aje/kwr265.
    """
    if method not in ("fixed", "reml"):
        raise ValueError(f"Trends are pooled by fixed or reml, got {method!r}.")
    if len(trends) < 2:
        raise ValueError(f"Pooling needs two or more studies, got {len(trends)}.")
    b, v = np.array([t.slope for t in trends]), np.array([t.std_error for t in trends]) ** 2
    tau2 = 0.0 if method == "fixed" else _restricted_maximum(b, v)
    w = 1 / (v + tau2)
    return _trend(float(w @ b / w.sum()), 1 / float(np.sqrt(w.sum())), len(b), None if method == "fixed" else tau2)


def _restricted_maximum(b: FloatArray, v: FloatArray) -> float:
    """tau2 >= 0 of the largest restricted likelihood: a grid first, as there may be several maxima, then refined."""

    def negative(tau2: float) -> float:
        w = 1 / (v + tau2)
        residual = b - float(w @ b) / float(w.sum())
        return float(np.log(v + tau2).sum() + np.log(w.sum()) + w @ residual**2)

    def score(tau2: float) -> float:
        w = 1 / (v + tau2)
        residual = b - float(w @ b) / float(w.sum())
        return float(w.sum() - (w**2).sum() / w.sum() - (w**2) @ residual**2)

    top = float(np.var(b, ddof=1)) * len(b) + float(v.max())
    grid = np.append(0.0, np.geomspace(1e-12 * top, top, 400))
    best = int(np.argmin([negative(t) for t in grid]))
    if best == 0:
        return 0.0
    left, right = float(grid[best - 1]), float(grid[min(best + 1, len(grid) - 1)])
    for _ in range(200):
        middle = (left + right) / 2
        if not left < middle < right:
            break
        left, right = (left, middle) if score(middle) > 0 else (middle, right)
    return (left + right) / 2


def _trend(slope: float, std_error: float, studies: int, tau2: float | None) -> StudyTrend:
    p = two_sided_p(slope / std_error)
    return StudyTrend(slope=slope, std_error=float(std_error), p_value=p, studies=studies, tau2=tau2)
