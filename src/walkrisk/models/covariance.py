"""Covariance of the coefficients: model-based, robust, cluster-robust, survey-design-based, and who contributes to it.

All from the pieces of a fit: scores u_i = w_i x_i r_i, bread A^-1 (inverse information) and, with working weights v,
leverages h_i = w_i v_i x_i' A^-1 x_i. With B = sum u_i u_i', n rows, k coefficients, G clusters:

    HC0 = A^-1 B A^-1;  stata = HC0 n/(n-1);  HC1 = HC0 n/(n-k)
    HC2, HC3, HC4, HC4m, HC5: u_i divided by (1 - h_i)^(d_i/2) before B; with g_i = n h_i / k, d_i is
        1;  2;  min(4, g_i);  min(1, g_i) + min(1.5, g_i);  min(g_i, max(4, 0.7 max g)) / 2
    CR0: u summed within clusters;  CR1 (= cluster) = CR0 G/(G-1);  CR1S = CR1 (n-1)/(n-k);  CR0S = CR0 (n-1)/(n-k)
    CR2, KC, CR3: see cluster_robust;  MBN, FG: see small_samples
    survey: u summed within PSU, centred within stratum, times n_h/(n_h - 1) (Taylor linearisation)

Several columns of clusters add the covariances of each column and take off those of their crossings (factors each by
its own G); `cluster_multi0` takes off persons instead of the finest crossing. A^-1 is the inverse OBSERVED information
(`model` alone, times the residual variance of least squares); any name with `_expected` added takes the expected one,
as R's glm and sandwich do. They differ for links that are not canonical (log-binomial, identity). Leverages are always
those of the expected information, as R's. Where a fit has no Wald variance (a maximum on the boundary) all are NaN.

References: Huber 1967; White 1982 doi 10.2307/1912526; MacKinnon & White 1985 doi 10.1016/0304-4076(85)90158-7;
Cribari-Neto 2004 doi 10.1016/S0167-9473(02)00366-3; Cribari-Neto & da Silva 2011 doi 10.1007/s10182-010-0141-2;
Cribari-Neto, Souza & Vasconcellos 2007 doi 10.1080/03610920601126589; Zou 2004 doi 10.1093/aje/kwh090;
Cameron, Gelbach & Miller 2011 doi 10.1198/jbes.2010.07136; Binder 1983 doi 10.2307/1402588.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.models import small_samples
from walkrisk.models.cluster_robust import (
    adjusted_scores,
    crossings,
    enough,
    group_totals,
    satterthwaite,
    working,
)
from walkrisk.models.fit import Fit
from walkrisk.models.survey import SurveyDesign, survey_design, survey_meat

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Labels = npt.NDArray[Any]

Variance = Literal[
    "HC0",
    "stata",
    "HC1",
    "HC2",
    "HC3",
    "HC4",
    "HC4m",
    "HC5",
    "cluster",
    "CR0",
    "CR0S",
    "CR1",
    "CR1S",
    "CR2",
    "CR3",
    "KC",
    "cluster_multi0",
    "MBN",
    "FG",
    "survey",
    "model",
]
VARIANCES: tuple[str, ...] = get_args(Variance)
EXPECTED = "_expected"
LEVERAGED = ("HC2", "HC3", "HC4", "HC4m", "HC5")
NEED_CLUSTERS = ("cluster", "CR0", "CR0S", "CR1", "CR1S", "CR2", "CR3", "cluster_multi0")
MAY_HAVE_CLUSTERS = ("KC", "MBN", "FG")  # without, everyone is a cluster
SEVERAL_WAYS = ("cluster", "CR0", "CR0S", "CR1", "CR1S", "cluster_multi0")
EXACT = 1.5e-8  # 1 - leverage below which a person is fitted exactly
BLOCK = 16384

__all__ = [
    "EXPECTED",
    "MAY_HAVE_CLUSTERS",
    "NEED_CLUSTERS",
    "VARIANCES",
    "SurveyDesign",
    "Variance",
    "covariance",
    "degrees_of_freedom",
    "influence",
    "influence_covariance",
    "leverages",
    "survey_design",
    "survey_meat",
    "totals",
]
totals = group_totals


@dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """A variance by its parts: which scores, which bread, and the groups with the factor of each (None: persons)."""

    base: str
    bread: FloatArray
    groups: list[tuple[float, IntArray | None, int]]


def covariance(
    fit: Fit, variance: str, *, cluster: Labels | None = None, design: SurveyDesign | None = None
) -> FloatArray:
    """Covariance (q, q) of the estimated coefficients; `cluster` (n,) or (n, d) and `design` are of all n rows.

    Raises ValueError for an unknown variance, where `cluster` or `design` lacks, for a single cluster or fewer than
    coefficients, and where a leverage of 1 leaves the variance undefined.
    """
    base, _ = _parsed(variance)
    if not fit.bread.size:
        return fit.bread
    if fit.conditioned is not None:
        back = _back(fit, base)
        return np.asarray(back @ covariance(fit.conditioned.fit, variance, cluster=cluster, design=design) @ back.T)
    choice = _choice(fit, variance, cluster)
    if base == "model":
        return choice.bread * fit.dispersion
    if not np.isfinite(choice.bread).all():
        return np.full_like(choice.bread, np.nan)
    scores = _scores(fit, choice)
    if base == "survey":
        meat = survey_meat(scores, _needed(design), fit.rows)
    else:
        meat = _crossproduct(scores, choice, fit.rows)
    out = choice.bread @ meat @ choice.bread
    out = (out + out.T) / 2
    if base == "MBN":
        out += _mbn(fit, choice, meat) * fit.dispersion * choice.bread
    return _positive(out, len(choice.groups))


def influence(fit: Fit, variance: str, *, cluster: Labels | None = None) -> FloatArray:
    """What each of the n rows adds to the estimated coefficients (n, q): A^-1 u_i, adjusted as `variance` asks.

    The adjustment is that for leverage (HC2 ... CR2, KC, CR3, FG) or none; rows set aside are 0. The covariance is a
    factor times the crossproduct of its totals by cluster: `influence_covariance`.
    """
    if fit.conditioned is not None:
        back = _back(fit, _parsed(variance)[0])
        return np.asarray(influence(fit.conditioned.fit, variance, cluster=cluster) @ back.T)
    out = np.zeros((fit.n, fit.parameters))
    choice = _choice(fit, variance, cluster)
    if not np.isfinite(choice.bread).all():
        out[fit.rows] = np.nan
    elif fit.bread.size:
        out[fit.rows] = _scores(fit, choice) @ choice.bread
    return out


def influence_covariance(
    phi: FloatArray,
    fit: Fit,
    variance: str,
    *,
    cluster: Labels | None = None,
    design: SurveyDesign | None = None,
    gradient: FloatArray | None = None,
) -> FloatArray:
    """Covariance (k, k) of estimates whose influence functions are phi (n, k), with the factor and clusters of a fit.

    phi is what each row adds to the estimate (so a mean has (y - mean) / n), built from `influence` of the same
    variance. `model` and `MBN` are not sums over persons: they need the `gradient` (k, q) of the estimates by the
    coefficients. Then model: J A^-1 J' + r'r with r = phi - influence J', what phi holds beyond the coefficients.
    Raises ValueError as `covariance` does, and where the gradient is missing.
    """
    if fit.conditioned is not None:
        moved = None if gradient is None else gradient @ _back(fit, _parsed(variance)[0])
        fit = fit.conditioned.fit
        return influence_covariance(phi, fit, variance, cluster=cluster, design=design, gradient=moved)
    choice = _choice(fit, variance, cluster)
    if choice.base == "survey":
        return survey_meat(phi, _needed(design), np.ones(fit.n, dtype=bool))
    if choice.base not in ("model", "MBN"):
        return _positive(_crossproduct(phi, choice, np.ones(fit.n, dtype=bool)), len(choice.groups))
    if gradient is None:
        raise ValueError(
            f"variance '{variance}' is no sum over persons, so it has no unconditional form here; choose HC0 or HC3"
        )
    if choice.base == "model":
        beyond = phi - influence(fit, variance, cluster=cluster) @ gradient.T
        return np.asarray(gradient @ (choice.bread * fit.dispersion) @ gradient.T + beyond.T @ beyond)
    extra = _mbn(fit, choice, _crossproduct(fit.scores, choice, fit.rows)) * fit.dispersion
    return np.asarray(
        _crossproduct(phi, choice, np.ones(fit.n, dtype=bool)) + extra * gradient @ choice.bread @ gradient.T
    )


def degrees_of_freedom(
    fit: Fit,
    variance: str,
    *,
    contrasts: FloatArray | None = None,
    cluster: Labels | None = None,
    design: SurveyDesign | None = None,
    residual: bool = False,
) -> FloatArray:
    """Degrees of freedom (k,) of t limits for contrasts (k, q) of the coefficients (each coefficient by default).

    CR2: Satterthwaite's. Other clustered: G - 1, of the fewest clusters. survey: PSU - strata. Others: infinite.
    `residual` counts the coefficients too: n - k for unclustered variances, PSU - strata - k + 1 for survey.
    Raises ValueError where none are left.
    """
    rows = np.eye(fit.parameters) if contrasts is None else np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    if fit.conditioned is not None:
        rows, fit = rows @ _back(fit, _parsed(variance)[0]), fit.conditioned.fit
    choice = _choice(fit, variance, cluster)
    if choice.base == "CR2":
        number = choice.groups[0][1]
        assert number is not None
        return satterthwaite(fit, number[fit.rows], rows, choice.bread)
    if choice.base == "survey":
        df = float(_needed(design).degrees_of_freedom() - (fit.parameters - 1 if residual else 0))
    elif any(number is not None for _, number, _ in choice.groups):
        df = float(min(g for _, _, g in choice.groups) - 1)
    else:
        df = float(fit.n - fit.parameters) if residual else np.inf
    if not df > 0:
        raise ValueError(
            f"no degrees of freedom are left for variance '{variance}' with {fit.parameters} coefficients; "
            "use fewer covariates"
        )
    return np.full(len(rows), df)


def leverages(fit: Fit) -> FloatArray:
    """h_i = w_i v_i x_i' A^-1 x_i (m,) of the rows used, by the expected information; made by blocks of rows.

    Raises ValueError where the fit is no generalised linear model.
    """
    if fit.conditioned is not None:
        _back(fit, "HC3")
        fit = fit.conditioned.fit
    model = working(fit)
    root, weight = np.linalg.cholesky(model.bread), model.derivative**2 / model.theta
    out = np.empty(len(weight))
    for i in range(0, len(out), BLOCK):
        part = model.x[i : i + BLOCK] @ root
        out[i : i + BLOCK] = weight[i : i + BLOCK] * np.einsum("ij,ij->i", part, part)
    return out


# ---------------------------------------------------------------- parts


def _parsed(variance: str) -> tuple[str, bool]:
    base = variance.removesuffix(EXPECTED)
    if base not in VARIANCES:
        raise ValueError(
            f"unknown variance {variance!r}; choose from {', '.join(VARIANCES)}, each also with {EXPECTED!r} added"
        )
    return base, base != variance


def _choice(fit: Fit, variance: str, cluster: Labels | None) -> _Choice:
    base, expected = _parsed(variance)
    if base in NEED_CLUSTERS and cluster is None:
        raise ValueError(f"variance {base!r} needs the cluster of each row")
    n, k = fit.n, fit.parameters
    groups: list[tuple[float, IntArray | None, int]] = [(1.0, None, n)]
    if base == "stata":
        groups = [(_ratio(n, n - 1), None, n)]
    elif base == "HC1":
        groups = [(_ratio(n, n - k), None, n)]
    elif base in NEED_CLUSTERS or (base in MAY_HAVE_CLUSTERS and cluster is not None):
        assert cluster is not None
        groups = _clustered(base, cluster, n, k)
    elif base in ("KC", "FG"):
        groups = [(1.0, np.arange(n, dtype=np.intp), n)]
    if base == "MBN":
        least = min(g for _, _, g in groups)
        factor = small_samples.mbn_factor(n, k, least)
        groups = [(factor, number, g) for _, number, g in groups]
    bread = fit.expected_bread if expected and fit.expected_bread is not None else fit.bread
    return _Choice(base, bread, groups)


def _clustered(base: str, cluster: Labels, n: int, k: int) -> list[tuple[float, IntArray | None, int]]:
    labels = np.asarray(cluster)
    if len(labels) != n:
        raise ValueError(f"{len(labels)} cluster labels for {n} rows; give one for each row of the sample")
    if labels.ndim > 1 and labels.shape[1] > 1 and base not in SEVERAL_WAYS:
        raise ValueError(f"variance {base!r} takes one column of clusters; choose cluster, CR0, CR1 or CR1S for more")
    out: list[tuple[float, IntArray | None, int]] = []
    ways = crossings(labels)
    for sign, number, groups in ways:
        enough(groups, k)
        factor = float(groups / (groups - 1)) if base in ("cluster", "CR1", "CR1S", "cluster_multi0") else 1.0
        if base in ("CR0S", "CR1S"):
            factor *= _ratio(n - 1, n - k)
        out.append((sign * factor, number, groups))
    if base == "cluster_multi0" and len(ways) > 1:
        out[-1] = (float(ways[-1][0]), None, n)
    return out


def _back(fit: Fit, base: str) -> FloatArray:
    """From well-conditioned coordinates to the columns; every variance but FG is the same whatever the coordinates."""
    assert fit.conditioned is not None
    if fit.conditioned.fit.method != fit.method:
        raise ValueError(
            f"the columns are all but collinear, and {fit.method} has no variance that keeps its digits; subtract a "
            "constant near the mean of those that differ little, or leave one out"
        )
    if base == "FG":
        raise ValueError("FG depends on the units of the columns, and these are all but collinear; choose KC or CR2")
    return fit.conditioned.back


def _scores(fit: Fit, choice: _Choice) -> FloatArray:
    """Scores (m, q), adjusted for leverage where the variance asks for it."""
    base = choice.base
    if base in LEVERAGED:
        return np.asarray(fit.scores * _shrink(base, leverages(fit), fit.n, fit.parameters)[:, None])
    if base not in ("CR2", "KC", "CR3", "FG"):
        return fit.scores
    number = choice.groups[0][1]
    assert number is not None
    if base != "FG":
        return adjusted_scores(base, fit, number[fit.rows])
    model = working(fit)
    weight = model.derivative**2 / model.theta
    return small_samples.fay_graubard_scores(fit.scores, model.x, weight, model.bread, number[fit.rows])


def _shrink(base: str, leverage: FloatArray, n: int, k: int) -> FloatArray:
    """What each score is multiplied by, (1 - h)^(-d/2)."""
    room = 1 - leverage
    alone = int((room < EXACT).sum())
    if alone:
        raise ValueError(
            f"{alone} persons each determine a coefficient alone (leverage 1), so {base} does not exist; choose HC0, "
            "HC1 or CR2, or leave out the level or covariate that only they have"
        )
    if base in ("HC2", "HC3"):
        return np.asarray(1 / np.sqrt(room) if base == "HC2" else 1 / room)
    g = n * leverage / k
    if base == "HC4":
        power = np.minimum(4, g)
    elif base == "HC4m":
        power = np.minimum(1, g) + np.minimum(1.5, g)
    else:
        power = np.minimum(g, max(4.0, 0.7 * float(g.max()))) / 2
    return np.asarray(room ** (-power / 2))


def _crossproduct(values: FloatArray, choice: _Choice, rows: npt.NDArray[np.bool_]) -> FloatArray:
    """Signed sum over ways of clustering of factor x T'T, T the totals by cluster of values (m, k) of marked rows."""
    out = np.zeros((values.shape[1], values.shape[1]))
    for factor, number, groups in choice.groups:
        part = values if number is None else group_totals(values, number[rows], groups)
        out += factor * (part.T @ part)
    return out


def _mbn(fit: Fit, choice: _Choice, meat: FloatArray) -> float:
    least = min(g for _, _, g in choice.groups)
    factor = choice.groups[0][0]
    return small_samples.mbn_extra(meat / factor, choice.bread * (1 / fit.dispersion), fit.parameters, least)


def _positive(matrix: FloatArray, ways: int = 1) -> FloatArray:
    """The matrix, unless clustering several ways (or rounding, in a singular fit) has made a variance negative."""
    if (np.diag(matrix) < 0).any():
        if ways > 1:
            raise ValueError(
                "clustering in several ways gives a negative variance here; choose the one column with the fewest "
                "clusters"
            )
        raise ValueError(
            "a variance comes out negative, as the columns are all but collinear; subtract a constant near the mean of "
            "those that hardly vary, or leave one out"
        )
    return matrix


def _needed(design: SurveyDesign | None) -> SurveyDesign:
    if design is None:
        raise ValueError("variance 'survey' needs strata and primary sampling units")
    return design


def _ratio(n: int, degrees_of_freedom: int) -> float:
    return n / degrees_of_freedom if degrees_of_freedom > 0 else float("nan")
