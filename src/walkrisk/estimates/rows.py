"""The one row grammar of every estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from statistics import NormalDist
from typing import Annotated

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Columns that many rows share, with what they mean.
OfAnalysis = Annotated[str, "id of the analysis, as the study declares it"]
OfExposure = Annotated[str, "name of the exposure; empty where there is none"]
OfStratum = Annotated[str, "part of the sample, or what tells rows of one analysis apart; empty for everyone"]
OfLevel = Annotated[str, "category, joint group or what is compared"]
OfReference = Annotated[str, "what it is compared with"]
OfModel = Annotated[str, "covariate model, as declared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One estimate. None means: does not apply, or could not be estimated (its sentence is in the diagnostics).

    `std_error` is on the analysis scale (the log for ratios). `n` and `events` of a ratio, risk or difference are those
    of its category, else of the fitted sample. `estimand` is one of risk_ratio, risk_difference, risk, odds_ratio,
    hazard_ratio, nnt (number needed to treat), reri, ap, synergy (additive interaction), paf (attributable fraction),
    lowest_risk (the value of an exposure where the risk is lowest), e_value, e_value_ci, p_trend, p_interaction,
    p_nonlinearity; sensitivity analyses have further ones of their own (count, share, reliability, tipping_point,
    minimal_detectable_ratio, ...), each named for what it is, and often told apart by `stratum`.
    """

    analysis: OfAnalysis
    exposure: OfExposure = ""
    stratum: OfStratum = ""
    level: OfLevel = ""
    reference: OfReference = ""
    model: OfModel = ""
    estimand: Annotated[str, "what is estimated (see above)"]
    n: Annotated[int | None, "people of the category, else of the fitted sample"] = None
    events: Annotated[int | None, "of these, people with the event"] = None
    estimate: Annotated[float | None, "the estimate; of a test its chi-square, of a trend the log ratio per unit"] = (
        None
    )
    std_error: Annotated[float | None, "its standard error, on the analysis scale (the log for ratios)"] = None
    conf_low: Annotated[float | None, "lower limit"] = None
    conf_high: Annotated[float | None, "upper limit"] = None
    p_value: Annotated[float | None, "two-sided P value of no effect"] = None
    method: Annotated[str, "estimator, or kind of test or limits"] = ""
    variance: Annotated[str, "variance behind limits and P value"] = ""


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Estimate))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One point of a dose-response curve: the ratio at `x` against the value `reference`."""

    analysis: OfAnalysis
    exposure: OfExposure
    stratum: OfStratum
    model: OfModel
    x: Annotated[float, "value of the exposure"]
    estimate: Annotated[float, "ratio of this value against the reference"]
    conf_low: Annotated[float, "lower limit"]
    conf_high: Annotated[float, "upper limit"]
    reference: Annotated[float | None, "value of the exposure at which the ratio is 1; empty if few lie beyond it"]


CURVE_COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(CurvePoint))


def critical_value(conf_level: float) -> float:
    """The standard normal quantile of a two-sided interval: 1.959964 for 0.95."""
    return NormalDist().inv_cdf((1 + conf_level) / 2)


def two_sided_p(z: float) -> float:
    """Two-sided normal P value of a z statistic."""
    return math.erfc(abs(z) / math.sqrt(2))


def chi_square_p(statistic: float, df: int) -> float:
    """Upper tail of the chi-square distribution with a whole number of degrees of freedom, in closed form.

    With h = x/2, Q(1) = erfc(sqrt(h)), Q(2) = e^-h and Q(k + 2) = Q(k) + h^(k/2) e^-h / Gamma(k/2 + 1). (scipy has it
    too, at a third of a second of import for every run.)
    """
    if statistic <= 0:
        return 1.0
    h = statistic / 2
    tail = math.erfc(math.sqrt(h)) if df % 2 else math.exp(-h)
    for k in range(2 - df % 2, df, 2):
        tail += math.exp(k / 2 * math.log(h) - h - math.lgamma(k / 2 + 1))
    return tail


def ratio(row: Estimate, log_ratio: float, std_error: float, z: float) -> Estimate:
    """`row` with a ratio, its Wald interval on the log scale and its P value; empty if not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, middle, high = np.exp(log_ratio + np.array([-z, 0.0, z]) * std_error)
    if not np.isfinite([low, middle, high]).all():
        return row
    return replace(
        row,
        estimate=float(middle),
        std_error=float(std_error),
        conf_low=float(low),
        conf_high=float(high),
        p_value=two_sided_p(log_ratio / std_error) if std_error > 0 else None,
    )


def on_own_scale(row: Estimate, value: float, std_error: float, z: float) -> Estimate:
    """`row` with an estimate, its Wald interval and P value on the scale of the estimate itself."""
    if not (np.isfinite(value) and np.isfinite(std_error)):
        return row
    return replace(
        row,
        estimate=float(value),
        std_error=float(std_error),
        conf_low=float(value - z * std_error),
        conf_high=float(value + z * std_error),
        p_value=two_sided_p(value / std_error) if std_error > 0 else None,
    )


def wald_statistic(b: FloatArray, v: FloatArray) -> float:
    """The Wald chi-square of b (k,) with covariance v (k, k)."""
    return float(b @ np.linalg.solve(v, b))
