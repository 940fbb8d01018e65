"""Risks of the levels of an exposure, with each person's influence on them: covariance and contrasts.

An influence (n, K) holds what each person adds to the estimated risks, so that estimate - truth is its sum to first
order and, with G clusters, covariance = G/(G-1) sum_g phi_g phi_g', phi_g the total of cluster g (HC0: every person is
a cluster, and no factor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.models.covariance import SurveyDesign, survey_meat, totals

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

INFLUENCE_VARIANCES = ("HC0", "stata", "cluster", "survey")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LevelContrasts:
    """Contrasts (K,) of each level's risk with that of level `reference`: log RR, RD, log OR and standard errors.

    Those of the reference itself are 0 with a standard error of NaN; NaN is whatever a risk of 0 or 1 leaves undefined.
    """

    reference: int
    log_rr: FloatArray
    log_rr_se: FloatArray
    rd: FloatArray
    rd_se: FloatArray
    log_or: FloatArray
    log_or_se: FloatArray


def level_contrasts(risks: FloatArray, covariance: FloatArray, *, reference: int = 0) -> LevelContrasts:
    """Log risk ratios, differences and log odds ratios of risks (K,) by the delta method from their covariance (K, K).

    With m_k the risks, d log RR = (-1/m_0, 1/m_k), d RD = (-1, 1), d log OR = (-1/(m_0(1-m_0)), 1/(m_k(1-m_k))).
    """
    m0, v00 = risks[reference], covariance[reference, reference]
    vkk, v0k = np.diag(covariance), covariance[reference]
    out: dict[str, FloatArray] = {}
    with np.errstate(all="ignore"):
        scales = {"rr": 1 / risks, "rd": np.ones_like(risks), "or": 1 / (risks * (1 - risks))}
        points = {
            "rr": np.log(risks) - np.log(m0),
            "rd": risks - m0,
            "or": np.log(risks / (1 - risks)) - np.log(m0 / (1 - m0)),
        }
        for name, g in scales.items():
            se = np.sqrt(np.maximum(g**2 * vkk + g[reference] ** 2 * v00 - 2 * g * g[reference] * v0k, 0.0))
            defined = np.isfinite(points[name]) & np.isfinite(g) & np.isfinite(g[reference])
            point, se = np.where(defined, points[name], np.nan), np.where(defined, se, np.nan)
            point[reference], se[reference] = 0.0, np.nan
            out[name], out[name + "_se"] = point, se
    return LevelContrasts(
        reference=reference,
        log_rr=out["rr"],
        log_rr_se=out["rr_se"],
        rd=out["rd"],
        rd_se=out["rd_se"],
        log_or=out["or"],
        log_or_se=out["or_se"],
    )


def risk_covariance(
    influence: FloatArray,
    variance: str = "HC0",
    *,
    cluster: FloatArray | None = None,
    design: SurveyDesign | None = None,
) -> FloatArray:
    """Covariance (K, K) of estimates from the influence (n, K): phi'phi, with the factor of `variance`.

    HC0 none; stata n/(n-1); cluster totals by cluster and G/(G-1); survey totals by PSU, centred within strata.

    Raises ValueError for another variance, for one that lacks what it needs, or a single cluster.
    """
    n = len(influence)
    if variance == "HC0":
        return np.asarray(influence.T @ influence)
    if variance == "stata":
        return np.asarray(influence.T @ influence) * n / max(n - 1, 1)
    if variance == "cluster" and cluster is not None:
        _, numbered = np.unique(cluster, return_inverse=True)
        clusters = int(numbered.max()) + 1
        if clusters < 2:
            raise ValueError("There is a single cluster, so nothing varies between clusters; choose another variance.")
        by_cluster = totals(influence, numbered.reshape(-1), clusters)
        return np.asarray(by_cluster.T @ by_cluster) * clusters / (clusters - 1)
    if variance == "survey" and design is not None:
        return survey_meat(influence, design, np.ones(n, dtype=bool))
    if variance in ("cluster", "survey"):
        raise ValueError(f"Variance '{variance}' needs the {variance} of each person; name it, or choose HC0.")
    raise ValueError(
        f"Variance '{variance}' is not defined for a weighted risk; choose from {', '.join(INFLUENCE_VARIANCES)}."
    )
