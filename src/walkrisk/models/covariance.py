"""Covariance of the coefficients: model-based, heteroskedasticity-robust, cluster-robust, survey-design-based.

All from the pieces of a fit: scores u_i = w_i x_i r_i, bread A^-1 (inverse information) and, with working weights v,
leverages h_i = w_i v_i x_i' A^-1 x_i. With B = sum u_i u_i':

    HC0 = A^-1 B A^-1;  stata = HC0 n/(n-1);  HC1 = HC0 n/(n-k)
    HC2, HC3: u_i divided by sqrt(1 - h_i), (1 - h_i) before B
    cluster: u summed within G clusters, times G/(G-1)
    survey: u summed within PSU, centred within stratum, times n_h/(n_h - 1) (Taylor linearisation)

References: Huber 1967; White 1982 doi 10.2307/1912526; MacKinnon & White 1985 doi 10.1016/0304-4076(85)90158-7;
Zou 2004 doi 10.1093/aje/kwh090; Binder 1983 doi 10.2307/1402588.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.models.fit import Fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

Variance = Literal["HC0", "stata", "HC1", "HC2", "HC3", "cluster", "survey", "model"]
VARIANCES: tuple[str, ...] = get_args(Variance)


@dataclass(frozen=True, slots=True, eq=False)
class SurveyDesign:
    """Strata and primary sampling units of the sample a fit used, out of a whole design.

    `psu` (n,) numbers each row's PSU 0 .. P-1 within the WHOLE design, `stratum_of_psu` (P,) its stratum: PSUs whose
    people are all outside the fit still count, with a total of 0 (analysis of a domain).
    """

    psu: IntArray
    stratum_of_psu: IntArray


def survey_design(
    strata: FloatArray, psu: FloatArray, *, whole: tuple[FloatArray, FloatArray] | None = None
) -> SurveyDesign:
    """The design of rows (n,), PSUs nested in strata, within that of everyone: `whole` strata and psu (N,).

    Without `whole` the rows are everyone. Rows of `whole` with an unknown stratum or PSU are outside the design.
    Raises ValueError if a stratum has a single PSU.
    """
    all_strata, all_psu = (strata, psu) if whole is None else whole
    known = ~np.isnan(all_strata) & ~np.isnan(all_psu)
    pairs = np.unique(np.column_stack([all_strata[known], all_psu[known]]), axis=0)
    _, stratum_of_psu = np.unique(pairs[:, 0], return_inverse=True)
    single = int((np.bincount(stratum_of_psu) < 2).sum())
    if single:
        raise ValueError(f"{single} of the strata of the survey design have a single primary sampling unit")
    place = {tuple(pair): i for i, pair in enumerate(pairs.tolist())}
    mine = np.column_stack([strata, psu]).tolist()
    return SurveyDesign(np.array([place[tuple(pair)] for pair in mine], dtype=np.intp), stratum_of_psu)


def covariance(
    fit: Fit, variance: str, *, cluster: FloatArray | None = None, design: SurveyDesign | None = None
) -> FloatArray:
    """Covariance (q, q) of the estimated coefficients; `cluster` (n,) and `design` refer to all n rows of the fit.

    Raises ValueError for an unknown variance, or where `cluster` or `survey` lacks what it needs.
    """
    if variance not in VARIANCES:
        raise ValueError(f"unknown variance {variance!r}; choose from {', '.join(VARIANCES)}")
    if variance == "model" or not fit.bread.size:
        return fit.bread
    scores = fit.scores
    if variance in ("HC2", "HC3"):
        if fit.leverage_x is None:
            raise ValueError(f"variance '{variance}' is not defined for {fit.method}")
        leverage = np.einsum("ij,jk,ik->i", fit.leverage_x, fit.bread, fit.leverage_x)
        room = np.maximum(1 - leverage, 1e-12)
        scores = scores / (np.sqrt(room) if variance == "HC2" else room)[:, None]
    factor = 1.0
    if variance == "stata":
        factor = _ratio(fit.n, fit.n - 1)
    elif variance == "HC1":
        factor = _ratio(fit.n, fit.n - fit.parameters)
    elif variance == "cluster":
        if cluster is None:
            raise ValueError("variance 'cluster' needs the cluster of each row")
        _, numbered = np.unique(cluster, return_inverse=True)
        clusters = int(numbered.max()) + 1
        scores, factor = totals(scores, numbered.reshape(-1)[fit.rows], clusters), _ratio(clusters, clusters - 1)
    elif variance == "survey":
        if design is None:
            raise ValueError("variance 'survey' needs strata and primary sampling units")
        return fit.bread @ survey_meat(scores, design, fit.rows) @ fit.bread
    spread = fit.bread @ scores.T
    return np.asarray(spread @ spread.T) * factor


def _ratio(n: int, degrees_of_freedom: int) -> float:
    return n / degrees_of_freedom if degrees_of_freedom > 0 else float("nan")


def survey_meat(scores: FloatArray, design: SurveyDesign, rows: npt.NDArray[np.bool_]) -> FloatArray:
    """Taylor-linearised covariance (q, q) of the total of scores (m, q), for the rows that `rows` marks."""
    by_psu = totals(scores, design.psu[rows], len(design.stratum_of_psu))
    n_h = np.bincount(design.stratum_of_psu)
    mean = totals(by_psu, design.stratum_of_psu, len(n_h)) / n_h[:, None]
    deviation = (by_psu - mean[design.stratum_of_psu]) * np.sqrt(n_h / (n_h - 1))[design.stratum_of_psu][:, None]
    return np.asarray(deviation.T @ deviation)


def totals(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Sums (groups, q) of values (m, q) within numbered groups."""
    out = np.zeros((groups, values.shape[1]))
    np.add.at(out, group, values)
    return out
