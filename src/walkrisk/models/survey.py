"""Complex samples: strata and nested primary sampling units, linearised and replicate variances, means, proportions.

With z_hi the sum over primary sampling unit i of stratum h of what each row adds to an estimate (its weighted score
times the inverse information, or w (y - mean) / sum of w), n_h units in stratum h, n units in all and L strata:

    V = sum_h n_h / (n_h - 1) sum_i (z_hi - mean_h)(z_hi - mean_h)';  degrees of freedom n - L

Units are taken as drawn with replacement (no finite population correction). References: Binder 1983
doi 10.2307/1402588; Rust & Rao 1996 doi 10.1177/096228029600500305; Korn & Graubard 1990
doi 10.1080/00031305.1990.10475739; Lumley 2004 doi 10.18637/jss.v009.i08.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.models.cluster_robust import group_totals

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
Lonely = Literal["fail", "adjust", "certainty"]
MOST_WEIGHTS = 2**28  # numbers of a table of replicate weights


@dataclass(frozen=True, slots=True, eq=False)
class SurveyDesign:
    """Strata and primary sampling units of the sample a fit used, out of a whole design.

    `psu` (n,) numbers each row's PSU 0 .. P-1 within the WHOLE design, `stratum_of_psu` (P,) its stratum: PSUs whose
    people are all outside the fit still count, with a total of 0 (analysis of a domain). `lonely` says what a stratum
    with a single PSU adds: under `adjust` the square of its total (deviation from the overall mean, which is 0), under
    `certainty` nothing.
    """

    psu: IntArray
    stratum_of_psu: IntArray
    lonely: Lonely = "fail"

    def degrees_of_freedom(self, inside: BoolArray | None = None) -> int:
        """PSUs less strata, of those with any of the rows (of those of `inside` (n,), if given)."""
        units = np.unique(self.psu if inside is None else self.psu[inside])
        return len(units) - len(np.unique(self.stratum_of_psu[units]))


def survey_design(
    strata: FloatArray,
    psu: FloatArray,
    *,
    whole: tuple[FloatArray, FloatArray] | None = None,
    lonely: Lonely = "fail",
) -> SurveyDesign:
    """The design of rows (n,), PSUs nested in strata, within that of everyone: `whole` strata and psu (N,).

    Without `whole` the rows are everyone. Rows of `whole` with an unknown stratum or PSU are outside the design.
    Raises ValueError if a stratum has a single PSU (unless `lonely` says what it adds), or a row is outside the design.
    """
    all_strata, all_psu = (strata, psu) if whole is None else whole
    known = ~np.isnan(all_strata) & ~np.isnan(all_psu)
    pairs = np.unique(np.column_stack([all_strata[known], all_psu[known]]), axis=0)
    _, stratum_of_psu = np.unique(pairs[:, 0], return_inverse=True)
    stratum_of_psu = stratum_of_psu.reshape(-1).astype(np.intp)
    single = int((np.bincount(stratum_of_psu, minlength=1) < 2).sum())
    if lonely not in ("fail", "adjust", "certainty"):
        raise ValueError(f"unknown treatment {lonely!r} of a single sampling unit; choose fail, adjust or certainty")
    if single and lonely == "fail":
        raise ValueError(f"{single} of the strata of the survey design have a single primary sampling unit")
    place = {tuple(pair): i for i, pair in enumerate(pairs.tolist())}
    mine = [place.get(tuple(pair), -1) for pair in np.column_stack([strata, psu]).tolist()]
    outside = mine.count(-1)
    if outside:
        raise ValueError(
            f"{outside} rows have a stratum or primary sampling unit that is unknown or not in the whole design; "
            "leave these rows out"
        )
    return SurveyDesign(np.array(mine, dtype=np.intp), stratum_of_psu, lonely)


def survey_meat(scores: FloatArray, design: SurveyDesign, rows: BoolArray) -> FloatArray:
    """Taylor-linearised covariance (q, q) of the total of scores (m, q), for the rows that `rows` marks."""
    by_psu = group_totals(scores, design.psu[rows], len(design.stratum_of_psu))
    n_h = np.bincount(design.stratum_of_psu)
    if (n_h < 2).any() and design.lonely == "fail":
        raise ValueError(f"{int((n_h < 2).sum())} of the strata have a single primary sampling unit; merge strata")
    mean = group_totals(by_psu, design.stratum_of_psu, len(n_h)) / n_h[:, None]
    if design.lonely == "adjust":
        mean[n_h < 2] = 0.0
    factor = np.where(n_h < 2, 1.0, n_h / np.maximum(n_h - 1, 1))
    deviation = (by_psu - mean[design.stratum_of_psu]) * np.sqrt(factor)[design.stratum_of_psu][:, None]
    return np.asarray(deviation.T @ deviation)


# ---------------------------------------------------------------- replicates


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """Stratified jackknife: `weights` (R, n) of each replicate, and what each adds to the variance, `scales` (R,)."""

    weights: FloatArray
    scales: FloatArray

    def covariance(self, estimates: FloatArray, *, center: FloatArray | None = None) -> FloatArray:
        """sum_r scale_r (b_r - c)(b_r - c)' of the R estimates (R, k); c is their mean, or `center` (k,).

        Raises ValueError where a replicate has no estimate.
        """
        missing = int((~np.isfinite(estimates).all(axis=1)).sum())
        if missing:
            raise ValueError(
                f"{missing} of {len(estimates)} jackknife replicates have no estimate; choose variance 'survey' "
                "(linearisation), which needs no replicates"
            )
        deviation = estimates - (estimates.mean(axis=0) if center is None else center)
        return np.asarray((deviation * self.scales[:, None]).T @ deviation)


def jackknife_replicates(design: SurveyDesign, weights: FloatArray) -> Replicates:
    """JKn: each PSU in turn weighs 0 and the others of its stratum n_h / (n_h - 1); scale (n_h - 1) / n_h.

    Raises ValueError where a stratum has a single PSU, unless the design's `lonely` is `certainty` (no replicate), and
    for a table of more than 2^28 weights.
    """
    n_h = np.bincount(design.stratum_of_psu)
    if (n_h < 2).any() and design.lonely != "certainty":
        raise ValueError(f"{int((n_h < 2).sum())} of the strata have a single primary sampling unit; merge strata")
    units = np.flatnonzero(n_h[design.stratum_of_psu] > 1)
    if len(units) * len(weights) > MOST_WEIGHTS:
        raise ValueError(
            f"{len(units)} sampling units for {len(weights)} rows are too many for jackknife replicates; "
            "choose variance 'survey' (linearisation), which needs none"
        )
    stratum = design.stratum_of_psu[units]
    mine = design.stratum_of_psu[design.psu]
    factor = np.where(mine == stratum[:, None], (n_h / np.maximum(n_h - 1, 1))[stratum][:, None], 1.0)
    factor[design.psu == units[:, None]] = 0.0
    return Replicates(factor * weights, ((n_h - 1) / n_h)[stratum])


# ---------------------------------------------------------------- means, proportions, tests


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyMeans:
    """Weighted means `estimate` (k,), their `covariance` (k, k), design effects (k,), and degrees of freedom.

    `design_effect` is the variance over that of a simple random sample without replacement of the same size.
    """

    estimate: FloatArray
    covariance: FloatArray
    design_effect: FloatArray
    degrees_of_freedom: int
    n: int


def survey_means(
    values: FloatArray, weights: FloatArray, design: SurveyDesign, *, inside: BoolArray | None = None
) -> SurveyMeans:
    """Weighted means of values (n, k) or (n,) with linearised covariance, in the domain `inside` (n,) or of everyone.

    Raises ValueError for weights that are negative, not finite or all 0, and for values that are not finite.
    """
    table = values[:, None] if values.ndim == 1 else values
    rows = np.ones(len(table), dtype=bool) if inside is None else inside
    if not np.isfinite(weights).all() or (weights < 0).any() or not (weights[rows] > 0).any():
        raise ValueError("survey weights must be finite, none negative and some above 0; leave rows without one out")
    if not np.isfinite(table[rows]).all():
        raise ValueError("a mean needs values that are known and finite; leave rows with missing values out")
    w, x = weights[rows], table[rows]
    total, n = float(w.sum()), int((w > 0).sum())
    mean = w @ x / total
    covariance = survey_meat((x - mean) * (w / total)[:, None], design, rows)
    with np.errstate(all="ignore"):
        simple = w @ (x - mean) ** 2 / total * n / (n - 1) * (total - n) / (total * n)
        effect = np.where(simple > 0, np.diag(covariance) / simple, np.nan)
    used = rows & (weights > 0)
    return SurveyMeans(
        estimate=mean,
        covariance=covariance,
        design_effect=effect,
        degrees_of_freedom=design.degrees_of_freedom(used),
        n=n,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyProportion:
    """A proportion with its standard error and limits; `note` says why there are no limits."""

    estimate: float
    std_error: float
    conf_low: float
    conf_high: float
    design_effect: float
    degrees_of_freedom: int
    n: int
    note: str = ""


def survey_proportion(
    y: FloatArray,
    weights: FloatArray,
    design: SurveyDesign,
    *,
    inside: BoolArray | None = None,
    level: float = 0.95,
) -> SurveyProportion:
    """The weighted proportion of a 0/1 y (n,), limits expit(logit p -+ t SE / (p (1 - p))), t on PSU - strata df."""
    from scipy.stats import t

    made = survey_means(y, weights, design, inside=inside)
    p, se = float(made.estimate[0]), float(np.sqrt(made.covariance[0, 0]))
    df, low, high, note = made.degrees_of_freedom, np.nan, np.nan, ""
    if not 0 < p < 1:
        note = "Everyone or nobody has it, so linearisation gives no limits."
    elif df < 1:
        note = "No more sampling units than strata, so the variance is unknown."
        se = np.nan
    else:
        logit, half = np.log(p / (1 - p)), float(t.ppf((1 + level) / 2, df)) * se / (p * (1 - p))
        low, high = 1 / (1 + np.exp(half - logit)), 1 / (1 + np.exp(-half - logit))
    return SurveyProportion(
        estimate=p,
        std_error=se,
        conf_low=float(low),
        conf_high=float(high),
        design_effect=float(made.design_effect[0]),
        degrees_of_freedom=df,
        n=made.n,
        note=note,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WaldTest:
    """A joint test: chi-square `statistic` on `df`, or F on `df` and `denominator` where that is finite."""

    statistic: float
    df: int
    denominator: float
    p_value: float


def wald_test(values: FloatArray, covariance: FloatArray, *, denominator: float = np.inf) -> WaldTest:
    """Whether k values are all 0: W = b' V^-1 b on k df, or F = W / k on k and `denominator` df.

    Raises ValueError where the covariance is singular, not finite or has no degrees of freedom.
    """
    from scipy.stats import chi2, f

    k, scale = len(values), np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / np.outer(scale, scale)
    known = bool(np.isfinite(correlation).all() and np.isfinite(values).all())
    if not known or np.linalg.matrix_rank(correlation, tol=1e-10, hermitian=True) < k:
        raise ValueError(
            f"a joint test of {k} coefficients needs a covariance of full rank; there are too few clusters or "
            "sampling units for it: test fewer coefficients at once"
        )
    if not denominator > 0:
        raise ValueError("no degrees of freedom are left for an F test; test with fewer covariates in the model")
    w = float(values / scale @ np.linalg.solve(correlation, values / scale))
    if np.isinf(denominator):
        return WaldTest(statistic=w, df=k, denominator=denominator, p_value=float(chi2.sf(w, k)))
    return WaldTest(statistic=w / k, df=k, denominator=denominator, p_value=float(f.sf(w / k, k, denominator)))
